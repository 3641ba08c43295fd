//! What shards say to each other. A letter to one's own shard goes the same way, so a
//! channel's home being here or elsewhere makes no difference to the code.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::turn::Turn;
use super::wire::{Epoch, Position, RequestId};
use crate::core::{ChannelName, ClientId, Offset, Payload, Refusal, Sender, ShardId};
use crate::plugin::Registry;

/// What a publish led to: the message's place, or none where the channel's handler dropped it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    pub epoch: Epoch,
    pub offset: Option<Offset>,
}

/// Where a message comes from, and who hears what became of it.
pub enum Origin {
    Client {
        sender: Sender,
        request: Option<RequestId>,
        subscribed: bool,
    },
    /// The server's own API.
    Server {
        answer: oneshot::Sender<Result<Published, Refusal>>,
    },
    /// An effect of a plugin; see [`Publish::budget`].
    Plugin,
}

impl Origin {
    pub fn sender(&self) -> Option<&Sender> {
        match self {
            Self::Client { sender, .. } => Some(sender),
            Self::Server { .. } | Self::Plugin => None,
        }
    }
}

/// A message on its way to its channel's home.
pub struct Publish {
    pub channel: ChannelName,
    pub origin: Origin,
    pub event: Bytes,
    pub payload: Payload,
    pub except: Option<ClientId>,
    /// How many publications this message may still set off, directly or through others.
    pub budget: u16,
}

/// All that one message sets off is at most this many publications.
pub const PUBLICATIONS_A_MESSAGE: u16 = 1024;

pub struct Subscribe {
    pub channel: ChannelName,
    pub sender: Sender,
    pub params: Option<Bytes>,
    pub request: Option<RequestId>,
    /// The subscriber's own, carried there and back.
    pub filter: Option<super::audience::FilterChoice>,
    /// The client has a subscription, which this one replaces: it needs no further place.
    pub replaces: bool,
}

/// What a home answers to a subscription.
pub struct Subscribed {
    pub channel: ChannelName,
    pub sender: Sender,
    pub request: Option<RequestId>,
    pub filter: Option<super::audience::FilterChoice>,
    pub result: Result<Accepted, Refusal>,
}

#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    pub position: Position,
    /// Messages of the channel show their offsets.
    pub numbered: bool,
    pub slow: super::outbox::SlowPolicy,
}

pub enum Letter {
    // to a channel's home
    Publish(Publish),
    Subscribe(Subscribe),
    /// `request`: the client asked; without, its connection has ended.
    Unsubscribe {
        channel: ChannelName,
        sender: Sender,
        request: Option<Option<RequestId>>,
        /// It had a subscription: the home counts one less.
        subscribed: bool,
    },
    /// A subscription that replaced an earlier one of the same client.
    ForgetOne {
        channel: ChannelName,
        shard: ShardId,
    },

    // from a home to a shard with its subscribers or its publishers
    Subscribed(Subscribed),
    Unsubscribed {
        channel: ChannelName,
        client: ClientId,
        request: Option<RequestId>,
    },
    Published {
        channel: ChannelName,
        client: ClientId,
        request: Option<RequestId>,
        result: Result<Option<Offset>, Refusal>,
    },
    Deliver(Arc<Turn>),
    /// The channel's handler was removed: its subscribers are told, and are none any more.
    ChannelGone(ChannelName),
    Direct {
        client: ClientId,
        channel: ChannelName,
        event: Bytes,
        payload: Payload,
    },
    Close {
        client: ClientId,
        code: u16,
        reason: String,
    },

    // from the plugin host
    Install {
        registry: Arc<Registry>,
        done: std::sync::mpsc::Sender<()>,
    },
}

impl Letter {
    /// Roughly what it holds in memory, in bytes: what the mesh's bound counts.
    pub fn weight(&self) -> usize {
        match self {
            Self::Publish(p) => 256 + p.payload.bytes.len(),
            Self::Deliver(turn) => turn.weight(),
            Self::Direct { payload, .. } => 128 + payload.bytes.len(),
            Self::Subscribe(s) => 256 + s.params.as_ref().map_or(0, Bytes::len),
            _ => 128,
        }
    }
}
