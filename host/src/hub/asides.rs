//! Messages for some of a channel's subscribers, between those for all: what everybody else gets
//! is one run as before, and only who is named gets it in parts.

use std::collections::HashMap;
use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};

use super::wire::{WireId, Wires};
use crate::core::{ChannelName, ClientId, Payload, ShardId};

/// Of one turn.
#[derive(Default)]
pub struct Asides {
    all: Vec<Aside>,
    /// Places in `all`, ascending.
    by_client: HashMap<ClientId, Vec<u32>>,
    /// A bit a shard that is concerned.
    shards: [u64; 4],
    /// By dialect, and each by aside; filled when first asked for.
    frames: Box<[OnceLock<Vec<Bytes>>]>,
}

struct Aside {
    messages_before: usize,
    event: Bytes,
    payload: Payload,
}

impl Asides {
    /// What one client that is named costs, in bytes, roughly.
    pub const A_CLIENT: usize = 48;

    /// `messages_before` of the turn come first. Whoever is named twice gets it once.
    pub fn push(&mut self, messages_before: usize, event: Bytes, payload: Payload, to: Box<[ClientId]>) {
        // A turn is sealed long before there are so many.
        let index = self.all.len() as u32;
        self.all.push(Aside { messages_before, event, payload });
        for client in to {
            let shard = client.shard().index();
            self.shards[shard / 64] |= 1 << (shard % 64);
            let of_it = self.by_client.entry(client).or_default();
            if of_it.last() != Some(&index) {
                of_it.push(index);
            }
        }
    }

    pub fn seal(self, wires: Wires) -> Self {
        Self { frames: wires.iter().map(|_| OnceLock::new()).collect(), ..self }
    }

    pub fn concern(&self, shard: ShardId) -> bool {
        self.shards[shard.index() / 64] & 1 << (shard.index() % 64) != 0
    }

    /// Those for one client, by their places.
    pub fn of(&self, client: ClientId) -> Option<&[u32]> {
        self.by_client.get(&client).map(Vec::as_slice)
    }

    /// Who is named, with what is for it.
    pub fn clients(&self) -> impl Iterator<Item = (ClientId, &[u32])> {
        self.by_client.iter().map(|(client, of_it)| (*client, of_it.as_slice()))
    }

    pub fn messages_before(&self, index: usize) -> usize {
        self.all[index].messages_before
    }

    /// Of all asides, in a dialect.
    pub fn frames(&self, wire: WireId, wires: Wires, channel: &ChannelName) -> &[Bytes] {
        let index = usize::from(wire.0);
        self.frames[index].get_or_init(|| {
            let encode = |aside: &Aside| {
                let mut frame = BytesMut::new();
                wires[index].direct(channel, &aside.event, &aside.payload, &mut frame);
                frame.freeze()
            };
            self.all.iter().map(encode).collect()
        })
    }
}
