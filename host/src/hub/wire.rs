//! What a dialect gives the hub: bytes for messages and replies. The hub never looks inside them.

use bytes::{Bytes, BytesMut};

use super::presence::{Presence, PresenceEvent};
use super::tally::Receipt;
use crate::core::{ChannelName, Message, Offset, Payload, Refusal, UserId};

/// A request's own mark, echoed by whatever answers it: opaque to the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub Bytes);

/// A channel's life: offsets count from 1 in each. Never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(pub u64);

impl Epoch {
    /// As [`Epoch`] is displayed. Anything else is an epoch that no channel has ever had.
    pub fn parse(text: &str) -> Self {
        let shown = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        Self(shown.then(|| u64::from_str_radix(text, 16).ok()).flatten().unwrap_or(0))
    }
}

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
pub enum Reply<'a> {
    Authenticated {
        user: UserId,
    },
    Subscribed {
        channel: &'a ChannelName,
        /// Where the channel's messages carry offsets.
        position: Option<Position>,
        /// Has it all that it missed? Where it asked to recover.
        recovered: Option<bool>,
        /// Where it asked for presence.
        members: Option<&'a Presence>,
        /// Where it asked for what the channel remembers: that comes next (true), or there is
        /// nothing.
        cached: Option<bool>,
    },
    Unsubscribed {
        channel: ChannelName,
    },
    /// Without an offset: the channel's handler took the message and delivered nothing.
    Published {
        channel: ChannelName,
        offset: Option<Offset>,
        receipt: Option<Receipt>,
    },
    Joined {
        channel: ChannelName,
    },
    Left {
        channel: ChannelName,
    },
    Presence {
        channel: &'a ChannelName,
        members: &'a Presence,
    },
    History {
        channel: &'a ChannelName,
        position: Position,
        /// Nothing after the place that was asked for is gone.
        complete: bool,
        messages: Box<dyn Iterator<Item = &'a Message> + 'a>,
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

/// A dialect's encoder. Each call appends whole frames; all but [`Wire::message`], [`Wire::direct`]
/// and [`Wire::close`] may append nothing, where the dialect has no words for it.
pub trait Wire: Sync {
    /// A message of a channel, at least one byte; `numbered` is the channel's epoch where its
    /// messages carry offsets.
    fn message(&self, channel: &ChannelName, message: &Message, numbered: Option<Epoch>, out: &mut BytesMut);

    /// A message to one client, outside the channel's order.
    fn direct(&self, channel: &ChannelName, event: &[u8], payload: &Payload, out: &mut BytesMut);

    /// A change of who is in a channel, for a subscriber that asked for it.
    fn presence(&self, _channel: &ChannelName, _event: &PresenceEvent, _out: &mut BytesMut) {}

    /// So many of a channel's messages, or changes of presence, were left out before what the
    /// client gets next of it.
    fn dropped(&self, _channel: &ChannelName, _count: u64, _out: &mut BytesMut) {}
    /// How many subscribers a channel has now, where they are told.
    fn subscribers(&self, _channel: &ChannelName, _subscribers: u64, _out: &mut BytesMut) {}

    fn reply(&self, request: Option<&RequestId>, reply: Reply<'_>, out: &mut BytesMut);

    /// How a refusal is told; `request` is what was refused.
    fn refused(&self, _request: Option<&RequestId>, _refusal: &Refusal) -> Told {
        Told::Said
    }

    /// What a client of this dialect takes an answer to a subscription by.
    fn subscription(&self) -> Option<RequestId> {
        None
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
