//! What of a plugin outlives its versions: the process has one for each name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::calls::{Calls, Counted};
use super::figures::{Figures, Kind};
use super::key_values::{KeyValues, StoreUse};
use super::saved::{SavedEntry, SavedStore};
use crate::core::PluginName;
use crate::core::clock::{Nanos, UnixMillis};

#[derive(Debug, Default)]
pub struct Lasting {
    pub key_values: KeyValues,
    pub figures: Figures,
    pub calls: Calls,
}

impl Lasting {
    pub fn seen(&self) -> Seen {
        Seen {
            counted: self.calls.counted(),
            figures: self.figures.all(),
            key_values: self.key_values.in_use(Nanos::now()),
        }
    }
}

/// What there is to tell of it, at one moment.
#[derive(Clone, Debug)]
pub struct Seen {
    pub counted: Counted,
    pub figures: Vec<(Kind, String, f64)>,
    pub key_values: StoreUse,
}

/// By name. As many as there have been names in the plugin folder.
#[derive(Debug, Default)]
pub struct AllLasting(Mutex<HashMap<PluginName, Arc<Lasting>>>);

impl AllLasting {
    pub fn of(&self, plugin: &PluginName) -> Arc<Lasting> {
        self.all().entry(plugin.clone()).or_default().clone()
    }

    /// What plugins keep by key, for the server after this one. Ends are by the wall clock: it goes on
    /// while no server does.
    pub fn saved(&self, at: UnixMillis) -> Vec<SavedStore> {
        let now = Nanos::now();
        let all: Vec<_> =
            self.all().iter().map(|(plugin, lasting)| (plugin.clone(), lasting.clone())).collect();
        let store = |(plugin, lasting): (PluginName, Arc<Lasting>)| {
            let entry = |(key, value, left): (Arc<str>, Arc<[u8]>, Option<u64>)| SavedEntry {
                key: key.as_ref().to_owned(),
                value: value.to_vec().into(),
                ends: left.map(|left| UnixMillis(at.0.saturating_add(left))),
            };
            let entries = lasting.key_values.entries(now).into_iter().map(entry).collect();
            SavedStore { plugin, entries }
        };
        all.into_iter().map(store).filter(|store| !store.entries.is_empty()).collect()
    }

    /// What the server before this one had: before plugins are called. What has ended meanwhile is gone.
    pub fn restore(&self, stores: Vec<SavedStore>) {
        let (now, today) = (Nanos::now(), UnixMillis::now());
        for SavedStore { plugin, entries } in stores {
            let lasting = self.of(&plugin);
            for SavedEntry { key, value, ends } in entries {
                if ends.is_some_and(|ends| ends <= today) {
                    continue;
                }
                let left = ends.map(|ends| ends.0 - today.0);
                if let Err(error) = lasting.key_values.restore(now, &key, &value, left) {
                    tracing::warn!(%plugin, key, ?error, "a key that was saved is none that a store has");
                }
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<PluginName, Arc<Lasting>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None: there has been no plugin of that name.
    pub fn find(&self, plugin: &PluginName) -> Option<Arc<Lasting>> {
        self.all().get(plugin).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::StoreBounds;

    #[test]
    fn what_is_kept_by_key_is_there_in_the_next_process() {
        let (quiz, chat) = (PluginName::parse("quiz").unwrap(), PluginName::parse("chat").unwrap());
        let before = AllLasting::default();
        before.of(&chat);
        let store = &before.of(&quiz).key_values;
        for (key, ttl) in [("kept", None), ("an hour", Some(3_600_000)), ("ended", Some(5_000))] {
            store.set(Nanos::now(), key, key.as_bytes(), ttl).unwrap();
        }
        // The server was gone for ten seconds.
        let at = UnixMillis(UnixMillis::now().0 - 10_000);
        let saved = before.saved(at);
        assert_eq!(
            saved.iter().map(|store| &store.plugin).collect::<Vec<_>>(),
            [&quiz],
            "the other has none"
        );

        let after = AllLasting::default();
        after.restore(saved.clone());
        let store = &after.of(&quiz).key_values;
        let value = |key| store.get(Nanos::now(), key).unwrap();
        assert_eq!(value("kept").as_deref(), Some(&b"kept"[..]));
        assert_eq!(value("ended"), None);
        let left =
            store.entries(Nanos::now()).into_iter().filter_map(|(_, _, left)| left).collect::<Vec<_>>();
        assert!(matches!(left[..], [3_580_000..=3_590_000]), "{left:?}");

        let smaller = AllLasting::default();
        let store = &smaller.of(&quiz).key_values;
        store.set_bounds(StoreBounds { keys: 1, ..StoreBounds::default() });
        smaller.restore(saved);
        assert_eq!(store.in_use(Nanos::now()).keys, 2, "what is there stays");
    }
}
