//! What plugins have when a server ends, for the server that is started after it.
//!
//! Written by a server that was asked to end, and taken once: after a crash there is nothing, because what
//! was saved before it would bring back what is long over.

mod encoding;
mod state_dir;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use encoding::{BadState, read, write};
pub use state_dir::StateDir;

use super::actor::Departure;
use crate::core::clock::UnixMillis;
use crate::core::{ChannelName, ClientId, PluginName, Sender, UserId};

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Saved {
    pub at: UnixMillis,
    pub stores: Vec<SavedStore>,
    pub channels: Vec<SavedChannel>,
}

/// What a plugin keeps by key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct SavedStore {
    pub plugin: PluginName,
    pub entries: Vec<SavedEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct SavedEntry {
    pub key: String,
    pub value: Bytes,
    /// None: never.
    pub ends: Option<UnixMillis>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct SavedChannel {
    pub name: ChannelName,
    pub handlers: Vec<SavedHandler>,
    /// What its handlers have not heard yet.
    pub departures: Vec<SavedDeparture>,
}

/// What a plugin has in one channel.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct SavedHandler {
    pub plugin: PluginName,
    /// None: it saves none, or was not opened.
    pub snapshot: Option<Bytes>,
    pub timers: Vec<SavedTimer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct SavedTimer {
    pub id: u32,
    pub rings: UnixMillis,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct SavedDeparture {
    client: u64,
    user: String,
    pub why: Departure,
}

impl SavedDeparture {
    pub fn new(who: &Sender, why: Departure) -> Self {
        Self { client: who.client.0, user: who.user.as_str().to_owned(), why }
    }

    /// The client is one of the process before.
    pub fn who(&self) -> Sender {
        Sender { client: ClientId(self.client), user: UserId(self.user.as_str().into()) }
    }
}

impl SavedHandler {
    fn has_something(&self) -> bool {
        self.snapshot.is_some() || !self.timers.is_empty()
    }
}

impl SavedChannel {
    /// None: there is nothing to keep. A channel of the server's own is none that anybody comes back to, and
    /// its name is none that is read.
    pub fn of(
        name: ChannelName,
        handlers: impl IntoIterator<Item = SavedHandler>,
        departures: Vec<SavedDeparture>,
    ) -> Option<Self> {
        let handlers: Vec<_> = handlers.into_iter().filter(SavedHandler::has_something).collect();
        let is_kept = (!handlers.is_empty() || !departures.is_empty()) && !ChannelName::is_own(name.as_str());
        is_kept.then_some(Self { name, handlers, departures })
    }

    /// In bytes of the file, roughly, and rather more.
    fn size(&self) -> usize {
        const OF_EACH: usize = 32;
        let handler = |handler: &SavedHandler| {
            let snapshot = handler.snapshot.as_ref().map_or(0, Bytes::len);
            OF_EACH + PluginName::MAX_BYTES + snapshot + handler.timers.len() * OF_EACH
        };
        let departure = |departure: &SavedDeparture| OF_EACH + departure.user.len();
        OF_EACH
            + self.name.as_str().len()
            + self.handlers.iter().map(handler).sum::<usize>()
            + self.departures.iter().map(departure).sum::<usize>()
    }
}

impl SavedStore {
    fn size(&self) -> usize {
        const OF_EACH: usize = 32;
        let entry = |entry: &SavedEntry| OF_EACH + entry.key.len() + entry.value.len();
        PluginName::MAX_BYTES + self.entries.iter().map(entry).sum::<usize>()
    }
}

impl Saved {
    /// Leaves out what is too much for one file; says how many stores and channels that were.
    fn fit(&mut self, bytes: usize) -> usize {
        let before = self.stores.len() + self.channels.len();
        let mut room = bytes;
        let mut fits = |size| {
            let left = room.checked_sub(size);
            room = left.unwrap_or(room);
            left.is_some()
        };
        self.stores.retain(|store| fits(store.size()));
        self.channels.retain(|channel| fits(channel.size()));
        before - self.stores.len() - self.channels.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &str, snapshot: usize) -> SavedChannel {
        let plugin = PluginName::parse("quiz").unwrap();
        let handler = SavedHandler { plugin, snapshot: Some(vec![0; snapshot].into()), timers: Vec::new() };
        SavedChannel::of(ChannelName::parse(name).unwrap(), [handler], Vec::new()).unwrap()
    }

    #[test]
    fn what_is_too_much_is_left_out_and_counted() {
        let channels = vec![channel("a", 400), channel("b", 2000), channel("c", 400)];
        let mut saved = Saved { at: UnixMillis(1), stores: Vec::new(), channels };
        assert_eq!(saved.fit(1500), 1);
        let names: Vec<_> = saved.channels.iter().map(|channel| channel.name.as_str()).collect();
        assert_eq!(names, ["a", "c"], "a large one does not keep the small ones out");
        let mut file = Vec::new();
        write(&saved, &mut file).unwrap();
        assert!(file.len() <= 1500, "{}", file.len());
    }

    #[test]
    fn a_channel_without_anything_is_not_saved() {
        let name = || ChannelName::parse("a").unwrap();
        let plugin = PluginName::parse("quiz").unwrap();
        let nothing = SavedHandler { plugin, snapshot: None, timers: Vec::new() };
        assert_eq!(SavedChannel::of(name(), [nothing.clone()], Vec::new()), None);
        let who = Sender { client: ClientId(7), user: UserId("ada".into()) };
        let gone = SavedDeparture::new(&who, Departure::Disconnected);
        assert_eq!(gone.who(), who);
        let kept = SavedChannel::of(name(), [nothing], vec![gone.clone()]);
        assert!(kept.is_some_and(|kept| kept.handlers.is_empty()));
        assert_eq!(
            SavedChannel::of(ChannelName::online("ada"), [], vec![gone]),
            None,
            "it could not be read"
        );
    }
}
