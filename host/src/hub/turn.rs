//! What one turn of a channel's home brought: its messages, and their frames encoded
//! once a dialect, shared by every subscriber of every shard. A dialect that none of them
//! speaks is not encoded.

use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};

use super::asides::Asides;
use super::frames::Frames;
use super::presence::PresenceEvent;
use super::tally::Tally;
use super::wire::{Epoch, Position, Wire, WireId, Wires};
use crate::core::{ChannelName, ClientId, Message, MessageKey, Offset, Payload, ShardId};

/// A turn is sealed early past this many bytes of messages, so that memory stays bounded.
const SEAL_AT_BYTES: usize = 256 << 10;
/// What a message takes beside its payload, event and channel: itself, or its frame's own words.
const OVERHEAD: usize = 128;

/// What a turn is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Messages,
    /// Changes of presence: for those who asked for them, past any filter.
    Presence,
    /// How many subscribers there are: past any filter, for those whose dialect says it.
    Count,
}

/// Messages of one channel in order, or changes of its presence, ready to deliver. Immutable.
pub struct Turn {
    pub channel: ChannelName,
    pub messages: Vec<Message>,
    /// The messages' keys, where the channel's rule says where they stand.
    keys: Vec<Option<MessageKey>>,
    /// Of messages, events and this number only one is there.
    events: Vec<PresenceEvent>,
    subscribers: Option<u64>,
    /// Counts what becomes of the only message, or of a replay as a whole.
    pub tally: Option<Arc<Tally>>,
    /// Where the messages carry offsets.
    numbered: Option<Epoch>,
    wires: Wires,
    /// By dialect; each filled when it is first asked for, on whatever shard.
    runs: Box<[OnceLock<Run>]>,
    weight: usize,
    /// Some message leaves a client out.
    has_exceptions: bool,
    /// Between the messages.
    asides: Option<Box<Asides>>,
    /// The shard where no other turn of its channel is delivered together with it, if that is known.
    pub alone_at: Option<ShardId>,
}

/// The messages' frames in one dialect.
#[derive(Clone)]
pub struct Run {
    pub bytes: Bytes,
    pub frames: Arc<Frames>,
}

impl Run {
    /// The frames of the messages that `wanted` names, as few slices as they allow, and how many
    /// each of them has.
    pub fn pick(&self, mut wanted: impl FnMut(usize) -> bool, mut each: impl FnMut(Bytes, usize)) {
        let mut picked = |from: usize, to: usize| {
            each(self.bytes.slice(self.frames.end(from)..self.frames.end(to)), to - from);
        };
        let mut open = None;
        for index in 0..self.frames.len() {
            match (wanted(index), open) {
                (true, None) => open = Some(index),
                (false, Some(from)) => {
                    picked(from, index);
                    open = None;
                }
                _ => {}
            }
        }
        if let Some(from) = open {
            picked(from, self.frames.len());
        }
    }

    /// The same as one run: shared where it is one slice, copied where there are several.
    pub fn only(&self, mut wanted: impl FnMut(usize) -> bool) -> Self {
        let frames = self.frames.only(&mut wanted);
        let mut first: Option<Bytes> = None;
        let mut joined: Option<BytesMut> = None;
        self.pick(wanted, |piece, _| match (&mut first, &mut joined) {
            (None, _) => first = Some(piece),
            (Some(first), None) => {
                let mut all = BytesMut::with_capacity(frames.bytes());
                all.extend_from_slice(first);
                all.extend_from_slice(&piece);
                joined = Some(all);
            }
            (Some(_), Some(all)) => all.extend_from_slice(&piece),
        });
        let bytes = joined.map(BytesMut::freeze).or(first).unwrap_or_default();
        Self { bytes, frames: Arc::new(frames) }
    }
}

impl Turn {
    pub fn content(&self) -> Content {
        match (self.events.is_empty(), self.subscribers) {
            (_, Some(_)) => Content::Count,
            (true, None) => Content::Messages,
            (false, None) => Content::Presence,
        }
    }

    /// The frames in a dialect. Shards that ask for the same one at once wait for the first.
    pub fn run(&self, wire: WireId) -> &Run {
        let index = usize::from(wire.0);
        self.runs[index].get_or_init(|| self.encode(self.wires[index]))
    }

    fn encode(&self, wire: &dyn Wire) -> Run {
        let mut bytes = BytesMut::with_capacity(self.weight);
        let mut ends = Vec::with_capacity(self.messages.len() + self.events.len());
        for message in &self.messages {
            wire.message(&self.channel, message, self.numbered, &mut bytes);
            // SEAL_AT_BYTES, the message limit and a history's bound keep a run far below 4 GiB.
            ends.push(bytes.len() as u32);
        }
        for event in &self.events {
            wire.presence(&self.channel, event, &mut bytes);
            ends.push(bytes.len() as u32);
        }
        if let Some(subscribers) = self.subscribers {
            wire.subscribers(&self.channel, subscribers, &mut bytes);
            ends.push(bytes.len() as u32);
        }
        Run { bytes: bytes.freeze(), frames: Arc::new(Frames::new(ends, self.keys.clone())) }
    }

    /// May it wait for others behind it, to be delivered with them as one? Messages, of which nobody counts whom
    /// they reach.
    pub fn may_be_joined(&self) -> bool {
        self.content() == Content::Messages && self.tally.is_none() && self.asides.is_none()
    }

    /// Does it go on from where the other ends?
    pub fn follows(&self, other: &Self) -> bool {
        self.numbered == other.numbered && self.keys.is_empty() == other.keys.is_empty()
    }

    /// Turns of one channel as one, with the frames of this dialect that they have already. Each
    /// [`Turn::may_be_joined`] and [`Turn::follows`] the one before it. None: there is none.
    pub fn joined(turns: &[Arc<Self>], wire: WireId) -> Option<Arc<Self>> {
        let (first, rest) = turns.split_first()?;
        if rest.is_empty() {
            return Some(first.clone());
        }
        let weight = turns.iter().map(|turn| turn.weight).sum();
        let mut bytes = BytesMut::with_capacity(turns.iter().map(|turn| turn.run(wire).bytes.len()).sum());
        turns.iter().for_each(|turn| bytes.extend_from_slice(&turn.run(wire).bytes));
        let frames = Frames::joined(turns.iter().map(|turn| &*turn.run(wire).frames));
        let runs: Box<[OnceLock<Run>]> = first.wires.iter().map(|_| OnceLock::new()).collect();
        // The first to be set.
        let _ = runs[usize::from(wire.0)].set(Run { bytes: bytes.freeze(), frames: Arc::new(frames) });
        Some(Arc::new(Self {
            channel: first.channel.clone(),
            messages: turns.iter().flat_map(|turn| &turn.messages).cloned().collect(),
            keys: turns.iter().flat_map(|turn| &turn.keys).copied().collect(),
            events: Vec::new(),
            subscribers: None,
            tally: None,
            numbered: first.numbered,
            wires: first.wires,
            runs,
            weight,
            has_exceptions: turns.iter().any(|turn| turn.has_exceptions),
            asides: None,
            alone_at: None,
        }))
    }

    /// Do the clients of this dialect have to be told how far they have come?
    pub fn tells_places(&self, wire: WireId) -> bool {
        self.numbered.is_some() && self.wires[usize::from(wire.0)].tells_places()
    }

    /// The last message's place, where messages carry offsets.
    pub fn last(&self) -> Option<Position> {
        let offset = self.messages.last()?.offset;
        self.numbered.map(|epoch| Position { epoch, offset })
    }

    pub fn leaves_out(&self, client: ClientId) -> bool {
        self.has_exceptions && self.messages.iter().any(|message| message.except == Some(client))
    }

    /// Does it bring anything to anybody who is connected there?
    pub fn concerns(&self, shard: ShardId) -> bool {
        !self.is_aside() || self.asides.as_ref().is_some_and(|asides| asides.concern(shard))
    }

    /// There is nothing in it for all.
    pub fn is_aside(&self) -> bool {
        self.asides.is_some()
            && self.messages.is_empty()
            && self.events.is_empty()
            && self.subscribers.is_none()
    }

    /// What is for some only.
    pub fn asides(&self) -> Option<&Asides> {
        self.asides.as_deref()
    }

    /// What is for this client beside what is for all.
    pub fn asides_for(&self, client: ClientId) -> Option<&[u32]> {
        self.asides.as_ref()?.of(client)
    }

    /// What a client gets that asides are for: runs of messages, and between them the asides,
    /// without frames. `of_it` are these asides, `wanted` the messages that are for it.
    pub fn weave(
        &self,
        wire: WireId,
        of_it: &[u32],
        wanted: impl Fn(usize) -> bool,
        mut each: impl FnMut(Bytes, Option<&Arc<Frames>>),
    ) {
        let Some(asides) = &self.asides else { return };
        let (run, frames) = (self.run(wire), asides.frames(wire, self.wires, &self.channel));
        let mut from = 0;
        let messages = |from: usize, to: usize, each: &mut dyn FnMut(Bytes, Option<&Arc<Frames>>)| {
            let part = run.only(|index| (from..to).contains(&index) && wanted(index));
            if !part.bytes.is_empty() {
                each(part.bytes, Some(&part.frames));
            }
        };
        for index in of_it.iter().map(|index| *index as usize) {
            let before = asides.messages_before(index);
            messages(from, before, &mut each);
            from = before;
            each(frames[index].clone(), None);
        }
        messages(from, self.messages.len(), &mut each);
    }

    /// The first message's offset.
    pub fn first(&self) -> Offset {
        self.messages.first().map_or(Offset(0), |message| message.offset)
    }

    /// Roughly what it holds in memory with one dialect's frames, in bytes: always the same.
    pub fn weight(&self) -> usize {
        self.weight
    }
}

/// A turn that still grows.
#[derive(Default)]
pub struct OpenTurn {
    messages: Vec<Message>,
    keys: Vec<Option<MessageKey>>,
    events: Vec<PresenceEvent>,
    subscribers: Option<u64>,
    tally: Option<Arc<Tally>>,
    numbered: Option<Epoch>,
    wires: Wires,
    weight: usize,
    has_exceptions: bool,
    asides: Option<Box<Asides>>,
}

impl OpenTurn {
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
            && self.events.is_empty()
            && self.subscribers.is_none()
            && self.asides.is_none()
    }

    /// May this go into it? Otherwise what is there must be sealed first.
    pub fn takes(&self, content: Content) -> bool {
        match content {
            Content::Messages => self.events.is_empty() && self.subscribers.is_none(),
            Content::Presence => {
                self.messages.is_empty() && self.subscribers.is_none() && self.asides.is_none()
            }
            Content::Count => self.messages.is_empty() && self.events.is_empty() && self.asides.is_none(),
        }
    }

    /// Takes a message; `numbered` is the channel's epoch where its messages carry offsets.
    /// True: the turn is large enough to seal now.
    pub fn push(
        &mut self,
        wires: Wires,
        channel: &ChannelName,
        numbered: Option<Epoch>,
        message: Message,
    ) -> bool {
        (self.wires, self.numbered) = (wires, numbered);
        self.weight += channel.as_str().len() + message.event.len() + message.payload.bytes.len() + OVERHEAD;
        self.has_exceptions |= message.except.is_some();
        self.messages.push(message);
        self.weight >= SEAL_AT_BYTES
    }

    /// The same for a message that only these clients get, after the messages so far.
    pub fn push_aside(
        &mut self,
        wires: Wires,
        channel: &ChannelName,
        event: Bytes,
        payload: Payload,
        to: Box<[ClientId]>,
    ) -> bool {
        self.wires = wires;
        self.weight += channel.as_str().len() + event.len() + payload.bytes.len() + OVERHEAD;
        self.weight += to.len() * Asides::A_CLIENT;
        self.asides.get_or_insert_default().push(self.messages.len(), event, payload, to);
        self.weight >= SEAL_AT_BYTES
    }

    /// The next message's key; of all of them or of none.
    pub fn push_key(&mut self, key: Option<MessageKey>) {
        self.keys.push(key);
    }

    /// The same for a change of presence.
    pub fn push_presence(&mut self, wires: Wires, channel: &ChannelName, event: PresenceEvent) -> bool {
        self.wires = wires;
        self.weight += channel.as_str().len() + event.member().metadata.len() + OVERHEAD;
        self.events.push(event);
        self.weight >= SEAL_AT_BYTES
    }

    /// How many subscribers there are now: only the last number counts.
    pub fn set_subscribers(&mut self, wires: Wires, channel: &ChannelName, subscribers: u64) {
        self.wires = wires;
        self.weight = channel.as_str().len() + OVERHEAD;
        self.subscribers = Some(subscribers);
    }

    /// What becomes of the one message in it is counted.
    pub fn count(&mut self, tally: Tally) {
        self.tally = Some(Arc::new(tally));
    }

    /// Takes what has come; empty afterwards.
    pub fn seal(&mut self, channel: &ChannelName) -> Turn {
        let taken = std::mem::take(self);
        Turn {
            channel: channel.clone(),
            messages: taken.messages,
            keys: taken.keys,
            events: taken.events,
            subscribers: taken.subscribers,
            tally: taken.tally,
            numbered: taken.numbered,
            wires: taken.wires,
            runs: taken.wires.iter().map(|_| OnceLock::new()).collect(),
            weight: taken.weight,
            has_exceptions: taken.has_exceptions,
            asides: taken.asides.map(|asides| Box::new(asides.seal(taken.wires))),
            alone_at: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::BufMut;

    use super::*;
    use crate::core::Payload;
    use crate::core::clock::UnixMillis;
    use crate::hub::wire::{Reply, RequestId};

    #[test]
    fn picking_merges_neighbours() {
        let frames = Arc::new(Frames::new(vec![2, 5, 6, 8], vec![]));
        let run = Run { bytes: Bytes::from_static(b"aabbbcdd"), frames };
        let pick = |wanted: [bool; 4]| {
            let mut out = Vec::new();
            run.pick(|i| wanted[i], |b, n| out.push((String::from_utf8(b.to_vec()).unwrap(), n)));
            let only = run.only(|i| wanted[i]);
            assert_eq!(only.bytes, out.iter().map(|(text, _)| &**text).collect::<String>());
            assert_eq!(only.frames.bytes(), only.bytes.len());
            assert_eq!(only.frames.len(), out.iter().map(|(_, n)| n).sum::<usize>());
            out
        };
        let of = |text: &str, n: usize| (text.to_owned(), n);
        assert_eq!(pick([true; 4]), [of("aabbbcdd", 4)]);
        assert_eq!(pick([true, false, true, true]), [of("aa", 1), of("cdd", 2)]);
        assert_eq!(pick([false, true, true, false]), [of("bbbc", 2)]);
        assert!(pick([false; 4]).is_empty());
    }

    /// Says its own letter for each message, and counts.
    struct Letter(u8, AtomicUsize);

    impl Wire for Letter {
        fn message(&self, _: &ChannelName, message: &Message, _: Option<Epoch>, out: &mut BytesMut) {
            self.1.fetch_add(1, Ordering::Relaxed);
            out.put_u8(self.0);
            out.put_slice(&message.payload.bytes);
        }
        fn direct(&self, _: &ChannelName, _: &[u8], _: &Payload, _: &mut BytesMut) {}
        fn reply(&self, _: Option<&RequestId>, _: Reply<'_>, _: &mut BytesMut) {}
        fn ping(&self, _: &mut BytesMut) {}
        fn close(&self, _: u16, _: &str, _: &mut BytesMut) {}
    }

    #[test]
    fn a_dialect_is_encoded_once_and_only_when_somebody_speaks_it() {
        static A: Letter = Letter(b'a', AtomicUsize::new(0));
        static B: Letter = Letter(b'b', AtomicUsize::new(0));
        static WIRES: [&dyn Wire; 2] = [&A, &B];
        let channel = ChannelName::parse("room").unwrap();
        let mut open = OpenTurn::default();
        for n in 1..=2 {
            let message = Message {
                offset: Offset(n),
                at: UnixMillis(0),
                sender: None,
                event: Bytes::new(),
                payload: Payload::json(n.to_string()),
                except: None,
            };
            open.push(&WIRES, &channel, Some(Epoch(7)), message);
        }
        let turn = open.seal(&channel);
        assert!(open.is_empty());
        let weight = turn.weight();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_eq!(turn.run(WireId(1)).bytes, "b1b2"));
            }
        });
        assert_eq!((A.1.load(Ordering::Relaxed), B.1.load(Ordering::Relaxed)), (0, 2));
        assert_eq!(turn.weight(), weight, "what is added to a bound can be taken off again");
        assert_eq!(turn.last(), Some(Position { epoch: Epoch(7), offset: Offset(2) }));
    }
}
