//! Functions that clients call by name.

use crate::bindings::actions::exports::tidegate::plugin::actions as wit;
use crate::{Caller, Context, Data, Denial};

/// Functions that clients call by name. There is one instance a shard (a thread of
/// the server with its share of the connections): keep nothing that all must see.
///
/// ```
/// use tidegate_guest::prelude::*;
///
/// struct Tools;
///
/// impl Actions for Tools {
///     const NAMES: &'static [&'static str] = &["greet"];
///
///     fn call(_name: &str, who: &Caller, data: &Data, _: &mut Context) -> Result<Data, Denial> {
///         let name: String = data.json()?;
///         Data::of(&format!("Hello {name}, says {}.", who.user))
///     }
/// }
///
/// tidegate_guest::export!(actions: Tools);
/// ```
pub trait Actions {
    /// 1 to 64 names. One that two plugins offer belongs to the first plugin in the
    /// order of their names.
    const NAMES: &'static [&'static str];

    /// A client calls one of the names; `data` is what it sent. May take 20 ms.
    ///
    /// # Errors
    /// Go to the client; the effects collected so far are dropped.
    fn call(name: &str, who: &Caller, data: &Data, ctx: &mut Context) -> Result<Data, Denial>;
}

#[doc(hidden)]
pub fn call<T: Actions>(name: &str, who: &Caller, data: Vec<u8>) -> Result<wit::Reply, Denial> {
    crate::panic::install_hook();
    let mut ctx = Context::default();
    let answer = T::call(name, who, &Data::raw(data), &mut ctx)?;
    Ok(wit::Reply { data: answer.into_bytes(), effects: ctx.into_effects() })
}
