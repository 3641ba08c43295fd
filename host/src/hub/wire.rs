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

/// A dialect's encoder. Each call appends whole frames.
pub trait Wire: Sync {
    /// A message of a channel; `numbered` where the channel's messages carry offsets.
    fn message(&self, channel: &ChannelName, message: &Message, numbered: bool, out: &mut BytesMut);

    /// A message to one client, outside the channel's order.
    fn direct(&self, channel: &ChannelName, event: &[u8], payload: &Payload, out: &mut BytesMut);

    fn reply(&self, request: Option<&RequestId>, reply: &Reply, out: &mut BytesMut);

    fn ping(&self, out: &mut BytesMut);

    /// The last frame of a connection; `reason` is cut where the dialect must.
    fn close(&self, code: u16, reason: &str, out: &mut BytesMut);
}

/// Index into the hub's table of dialects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireId(pub u8);
