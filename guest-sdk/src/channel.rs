//! Channel handlers: the trait, and what stands between it and the bindings.

use std::cell::RefCell;

use crate::bindings::channel::exports::tidegate::plugin::channel_handler as wit;
use crate::{Caller, ChannelName, Context, Data, Denial, Effect, Message, Response};

pub use wit::{Departure, Verdict};

/// The logic of one live channel. Calls to it never overlap and come in the
/// channel's order, so plain fields hold its state.
///
/// The state lives until the server lets the channel go or a call panics; then
/// [`Channel::open`] makes it anew. What [`Channel::save`] gives outlives more: when the
/// plugin is replaced, the new version goes on from it, while nobody calls the
/// channel it is all that is kept, and with the server's `state_dir` the next server
/// goes on from it.
///
/// Effects put into the [`Context`] are applied once a call has ended, after the
/// message itself.
///
/// ```
/// use tidegate_guest::prelude::*;
///
/// struct Counter {
///     room: String,
///     messages: u64,
/// }
///
/// impl Channel for Counter {
///     fn open(channel: &ChannelName) -> Result<Self, String> {
///         // The plugin handles `counter:{room}`, or the rule's pattern says so.
///         let room = channel.capture("room").ok_or("the pattern has no {room}")?;
///         Ok(Self { room: room.to_owned(), messages: 0 })
///     }
///
///     fn save(&self) -> Option<Vec<u8>> {
///         Some(self.messages.to_le_bytes().to_vec())
///     }
///
///     fn restore(channel: &ChannelName, snapshot: &[u8]) -> Result<Self, String> {
///         let saved = snapshot.try_into().map_err(|_| "a count has eight bytes")?;
///         Ok(Self { messages: u64::from_le_bytes(saved), ..Self::open(channel)? })
///     }
///
///     fn default_response(&mut self, _: &Caller, _: &Data) -> Result<Option<Response>, Denial> {
///         Ok(Some(Response::json(&self.messages)?.event("count")))
///     }
///
///     fn on_publish(&mut self, message: &Message, ctx: &mut Context) -> Result<Verdict, Denial> {
///         self.messages += 1;
///         ctx.publish(format!("stats:{}", self.room)).event("count").json(&self.messages)?;
///         if message.bytes().is_empty() {
///             return Ok(Verdict::Drop);
///         }
///         Ok(Verdict::Pass)
///     }
/// }
///
/// let mut ctx = Context::default();
/// let channel = ChannelName::from("counter:a").with("room", "a");
/// let mut counter = Counter::open(&channel).unwrap();
/// counter.on_publish(&Message::for_test("ada", r#"{"text":"hi"}"#), &mut ctx).unwrap();
/// assert_eq!(ctx.effects().len(), 1);
/// assert_eq!(Counter::restore(&channel, &counter.save().unwrap()).unwrap().messages, 1);
/// ```
pub trait Channel: Sized + 'static {
    /// On the first use of the channel; may take 100 ms.
    ///
    /// # Errors
    /// The text goes to the log and the client's request fails with `plugin_failed`;
    /// the next request tries again.
    fn open(channel: &ChannelName) -> Result<Self, String>;

    /// On from what an earlier instance has saved, of this version or another one; may
    /// take 100 ms. A version that saves something takes what the one before it saved.
    ///
    /// # Errors
    /// This version cannot go on from it: the text goes to the log, and the version before
    /// keeps the channel, with its state, until the next one comes.
    fn restore(channel: &ChannelName, snapshot: &[u8]) -> Result<Self, String> {
        let _ = (channel, snapshot);
        Err("this version takes over no state".to_owned())
    }

    /// All that the channel must not lose, at most 1 MiB; may take 100 ms. Without it the
    /// channel is opened anew when the plugin is replaced.
    fn save(&self) -> Option<Vec<u8>> {
        None
    }

    /// A client asks to subscribe. Anyone may, unless this is implemented.
    ///
    /// # Errors
    /// Refuse the subscription; the effects collected so far are dropped.
    fn on_subscribe(&mut self, who: &Caller, params: &Data, ctx: &mut Context) -> Result<(), Denial> {
        let _ = (who, params, ctx);
        Ok(())
    }

    /// What a new subscriber alone gets, after `subscribed` and what it missed, before
    /// anything newer. Asked for where the channel's rule has `default_response`, once
    /// [`Channel::on_subscribe`] has let the client in. It is not delivered to a client
    /// that has come back and recovered all it missed.
    ///
    /// # Errors
    /// Refuse the subscription, as those of [`Channel::on_subscribe`] do.
    fn default_response(&mut self, who: &Caller, params: &Data) -> Result<Option<Response>, Denial> {
        let _ = (who, params);
        Ok(None)
    }

    /// A message is published, by a subscriber or not.
    ///
    /// # Errors
    /// Same as [`Verdict::Deny`]: nothing is delivered and the sender gets the
    /// denial. **The effects collected so far are applied all the same.**
    fn on_publish(&mut self, message: &Message, ctx: &mut Context) -> Result<Verdict, Denial>;

    /// A subscriber is no longer one. Where its connection has ended and the plugin's settings
    /// have a `leave_grace_secs`, only once its user has not come back for so long.
    fn on_unsubscribe(&mut self, who: &Caller, why: Departure, ctx: &mut Context) {
        let _ = (who, why, ctx);
    }

    /// A timer is over that this channel has set with [`Context::set_timer`].
    fn on_timer(&mut self, id: u32, ctx: &mut Context) {
        let _ = (id, ctx);
    }
}

impl Verdict {
    /// Delivers these bytes instead. They must be of the kind that the message has.
    pub fn replace(payload: impl Into<Vec<u8>>) -> Self {
        Self::Replace(payload.into())
    }

    /// Delivers `value` instead, for a message whose payload is JSON.
    ///
    /// # Errors
    /// If `value` has no form in JSON.
    #[cfg(feature = "json")]
    pub fn replace_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Self, Denial> {
        crate::data::to_json(value).map(Self::Replace)
    }
}

/// A channel in the hands of the component's bindings, which share what they hold.
#[doc(hidden)]
pub struct Slot<T>(RefCell<T>);

impl<T: Channel> wit::GuestChannel for Slot<T> {
    fn open(
        name: String,
        captures: Vec<(String, String)>,
        snapshot: Option<Vec<u8>>,
    ) -> Result<wit::Channel, String> {
        crate::panic::install_hook();
        let name = ChannelName::new(name, captures);
        let channel = match snapshot {
            Some(snapshot) => T::restore(&name, &snapshot)?,
            None => T::open(&name)?,
        };
        Ok(wit::Channel::new(Self(RefCell::new(channel))))
    }

    fn save(&self) -> Option<Vec<u8>> {
        self.0.borrow().save()
    }

    fn on_subscribe(
        &self,
        who: Caller,
        params: Option<Vec<u8>>,
        respond: bool,
    ) -> Result<wit::Acceptance, Denial> {
        let params = params.map_or_else(Data::null, Data::raw);
        let mut ctx = Context::default();
        let mut channel = self.0.borrow_mut();
        channel.on_subscribe(&who, &params, &mut ctx)?;
        let response = if respond { channel.default_response(&who, &params)? } else { None };
        Ok(wit::Acceptance { response, effects: ctx.into_effects() })
    }

    fn on_publish(&self, message: Message) -> wit::Outcome {
        let mut ctx = Context::default();
        let verdict = self.0.borrow_mut().on_publish(&message, &mut ctx).unwrap_or_else(Verdict::Deny);
        wit::Outcome { verdict, effects: ctx.into_effects() }
    }

    fn on_timer(&self, id: u32) -> Vec<Effect> {
        let mut ctx = Context::default();
        self.0.borrow_mut().on_timer(id, &mut ctx);
        ctx.into_effects()
    }

    fn on_unsubscribe(&self, who: Caller, why: Departure) -> Vec<Effect> {
        let mut ctx = Context::default();
        self.0.borrow_mut().on_unsubscribe(&who, why, &mut ctx);
        ctx.into_effects()
    }
}
