//! What a channel's state outlives: its own sleep, its plugin's version, and the server's process.

use std::sync::Arc;

use super::ActorSink;
use super::runner::{Runner, State, find};
use crate::core::Captures;
use crate::plugin::failure::PluginFailure;
use crate::plugin::generation::Generation;
use crate::plugin::health::Health;

impl<S: ActorSink> Runner<S> {
    /// What an open channel wants kept. `Err`: it cannot be had, and the channel is as it was;
    /// where saving cost the store, the channel is closed instead, and nothing is kept.
    pub(super) async fn save(&mut self, channel: u32) -> Result<Option<Box<[u8]>>, PluginFailure> {
        let Some(room) = self.room(channel) else { return Ok(None) };
        let Some(opened) = room.open() else { return Ok(None) };
        let (number, doing) = (room.version, format!("saving {}", room.name));
        let Some(version) = find(&mut self.versions, number) else { return Ok(None) };
        match version.save(opened).await {
            Ok(saved) => Ok(saved),
            Err(failure @ PluginFailure::BadOutput(_)) => {
                version.generation.note(&failure, &doing);
                Err(failure)
            }
            Err(failure) => {
                self.failed(number, &failure, &doing);
                Ok(None)
            }
        }
    }

    /// Nobody has called the channel for a while: its memory goes, if it can be saved.
    pub(super) async fn hibernate(&mut self, channel: u32) {
        let Ok(Some(snapshot)) = self.save(channel).await else { return };
        let Some(room) = self.room(channel) else { return };
        let (number, opened) = (room.version, room.open());
        tracing::debug!(channel = %room.name, bytes = snapshot.len(), "hibernates");
        room.state = State::Asleep(snapshot);
        match (find(&mut self.versions, number), opened) {
            (Some(version), Some(opened)) if version.has_only(opened) => version.end_store(),
            _ => self.close(number, opened).await,
        }
    }

    /// What a channel wants kept that has no job any more. `Err`: it cannot be had, or was lost with the store.
    pub(super) async fn last_snapshot(&mut self, channel: u32) -> Result<Option<Box<[u8]>>, PluginFailure> {
        let was_open = self.rooms.get(&channel).is_some_and(|room| room.open().is_some());
        let saved = self.save(channel).await?;
        let Some(room) = self.room(channel) else { return Ok(None) };
        match std::mem::replace(&mut room.state, State::Closed) {
            State::Asleep(snapshot) => Ok(Some(snapshot)),
            State::Closed if was_open => Err(PluginFailure::Other("the channel's store is gone".into())),
            state => {
                room.state = state;
                Ok(saved)
            }
        }
    }

    /// Moves a channel to another version, with its state. One that does not go on from it does
    /// not get the channel: the version before goes on.
    pub(super) async fn swap(&mut self, channel: u32, generation: &Arc<Generation>, captures: Captures) {
        let Some(room) = self.rooms.get_mut(&channel) else { return };
        if room.version == generation.number {
            room.captures = captures;
            return;
        }
        self.know(generation);
        if let Err(failure) = self.move_to(channel, generation, captures.clone()).await
            && let Some(room) = self.rooms.get(&channel)
        {
            let from = find(&mut self.versions, room.version).map(|version| version.generation.clone());
            let from = from.map(|from| format!("version {} (generation {})", from.version, from.number));
            let from = from.unwrap_or_default();
            // A version that is taken back keeps nothing, whatever becomes of the state.
            let is_back = generation.number < room.version;
            let then = if is_back { "so it begins anew" } else { "which keeps it" };
            let name = room.name.clone();
            generation.note(&failure, &format!("taking over {name} from {from}, {then}"));
            if is_back {
                self.begin_anew(channel, generation.number, captures).await;
            }
        }
        self.prune();
    }

    /// Moves a channel to another version, without its state.
    async fn begin_anew(&mut self, channel: u32, number: u64, captures: Captures) {
        let Some(room) = self.rooms.get_mut(&channel) else { return };
        let (before, opened) = (room.version, room.open());
        (room.version, room.captures) = (number, captures);
        (room.state, room.health, room.seen_by) = (State::Closed, Health::default(), 0);
        self.moved(before, number);
        self.close(before, opened).await;
    }

    /// A channel is another version's.
    fn moved(&mut self, before: u64, now: u64) {
        for version in &mut self.versions {
            let number = version.generation.number;
            version.rooms += usize::from(number == now);
            version.rooms -= usize::from(number == before);
        }
    }

    async fn move_to(
        &mut self,
        channel: u32,
        generation: &Arc<Generation>,
        captures: Captures,
    ) -> Result<(), PluginFailure> {
        let saved = self.save(channel).await?;
        let Some(room) = self.rooms.get_mut(&channel) else { return Ok(()) };
        let snapshot = match &room.state {
            State::Asleep(snapshot) => Some(&snapshot[..]),
            State::Open(_) | State::Closed => saved.as_deref(),
        };
        let state = match (snapshot, find(&mut self.versions, generation.number)) {
            (Some(snapshot), Some(version)) => {
                match version.open(&room.name, &captures, Some(snapshot)).await {
                    Ok(opened) => State::Open(opened),
                    Err(failure) => {
                        if !matches!(failure, PluginFailure::SnapshotRefused(_)) {
                            self.end_store(generation.number);
                        }
                        return Err(failure);
                    }
                }
            }
            _ => State::Closed,
        };
        let (number, before) = (room.version, std::mem::replace(&mut room.state, state));
        (room.version, room.captures, room.health) = (generation.number, captures, Health::default());
        let opened = room.open();
        let (version, closes) = match before {
            State::Open(before) => (number, Some(before)),
            // It sleeps on: that it can go on from there is all that had to be known.
            State::Asleep(snapshot) => {
                room.state = State::Asleep(snapshot);
                (generation.number, opened)
            }
            State::Closed => (number, None),
        };
        self.moved(number, generation.number);
        self.close(version, closes).await;
        Ok(())
    }
}
