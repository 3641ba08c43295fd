//! What a store's worker does: its channels' jobs in their order, and what becomes of the channels.

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
    pub name: ChannelName,
    pub captures: Captures,
    /// The number of the generation that handles it.
    pub version: u64,
    pub state: State,
    /// The newest listener that was shown its state.
    pub seen_by: u64,
    /// The room's own: what shares its store is not paused with it.
    pub health: Health,
    /// Departures that it has not taken yet, in their order. They come before any other job.
    pub owed: VecDeque<Owed<T>>,
    /// A [`Work::Retry`] is on its way.
    pub retrying: bool,
    pub queue: Weak<Queue<T>>,
}

pub(super) enum State {
    /// Not opened yet, or lost with its store.
    Closed,
    Open(Opened),
    /// Saved and dropped: opened from this with its next job.
    Asleep(Box<[u8]>),
}

impl<T> Room<T> {
    pub fn open(&self) -> Option<Opened> {
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
    pub(super) versions: Vec<Version>,
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
                Work::Restore { channel, snapshot } => {
                    if let Some(room) = self.rooms.get_mut(&channel) {
                        room.state = State::Asleep(snapshot);
                    }
                }
                Work::End { channel, last } => {
                    let snapshot = self.last_snapshot(channel).await;
                    // It is not closed: its memory ends with the process, and others' are saved sooner.
                    self.forget(channel);
                    if let Ok(snapshot) = snapshot {
                        // Who asked may have given up.
                        let _ = last.send(snapshot);
                    }
                }
                Work::Leave { channel } => self.leave(channel).await,
            }
            if mailbox.pauses() {
                until_asked_again().await;
            }
        }
    }

    pub(super) fn know(&mut self, generation: &Arc<Generation>) -> &mut Version {
        let known = self.versions.iter().position(|version| version.generation.number == generation.number);
        let at = known.unwrap_or_else(|| {
            self.versions.push(Version::new(generation));
            self.versions.len() - 1
        });
        &mut self.versions[at]
    }

    /// A channel, as it is now.
    pub(super) fn room(&mut self, channel: u32) -> Option<&mut Room<S::Ticket>> {
        let room = self.rooms.get_mut(&channel)?;
        if let Some(version) = find(&mut self.versions, room.version) {
            room.catch_up(version);
        }
        Some(room)
    }

    /// Lets go of the versions that no channel is handled by any more, and their stores.
    pub(super) fn prune(&mut self) {
        self.versions.retain(|version| version.rooms > 0);
    }

    /// Whatever lived in the store is gone with it, and opened anew with its next job.
    pub(super) fn end_store(&mut self, number: u64) {
        if let Some(version) = find(&mut self.versions, number) {
            version.end_store();
        }
    }

    /// Something went wrong in the store.
    pub(super) fn failed(&mut self, number: u64, failure: &PluginFailure, doing: &str) {
        if let Some(version) = find(&mut self.versions, number) {
            version.generation.note(failure, doing);
        }
        self.end_store(number);
    }

    async fn leave(&mut self, channel: u32) {
        let Some((version, opened)) = self.forget(channel) else { return };
        self.close(version, opened).await;
        self.prune();
    }

    /// A channel is none any more; what has to be closed yet.
    fn forget(&mut self, channel: u32) -> Option<(u64, Option<Opened>)> {
        let room = self.rooms.remove(&channel)?;
        let closed = || PluginFailure::Other("the channel is closed".into());
        let (version, opened) = (room.version, room.open());
        if let Some(version) = find(&mut self.versions, version) {
            version.rooms -= 1;
            if version.generation.taps.newest().is_some() {
                version.generation.taps.tell_until(u64::MAX, &Observed::Left(room.name));
            }
        }
        room.owed.into_iter().for_each(|owed| self.sink.decided(owed.ticket, Err(closed())));
        Some((version, opened))
    }

    pub(super) async fn close(&mut self, number: u64, opened: Option<Opened>) {
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
            self.failed(number, failure, &doing);
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
        let answer = pin!(Self::call_room(room, version, job, trace, &mut false)).await?;
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
        let mut begins_anew = false;
        let answer = Self::call_room(room, version, job, trace, &mut begins_anew).await;
        let snapshot = snapshot.filter(|_| !begins_anew);
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
        begins_anew: &mut bool,
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
                let opened = match version.open(&room.name, &room.captures, snapshot.as_deref()).await {
                    Err(refusal @ PluginFailure::SnapshotRefused(_)) => {
                        let doing = format!("waking {}, which begins anew", room.name);
                        version.generation.note(&refusal, &doing);
                        *begins_anew = true;
                        version.open(&room.name, &room.captures, None).await?
                    }
                    opened => opened?,
                };
                room.state = State::Open(opened);
                opened
            }
        };
        pin!(version.call(opened, job, &room.name, trace)).await
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

pub(super) fn find(versions: &mut [Version], number: u64) -> Option<&mut Version> {
    versions.iter_mut().find(|version| version.generation.number == number)
}
