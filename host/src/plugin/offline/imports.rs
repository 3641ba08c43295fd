//! What the contract lets a plugin read, answered by its store's recording.

use std::sync::{MutexGuard, PoisonError};

use wasmtime::Result;
use wasmtime::component::{HasData, Linker};

use self::bindings::tidegate::plugin::{groups, history, presence, store, trace};
use super::recorded::{Kept, Recorded, StoreRefusal};
use crate::core::PayloadKind;
use crate::plugin::store::StoreData;

/// Bindings of their own: whatever a server's reads wait for, these do not.
mod bindings {
    wasmtime::component::bindgen!({ path: "../wit", world: "imports" });
}

/// As many as a server would give at once, see `wit/history.wit` and `wit/presence.wit`.
const MOST_MESSAGES: usize = 256;
const MOST_MEMBERS: usize = 1000;

/// A store that answers by its recording.
struct ByRecord<'a>(&'a mut StoreData);

impl HasData for ByRecord<'static> {
    type Data<'a> = ByRecord<'a>;
}

fn of(data: &mut StoreData) -> ByRecord<'_> {
    ByRecord(data)
}

/// # Errors
/// wasmtime's, if the interfaces are there already.
pub fn add_to_linker(linker: &mut Linker<StoreData>) -> Result<()> {
    store::add_to_linker::<_, ByRecord>(linker, of)?;
    trace::add_to_linker::<_, ByRecord>(linker, of)?;
    add_reads_to_linker(linker)
}

/// Only what is read of the server, which is empty where there is no recording.
///
/// # Errors
/// wasmtime's, if the interfaces are there already.
pub fn add_reads_to_linker(linker: &mut Linker<StoreData>) -> Result<()> {
    presence::add_to_linker::<_, ByRecord>(linker, of)?;
    history::add_to_linker::<_, ByRecord>(linker, of)?;
    groups::add_to_linker::<_, ByRecord>(linker, of)
}

impl ByRecord<'_> {
    /// None in the store of a server; of those only a version in the shadow is linked to this.
    fn recorded(&self) -> Option<MutexGuard<'_, Recorded>> {
        let recording = self.0.recording()?;
        Some(recording.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn read<T: Default>(&self, read: impl FnOnce(&mut Recorded) -> T) -> T {
        self.recorded().map(|mut recorded| read(&mut recorded)).unwrap_or_default()
    }

    fn stored<T: Default>(
        &self,
        work: impl FnOnce(&mut Recorded) -> Result<T, StoreRefusal>,
    ) -> Result<T, store::Failure> {
        let done = self.recorded().map_or_else(|| Ok(T::default()), |mut recorded| work(&mut recorded));
        done.map_err(|refusal| match refusal {
            StoreRefusal::TooLarge(bytes) => {
                store::Failure::TooLarge(u32::try_from(bytes).unwrap_or(u32::MAX))
            }
            StoreRefusal::NotANumber => store::Failure::NotANumber,
        })
    }
}

/// A time to live does not run out in a recording: nothing here waits for it.
impl store::Host for ByRecord<'_> {
    fn get(&mut self, key: String) -> Result<Option<Vec<u8>>, store::Failure> {
        self.stored(|recorded| Ok(recorded.read(&key)?.map(|value| value.to_vec())))
    }

    fn set(&mut self, key: String, value: Vec<u8>, _: Option<u64>) -> Result<(), store::Failure> {
        self.stored(|recorded| recorded.write(&key, Some(value.into())).map(drop))
    }

    fn delete(&mut self, key: String) -> Result<bool, store::Failure> {
        self.stored(|recorded| recorded.write(&key, None))
    }

    fn increment(&mut self, key: String, by: i64, _: Option<u64>) -> Result<i64, store::Failure> {
        self.stored(|recorded| recorded.increment(&key, by))
    }

    fn compare_and_set(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
        _: Option<u64>,
    ) -> Result<bool, store::Failure> {
        self.stored(|recorded| {
            let same = recorded.read(&key)?.as_deref() == expected.as_deref();
            if same {
                recorded.write(&key, value.map(Into::into))?;
            }
            Ok(same)
        })
    }
}

impl presence::Host for ByRecord<'_> {
    fn members(&mut self, channel: String) -> Result<Vec<presence::Present>, presence::ReadFailure> {
        Ok(self.read(|recorded| {
            let members = recorded.presence.get(&channel).into_iter().flatten().take(MOST_MEMBERS);
            let members = members.map(|member| presence::Present {
                user: member.user.clone(),
                data: member.data.as_ref().map(|data| data.to_vec()),
                joined_at_ms: member.joined_at_ms,
                connections: member.connections,
            });
            members.collect()
        }))
    }

    fn count(&mut self, channel: String) -> Result<u32, presence::ReadFailure> {
        let count = self.read(|recorded| recorded.presence.get(&channel).map_or(0, Vec::len));
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }
}

impl history::Host for ByRecord<'_> {
    fn last(&mut self, channel: String, limit: u32) -> Result<Vec<history::Past>, history::ReadFailure> {
        Ok(self.read(|recorded| {
            let kept = recorded.history.get(&channel).map_or(&[][..], Vec::as_slice);
            let from = kept.len().saturating_sub(at_most(limit));
            kept[from..].iter().map(past).collect()
        }))
    }

    fn since(
        &mut self,
        channel: String,
        offset: u64,
        limit: u32,
    ) -> Result<Vec<history::Past>, history::ReadFailure> {
        Ok(self.read(|recorded| {
            let kept = recorded.history.get(&channel).into_iter().flatten();
            kept.filter(|kept| kept.offset > offset).take(at_most(limit)).map(past).collect()
        }))
    }
}

fn at_most(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX).min(MOST_MESSAGES)
}

fn past(kept: &Kept) -> history::Past {
    history::Past {
        offset: kept.offset,
        event: kept.event.clone(),
        kind: match kept.payload.kind {
            PayloadKind::Json => history::PayloadKind::Json,
            PayloadKind::Text => history::PayloadKind::Text,
            PayloadKind::Binary => history::PayloadKind::Binary,
        },
        payload: kept.payload.bytes.to_vec(),
        at_ms: kept.at_ms,
    }
}

impl groups::Host for ByRecord<'_> {
    fn channels(&mut self, group: String) -> Result<Vec<String>, groups::ReadFailure> {
        Ok(self.read(|recorded| {
            let mut channels = recorded.groups.get(&group).cloned().unwrap_or_default();
            channels.sort();
            channels
        }))
    }
}

impl trace::Host for ByRecord<'_> {
    fn current(&mut self) -> Option<String> {
        self.read(|recorded| recorded.trace.clone())
    }
}
