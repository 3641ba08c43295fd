//! Effects: what a plugin asks the server to do. They read like calls, but are
//! collected and returned, so that a call that panics has none.

use std::time::Duration;

#[cfg(feature = "json")]
use crate::Denial;
use crate::{
    Audience, ClientId, Direct, Dismissal, Effect, Grouping, Member, Metric, PayloadKind, Place, Publication,
    Recipient, Subscription, Timer,
};

/// Collects the effects of one call.
///
/// ```
/// use std::time::Duration;
///
/// use tidegate_guest::{Context, Effect};
///
/// let mut ctx = Context::default();
/// ctx.publish("chat:lobby").event("joined").except(7).json(&"ada").unwrap();
/// ctx.send(7).text("welcome");
/// ctx.kick(8, "Bye.");
/// ctx.set_timer(1, Duration::from_secs(30));
///
/// assert_eq!(ctx.effects().len(), 4);
/// assert!(matches!(&ctx.effects()[0], Effect::Publish(said) if said.event.as_deref() == Some("joined")));
/// assert!(matches!(&ctx.effects()[1], Effect::Send(direct) if direct.payload == b"welcome"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Context {
    effects: Vec<Effect>,
}

impl Context {
    /// A message to a channel, as from the server itself. To the handler's own
    /// channel it is delivered as it is; another channel's handler sees it first.
    /// All that one message sets off is at most 1,024 publications.
    pub fn publish(&mut self, channel: impl Into<String>) -> Publish<'_> {
        let publication = Publication {
            channel: channel.into(),
            event: None,
            kind: PayloadKind::Json,
            payload: Vec::new(),
            to: Audience::All,
        };
        Publish { effects: &mut self.effects, draft: publication }
    }

    /// A message for a channel's history, for those who come back or ask; nobody gets it now.
    pub fn persist(&mut self, channel: impl Into<String>) -> Persist<'_> {
        let Publish { effects, draft } = self.publish(channel);
        Persist { effects, draft }
    }

    /// A message to one client, outside the channel's order; it sees it as one of
    /// the handler's channel.
    pub fn send(&mut self, client: ClientId) -> Send<'_> {
        self.send_to(Recipient::Client(client))
    }

    /// A message to all connections of a user, in its own channel, `$user:ID`. It waits there for
    /// a user who is away, if the server's configuration says so.
    pub fn send_to_user(&mut self, user: impl Into<String>) -> Send<'_> {
        self.send_to(Recipient::User(user.into()))
    }

    fn send_to(&mut self, to: Recipient) -> Send<'_> {
        let direct = Direct { to, event: None, kind: PayloadKind::Json, payload: Vec::new() };
        Send { effects: &mut self.effects, draft: direct }
    }

    /// Subscribes a client as if it had asked: the channel's handler is asked, auth plugins are
    /// not. The client is told what came of it. `params` is one JSON value.
    pub fn subscribe(&mut self, client: ClientId, channel: impl Into<String>, params: Option<Vec<u8>>) {
        self.effects.push(Effect::Subscribe(Subscription { client, channel: channel.into(), params }));
    }

    /// Ends a client's subscription; it is told.
    pub fn unsubscribe(&mut self, client: ClientId, channel: impl Into<String>) {
        self.effects.push(Effect::Unsubscribe(Place { client, channel: channel.into() }));
    }

    /// A client's user is one of a channel's members from now on, seen with `data`, one JSON
    /// value. It need not have subscribed; it leaves when its connection ends.
    pub fn join(&mut self, client: ClientId, channel: impl Into<String>, data: Option<Vec<u8>>) {
        self.effects.push(Effect::Join(Member { client, channel: channel.into(), data }));
    }

    /// A client leaves a channel's members; its user does with its last connection.
    pub fn leave(&mut self, client: ClientId, channel: impl Into<String>) {
        self.effects.push(Effect::Leave(Place { client, channel: channel.into() }));
    }

    /// Puts a channel into a group.
    pub fn group_add(&mut self, group: impl Into<String>, channel: impl Into<String>) {
        self.effects.push(Effect::GroupAdd(Grouping { group: group.into(), channel: channel.into() }));
    }

    /// Takes a channel out of a group; one that is not in it is no error.
    pub fn group_discard(&mut self, group: impl Into<String>, channel: impl Into<String>) {
        self.effects.push(Effect::GroupDiscard(Grouping { group: group.into(), channel: channel.into() }));
    }

    /// Adds to a counter of the plugin's, shown by `/metrics`. A name is 1 to 64 letters, digits
    /// and `_`; a plugin has at most 64.
    pub fn count(&mut self, name: impl Into<String>, by: f64) {
        self.effects.push(Effect::Count(Metric { name: name.into(), value: by }));
    }

    /// Sets a gauge of the plugin's, shown by `/metrics`; bounds as for [`Context::count`].
    pub fn gauge(&mut self, name: impl Into<String>, value: f64) {
        self.effects.push(Effect::Gauge(Metric { name: name.into(), value }));
    }

    /// Ends a client's connection with close code 4003 and this reason.
    pub fn kick(&mut self, client: ClientId, reason: impl Into<String>) {
        self.effects.push(Effect::Kick(Dismissal { client, reason: reason.into() }));
    }

    /// Wakes the channel after a time: [`Channel::on_timer`](crate::Channel::on_timer) is
    /// called with this id. One that is set again starts anew. A channel has at most 64;
    /// less than 10 ms count as 10, more than `u32::MAX` as that. They go on over a reload.
    pub fn set_timer(&mut self, id: u32, after: Duration) {
        let after_ms = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
        self.effects.push(Effect::SetTimer(Timer { id, after_ms }));
    }

    /// Ends a timer; none that runs is no error.
    pub fn cancel_timer(&mut self, id: u32) {
        self.effects.push(Effect::CancelTimer(id));
    }

    /// What has been collected so far, in its order.
    pub fn effects(&self) -> &[Effect] {
        &self.effects
    }

    pub(crate) fn into_effects(self) -> Vec<Effect> {
        self.effects
    }
}

/// A publication that wants its payload. Ends with one of `json`, `raw_json`,
/// `text` and `binary`; without it nothing is published.
#[must_use = "nothing is published without a payload"]
#[derive(Debug)]
pub struct Publish<'a> {
    effects: &'a mut Vec<Effect>,
    draft: Publication,
}

impl Publish<'_> {
    /// This client does not get it.
    pub fn except(mut self, client: ClientId) -> Self {
        self.draft.to = Audience::Others(client);
        self
    }

    /// Only those of these clients get it that have subscribed; at most 1,024. It comes in the
    /// channel's order, but is not kept and has no offset.
    pub fn only(mut self, clients: impl IntoIterator<Item = ClientId>) -> Self {
        self.draft.to = Audience::Only(clients.into_iter().collect());
        self
    }
}

/// A message for a history that wants its payload. Ends with one of `json`, `raw_json`,
/// `text` and `binary`; without it nothing is kept.
#[must_use = "nothing is kept without a payload"]
#[derive(Debug)]
pub struct Persist<'a> {
    effects: &'a mut Vec<Effect>,
    draft: Publication,
}

/// A message to a client or user that wants its payload. Ends with one of `json`,
/// `raw_json`, `text` and `binary`; without it nothing is sent.
#[must_use = "nothing is sent without a payload"]
#[derive(Debug)]
pub struct Send<'a> {
    effects: &'a mut Vec<Effect>,
    draft: Direct,
}

macro_rules! payloads {
    ($draft:ident, $effect:ident) => {
        impl $draft<'_> {
            /// The event's name; none unless this is called.
            pub fn event(mut self, event: impl Into<String>) -> Self {
                self.draft.event = Some(event.into());
                self
            }

            /// # Errors
            /// If `value` has no form in JSON; then there is no effect.
            #[cfg(feature = "json")]
            pub fn json<T: serde::Serialize + ?Sized>(self, value: &T) -> Result<(), Denial> {
                let json = crate::data::to_json(value)?;
                self.raw_json(json);
                Ok(())
            }

            /// A payload that is one JSON value already; it is not checked here.
            pub fn raw_json(self, json: impl Into<Vec<u8>>) {
                self.end(PayloadKind::Json, json.into());
            }

            /// A payload of plain text.
            pub fn text(self, text: impl Into<String>) {
                self.end(PayloadKind::Text, text.into().into_bytes());
            }

            /// A payload of any bytes.
            pub fn binary(self, bytes: impl Into<Vec<u8>>) {
                self.end(PayloadKind::Binary, bytes.into());
            }

            fn end(mut self, kind: PayloadKind, payload: Vec<u8>) {
                self.draft.kind = kind;
                self.draft.payload = payload;
                self.effects.push(Effect::$effect(self.draft));
            }
        }
    };
}
payloads!(Publish, Publish);
payloads!(Persist, Persist);
payloads!(Send, Send);
