//! What a dialect gives the hub: bytes for messages and replies. The hub never looks inside them.

use bytes::{Bytes, BytesMut};

use crate::core::{ChannelName, Message, Offset, Payload, Refusal, UserId};

/// A request's own mark, echoed by whatever answers it: opaque to the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub Bytes);

/// A channel's life: offsets count from 1 in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(pub u64);

impl std::fmt::Display for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Where a channel stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub epoch: Epoch,
    pub offset: Offset,
}

/// What the server says to one client about one of its requests.
#[derive(Clone, Debug)]
pub enum Reply {
    Authenticated {
        user: UserId,
    },
    /// With a position where the channel's messages carry offsets.
    Subscribed {
        channel: ChannelName,
        position: Option<Position>,
    },
    Unsubscribed {
        channel: ChannelName,
    },
    /// Without an offset: the channel's handler took the message and delivered nothing.
    Published {
        channel: ChannelName,
        offset: Option<Offset>,
    },
    ActionCompleted {
        action: String,
        data: Bytes,
    },
    Pong,
    /// The identity ends in 30 s.
    Expiring,
    Refused {
        channel: Option<ChannelName>,
        refusal: Refusal,
    },
}

/// What a dialect makes of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// [`Wire::reply`] says it.
    Said,
    /// It has no words for it: the request is dropped, and counted.
    Unsaid,
    /// It says it by ending the connection with this code; the refusal's message is the reason.
    Close(u16),
}

/// A dialect's encoder. Each call appends whole frames; [`Wire::reply`], [`Wire::ping`] and
/// [`Wire::places`] may append nothing, where the dialect has no words for it.
pub trait Wire: Sync {
    /// A message of a channel, at least one byte; `numbered` is the channel's epoch where its
    /// messages carry offsets.
    fn message(&self, channel: &ChannelName, message: &Message, numbered: Option<Epoch>, out: &mut BytesMut);

    /// A message to one client, outside the channel's order.
    fn direct(&self, channel: &ChannelName, event: &[u8], payload: &Payload, out: &mut BytesMut);

    fn reply(&self, request: Option<&RequestId>, reply: &Reply, out: &mut BytesMut);

    /// How a refusal is told; `request` is what was refused.
    fn refused(&self, _request: Option<&RequestId>, _refusal: &Refusal) -> Told {
        Told::Said
    }

    /// Nothing appended: its clients cannot answer pings, and are not held to.
    fn ping(&self, out: &mut BytesMut);

    /// Are its clients told how far they have come in all of their channels, after each turn
    /// that brought them something?
    fn tells_places(&self) -> bool {
        false
    }

    /// See [`Wire::tells_places`].
    fn places(&self, _places: &[(ChannelName, Position)], _out: &mut BytesMut) {}

    /// The last frame of a connection; `reason` is cut where the dialect must.
    fn close(&self, code: u16, reason: &str, out: &mut BytesMut);
}

/// The hub's table of dialects.
pub type Wires = &'static [&'static dyn Wire];

/// Index into the hub's table of dialects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireId(pub u8);
