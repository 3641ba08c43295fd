//! What a client asks for, whatever dialect it speaks.

use bytes::Bytes;

use crate::core::{ChannelName, IdempotencyKey, Payload, Refusal};
use crate::hub::letter::{About, Wishes};
use crate::hub::wire::RequestId;

/// One request, or why it is none, and the client's mark on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub id: Option<RequestId>,
    pub command: Result<Command, Refusal>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Auth {
        token: String,
    },
    Subscribe {
        channel: ChannelName,
        params: Option<Bytes>,
        filter: Option<FilterRequest>,
        wishes: Wishes,
    },
    /// Presence and history.
    Ask {
        channel: ChannelName,
        about: About,
    },
    Unsubscribe {
        channel: ChannelName,
    },
    /// `echo` false: not back to the publisher; none: as the channel's rule has it.
    Publish {
        channel: ChannelName,
        event: Bytes,
        payload: Payload,
        echo: Option<bool>,
        /// How many did it reach?
        receipt: bool,
        key: Option<IdempotencyKey>,
    },
    /// `data` is JSON; `null` where the client sent none.
    Action {
        name: String,
        data: Bytes,
    },
    Ping,
}

impl Command {
    /// The channel that it is about, where it is about one.
    pub fn into_channel(self) -> Option<ChannelName> {
        match self {
            Self::Subscribe { channel, .. }
            | Self::Unsubscribe { channel }
            | Self::Publish { channel, .. }
            | Self::Ask { channel, .. } => Some(channel),
            Self::Auth { .. } | Self::Action { .. } | Self::Ping => None,
        }
    }

    /// A subscription without anything beside.
    pub fn subscribe(channel: ChannelName) -> Self {
        Self::Subscribe { channel, params: None, filter: None, wishes: Wishes::default() }
    }

    /// A publication that says nothing of who gets it.
    pub fn publish(channel: ChannelName, event: Bytes, payload: Payload) -> Self {
        Self::Publish { channel, event, payload, echo: None, receipt: false, key: None }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct FilterRequest {
    pub plugin: String,
    /// JSON; `null` where the client sent none.
    pub params: Bytes,
}
