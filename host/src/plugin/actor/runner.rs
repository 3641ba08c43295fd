//! What a store's worker does: its channels' jobs in their order, and their moves between versions.

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use super::mailbox::{Mailbox, Queue};
use super::owed::Owed;
use super::version::{Opened, Version};
use super::worker::Worker;
use super::{ActorSink, Answer, Job, OwnStore, Work};
use crate::core::{Captures, ChannelName, TraceParent};
use crate::plugin::conduct::Culprit;
use crate::plugin::failure::PluginFailure;
use crate::plugin::generation::Generation;
use crate::plugin::health::Health;
use crate::plugin::offline::{Call, said};
use crate::plugin::tap::{self, Called, Observed};

/// A channel in a store.
pub(super) struct Room<T> {
    name: ChannelName,
    captures: Captures,
    /// The number of the generation that handles it.
    version: u64,
    state: State,
    /// The newest listener that was shown its state.
    seen_by: u64,
    /// The room's own: what shares its store is not paused with it.
    health: Health,
    /// Departures that it has not taken yet, in their order. They come before any other job.
    pub(super) owed: VecDeque<Owed<T>>,
    /// A [`Work::Retry`] is on its way.
    pub(super) retrying: bool,
    pub(super) queue: Weak<Queue<T>>,
}

enum State {
    /// Not opened yet, or lost with its store.
    Closed,
    Open(Opened),
    /// Saved and dropped: opened from this with its next job.
    Asleep(Box<[u8]>),
}

impl<T> Room<T> {
    fn open(&self) -> Option<Opened> {
        match self.state {
            State::Open(opened) => Some(opened),
            State::Closed | State::Asleep(_) => None,
        }
    }

    /// What lived in a store that has ended since is lost.
    fn catch_up(&mut self, version: &Version) {
        if self.open().is_some_and(|opened| !version.has(opened)) {
            (self.state, self.seen_by) = (State::Closed, 0);
        }
    }
}

/// Channels that share a store share its worker. After a reload there may be two stores: that of
/// the new version, and that of the one before it for the channels that the new one refuses.
pub struct Runner<S: ActorSink> {
    pub(super) sink: Rc<S>,
    versions: Vec<Version>,
    pub(super) rooms: BTreeMap<u32, Room<S::Ticket>>,
    _own: Option<OwnStore>,
}

impl<S: ActorSink> Runner<S> {
    pub fn new(sink: Rc<S>, own: Option<OwnStore>) -> Self {
        Self { sink, versions: Vec::new(), rooms: BTreeMap::new(), _own: own }
    }

    /// Until it is dropped, with its store.
    pub async fn run(mut self, worker: Weak<Worker<S>>, mailbox: Rc<Mailbox<S::Ticket>>) {
        loop {
            let Some(work) = mailbox.next() else {
                until_asked_again().await;
                continue;
            };
            match work {
                Work::Job { channel, job: Job::Unsubscribe { who, why }, ticket, .. } => {
                    self.owe(channel, who, why, ticket, &worker).await;
                }
                Work::Job { channel, job, trace, ticket } => {
                    self.settle(channel, &worker).await;
                    let answer = pin!(self.take(channel, &job, trace)).await;
                    self.sink.decided(ticket, answer);
                }
                Work::Swap { channel, generation, captures } => {
                    self.swap(channel, &generation, captures).await;
                }
                Work::Enter { channel, name, generation, captures, queue } => {
                    self.know(&generation).rooms += 1;
                    let (version, state, health) = (generation.number, State::Closed, Health::default());
                    let (owed, retrying) = (VecDeque::new(), false);
                    let room =
                        Room { name, captures, version, state, seen_by: 0, health, owed, retrying, queue };
                    self.rooms.insert(channel, room);
                }
                Work::Retry { channel } => {
                    if let Some(room) = self.rooms.get_mut(&channel) {
                        room.retrying = false;
                    }
                    self.settle(channel, &worker).await;
                }
                Work::Hibernate { channel } => self.hibernate(channel).await,
                Work::Leave { channel } => self.leave(channel).await,
            }
            if mailbox.pauses() {
                until_asked_again().await;
            }
        }
    }

    fn know(&mut self, generation: &Arc<Generation>) -> &mut Version {
        let known = self.versions.iter().position(|version| version.generation.number == generation.number);
        let at = known.unwrap_or_else(|| {
            self.versions.push(Version::new(generation));
            self.versions.len() - 1
        });
        &mut self.versions[at]
    }

    /// A channel, as it is now.
    fn room(&mut self, channel: u32) -> Option<&mut Room<S::Ticket>> {
        let room = self.rooms.get_mut(&channel)?;
        if let Some(version) = find(&mut self.versions, room.version) {
            room.catch_up(version);
        }
        Some(room)
    }

    /// Lets go of the versions that no channel is handled by any more, and their stores.
    fn prune(&mut self) {
        self.versions.retain(|version| version.rooms > 0);
    }

    /// Whatever lived in the store is gone with it, and opened anew with its next job.
    fn end_store(&mut self, number: u64) {
        if let Some(version) = find(&mut self.versions, number) {
            version.end_store();
        }
    }

    /// Something went wrong in the store.
    fn failed(&mut self, number: u64, failure: &PluginFailure, doing: &str) {
        if let Some(version) = find(&mut self.versions, number) {
            version.generation.note(failure, doing);
        }
        self.end_store(number);
    }

    async fn leave(&mut self, channel: u32) {
        let Some(room) = self.rooms.remove(&channel) else { return };
        let closed = || PluginFailure::Other("the channel is closed".into());
        let (version, opened) = (room.version, room.open());
        if let Some(version) = find(&mut self.versions, version) {
            version.rooms -= 1;
            if version.generation.taps.newest().is_some() {
                version.generation.taps.tell_until(u64::MAX, &Observed::Left(room.name));
            }
        }
        room.owed.into_iter().for_each(|owed| self.sink.decided(owed.ticket, Err(closed())));
        self.close(version, opened).await;
        self.prune();
    }

    async fn close(&mut self, number: u64, opened: Option<Opened>) {
        let (Some(version), Some(opened)) = (find(&mut self.versions, number), opened) else { return };
        if let Err(failure) = version.close(opened).await {
            self.failed(number, &failure, "closing a channel");
        }
    }

    // === jobs ===

    pub(super) async fn take(
        &mut self,
        channel: u32,
        job: &Job,
        trace: Option<TraceParent>,
    ) -> Result<Answer, PluginFailure> {
        // Pinned here and below: a future that is awaited by value is moved first, and a call's is large.
        let answer = pin!(self.call(channel, job, trace)).await;
        if let Err(failure) = &answer
            && !is_an_answer(failure)
            && let Some(room) = self.rooms.get_mut(&channel)
        {
            let pauses = room.health.failed(Instant::now()).is_some();
            // What it goes on from is not what whoever listens has seen.
            room.seen_by = 0;
            let (number, doing) = (room.version, format!("handling {}", room.name));
            let culprit = pauses.then(|| Culprit::of(room.name.as_str()));
            match (failure, find(&mut self.versions, number)) {
                // By the version that has saved it. The store is well; the channel begins anew.
                (PluginFailure::SnapshotRefused(_), Some(version)) => {
                    version.generation.note(failure, &doing);
                }
                _ => self.failed(number, failure, &doing),
            }
            // After the failure itself, so that both are of one minute.
            if let (Some(culprit), Some(version)) = (culprit, find(&mut self.versions, number)) {
                version.generation.conduct.paused(culprit);
            }
        }
        answer
    }

    async fn call(
        &mut self,
        channel: u32,
        job: &Job,
        trace: Option<TraceParent>,
    ) -> Result<Answer, PluginFailure> {
        let closed = || PluginFailure::Other("the channel is closed".into());
        let room = self.rooms.get_mut(&channel).ok_or_else(closed)?;
        let version = find(&mut self.versions, room.version).ok_or_else(closed)?;
        version.generation.conduct.check()?;
        room.health.check(Instant::now)?;
        room.catch_up(version);
        if version.generation.taps.newest().is_some() {
            return Box::pin(self.call_observed(channel, job, trace)).await;
        }
        let answer = pin!(Self::call_room(room, version, job, trace)).await?;
        Ok(without_figures(version, answer))
    }

    /// The same, for those who listen: with the state that the channel had when they began.
    async fn call_observed(
        &mut self,
        channel: u32,
        job: &Job,
        trace: Option<TraceParent>,
    ) -> Result<Answer, PluginFailure> {
        let closed = || PluginFailure::Other("the channel is closed".into());
        let newest = |this: &Self| {
            let room = this.rooms.get(&channel)?;
            let version = this.versions.iter().find(|of| of.generation.number == room.version)?;
            version.generation.taps.newest().filter(|newest| room.seen_by < *newest)
        };
        let (mut snapshot, mut begins) = (None, false);
        if let Some(newest) = newest(self) {
            begins = true;
            // What cannot be had is not shown.
            let saved = self.save(channel).await.ok().flatten();
            if let Some(room) = self.room(channel) {
                room.seen_by = newest;
                snapshot = match &room.state {
                    State::Asleep(snapshot) => Some(snapshot.to_vec()),
                    State::Open(_) | State::Closed => saved.map(Vec::from),
                };
            }
        }
        let room = self.rooms.get_mut(&channel).ok_or_else(closed)?;
        let version = find(&mut self.versions, room.version).ok_or_else(closed)?;
        let answer = Self::call_room(room, version, job, trace).await;
        let captures = Some(room.captures.clone());
        let call = Call::Handle { channel: room.name.clone(), captures, snapshot, job: job.clone() };
        let said = answer.as_ref().map(said::answer).map_err(tap::failed);
        let called = Arc::new(Called { call, said, begins });
        version.generation.taps.tell_until(room.seen_by, &Observed::Called(called));
        Ok(without_figures(version, answer?))
    }

    async fn call_room(
        room: &mut Room<S::Ticket>,
        version: &mut Version,
        job: &Job,
        trace: Option<TraceParent>,
    ) -> Result<Answer, PluginFailure> {
        version.generation.conduct.called();
        let opened = match room.open() {
            Some(opened) => opened,
            None => {
                // A snapshot that does not open is not tried for ever.
                let snapshot = match std::mem::replace(&mut room.state, State::Closed) {
                    State::Asleep(snapshot) => Some(snapshot),
                    State::Closed | State::Open(_) => None,
                };
                let opened = version.open(&room.name, &room.captures, snapshot.as_deref()).await?;
                room.state = State::Open(opened);
                opened
            }
        };
        pin!(version.call(opened, job, &room.name, trace)).await
    }

    // === state ===

    /// What an open channel wants kept. `Err`: it cannot be had, and the channel is as it was;
    /// where saving cost the store, the channel is closed instead, and nothing is kept.
    async fn save(&mut self, channel: u32) -> Result<Option<Box<[u8]>>, PluginFailure> {
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
    async fn hibernate(&mut self, channel: u32) {
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

    /// Moves a channel to another version, with its state. One that does not go on from it does
    /// not get the channel: the version before goes on.
    async fn swap(&mut self, channel: u32, generation: &Arc<Generation>, captures: Captures) {
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

/// The plugin's own figures are kept where they are counted; the rest is for the server.
fn without_figures(version: &Version, mut answer: Answer) -> Answer {
    if let Some(effects) = answer.effects_mut() {
        version.generation.take_figures(effects);
    }
    answer
}

/// Who polls again has work.
async fn until_asked_again() {
    let mut asked = false;
    std::future::poll_fn(
        |_| if std::mem::replace(&mut asked, true) { Poll::Ready(()) } else { Poll::Pending },
    )
    .await;
}

/// Refusals to open and pauses are no faults.
fn is_an_answer(failure: &PluginFailure) -> bool {
    use PluginFailure::{OpenRefused, Paused, Quarantined};
    matches!(failure, OpenRefused(_) | Paused { .. } | Quarantined)
}

fn find(versions: &mut [Version], number: u64) -> Option<&mut Version> {
    versions.iter_mut().find(|version| version.generation.number == number)
}
