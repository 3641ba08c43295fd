//! [`export!`](crate::export): makes a component's exports of a plugin's types.

/// Names what the plugin does: any of `channel`, `auth`, `filter` and `actions` with
/// the type that implements [`Channel`](crate::Channel), [`Auth`](crate::Auth),
/// [`Filter`](crate::Filter) or [`Actions`](crate::Actions), and `info`.
///
/// Of `info` each field may be left out: `version` and `summary` are shown in the log
/// and by `GET /api/plugins`; `channels` are the patterns that the channel handler is
/// for (`NAME:*` without it).
///
/// Use it once a plugin. On other targets than wasm it only checks the types.
///
/// ```
/// # use tidegate_guest::prelude::*;
/// # struct Chat;
/// # impl Channel for Chat {
/// #     fn open(_: &ChannelName) -> Result<Self, String> { Ok(Chat) }
/// #     fn on_publish(&mut self, _: &Message, _: &mut Context) -> Result<Verdict, Denial> {
/// #         Ok(Verdict::Pass)
/// #     }
/// # }
/// tidegate_guest::export!(
///     channel: Chat,
///     info: {
///         version: env!("CARGO_PKG_VERSION"),
///         summary: "A chat.",
///         channels: ["chat:*", "lobby"],
///     },
/// );
/// ```
#[macro_export]
macro_rules! export {
    () => {};
    (channel: $plugin:ty $(, $($rest:tt)*)?) => {
        $crate::__export_channel!($plugin);
        $($crate::export!($($rest)*);)?
    };
    (auth: $plugin:ty $(, $($rest:tt)*)?) => {
        $crate::__export_auth!($plugin);
        $($crate::export!($($rest)*);)?
    };
    (filter: $plugin:ty $(, $($rest:tt)*)?) => {
        $crate::__export_filter!($plugin);
        $($crate::export!($($rest)*);)?
    };
    (actions: $plugin:ty $(, $($rest:tt)*)?) => {
        $crate::__export_actions!($plugin);
        $($crate::export!($($rest)*);)?
    };
    (info: { $($field:ident : $value:expr),* $(,)? } $(, $($rest:tt)*)?) => {
        $crate::__export_info!($($field: $value),*);
        $($crate::export!($($rest)*);)?
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_channel {
    ($plugin:ty) => {
        const _: () = {
            const fn is_channel<T: $crate::Channel>() {}
            is_channel::<$plugin>();

            #[cfg(target_arch = "wasm32")]
            const _: () = {
                use $crate::bindings::channel::exports::tidegate::plugin::channel_handler::Guest;

                struct Exported;

                impl Guest for Exported {
                    type Channel = $crate::__private::Slot<$plugin>;
                }

                $crate::bindings::channel::export_channel!(
                    Exported with_types_in $crate::bindings::channel
                );
            };
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_auth {
    ($plugin:ty) => {
        const _: () = {
            const fn is_auth<T: $crate::Auth>() {}
            is_auth::<$plugin>();

            #[cfg(target_arch = "wasm32")]
            const _: () = {
                use $crate::bindings::auth::exports::tidegate::plugin::auth::{Guest, Refusal};
                use $crate::{Action, Handshake, Identity};

                struct Exported;

                impl Guest for Exported {
                    fn authenticate(request: Handshake) -> Result<Identity, Refusal> {
                        $crate::__private::authenticate::<$plugin>(&request)
                    }

                    fn authorize(
                        who: Identity,
                        action: Action,
                        channel: String,
                        captures: Vec<(String, String)>,
                    ) -> $crate::Permission {
                        $crate::__private::authorize::<$plugin>(&who, action, channel, captures)
                    }
                }

                $crate::bindings::auth::export_auth!(
                    Exported with_types_in $crate::bindings::auth
                );
            };
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_filter {
    ($plugin:ty) => {
        const _: () = {
            const fn is_filter<T: $crate::FilterBy>() {}
            is_filter::<$plugin>();

            #[cfg(target_arch = "wasm32")]
            const _: () = {
                use $crate::bindings::filter::exports::tidegate::plugin::filter::{Batch, Guest};

                ::std::thread_local! {
                    static FILTERS: ::core::cell::RefCell<$crate::__private::Filters<$plugin>> =
                        ::core::default::Default::default();
                }

                struct Exported;

                impl Guest for Exported {
                    fn add(params: Vec<u8>) -> Result<u32, String> {
                        FILTERS.with_borrow_mut(|filters| filters.add(params))
                    }

                    fn remove(id: u32) {
                        FILTERS.with_borrow_mut(|filters| filters.remove(id));
                    }

                    fn evaluate(ids: Vec<u32>, messages: Batch) -> Vec<u64> {
                        FILTERS.with_borrow(|filters| filters.evaluate(&ids, &messages))
                    }
                }

                $crate::bindings::filter::export_filter!(
                    Exported with_types_in $crate::bindings::filter
                );
            };
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_actions {
    ($plugin:ty) => {
        const _: () = {
            const fn is_actions<T: $crate::Actions>() {}
            is_actions::<$plugin>();

            #[cfg(target_arch = "wasm32")]
            const _: () = {
                use $crate::bindings::actions::exports::tidegate::plugin::actions::{Guest, Reply};
                use $crate::{Actions, Caller, Denial};

                struct Exported;

                impl Guest for Exported {
                    fn names() -> Vec<String> {
                        <$plugin as Actions>::NAMES.iter().map(|name| String::from(*name)).collect()
                    }

                    fn call(name: String, who: Caller, data: Vec<u8>) -> Result<Reply, Denial> {
                        $crate::__private::call::<$plugin>(&name, &who, data)
                    }
                }

                $crate::bindings::actions::export_actions!(
                    Exported with_types_in $crate::bindings::actions
                );
            };
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_info {
    ($($field:ident : $value:expr),*) => {
        const _: () = {
            #[allow(dead_code, unused_mut)]
            fn about() -> $crate::About {
                let mut about = $crate::About::empty();
                $(about.$field($value);)*
                about
            }

            #[cfg(target_arch = "wasm32")]
            const _: () = {
                struct Exported;

                impl $crate::bindings::info::exports::tidegate::plugin::info::Guest for Exported {
                    fn describe() -> $crate::About {
                        about()
                    }
                }

                $crate::bindings::info::export_info!(
                    Exported with_types_in $crate::bindings::info
                );
            };
        };
    };
}
