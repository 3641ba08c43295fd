//! Ids that the server hands out.

use std::fmt;

/// One shard: an OS thread with its share of the connections and channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShardId(pub u8);

impl ShardId {
    /// The most shards a process can have: the id is one byte of a [`ClientId`].
    pub const MAX_SHARDS: usize = 256;

    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// One connection, for as long as it lives: shard, slot on that shard, and a serial
/// number that tells apart the connections a slot has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

impl ClientId {
    /// The most connections a shard can have at a time.
    pub const MAX_SLOTS: usize = 1 << 24;
    /// No connection's id: serials count from 1. Stands for a sender that the server's API names.
    pub const NOBODY: Self = Self(0);

    pub fn new(shard: ShardId, slot: u32, serial: u32) -> Self {
        Self(u64::from(shard.0) << 56 | u64::from(slot & 0x00ff_ffff) << 32 | u64::from(serial))
    }

    /// Reads what [`fmt::Display`] writes; none for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        fits.then(|| u64::from_str_radix(text, 16).ok().map(Self)).flatten()
    }

    pub fn shard(self) -> ShardId {
        ShardId((self.0 >> 56) as u8)
    }

    pub fn slot(self) -> usize {
        (self.0 >> 32) as usize & 0x00ff_ffff
    }
}

/// Sixteen hexadecimal digits.
impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The place of a message in its channel: 1 for the first, growing by 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u64);

impl Offset {
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_remembers_its_parts() {
        let id = ClientId::new(ShardId(255), 0x00ff_fffe, u32::MAX);
        assert_eq!(id.shard(), ShardId(255));
        assert_eq!(id.slot(), 0x00ff_fffe);
        assert_eq!(id.to_string(), "fffffffeffffffff");
        assert_eq!(ClientId::parse("fffffffeffffffff"), Some(id));
        for bad in ["", "1", "+000000000000001", "00000000000000001", "000000000000000g", "äääääää1"] {
            assert_eq!(ClientId::parse(bad), None, "{bad}");
        }
    }
}
