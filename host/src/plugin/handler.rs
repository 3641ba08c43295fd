//! The functions of a channel handler. The one that nearly all calls are of can also be called straight, on the caller's
//! own stack: see [`Quick`](super::quick::Quick).

use wasmtime::Store;
use wasmtime::component::{ComponentExportIndex, Func, Instance, InstancePre, ResourceAny, TypedFunc};

use super::bindings::channel_handler::{Guest, GuestChannel, GuestIndices, Message, Outcome};
use super::store::StoreData;

const INTERFACE: &str = "tidegate:plugin/channel-handler@0.1.0";
const ON_PUBLISH: &str = "[method]channel.on-publish";

type OnPublish<'a> = TypedFunc<(ResourceAny, Message<'a>), (Outcome,)>;

/// Where they are in a component.
#[derive(Clone)]
pub struct HandlerIndices {
    guest: GuestIndices,
    on_publish: Option<ComponentExportIndex>,
}

impl HandlerIndices {
    /// `waits`: some import of it may wait, which a call cannot that has no stack of its own.
    ///
    /// # Errors
    /// wasmtime's: an export is missing.
    pub fn new(pre: &InstancePre<StoreData>, waits: bool) -> wasmtime::Result<Self> {
        let on_publish = || {
            let component = pre.component();
            let interface = component.get_export_index(None, INTERFACE)?;
            component.get_export_index(Some(&interface), ON_PUBLISH)
        };
        Ok(Self { guest: GuestIndices::new(pre)?, on_publish: if waits { None } else { on_publish() } })
    }

    /// # Errors
    /// wasmtime's: an export is of another type.
    pub fn load(&self, store: &mut Store<StoreData>, instance: &Instance) -> wasmtime::Result<Handler> {
        let guest = self.guest.load(&mut *store, instance)?;
        let on_publish = match &self.on_publish {
            Some(index) => {
                let function: OnPublish<'static> = instance.get_typed_func(&mut *store, index)?;
                Some(Straight(*function.func()))
            }
            None => None,
        };
        Ok(Handler { guest, on_publish })
    }
}

pub struct Handler {
    guest: Guest,
    on_publish: Option<Straight>,
}

impl Handler {
    pub fn channel(&self) -> GuestChannel<'_> {
        self.guest.channel()
    }

    /// None: some import of the component may wait.
    pub fn on_publish(&self) -> Option<&Straight> {
        self.on_publish.as_ref()
    }
}

/// `on-publish`, with its type looked at.
pub struct Straight(Func);

impl Straight {
    /// The caller goes on when the call has ended, and not before.
    ///
    /// # Errors
    /// wasmtime's. After any the store must not be used again.
    pub fn call(
        &self,
        store: &mut Store<StoreData>,
        channel: ResourceAny,
        message: Message<'_>,
    ) -> wasmtime::Result<Outcome> {
        // SAFETY: `load` has made it of a function that was found to be of this type, but for the lifetime,
        // which the type of a component's function does not have.
        #[allow(unsafe_code)]
        let on_publish: OnPublish<'_> = unsafe { TypedFunc::new_unchecked(self.0) };
        on_publish.call(store, (channel, message)).map(|(outcome,)| outcome)
    }
}
