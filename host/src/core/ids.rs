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

/// One connection, in this process once and for all: its shard (8 bits), its slot there (20), and
/// which of the connections that the slot has had it is (24, from 1). Below 2^53, so that also
/// who takes numbers for floating point, as plugins in JavaScript do, keeps it whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

impl ClientId {
    const SLOT_BITS: u32 = 20;
    const SERIAL_BITS: u32 = 24;
    /// The most connections a shard can have at a time.
    pub const MAX_SLOTS: usize = 1 << Self::SLOT_BITS;
    /// The last of a slot's connections; the slot has no more then.
    pub const LAST_SERIAL: u32 = (1 << Self::SERIAL_BITS) - 1;
    /// No connection's id: serials count from 1. Stands for a sender that the server's API names.
    pub const NOBODY: Self = Self(0);

    /// Of the slot and the serial what is within their bounds.
    pub fn new(shard: ShardId, slot: usize, serial: u32) -> Self {
        let slot = (slot & (Self::MAX_SLOTS - 1)) as u64;
        let serial = u64::from(serial & Self::LAST_SERIAL);
        Self((u64::from(shard.0) << Self::SLOT_BITS | slot) << Self::SERIAL_BITS | serial)
    }

    /// Reads what [`fmt::Display`] writes; none for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        fits.then(|| u64::from_str_radix(text, 16).ok().map(Self)).flatten()
    }

    pub fn shard(self) -> ShardId {
        ShardId((self.0 >> (Self::SLOT_BITS + Self::SERIAL_BITS)) as u8)
    }

    pub fn slot(self) -> usize {
        (self.0 >> Self::SERIAL_BITS) as usize & (Self::MAX_SLOTS - 1)
    }
}

/// Sixteen hexadecimal digits: `000`, two of the shard, five of the slot, six of the serial.
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_client_id_is_read_off_its_digits() {
        let id = ClientId::new(ShardId(0xab), 0x1_2345, 0x67_89ab);
        assert_eq!(id.to_string(), "000ab123456789ab");
        assert_eq!(ClientId::parse("000ab123456789ab"), Some(id));
        for bad in ["", "1", "+000000000000001", "00000000000000001", "000000000000000g", "äääääää1"] {
            assert_eq!(ClientId::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_client_id_remembers_its_parts_and_is_a_number_in_javascript(
            shard: u8,
            slot in 0..ClientId::MAX_SLOTS,
            serial in 1..=ClientId::LAST_SERIAL,
        ) {
            let id = ClientId::new(ShardId(shard), slot, serial);
            prop_assert_eq!((id.shard(), id.slot()), (ShardId(shard), slot));
            prop_assert_eq!(id.0 & u64::from(ClientId::LAST_SERIAL), u64::from(serial));
            prop_assert!(id != ClientId::NOBODY && id.0 < 1 << 53);
            prop_assert_eq!(id.0 as f64 as u64, id.0);
            prop_assert_eq!(ClientId::parse(&id.to_string()), Some(id));
        }
    }
}
