use std::cell::RefCell;
use std::collections::HashMap;
use std::task::{Context, Poll};

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::core::{Message, Payload};
use crate::hub::wire::{Epoch, Reply, RequestId};

/// Takes `room` bytes, then blocks.
struct Narrow {
    room: RefCell<usize>,
    got: RefCell<Vec<u8>>,
}

impl Narrow {
    fn new(room: usize) -> Self {
        Self { room: RefCell::new(room), got: RefCell::default() }
    }

    fn opens(&self, room: usize) {
        *self.room.borrow_mut() = room;
    }

    fn got(&self) -> String {
        String::from_utf8(self.got.borrow().clone()).unwrap()
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
        assert!(slices.iter().all(|slice| !slice.is_empty()), "a run has bytes when it is written");
        let whole: Vec<u8> = slices.iter().flat_map(|s| s.iter().copied()).collect();
        self.try_write(&whole)
    }

    fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn finish(&self) {}

    fn shutdown(&self) {}
}

/// Says `<channel-count>` of what is missing, or nothing.
struct Says(bool);

impl Wire for Says {
    fn message(&self, _: &ChannelName, _: &Message, _: Option<Epoch>, _: &mut BytesMut) {}
    fn direct(&self, _: &ChannelName, _: &[u8], _: &Payload, _: &mut BytesMut) {}
    fn dropped(&self, channel: &ChannelName, count: u64, out: &mut BytesMut) {
        if self.0 {
            out.put_slice(format!("<{channel}-{count}>").as_bytes());
        }
    }
    fn reply(&self, _: Option<&RequestId>, _: Reply<'_>, _: &mut BytesMut) {}
    fn ping(&self, _: &mut BytesMut) {}
    fn close(&self, _: u16, _: &str, _: &mut BytesMut) {}
}

static SAYS: Says = Says(true);
static SILENT: Says = Says(false);

fn channel(name: &str) -> Rc<ChannelName> {
    Rc::new(ChannelName::parse(name).unwrap())
}

/// Messages and their keys; 0 for none.
fn frames(messages: &[(&str, u64)]) -> Arc<Frames> {
    let mut end = 0;
    let ends = messages.iter().map(|(text, _)| {
        end += text.len() as u32;
        end
    });
    let keys = messages.iter().map(|(_, key)| (*key > 0).then_some(MessageKey(*key)));
    let keyed = messages.iter().any(|(_, key)| *key > 0);
    Arc::new(Frames::new(ends.collect(), if keyed { keys.collect() } else { Vec::new() }))
}

fn run(outbox: &mut Outbox, name: &str, messages: &[(&str, u64)], policy: SlowPolicy) -> Result<(), TooSlow> {
    let text: String = messages.iter().map(|(text, _)| *text).collect();
    outbox.push_run(text.into(), Terms::new(policy, &channel(name), &frames(messages)))
}

fn one(outbox: &mut Outbox, text: &str, policy: SlowPolicy) -> Result<(), TooSlow> {
    run(outbox, "c", &[(text, 0)], policy)
}

fn latest(outbox: &mut Outbox, messages: &[(&str, u64)]) {
    run(outbox, "c", messages, SlowPolicy::Latest).unwrap();
}

/// Everything, once the socket takes it.
fn rest(outbox: &mut Outbox, socket: &Narrow) -> String {
    socket.opens(usize::MAX);
    assert_eq!(outbox.write_to(socket).unwrap(), Wrote::All);
    assert!(outbox.is_empty() && outbox.lanes.is_none());
    assert_eq!(outbox.bytes, 0);
    socket.got()
}

#[test]
fn writes_all_runs_in_order_across_partial_writes() {
    let mut outbox = Outbox::new(100, &SAYS);
    for text in ["one", "two", "three"] {
        one(&mut outbox, text, SlowPolicy::Disconnect).unwrap();
    }
    let socket = Narrow::new(4);
    assert_eq!(outbox.write_to(&socket).unwrap(), Wrote::Blocked);
    assert_eq!(rest(&mut outbox, &socket), "onetwothree");
}

#[test]
fn a_run_passes_an_empty_queue_by_and_only_that() {
    let mut outbox = Outbox::new(100, &SAYS);
    let socket = Narrow::new(7);
    let mut past = |text: &'static str| {
        let terms = Terms::Latest { channel: &channel("c"), frames: &frames(&[(text, 0)]) };
        let sent = outbox.may_be_passed().then(|| socket.try_write(text.as_bytes()))?;
        Some(outbox.sent_past(&Bytes::from_static(text.as_bytes()), sent, terms))
    };
    assert_eq!(past("abcd"), Some(Past::Done));
    assert_eq!(past("efgh"), Some(Past::Rest));
    assert_eq!(past("ijkl"), None, "others wait");
    one(&mut outbox, "ijkl", SlowPolicy::DropOldest).unwrap();
    assert_eq!(rest(&mut outbox, &socket), "abcdefghijkl");
}

#[test]
fn a_run_that_a_full_socket_does_not_take_is_not_queued_by_that() {
    let mut outbox = Outbox::new(100, &SAYS);
    let full = Narrow::new(0).try_write(b"abcd");
    assert_eq!(outbox.sent_past(&Bytes::from_static(b"abcd"), full, Terms::Disconnect), Past::Not);
    assert!(outbox.may_be_passed());
}

#[test]
fn past_the_limit_the_policy_decides() {
    let mut strict = Outbox::new(5, &SAYS);
    one(&mut strict, "abc", SlowPolicy::Disconnect).unwrap();
    assert_eq!(one(&mut strict, "def", SlowPolicy::Disconnect), Err(TooSlow));

    let mut lossy = Outbox::new(5, &SAYS);
    run(&mut lossy, "c", &[("a", 0), ("b", 0), ("c", 0)], SlowPolicy::DropOldest).unwrap();
    one(&mut lossy, "def", SlowPolicy::DropOldest).unwrap();
    assert_eq!(rest(&mut lossy, &Narrow::new(0)), "<c-3>def");
    assert_eq!(lossy.dropped(), 3);
}

#[test]
fn a_reply_past_the_limit_costs_the_oldest_messages_too() {
    let mut outbox = Outbox::new(8, &SAYS);
    run(&mut outbox, "a", &[("aaa", 0)], SlowPolicy::DropOldest).unwrap();
    run(&mut outbox, "b", &[("bbb", 0)], SlowPolicy::Disconnect).unwrap();
    run(&mut outbox, "c", &[("cc", 0)], SlowPolicy::Latest).unwrap();
    outbox.push_reply(Bytes::from_static(b"reply")).unwrap();
    assert_eq!(rest(&mut outbox, &Narrow::new(0)), "<a-1>bbb<c-1>reply");
}

#[test]
fn a_run_on_the_wire_is_never_dropped() {
    let mut outbox = Outbox::new(8, &SAYS);
    one(&mut outbox, "abcdef", SlowPolicy::DropOldest).unwrap();
    let socket = Narrow::new(2);
    outbox.write_to(&socket).unwrap();
    one(&mut outbox, "xyz", SlowPolicy::DropOldest).unwrap();
    one(&mut outbox, "123", SlowPolicy::DropOldest).unwrap();
    assert_eq!(rest(&mut outbox, &socket), "abcdef<c-1>123");
}

#[test]
fn latest_keeps_one_message_while_the_socket_is_full() {
    let mut outbox = Outbox::new(100, &SAYS);
    one(&mut outbox, "first", SlowPolicy::Latest).unwrap();
    let socket = Narrow::new(0);
    outbox.write_to(&socket).unwrap();
    one(&mut outbox, "second", SlowPolicy::Latest).unwrap();
    run(&mut outbox, "other", &[("elsewhere,", 0)], SlowPolicy::Latest).unwrap();
    latest(&mut outbox, &[("third", 0), ("fourth", 0)]);
    assert_eq!(rest(&mut outbox, &socket), "<c-3>elsewhere,fourth");
}

#[test]
fn latest_by_key_keeps_one_message_of_each_in_their_order() {
    let mut outbox = Outbox::new(100, &SAYS);
    latest(&mut outbox, &[("a1,", 1), ("b1,", 2), ("-1,", 0)]);
    let socket = Narrow::new(0);
    outbox.write_to(&socket).unwrap();
    latest(&mut outbox, &[("c1,", 3), ("a2,", 1), ("a3,", 1)]);
    latest(&mut outbox, &[("-2,", 0)]);
    assert_eq!(rest(&mut outbox, &socket), "<c-3>b1,c1,a3,-2,");
    latest(&mut outbox, &[("a4,", 1), ("a5,", 1)]);
    assert!(rest(&mut outbox, &socket).ends_with("-2,a4,a5,"), "a socket that takes bytes gets them all");
}

#[test]
fn of_a_turn_that_is_partly_on_the_wire_the_rest_is_sorted() {
    for (room, want) in
        [(2, "a1,<c-1>b1,a3,"), (3, "a1,<c-1>b1,a3,"), (4, "a1,b1,<c-1>a3,"), (7, "a1,b1,a2,a3,")]
    {
        let mut outbox = Outbox::new(100, &SAYS);
        latest(&mut outbox, &[("a1,", 1), ("b1,", 2), ("a2,", 1), ("a3,", 1)]);
        let socket = Narrow::new(room);
        outbox.write_to(&socket).unwrap();
        assert_eq!(rest(&mut outbox, &socket), want, "{room}");
    }
}

#[test]
fn what_is_missing_once_it_was_told_is_told_anew() {
    let mut outbox = Outbox::new(6, &SAYS);
    for text in ["aaa", "bbb", "ccc"] {
        one(&mut outbox, text, SlowPolicy::DropOldest).unwrap();
    }
    let socket = Narrow::new(2);
    outbox.write_to(&socket).unwrap();
    one(&mut outbox, "ddd", SlowPolicy::DropOldest).unwrap();
    assert_eq!(rest(&mut outbox, &socket), "<c-1><c-2>ddd");
    assert_eq!(outbox.dropped(), 3);
}

#[test]
fn a_count_grows_until_it_is_on_the_wire() {
    let mut outbox = Outbox::new(20, &SAYS);
    let socket = Narrow::new(0);
    one(&mut outbox, "x", SlowPolicy::Disconnect).unwrap();
    for n in 0..12 {
        one(&mut outbox, "aaaaaaaaa", SlowPolicy::Latest).unwrap();
        assert_eq!(outbox.write_to(&socket).unwrap(), Wrote::Blocked);
        assert_eq!(outbox.dropped(), n);
    }
    assert_eq!(rest(&mut outbox, &socket), "x<c-11>aaaaaaaaa");
}

#[test]
fn a_dialect_without_words_for_it_says_nothing() {
    let mut outbox = Outbox::new(5, &SILENT);
    one(&mut outbox, "abc", SlowPolicy::DropOldest).unwrap();
    one(&mut outbox, "toolong", SlowPolicy::DropOldest).unwrap();
    assert_eq!(outbox.dropped(), 2);
    assert_eq!(rest(&mut outbox, &Narrow::new(0)), "");
}

#[test]
fn a_close_is_written_after_what_is_on_the_wire_and_nothing_else() {
    let mut outbox = Outbox::new(100, &SAYS);
    latest(&mut outbox, &[("aa", 1), ("bb", 2)]);
    let socket = Narrow::new(1);
    outbox.write_to(&socket).unwrap();
    latest(&mut outbox, &[("cc", 1), ("dd", 1)]);
    outbox.clear_unsent();
    outbox.push_last(Bytes::from_static(b"bye"));
    assert_eq!(rest(&mut outbox, &socket), "aabye");
}

#[derive(Clone, Debug)]
enum Step {
    /// Messages of a channel, with their keys.
    Messages(usize, SlowPolicy, Vec<u64>),
    Reply,
    /// The end of a turn; the socket takes so much.
    Write(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let policy = prop_oneof![Just(SlowPolicy::DropOldest), Just(SlowPolicy::Latest)];
    prop_oneof![
        4 => (0..3usize, policy, proptest::collection::vec(0..4u64, 1..6))
            .prop_map(|(channel, policy, keys)| Step::Messages(channel, policy, keys)),
        1 => Just(Step::Reply),
        3 => prop_oneof![Just(0), 0..40usize, Just(1000)].prop_map(Step::Write),
    ]
}

/// What the client read: a message, or that so many are missing.
#[derive(Debug, PartialEq)]
enum Read {
    Message { number: usize, key: u64 },
    Missing(usize),
}

/// Message `[channel.number.key]`, reply `[r]`, gap `<channel-count>`.
fn read(text: &str) -> HashMap<String, Vec<Read>> {
    let mut read: HashMap<String, Vec<Read>> = HashMap::new();
    for frame in text.split_inclusive([']', '>']) {
        let inner = &frame[1..frame.len() - 1];
        if frame == "[r]" {
            continue;
        }
        if let Some((channel, count)) = inner.split_once('-').filter(|_| frame.starts_with('<')) {
            read.entry(channel.into()).or_default().push(Read::Missing(count.parse().unwrap()));
            continue;
        }
        let parts: Vec<&str> = inner.split('.').collect();
        let [channel, number, key] = parts[..] else { panic!("{frame} in {text}") };
        let message = Read::Message { number: number.parse().unwrap(), key: key.parse().unwrap() };
        read.entry(channel.into()).or_default().push(message);
    }
    read
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// What is read and what is told to be missing is what was sent, in its order, and nothing is
    /// missing before that is told.
    #[test]
    fn nothing_is_missing_that_is_not_told(steps in proptest::collection::vec(step(), 1..40), limit in 30..200usize) {
        let mut outbox = Outbox::new(limit, &SAYS);
        let socket = Narrow::new(0);
        let mut sent: HashMap<String, Vec<u64>> = HashMap::new();
        for step in steps {
            match step {
                Step::Messages(at, policy, keys) => {
                    let name = ["a", "b", "c"][at];
                    let all = sent.entry(name.into()).or_default();
                    let messages: Vec<_> = keys.iter().map(|key| {
                        all.push(*key);
                        (format!("[{name}.{}.{key}]", all.len() - 1), *key)
                    }).collect();
                    let messages: Vec<_> = messages.iter().map(|(text, key)| (text.as_str(), *key)).collect();
                    prop_assert!(run(&mut outbox, name, &messages, policy).is_ok() || outbox.bytes > limit);
                }
                Step::Reply => {
                    let _ = outbox.push_reply(Bytes::from_static(b"[r]"));
                }
                Step::Write(room) => {
                    socket.opens(room);
                    outbox.write_to(&socket).unwrap();
                }
            }
            prop_assert_eq!(outbox.bytes, outbox.runs.iter().map(|run| run.bytes.len()).sum::<usize>());
        }
        let text = rest(&mut outbox, &socket);
        let mut missing_in_all = 0;
        let read = read(&text);
        for (name, keys) in &sent {
            // The next message that could come, and how many were told to be missing.
            let (mut next, mut told, mut skipped) = (0, 0, 0);
            for read in read.get(name).into_iter().flatten() {
                match read {
                    Read::Missing(count) => told += count,
                    Read::Message { number, key } => {
                        prop_assert!(*number >= next, "{name}.{number} came late: {text}");
                        prop_assert_eq!(keys[*number], *key);
                        skipped += number - next;
                        next = number + 1;
                        prop_assert!(told >= skipped, "before {name}.{number}: {text}");
                    }
                }
            }
            skipped += keys.len() - next;
            prop_assert_eq!(told, skipped, "{}: {}", name, text);
            missing_in_all += skipped;
        }
        prop_assert_eq!(outbox.dropped() as usize, missing_in_all);
    }

    /// While nothing is past the bound, what `latest` leaves out is older than another message of
    /// its key, and a full socket holds one of each.
    #[test]
    fn the_last_of_each_key_arrives(turns in proptest::collection::vec((proptest::collection::vec(0..5u64, 1..6), 0..60usize), 1..20)) {
        let mut outbox = Outbox::new(usize::MAX, &SAYS);
        let socket = Narrow::new(0);
        let mut sent = Vec::new();
        for (keys, room) in turns {
            let messages: Vec<_> = keys.iter().map(|key| {
                sent.push(*key);
                (format!("[c.{}.{key}]", sent.len() - 1), *key)
            }).collect();
            let messages: Vec<_> = messages.iter().map(|(text, key)| (text.as_str(), *key)).collect();
            latest(&mut outbox, &messages);
            if !outbox.is_blocked() || room > 40 {
                socket.opens(room);
                outbox.write_to(&socket).unwrap();
            }
            if outbox.is_blocked() {
                let waiting = outbox.runs.iter().skip(usize::from(outbox.front_started));
                let waiting = waiting.filter(|run| matches!(run.kind, Kind::Latest { .. })).count();
                prop_assert!(waiting <= 5, "one of each of five keys");
                prop_assert!(outbox.runs.len() <= 5 + 2, "and what is on the wire, and a gap");
            }
        }
        let text = rest(&mut outbox, &socket);
        let read = read(&text);
        let numbers: Vec<_> = read["c"].iter().filter_map(|read| match read {
            Read::Message { number, .. } => Some(*number),
            Read::Missing(_) => None,
        }).collect();
        for key in 0..5 {
            let last = sent.iter().rposition(|sent| *sent == key);
            prop_assert!(last.is_none_or(|last| numbers.contains(&last)), "{last:?} of {key}: {text}");
        }
        prop_assert!(numbers.is_sorted());
    }
}
