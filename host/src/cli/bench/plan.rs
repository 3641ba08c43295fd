//! Who publishes what to whom.

use super::check::Sees;
use super::dialect::Dialect;
use super::entrance::Wish;
use super::figures::{self, Metric};
use super::mark::Mark;
use super::swarm::Id;

/// Who publishes what to whom.
pub struct Plan {
    pub rooms: usize,
    /// Subscribers of a room.
    pub members: usize,
    /// Publishers of a room.
    pub publishers: usize,
    /// Channels of a room: every member is in all of them, messages go into them in turn.
    pub channels: usize,
    /// Subscribers of the first room, besides, that never read.
    pub slow: usize,
    /// What the rooms' channels are called, before their number.
    pub channel: String,
    /// Fields of a subscriber's request beside the channel, by its number in the room.
    pub more: fn(&Plan, usize) -> String,
    /// Which messages a subscriber sees, by its number in the room.
    pub sees: fn(&Plan, usize) -> Sees,
    /// The frames of a publisher, one of each kind.
    pub texts: fn(&Plan, Dialect, &str, Mark, usize) -> Vec<String>,
    /// The number of the message that a frame with this mark is.
    pub number: fn(&[u8], Mark) -> u64,
    /// What is counted when a message is published.
    pub published: Metric,
    /// How many filters differ, where there are some.
    pub filters: usize,
    /// Messages of several levels, so that filters have something to refuse.
    pub mixed: bool,
}

impl Plan {
    /// One publisher a room of as many members, everybody sees everything.
    pub fn new(channel: &str) -> Self {
        Self {
            rooms: 1,
            members: 1,
            publishers: 1,
            channels: 1,
            slow: 0,
            channel: channel.to_owned(),
            more: |_, _| String::new(),
            sees: |_, _| Sees::ALL,
            texts: |_, dialect, channel, mark, bytes| {
                vec![dialect.publish(channel, &padded(r#"{"text":""#, mark, bytes))]
            },
            number: |_, mark| mark.number,
            published: figures::PUBLISHED,
            filters: 0,
            mixed: false,
        }
    }

    pub fn subscribers(&self) -> usize {
        self.rooms * self.members
    }

    pub fn streams(&self) -> usize {
        self.rooms * self.publishers
    }

    /// One of a room's channels, by its number in the room.
    pub fn channel_of(&self, dialect: Dialect, room: usize, at: usize) -> String {
        dialect.channel(&format!("{}-{:05}", self.channel, room * self.channels + at))
    }

    /// Which of a publisher's messages a subscriber sees in one of the room's channels.
    pub fn sees_in(&self, member: usize, channel: usize) -> Sees {
        match self.channels {
            1 => (self.sees)(self, member),
            channels => Sees::only_kind(channel as u32, channels as u32),
        }
    }

    /// What a connection subscribes to first: subscribers come first, then publishers, then those who
    /// do not read.
    pub fn wish(&self, dialect: Dialect, id: Id) -> Option<Wish> {
        let (subscribers, quick) = (self.subscribers(), self.subscribers() + self.streams());
        let (room, more) = match id {
            id if id < subscribers => (id / self.members, (self.more)(self, id % self.members)),
            id if id >= quick => (0, String::new()),
            id if dialect.publishers_subscribe() => ((id - subscribers) / self.publishers, String::new()),
            _ => return None,
        };
        Some(Wish { channel: self.channel_of(dialect, room, 0), more })
    }
}

/// JSON that begins as given, has the mark in a string, and is so many bytes long.
pub fn padded(begin: &str, mark: Mark, bytes: usize) -> String {
    let mut data = format!("{begin}{} ", mark.text());
    // Not blanks, which a plugin may trim, and which compress.
    let padding = bytes.saturating_sub(data.len() + 2);
    data.extend(std::iter::repeat_n('x', padding));
    data + "\"}"
}
