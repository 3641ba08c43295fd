//! One version of a plugin in one store, and what is asked of the channels in it.

use std::pin::pin;
use std::sync::Arc;

use wasmtime::component::ResourceAny;

use super::{Answer, Departure, Job};
use crate::core::{Captures, ChannelName, Sender, TraceParent};
use crate::plugin::bindings::{channel_handler, types};
use crate::plugin::calls::Function;
use crate::plugin::effects::{Acceptance, Outcome, checked, effects};
use crate::plugin::failure::PluginFailure;
use crate::plugin::generation::{Generation, Live};
use crate::plugin::handler::Handler;
use crate::plugin::limits::{REASON_BYTES, SAVE_HOSTCALL_BYTES, SNAPSHOT_BYTES, line};
use crate::plugin::meter::Call;

pub struct Version {
    pub generation: Arc<Generation>,
    /// Made when first needed.
    live: Option<Live<Handler>>,
    /// How many stores have ended before this one.
    life: u64,
    /// Channels that live in the store.
    open: usize,
    /// Channels that it handles.
    pub rooms: usize,
}

/// A channel's resource in a version's store.
#[derive(Clone, Copy)]
pub struct Opened {
    resource: ResourceAny,
    life: u64,
}

fn trapped(error: wasmtime::Error) -> PluginFailure {
    PluginFailure::of_call(&error)
}

fn no_store() -> PluginFailure {
    PluginFailure::Other("the channel's store is gone".into())
}

impl Version {
    pub fn new(generation: &Arc<Generation>) -> Self {
        Self { generation: generation.clone(), live: None, life: 0, open: 0, rooms: 0 }
    }

    /// Whatever lives in the store is gone with it. Who lived there finds out by [`Version::has`].
    pub fn end_store(&mut self) {
        self.live = None;
        self.life += 1;
        self.open = 0;
    }

    /// Does it live yet?
    pub fn has(&self, opened: Opened) -> bool {
        opened.life == self.life
    }

    /// Nobody else lives there.
    pub fn has_only(&self, opened: Opened) -> bool {
        self.has(opened) && self.open == 1
    }

    /// # Errors
    /// [`PluginFailure::OpenRefused`], or [`PluginFailure::SnapshotRefused`] with a snapshot, leave
    /// the store as it was; after any other it must be ended.
    pub async fn open(
        &mut self,
        name: &ChannelName,
        captures: &Captures,
        snapshot: Option<&[u8]>,
    ) -> Result<Opened, PluginFailure> {
        let Self { generation, live, life, open, .. } = self;
        let live = match live {
            Some(live) => live,
            None => live.insert(generation.channel_handler().await?),
        };
        let captures = captures.pairs();
        let call = Call::of(Function::Open).about(name);
        let clock = live.meter.arm(&mut live.store, call, generation.limits.open_ms);
        let handler = live.guest.channel();
        let opened = pin!(handler.call_open(&mut live.store, name.as_str(), &captures, snapshot));
        let resource = clock.watch(opened).await.map_err(trapped)?.map_err(|reason| {
            let reason = line(reason, REASON_BYTES);
            match snapshot {
                Some(_) => PluginFailure::SnapshotRefused(reason),
                None => PluginFailure::OpenRefused(reason),
            }
        })?;
        *open += 1;
        Ok(Opened { resource, life: *life })
    }

    /// # Errors
    /// [`PluginFailure::BadOutput`] leaves the store as it was; after any other it must be ended.
    pub async fn save(&mut self, opened: Opened) -> Result<Option<Box<[u8]>>, PluginFailure> {
        let live = reach(&mut self.live, self.life, opened).ok_or_else(no_store)?;
        let limits = &self.generation.limits;
        let clock = live.meter.arm(&mut live.store, Call::of(Function::Save), limits.open_ms);
        live.store.set_hostcall_fuel(limits.hostcall_bytes.max(SAVE_HOSTCALL_BYTES));
        let handler = live.guest.channel();
        let saved = clock.watch(pin!(handler.call_save(&mut live.store, opened.resource))).await;
        live.store.set_hostcall_fuel(limits.hostcall_bytes);
        match saved.map_err(trapped)? {
            Some(snapshot) if snapshot.len() > SNAPSHOT_BYTES => {
                let bytes = snapshot.len();
                let why = format!("a snapshot of {bytes} bytes; at most {SNAPSHOT_BYTES} are allowed");
                let failure = PluginFailure::BadOutput(why);
                live.meter.refused(Function::Save, &failure);
                Err(failure)
            }
            saved => Ok(saved.map(Vec::into_boxed_slice)),
        }
    }

    /// # Errors
    /// After any the store must be ended.
    pub async fn close(&mut self, opened: Opened) -> Result<(), PluginFailure> {
        let Some(live) = reach(&mut self.live, self.life, opened) else { return Ok(()) };
        self.open -= 1;
        let clock =
            live.meter.arm(&mut live.store, Call::of(Function::Close), self.generation.limits.call_ms);
        clock.watch(pin!(opened.resource.resource_drop_async(&mut live.store))).await.map_err(trapped)
    }

    /// `channel` is the one opened, `trace` that of the request that the job is of.
    ///
    /// # Errors
    /// After any the store must be ended.
    pub async fn call(
        &mut self,
        opened: Opened,
        job: &Job,
        channel: &ChannelName,
        trace: Option<TraceParent>,
    ) -> Result<Answer, PluginFailure> {
        let answer = pin!(self.ask(opened, job, channel, trace)).await;
        if let (Err(failure @ PluginFailure::BadOutput(_)), Some(live)) = (&answer, &self.live) {
            live.meter.refused(job.function(), failure);
        }
        answer
    }

    async fn ask(
        &mut self,
        opened: Opened,
        job: &Job,
        channel: &ChannelName,
        trace: Option<TraceParent>,
    ) -> Result<Answer, PluginFailure> {
        let limits = &self.generation.limits;
        let live = reach(&mut self.live, self.life, opened).ok_or_else(no_store)?;
        let (resource, bytes) = (opened.resource, limits.payload_bytes);
        let call = Call::of(job.function()).about(channel).by(job.client()).traced(trace);
        let clock = live.meter.arm(&mut live.store, call, limits.call_ms);
        let handler = live.guest.channel();
        match job {
            Job::Publish { sender, event, payload, at } => {
                let message = channel_handler::Message {
                    sender: sender.as_ref().map(caller),
                    event: name(event)?,
                    kind: payload.kind.into(),
                    payload: &payload.bytes,
                    at_ms: at.0,
                };
                let straight = live.guest.on_publish().filter(|_| live.store.data_mut().goes_straight());
                let outcome = match straight {
                    Some(on_publish) => clock.done(on_publish.call(&mut live.store, resource, message)),
                    None => {
                        let called = pin!(handler.call_on_publish(&mut live.store, resource, message));
                        clock.watch(called).await
                    }
                };
                live.store.data().has_ended();
                let outcome = outcome.map_err(trapped)?;
                let kind = payload.kind;
                let outcome = checked(outcome, move |outcome| Outcome::check(outcome, kind, bytes)).await?;
                Ok(Answer::Published(outcome))
            }
            Job::Subscribe { who, params, respond } => {
                let (who, params) = (caller(who), params.as_deref());
                let called =
                    pin!(handler.call_on_subscribe(&mut live.store, resource, who, params, *respond));
                let answer = match clock.watch(called).await.map_err(trapped)? {
                    Ok(acceptance) => {
                        Ok(checked(acceptance, move |acceptance| Acceptance::check(acceptance, bytes))
                            .await?)
                    }
                    Err(denial) => Err(denial.into()),
                };
                Ok(Answer::Subscribed(answer))
            }
            Job::Unsubscribe { who, why } => {
                let called =
                    pin!(handler.call_on_unsubscribe(&mut live.store, resource, caller(who), (*why).into()));
                let list = clock.watch(called).await.map_err(trapped)?;
                checked(list, move |list| effects(list, bytes)).await.map(Answer::Unsubscribed)
            }
            Job::Timer { id } => {
                let called = pin!(handler.call_on_timer(&mut live.store, resource, *id));
                let list = clock.watch(called).await.map_err(trapped)?;
                checked(list, move |list| effects(list, bytes)).await.map(Answer::Timer)
            }
        }
    }
}

/// None: the store that the channel lived in is gone.
fn reach(live: &mut Option<Live<Handler>>, life: u64, opened: Opened) -> Option<&mut Live<Handler>> {
    live.as_mut().filter(|_| life == opened.life)
}

impl From<Departure> for channel_handler::Departure {
    fn from(why: Departure) -> Self {
        match why {
            Departure::Left => Self::Left,
            Departure::Disconnected => Self::Disconnected,
            Departure::Expired => Self::Expired,
            Departure::Removed => Self::Removed,
        }
    }
}

fn caller(sender: &Sender) -> types::Caller<'_> {
    types::Caller { client: sender.client.0, user: sender.user.as_str() }
}

/// Of an event, which is empty for none.
fn name(event: &[u8]) -> Result<Option<&str>, PluginFailure> {
    let name = std::str::from_utf8(event)
        .map_err(|_| PluginFailure::Other("the event's name is not UTF-8".into()))?;
    Ok((!name.is_empty()).then_some(name))
}
