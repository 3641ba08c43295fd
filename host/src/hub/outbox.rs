//! What waits to be written to one socket: runs of whole frames, written together
//! once a turn. Bounded in bytes; past the bound each run's slow-consumer policy decides.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};

use super::socket::Socket;

/// What happens to a subscriber that reads slower than its channel speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SlowPolicy {
    /// Its connection is closed with 4008.
    #[default]
    Disconnect,
    /// The oldest waiting messages of channels with this policy are left out.
    DropOldest,
    /// While its socket is full, only the channel's latest message waits.
    Latest,
}

/// Frames of one channel (or replies to the client), contiguous and whole.
struct Run {
    bytes: Bytes,
    /// None: a reply, never dropped.
    lossy: Option<Lossy>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Lossy {
    audience: usize,
    policy: SlowPolicy,
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

/// What became of a run that tried to pass a queue by.
#[derive(Debug, PartialEq, Eq)]
pub enum Through {
    Done,
    /// Partly on the wire; the rest is queued.
    Rest,
    /// Others wait already, or the socket takes nothing: it has to queue.
    Not,
}

/// How many runs one `writev` takes. Linux takes 1,024; past some dozens the
/// copy costs more than the call.
const SLICES_A_WRITE: usize = 64;

pub struct Outbox {
    runs: VecDeque<Run>,
    bytes: usize,
    limit: usize,
    /// Bytes of replays since the outbox was empty: they do not count as slowness.
    replayed: usize,
    /// The front run is partly on the wire: it must not be dropped.
    front_started: bool,
    blocked: bool,
    dropped: u64,
}

impl Outbox {
    /// `limit` in bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            runs: VecDeque::new(),
            bytes: 0,
            limit,
            replayed: 0,
            front_started: false,
            blocked: false,
            dropped: 0,
        }
    }

    /// A reply to the client.
    pub fn push_reply(&mut self, bytes: Bytes) -> Result<(), TooSlow> {
        self.push(Run { bytes, lossy: None })
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

    /// Messages of a channel; `last_frame` is where the last of them begins in `bytes`.
    pub fn push_run(
        &mut self,
        bytes: Bytes,
        last_frame: usize,
        audience: usize,
        policy: SlowPolicy,
    ) -> Result<(), TooSlow> {
        let lossy = Some(Lossy { audience, policy });
        if policy == SlowPolicy::Latest && self.blocked {
            self.drop_where(|run| run.lossy == lossy, usize::MAX);
            return self.push(Run { bytes: bytes.slice(last_frame..), lossy });
        }
        self.push(Run { bytes, lossy })
    }

    fn push(&mut self, run: Run) -> Result<(), TooSlow> {
        self.bytes += run.bytes.len();
        self.runs.push_back(run);
        let limit = self.limit.saturating_add(self.replayed);
        if self.bytes > limit {
            let droppable = |run: &Run| run.lossy.is_some_and(|l| l.policy != SlowPolicy::Disconnect);
            self.drop_where(droppable, limit);
            if self.bytes > limit {
                return Err(TooSlow);
            }
        }
        Ok(())
    }

    /// Drops, oldest first, what `droppable` names until at most `down_to` bytes wait
    /// (`usize::MAX`: drop all of it).
    fn drop_where(&mut self, droppable: impl Fn(&Run) -> bool, down_to: usize) {
        let mut at = usize::from(self.front_started);
        while at < self.runs.len() && (down_to == usize::MAX || self.bytes > down_to) {
            if droppable(&self.runs[at]) {
                if let Some(run) = self.runs.remove(at) {
                    self.bytes -= run.bytes.len();
                    self.dropped += 1;
                }
            } else {
                at += 1;
            }
        }
    }

    /// Forgets all that is not yet on the wire, so that a close frame can follow at once.
    pub fn clear_unsent(&mut self) {
        self.runs.truncate(usize::from(self.front_started));
        self.bytes = self.runs.iter().map(|run| run.bytes.len()).sum();
    }

    /// Appends past the limit: a close frame, which is the last.
    pub fn push_last(&mut self, bytes: Bytes) {
        self.bytes += bytes.len();
        self.runs.push_back(Run { bytes, lossy: None });
    }

    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The socket was full at the last write and has not been reported writable since.
    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Runs left out because the client was slow.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Writes as much as the socket takes.
    pub fn write_to(&mut self, socket: &dyn Socket) -> io::Result<Wrote> {
        self.blocked = false;
        while let Some(front) = self.runs.front() {
            let written = if self.runs.len() == 1 {
                socket.try_write(&front.bytes)
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES_A_WRITE];
                let mut count = 0;
                for (slot, run) in slices.iter_mut().zip(&self.runs) {
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
                    return Ok(Wrote::Blocked);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(Wrote::All)
    }

    /// Writes a run past the empty queue, when it is all that this turn has for the socket.
    pub fn write_through(&mut self, socket: &dyn Socket, bytes: &Bytes) -> Through {
        if !self.runs.is_empty() || self.blocked {
            return Through::Not;
        }
        match socket.try_write(bytes) {
            Ok(written) if written == bytes.len() => Through::Done,
            Ok(written) if written > 0 => {
                self.push_last(bytes.slice(written..));
                self.front_started = true;
                Through::Rest
            }
            // The queue's own write meets the same error, and acts on it.
            Ok(_) | Err(_) => Through::Not,
        }
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(front) = self.runs.front_mut() {
            if written < front.bytes.len() {
                front.bytes.advance(written);
                self.front_started |= written > 0;
                return;
            }
            written -= front.bytes.len();
            self.runs.pop_front();
            self.front_started = false;
            if written == 0 {
                break;
            }
        }
        if self.runs.is_empty() {
            self.replayed = 0;
        }
        if self.runs.is_empty() && self.runs.capacity() > 32 {
            // A burst should not cost an idle connection its queue for ever.
            self.runs = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::task::{Context, Poll};

    /// Takes `room` bytes, then blocks.
    struct Narrow {
        room: RefCell<usize>,
        got: RefCell<Vec<u8>>,
    }

    impl Narrow {
        fn new(room: usize) -> Self {
            Self { room: RefCell::new(room), got: RefCell::default() }
        }
    }

    impl Socket for Narrow {
        fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
            let mut room = self.room.borrow_mut();
            let n = bytes.len().min(*room);
            if n == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            *room -= n;
            self.got.borrow_mut().extend_from_slice(&bytes[..n]);
            Ok(n)
        }

        fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            let whole: Vec<u8> = slices.iter().flat_map(|s| s.iter().copied()).collect();
            self.try_write(&whole)
        }

        fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn finish(&self) {}

        fn shutdown(&self) {}
    }

    fn run(outbox: &mut Outbox, text: &'static str, policy: SlowPolicy) -> Result<(), TooSlow> {
        outbox.push_run(Bytes::from_static(text.as_bytes()), 0, 7, policy)
    }

    #[test]
    fn writes_all_runs_in_order_across_partial_writes() {
        let mut outbox = Outbox::new(100);
        for text in ["one", "two", "three"] {
            run(&mut outbox, text, SlowPolicy::Disconnect).unwrap();
        }
        let socket = Narrow::new(4);
        assert_eq!(outbox.write_to(&socket).unwrap(), Wrote::Blocked);
        *socket.room.borrow_mut() = 100;
        assert_eq!(outbox.write_to(&socket).unwrap(), Wrote::All);
        assert_eq!(*socket.got.borrow(), b"onetwothree");
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_run_passes_an_empty_queue_by_and_only_that() {
        let mut outbox = Outbox::new(100);
        let socket = Narrow::new(7);
        assert_eq!(outbox.write_through(&socket, &Bytes::from_static(b"abcd")), Through::Done);
        assert_eq!(outbox.write_through(&socket, &Bytes::from_static(b"efgh")), Through::Rest);
        assert_eq!(outbox.write_through(&socket, &Bytes::from_static(b"ijkl")), Through::Not);
        run(&mut outbox, "ijkl", SlowPolicy::DropOldest).unwrap();
        *socket.room.borrow_mut() = 100;
        outbox.write_to(&socket).unwrap();
        assert_eq!(*socket.got.borrow(), b"abcdefghijkl");
    }

    #[test]
    fn past_the_limit_the_policy_decides() {
        let mut strict = Outbox::new(5);
        run(&mut strict, "abc", SlowPolicy::Disconnect).unwrap();
        assert_eq!(run(&mut strict, "def", SlowPolicy::Disconnect), Err(TooSlow));

        let mut lossy = Outbox::new(5);
        run(&mut lossy, "abc", SlowPolicy::DropOldest).unwrap();
        run(&mut lossy, "def", SlowPolicy::DropOldest).unwrap();
        let socket = Narrow::new(100);
        lossy.write_to(&socket).unwrap();
        assert_eq!(*socket.got.borrow(), b"def");
        assert_eq!(lossy.dropped(), 1);
    }

    #[test]
    fn a_run_on_the_wire_is_never_dropped() {
        let mut outbox = Outbox::new(8);
        run(&mut outbox, "abcdef", SlowPolicy::DropOldest).unwrap();
        let socket = Narrow::new(2);
        outbox.write_to(&socket).unwrap();
        run(&mut outbox, "xyz", SlowPolicy::DropOldest).unwrap();
        run(&mut outbox, "123", SlowPolicy::DropOldest).unwrap();
        *socket.room.borrow_mut() = 100;
        outbox.write_to(&socket).unwrap();
        assert_eq!(*socket.got.borrow(), b"abcdef123");
    }

    #[test]
    fn latest_keeps_one_message_while_the_socket_is_full() {
        let mut outbox = Outbox::new(100);
        run(&mut outbox, "first", SlowPolicy::Latest).unwrap();
        let socket = Narrow::new(0);
        outbox.write_to(&socket).unwrap();
        run(&mut outbox, "second", SlowPolicy::Latest).unwrap();
        outbox.push_run(Bytes::from_static(b"third,fourth"), 6, 7, SlowPolicy::Latest).unwrap();
        *socket.room.borrow_mut() = 100;
        outbox.write_to(&socket).unwrap();
        assert_eq!(*socket.got.borrow(), b"fourth");
    }
}
