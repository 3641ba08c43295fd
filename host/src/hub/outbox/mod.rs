//! What waits to be written to one socket: runs of whole frames, written together
//! once a turn. Bounded in bytes; past the bound each run's slow-consumer policy decides.

mod chain;
mod lossy;
#[cfg(test)]
mod tests;

use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::frames::Frames;
use super::slow::SlowPolicy;
use super::socket::Socket;
use super::wire::Wire;
use crate::core::{ChannelName, MessageKey};
use chain::{Chain, Handle};
use lossy::Lanes;

/// What may be left out of a run, and in whose name.
#[derive(Clone, Copy)]
pub enum Terms<'a> {
    /// Nothing.
    Disconnect,
    DropOldest {
        channel: &'a Rc<ChannelName>,
        messages: usize,
    },
    Latest {
        channel: &'a Rc<ChannelName>,
        frames: &'a Arc<Frames>,
    },
}

impl<'a> Terms<'a> {
    pub fn new(policy: SlowPolicy, channel: &'a Rc<ChannelName>, frames: &'a Arc<Frames>) -> Self {
        match policy {
            SlowPolicy::Disconnect => Self::Disconnect,
            SlowPolicy::DropOldest => Self::DropOldest { channel, messages: frames.len() },
            SlowPolicy::Latest => Self::Latest { channel, frames },
        }
    }
}

/// Frames of one channel, replies to the client, or what it is told of frames that were left out.
struct Run {
    bytes: Bytes,
    /// Counts the messages that came to the outbox: of two, the one with the lower came first.
    place: u64,
    kind: Kind,
}

enum Kind {
    /// Never left out.
    Kept,
    Oldest {
        channel: Rc<ChannelName>,
        messages: usize,
    },
    /// Of [`SlowPolicy::Latest`], from before the socket was full.
    Unsorted {
        channel: Rc<ChannelName>,
        frames: Arc<Frames>,
    },
    /// One message of [`SlowPolicy::Latest`].
    Latest {
        channel: Rc<ChannelName>,
        key: Option<MessageKey>,
    },
    /// So many messages are missing from here on. Its bytes are made when it may be written.
    Gap {
        channel: Rc<ChannelName>,
        count: u64,
    },
}

/// The bound is passed and nothing waiting may be left out: the client is too slow.
#[derive(Debug, PartialEq, Eq)]
pub struct TooSlow;

/// What a write left.
#[derive(Debug, PartialEq, Eq)]
pub enum Wrote {
    All,
    /// The socket is full: wait until it is writable.
    Blocked,
}

/// What became of a run that was to pass a queue by.
#[derive(Debug, PartialEq, Eq)]
pub enum Past {
    Done,
    /// Partly on the wire; the rest is queued.
    Rest,
    /// The socket takes nothing: it has to queue.
    Not,
}

/// How many runs one `writev` takes. Linux takes 1,024; past some dozens the
/// copy costs more than the call.
const SLICES_A_WRITE: usize = 64;
/// Room for so many runs is kept for the next turn.
const KEPT_ROOM: usize = 16;

pub struct Outbox {
    runs: Chain<Run>,
    bytes: usize,
    limit: usize,
    wire: &'static dyn Wire,
    /// Bytes of replays since the outbox was empty: they do not count as slowness.
    replayed: usize,
    /// The front run is partly on the wire: it must not be dropped.
    front_started: bool,
    blocked: bool,
    /// The next message's [`Run::place`].
    next: u64,
    /// What is known of channels while messages of theirs wait or are missing. None while the
    /// client keeps up.
    lanes: Option<Box<Lanes>>,
    /// There are runs of [`Kind::Unsorted`].
    unsorted: bool,
    /// Some gap's bytes do not say its count.
    untold: bool,
    dropped: u64,
}

impl Outbox {
    /// `limit` in bytes; `wire` tells the client what was left out.
    pub fn new(limit: usize, wire: &'static dyn Wire) -> Self {
        Self {
            runs: Chain::default(),
            bytes: 0,
            limit,
            wire,
            replayed: 0,
            front_started: false,
            blocked: false,
            next: 0,
            lanes: None,
            unsorted: false,
            untold: false,
            dropped: 0,
        }
    }

    /// A reply to the client.
    pub fn push_reply(&mut self, bytes: Bytes) -> Result<(), TooSlow> {
        self.push_last(bytes);
        self.keep_bound()
    }

    /// What a subscriber missed, or asked for of the past: as large as a channel's history may
    /// be. Who reads it slowly is not cut off for that; one replay at a time bounds it.
    pub fn push_replay(&mut self, bytes: Bytes) {
        self.replayed += bytes.len();
        self.push_last(bytes);
    }

    pub fn has_replay(&self) -> bool {
        self.replayed > 0
    }

    /// Messages of a channel.
    pub fn push_run(&mut self, bytes: Bytes, terms: Terms<'_>) -> Result<(), TooSlow> {
        match terms {
            Terms::Latest { channel, frames } if self.blocked => self.push_latest(&bytes, channel, frames),
            _ => self.put(bytes, terms),
        }
        self.keep_bound()
    }

    /// Past any bound.
    fn put(&mut self, bytes: Bytes, terms: Terms<'_>) {
        let (kind, messages) = match terms {
            Terms::Disconnect => (Kind::Kept, 0),
            Terms::DropOldest { channel, messages } => {
                (Kind::Oldest { channel: channel.clone(), messages }, messages)
            }
            Terms::Latest { channel, frames } => {
                self.unsorted = true;
                (Kind::Unsorted { channel: channel.clone(), frames: frames.clone() }, frames.len())
            }
        };
        let place = self.take_places(messages);
        self.append(Run { bytes, place, kind });
    }

    fn append(&mut self, run: Run) -> Handle {
        self.bytes += run.bytes.len();
        let may_be_left_out = !matches!(run.kind, Kind::Kept | Kind::Gap { .. });
        self.runs.push_back(run, may_be_left_out)
    }

    fn take_places(&mut self, messages: usize) -> u64 {
        let first = self.next;
        self.next += messages as u64;
        first
    }

    /// Forgets all that is not yet on the wire, so that a close frame can follow at once.
    pub fn clear_unsent(&mut self) {
        let started = self.runs.front().filter(|_| self.front_started).map(|front| self.runs.remove(front));
        (self.runs, self.bytes) = (Chain::default(), 0);
        (self.lanes, self.unsorted, self.untold) = (None, false, false);
        if let Some(started) = started {
            self.append(Run { kind: Kind::Kept, ..started });
        }
    }

    /// Appends past the limit: a close frame, which is the last.
    pub fn push_last(&mut self, bytes: Bytes) {
        self.append(Run { bytes, place: self.next, kind: Kind::Kept });
    }

    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The socket was full at the last write and has not been reported writable since.
    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Messages, and changes of presence, left out because the client was slow.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Writes as much as the socket takes.
    pub fn write_to(&mut self, socket: &dyn Socket) -> io::Result<Wrote> {
        self.blocked = false;
        self.tell();
        while let Some(front) = self.runs.front() {
            let written = if self.runs.len() == 1 {
                socket.try_write(&self.runs.get(front).bytes)
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES_A_WRITE];
                let mut count = 0;
                for (slot, run) in slices.iter_mut().zip(self.runs.iter()) {
                    *slot = IoSlice::new(&run.bytes);
                    count += 1;
                }
                socket.try_write_vectored(&slices[..count])
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.advance(n),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    self.sort();
                    return Ok(Wrote::Blocked);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(Wrote::All)
    }

    /// May a run be sent to the socket past the queue?
    #[inline]
    pub fn may_be_passed(&self) -> bool {
        self.runs.is_empty() && !self.blocked
    }

    /// A run was sent to the socket past the queue, which [may be](Self::may_be_passed): what the socket
    /// has not taken of it is queued, if it has taken any.
    #[inline]
    pub fn sent_past(&mut self, bytes: &Bytes, sent: io::Result<usize>, terms: Terms<'_>) -> Past {
        match sent {
            Ok(written) if written == bytes.len() => Past::Done,
            Ok(written) if written > 0 => {
                self.put(bytes.clone(), terms);
                self.advance(written);
                Past::Rest
            }
            // The queue's own write meets the same error, and acts on it.
            Ok(_) | Err(_) => Past::Not,
        }
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(front) = self.runs.front() {
            let run = self.runs.get_mut(front);
            if written < run.bytes.len() {
                run.bytes.advance(written);
                if written > 0 {
                    self.front_started = true;
                    self.settle(front);
                }
                return;
            }
            written -= run.bytes.len();
            self.settle(front);
            self.runs.remove(front);
            self.front_started = false;
            if written == 0 {
                break;
            }
        }
        if self.runs.is_empty() {
            self.replayed = 0;
            (self.lanes, self.unsorted) = (None, false);
            if self.runs.capacity() > KEPT_ROOM {
                // A burst should not cost an idle connection its queue for ever.
                self.runs = Chain::default();
            }
        }
    }
}
