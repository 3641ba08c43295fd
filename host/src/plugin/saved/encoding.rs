//! The file of what is saved: a line that says what it is, the content in postcard's form, and the SHA-256
//! of both, so that a file that was cut off or changed is known for one.

use std::io::{self, Write};

use sha2::{Digest, Sha256};

use super::Saved;

/// With the number of the form: another one is not read.
const BEGIN: &[u8] = b"tidegate state 1\n";
const HASH_BYTES: usize = 32;

/// Why a file cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum BadState {
    #[error("it is no state of this version of the server")]
    OtherForm,
    #[error("its checksum is wrong: it was cut off or changed")]
    Checksum,
    #[error("its content cannot be read: {0}")]
    Content(#[from] postcard::Error),
    #[error("{0} bytes stand behind its content")]
    Trailing(usize),
    #[error("it is larger than {0} bytes")]
    TooLarge(u64),
}

/// Without a second copy in memory.
///
/// # Errors
/// The writer's.
pub fn write(saved: &Saved, to: impl Write) -> io::Result<()> {
    let mut hashed = Hashed { to, hash: Sha256::new() };
    hashed.write_all(BEGIN)?;
    let mut hashed = postcard::to_io(saved, hashed).map_err(io::Error::other)?;
    let hash = hashed.hash.finalize();
    hashed.to.write_all(&hash)?;
    hashed.to.flush()
}

/// # Errors
/// It is not what [`write`] has written.
pub fn read(file: &[u8]) -> Result<Saved, BadState> {
    let content = file.strip_prefix(BEGIN).ok_or(BadState::OtherForm)?;
    let (content, hash) = content.split_last_chunk::<HASH_BYTES>().ok_or(BadState::Checksum)?;
    if *Sha256::digest(&file[..file.len() - HASH_BYTES]) != *hash {
        return Err(BadState::Checksum);
    }
    let (saved, rest) = postcard::take_from_bytes(content)?;
    if rest.is_empty() { Ok(saved) } else { Err(BadState::Trailing(rest.len())) }
}

struct Hashed<W> {
    to: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;
    use crate::core::clock::UnixMillis;
    use crate::core::{ChannelName, ClientId, PluginName, Sender, UserId};
    use crate::plugin::Departure;
    use crate::plugin::saved::{
        SavedChannel, SavedDeparture, SavedEntry, SavedHandler, SavedStore, SavedTimer,
    };

    fn plugin() -> impl Strategy<Value = PluginName> {
        "[a-z0-9-]{1,64}".prop_map(|name| PluginName::parse(&name).unwrap())
    }

    fn channel() -> impl Strategy<Value = ChannelName> {
        ".{1,60}".prop_filter_map("no name", |name| ChannelName::parse(&name).ok())
    }

    fn bytes() -> impl Strategy<Value = bytes::Bytes> {
        vec(any::<u8>(), 0..300).prop_map(Into::into)
    }

    fn departure() -> impl Strategy<Value = SavedDeparture> {
        let why = prop_oneof![
            Just(Departure::Left),
            Just(Departure::Disconnected),
            Just(Departure::Expired),
            Just(Departure::Removed),
        ];
        (any::<u64>(), ".{0,20}", why).prop_map(|(client, user, why)| {
            let who = Sender { client: ClientId(client), user: UserId(user.into()) };
            SavedDeparture::new(&who, why)
        })
    }

    fn handler() -> impl Strategy<Value = SavedHandler> {
        let timer =
            (any::<u32>(), any::<u64>()).prop_map(|(id, rings)| SavedTimer { id, rings: UnixMillis(rings) });
        (plugin(), option::of(bytes()), vec(timer, 0..4))
            .prop_map(|(plugin, snapshot, timers)| SavedHandler { plugin, snapshot, timers })
    }

    fn store() -> impl Strategy<Value = SavedStore> {
        let entry = (".{0,20}", bytes(), option::of(any::<u64>()))
            .prop_map(|(key, value, ends)| SavedEntry { key, value, ends: ends.map(UnixMillis) });
        (plugin(), vec(entry, 0..4)).prop_map(|(plugin, entries)| SavedStore { plugin, entries })
    }

    fn saved() -> impl Strategy<Value = Saved> {
        let channel = (channel(), vec(handler(), 0..3), vec(departure(), 0..3))
            .prop_map(|(name, handlers, departures)| SavedChannel { name, handlers, departures });
        (any::<u64>(), vec(store(), 0..3), vec(channel, 0..6)).prop_map(|(at, stores, channels)| Saved {
            at: UnixMillis(at),
            stores,
            channels,
        })
    }

    fn written(saved: &Saved) -> Vec<u8> {
        let mut file = Vec::new();
        write(saved, &mut file).unwrap();
        file
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(saved in saved()) {
            prop_assert_eq!(read(&written(&saved)).unwrap(), saved);
        }

        #[test]
        fn a_file_that_was_changed_is_not(saved in saved(), at: prop::sample::Index, by in 1..=255_u8) {
            let mut file = written(&saved);
            let at = at.index(file.len());
            file[at] ^= by;
            let refused = read(&file).unwrap_err();
            prop_assert!(matches!(refused, BadState::OtherForm | BadState::Checksum), "{}", refused);
        }

        #[test]
        fn nor_one_that_was_cut_off(saved in saved(), at: prop::sample::Index) {
            let file = written(&saved);
            prop_assert!(read(&file[..at.index(file.len())]).is_err());
        }
    }

    #[test]
    fn names_are_checked_and_nothing_stands_behind_the_content() {
        let sealed = |content: &[u8]| {
            let mut file = [BEGIN, content].concat();
            file.extend(Sha256::digest(&file));
            file
        };
        let empty = [1, 0, 0];
        assert_eq!(
            read(&sealed(&empty)).unwrap(),
            Saved { at: UnixMillis(1), stores: vec![], channels: vec![] }
        );
        assert!(matches!(read(&sealed(&[1, 0, 0, 0])), Err(BadState::Trailing(1))));
        let a_space = [1, 0, 1, 1, b' ', 0, 0];
        assert!(matches!(read(&sealed(&a_space)), Err(BadState::Content(_))));
        // So many channels that no memory has room for them.
        let many = [1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert!(matches!(read(&sealed(&many)), Err(BadState::Content(_))));
    }
}
