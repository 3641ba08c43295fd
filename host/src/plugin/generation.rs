//! One version of one plugin, compiled and checked: what its file became.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use wasmtime::Store;
use wasmtime::component::InstancePre;

use super::bindings::{actions, auth, filter};
use super::calls::Function;
use super::conduct::Conduct;
use super::effects::Effect;
use super::failure::PluginFailure;
use super::grants::Grants;
use super::handler::{Handler, HandlerIndices};
use super::host::PluginSettings;
use super::interrupts::Interrupts;
use super::lasting::Lasting;
use super::limits::PluginLimits;
use super::log_budget::LogBudget;
use super::meter::{Call, Clock, Meter, arm};
use super::offline::{self, Recording};
use super::quick::Quick;
use super::reads::Reads;
use super::store::{Owner, StoreData, new_store};
use super::tap::{Said, Taps};
use crate::core::clock::UnixMillis;
use crate::core::{Pattern, PluginName};

/// Imports whose functions may wait: WASI's timers, and other shards' answers.
const WAITING: [&str; 4] =
    ["wasi:io/", "tidegate:plugin/presence@", "tidegate:plugin/history@", "tidegate:plugin/groups@"];

pub(super) fn waits(imports: &[String]) -> bool {
    imports.iter().any(|import| WAITING.iter().any(|begin| import.starts_with(begin)))
}

/// Lines of the log about what fails: who asks a plugin for what fails must not fill the disk.
pub(super) const FAILURES_A_SECOND: u32 = 20;

/// What a component can do: the interfaces it exports, looked up once.
#[derive(Clone, Default)]
pub struct Capabilities {
    pub(super) channel_handler: Option<HandlerIndices>,
    pub(super) auth: Option<auth::GuestIndices>,
    pub(super) filter: Option<filter::GuestIndices>,
    pub(super) actions: Option<actions::GuestIndices>,
    pub(super) info: bool,
}

impl Capabilities {
    pub fn names(&self) -> Vec<&'static str> {
        let has = [
            ("auth", self.auth.is_some()),
            ("channel-handler", self.channel_handler.is_some()),
            ("filter", self.filter.is_some()),
            ("actions", self.actions.is_some()),
            ("info", self.info),
        ];
        has.into_iter().filter_map(|(name, is)| is.then_some(name)).collect()
    }
}

/// Failures of one generation, for people to see.
#[derive(Clone, Debug, Default)]
pub struct Failures {
    pub by_class: BTreeMap<&'static str, u64>,
    pub last: Option<String>,
}

pub struct Generation {
    pub name: PluginName,
    /// Grows with every load in this process.
    pub number: u64,
    /// Of the file, in hexadecimal.
    pub sha256: String,
    pub version: String,
    pub summary: String,
    pub file: PathBuf,
    pub size: u64,
    pub capabilities: Capabilities,
    pub imports: Vec<String>,
    pub actions: Vec<String>,
    pub routes: Vec<Pattern>,
    pub limits: PluginLimits,
    /// Channels of a shard that have a store of their own.
    pub stores: usize,
    /// Seconds without a call after which a channel is saved and dropped.
    pub hibernate_after: u32,
    /// That a user whose connection has ended has to come back to a channel.
    pub leave_grace: Option<Duration>,
    pub loaded_at: UnixMillis,
    pub compile_ms: f64,
    pub(super) settings: Arc<BTreeMap<String, String>>,
    /// All that the operator says of it.
    pub(super) configured: Box<PluginSettings>,
    pub(super) grants: Arc<Grants>,
    pub(super) lasting: Arc<Lasting>,
    pub(super) interrupts: Arc<Interrupts>,
    pub(super) reads: Reads,
    pub(super) pre: InstancePre<StoreData>,
    /// Stores of single channels in the whole process.
    pub(super) own_stores: Arc<AtomicUsize>,
    /// Of an offline engine: see there.
    pub(super) recording: Option<Recording>,
    /// Written when something fails, read by the report: never on the way of a message.
    pub(super) failures: Mutex<Failures>,
    pub(super) failures_log: Mutex<LogBudget>,
    pub(super) conduct: Conduct,
    pub(super) quick: Arc<Quick>,
    /// Shared by the plugin's versions.
    pub(super) taps: Arc<Taps>,
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} (generation {})", self.name, self.version, self.number)
    }
}

/// A store with one instance in it, and the interface that it is used for.
pub struct Live<G> {
    pub store: Store<StoreData>,
    pub guest: G,
    pub meter: Meter,
}

impl<G> Live<G> {
    /// Gives the next call so many milliseconds, without counting it: [`Meter::arm`] counts.
    pub fn arm(&mut self, ms: u64) -> Clock<'static> {
        arm(&mut self.store, ms)
    }
}

impl Generation {
    pub(super) fn owner(&self) -> Owner {
        Owner {
            plugin: self.name.to_string(),
            version: self.version.clone(),
            settings: self.settings.clone(),
            grants: self.grants.clone(),
            lasting: self.lasting.clone(),
            interrupts: self.interrupts.clone(),
            reads: self.reads.of_this_shard(),
            recording: self.recording.clone(),
            waits: waits(&self.imports),
            quick: self.quick.clone(),
        }
    }

    async fn instantiate<G>(
        &self,
        load: impl FnOnce(&mut Store<StoreData>, &wasmtime::component::Instance) -> Option<wasmtime::Result<G>>,
    ) -> Result<Live<G>, PluginFailure> {
        let mut store = new_store(self.pre.engine(), self.owner(), &self.limits);
        let meter = Meter::new(&self.lasting, &store);
        let clock = meter.arm(&mut store, Call::of(Function::Start), self.limits.instantiate_ms);
        let instance = clock
            .watch(pin!(self.pre.instantiate_async(&mut store)))
            .await
            .map_err(|e| PluginFailure::from_wasmtime(&e))?;
        let guest = load(&mut store, &instance)
            .ok_or_else(|| PluginFailure::Other("it does not export this interface".into()))?
            .map_err(|e| PluginFailure::from_wasmtime(&e))?;
        Ok(Live { store, guest, meter })
    }

    pub(super) async fn channel_handler(&self) -> Result<Live<Handler>, PluginFailure> {
        self.instantiate(|s, i| self.capabilities.channel_handler.as_ref().map(|x| x.load(s, i))).await
    }

    pub(super) async fn auth(&self) -> Result<Live<auth::Guest>, PluginFailure> {
        self.instantiate(|s, i| self.capabilities.auth.as_ref().map(|x| x.load(s, i))).await
    }

    pub(super) async fn filter(&self) -> Result<Live<filter::Guest>, PluginFailure> {
        let filter = self.instantiate(|s, i| self.capabilities.filter.as_ref().map(|x| x.load(s, i))).await;
        filter.map(|mut live| {
            live.store.data_mut().is_filter = true;
            live
        })
    }

    pub(super) async fn actions(&self) -> Result<Live<actions::Guest>, PluginFailure> {
        self.instantiate(|s, i| self.capabilities.actions.as_ref().map(|x| x.load(s, i))).await
    }

    /// For those who listen to the plugin's calls; where nobody does, nothing is made of it.
    pub(super) fn tell(&self, told: impl FnOnce() -> (offline::Call, Said)) {
        if self.taps.newest().is_some() {
            let (call, said) = told();
            self.taps.tell(call, said);
        }
    }

    /// Puts the figures among a call's effects where they are kept; the rest is for the server.
    pub(super) fn take_figures(&self, effects: &mut Vec<Effect>) {
        self.lasting.figures.take(self.name.as_str(), effects);
    }

    /// Counts a failure and says it in the log, [`FAILURES_A_SECOND`] at most. `doing` is for people: "handling chat:lobby".
    pub(super) fn note(&self, failure: &PluginFailure, doing: &str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        *failures.by_class.entry(failure.class()).or_default() += 1;
        failures.last = Some(format!("{doing}: {failure}"));
        drop(failures);
        let (allowed, left_out) =
            self.failures_log.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        if left_out > 0 {
            tracing::warn!(plugin = %self.name, version = self.version, generation = self.number,
                "{left_out} more of its failures were left out here; /api/plugins and /metrics count all");
        }
        if allowed {
            tracing::warn!(plugin = %self.name, version = self.version, generation = self.number,
                "the plugin failed {doing}: {failure}");
        }
        if let Some(pause) = self.conduct.failed(failure, Instant::now()) {
            tracing::warn!(plugin = %self.name, version = self.version, generation = self.number,
                "it pauses as a whole for {} ms: too many of its calls had to be ended", pause.as_millis());
        }
    }
}
