//! What one turn of a channel's home brought: its messages, and their frames encoded
//! once a dialect, shared by every subscriber of every shard.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::presence::PresenceEvent;
use super::tally::Tally;
use super::wire::{Wire, WireId};
use crate::core::{ChannelName, ClientId, Message, Offset};

/// A turn is sealed early past this many bytes of frames, so that memory stays bounded.
const SEAL_AT_BYTES: usize = 256 << 10;

/// What a turn's frames are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Content {
    #[default]
    Messages,
    /// Changes of presence: for those who asked for them, past any filter.
    Presence,
}

/// Messages of one channel in order, ready to deliver. Immutable.
pub struct Turn {
    pub channel: ChannelName,
    pub content: Content,
    /// None, where it is about presence.
    pub messages: Vec<Message>,
    /// Counts what becomes of the only message.
    pub tally: Option<Arc<Tally>>,
    runs: Vec<Run>,
    /// Some message leaves a client out.
    has_exceptions: bool,
}

/// The messages' frames in one dialect.
pub struct Run {
    pub bytes: Bytes,
    /// Where each message's frame ends.
    ends: Vec<u32>,
}

impl Run {
    /// Where the last message's frame begins.
    pub fn last_frame(&self) -> usize {
        match self.ends.as_slice() {
            [.., before, _] => *before as usize,
            _ => 0,
        }
    }

    /// The frames of the messages that `wanted` names, as few slices as they allow.
    pub fn pick(&self, mut wanted: impl FnMut(usize) -> bool, mut each: impl FnMut(Bytes)) {
        let (mut start, mut from, mut open) = (0usize, 0usize, false);
        for (index, end) in self.ends.iter().map(|end| *end as usize).enumerate() {
            if wanted(index) {
                if !open {
                    (from, open) = (start, true);
                }
            } else if open {
                each(self.bytes.slice(from..start));
                open = false;
            }
            start = end;
        }
        if open {
            each(self.bytes.slice(from..start));
        }
    }
}

impl Turn {
    pub fn run(&self, wire: WireId) -> &Run {
        &self.runs[usize::from(wire.0)]
    }

    pub fn leaves_out(&self, client: ClientId) -> bool {
        self.has_exceptions && self.messages.iter().any(|message| message.except == Some(client))
    }

    /// The first message's offset.
    pub fn first(&self) -> Offset {
        self.messages.first().map_or(Offset(0), |message| message.offset)
    }

    /// Roughly what it holds in memory, in bytes.
    pub fn weight(&self) -> usize {
        self.runs.iter().map(|run| run.bytes.len()).sum::<usize>() + self.messages.len() * 128
    }
}

/// A turn that still grows.
#[derive(Default)]
pub struct OpenTurn {
    content: Content,
    frames: usize,
    messages: Vec<Message>,
    runs: Vec<(BytesMut, Vec<u32>)>,
    has_exceptions: bool,
    tally: Option<Arc<Tally>>,
}

impl OpenTurn {
    pub fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// May this go into it? One of another kind must be sealed first.
    pub fn takes(&self, content: Content) -> bool {
        self.is_empty() || self.content == content
    }

    /// Encodes a message in every dialect. True: the turn is large enough to seal now.
    pub fn push(
        &mut self,
        wires: &[&dyn Wire],
        channel: &ChannelName,
        numbered: bool,
        message: Message,
    ) -> bool {
        let bytes = self.encode(wires, |wire, run| wire.message(channel, &message, numbered, run));
        self.content = Content::Messages;
        self.has_exceptions |= message.except.is_some();
        self.messages.push(message);
        bytes >= SEAL_AT_BYTES
    }

    /// The same for a change of presence.
    pub fn push_presence(
        &mut self,
        wires: &[&dyn Wire],
        channel: &ChannelName,
        event: &PresenceEvent,
    ) -> bool {
        self.content = Content::Presence;
        self.encode(wires, |wire, run| wire.presence(channel, event, run)) >= SEAL_AT_BYTES
    }

    /// What becomes of the one message in it is counted.
    pub fn count(&mut self, tally: Tally) {
        self.tally = Some(Arc::new(tally));
    }

    fn encode(&mut self, wires: &[&dyn Wire], one: impl Fn(&dyn Wire, &mut BytesMut)) -> usize {
        self.frames += 1;
        self.runs.resize_with(wires.len(), Default::default);
        let mut bytes = 0;
        for (wire, (run, ends)) in wires.iter().zip(&mut self.runs) {
            one(*wire, run);
            // SEAL_AT_BYTES and the message limit keep a run far below 4 GiB.
            ends.push(run.len() as u32);
            bytes += run.len();
        }
        bytes
    }

    /// Takes what has come; empty afterwards.
    pub fn seal(&mut self, channel: &ChannelName) -> Turn {
        let taken = std::mem::take(self);
        let runs = taken.runs.into_iter().map(|(run, ends)| Run { bytes: run.freeze(), ends }).collect();
        Turn {
            channel: channel.clone(),
            content: taken.content,
            messages: taken.messages,
            tally: taken.tally,
            runs,
            has_exceptions: taken.has_exceptions,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picking_merges_neighbours() {
        let run = Run { bytes: Bytes::from_static(b"aabbbcdd"), ends: vec![2, 5, 6, 8] };
        let pick = |wanted: [bool; 4]| {
            let mut out = Vec::new();
            run.pick(|i| wanted[i], |b| out.push(String::from_utf8(b.to_vec()).unwrap()));
            out
        };
        assert_eq!(pick([true; 4]), ["aabbbcdd"]);
        assert_eq!(pick([true, false, true, true]), ["aa", "cdd"]);
        assert_eq!(pick([false, true, true, false]), ["bbbc"]);
        assert!(pick([false; 4]).is_empty());
        assert_eq!(run.last_frame(), 6);
    }
}
