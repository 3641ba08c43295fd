//! What a handler wants done, checked: nothing of an answer that breaks the contract is applied.

mod check;

use bytes::Bytes;

use crate::core::{ChannelName, ClientId, Payload};
pub(super) use check::{checked, effects, effects_of_action, payload};

#[derive(Debug)]
pub struct Publication {
    pub channel: ChannelName,
    pub event: Bytes,
    pub payload: Payload,
    pub to: Audience,
}

/// Which of a channel's subscribers get a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    All,
    Others(ClientId),
    /// Without an offset, and not kept.
    Only(Box<[ClientId]>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    Client(ClientId),
    /// By its own channel.
    User(ChannelName),
}

#[derive(Debug)]
pub struct Direct {
    pub to: Recipient,
    pub event: Bytes,
    pub payload: Payload,
}

#[derive(Debug)]
pub struct Dismissal {
    pub client: ClientId,
    pub reason: String,
}

/// A figure of the plugin's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// 1 to 64 letters, digits and `_`.
    pub name: String,
    /// Finite.
    pub value: f64,
}

#[derive(Debug)]
pub enum Effect {
    Publish(Publication),
    /// Its audience is [`Audience::All`].
    Persist(Publication),
    Send(Direct),
    /// `params` is JSON.
    Subscribe {
        client: ClientId,
        channel: ChannelName,
        params: Option<Bytes>,
    },
    Unsubscribe {
        client: ClientId,
        channel: ChannelName,
    },
    Kick(Dismissal),
    /// `data` as [`Metadata`](crate::core::metadata::Metadata) says.
    Join {
        client: ClientId,
        channel: ChannelName,
        data: Option<Bytes>,
    },
    Leave {
        client: ClientId,
        channel: ChannelName,
    },
    /// `group` is what may name a channel.
    GroupAdd {
        group: ChannelName,
        channel: ChannelName,
    },
    GroupDiscard {
        group: ChannelName,
        channel: ChannelName,
    },
    /// Not negative.
    Count(Metric),
    Gauge(Metric),
    SetTimer {
        id: u32,
        after_ms: u32,
    },
    CancelTimer(u32),
}

#[derive(Debug)]
pub enum Verdict {
    Pass,
    /// Of the message's own kind.
    Replace(Bytes),
    Drop,
    Deny {
        code: u16,
        reason: String,
    },
}

#[derive(Debug)]
pub struct Outcome {
    pub verdict: Verdict,
    pub effects: Vec<Effect>,
}

/// A message for one new subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub event: Bytes,
    pub payload: Payload,
}

/// A handler's yes to a subscription.
#[derive(Debug)]
pub struct Acceptance {
    pub response: Option<Response>,
    pub effects: Vec<Effect>,
}
