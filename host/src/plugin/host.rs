//! The plugin host as the rest of the process sees it: its settings, the registry in use, and
//! what it reports. Its thread is the [`Keeper`]'s.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::oneshot;

use super::at_work::AtWork;
use super::engine::PluginEngine;
use super::generation::Generation;
use super::grants::GrantSettings;
use super::keeper::Keeper;
use super::key_values::StoreBounds;
use super::lasting::AllLasting;
use super::limits::PluginLimits;
use super::orders::{Done, Order, OrderError, Want};
use super::reads::{Reader, Reads};
use super::registry::Registry;
use super::report::{
    CanaryReport, FileError, Loaded, PluginReport, PluginState, PluginsReport, Quarantine, RolledBack,
    ShadowReport, Swap, Version,
};
use super::saved::SavedStore;
use super::shadow::Shadow;
use super::tap::{Tap, Taps};
use super::trial::{Trial, TrialSettings};
use super::watcher::Note;
use crate::core::clock::UnixMillis;
use crate::core::{Pattern, PluginName};

/// What the operator says of one plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginSettings {
    /// Instead of the plugin's own.
    pub channels: Option<Vec<Pattern>>,
    pub config: BTreeMap<String, String>,
    /// Among the handlers of a channel: lower ones are asked first.
    pub order: i32,
    pub limits: PluginLimits,
    pub grants: GrantSettings,
    /// Channels with a store of their own, a shard; each store takes about four of the
    /// 65,530 memory mappings that Linux gives a process. None: what suits the component's size.
    pub stores: Option<usize>,
    /// Seconds without a call after which a channel is saved and dropped, if it can be.
    pub hibernate_after: u32,
    /// New versions get a share first. None: all at once.
    pub trial: Option<TrialSettings>,
    /// The SHA-256 in hexadecimal of the one file that may be loaded.
    pub pin: Option<String>,
    /// At least so many of its calls in a hundred fail before a plugin is taken for broken.
    pub quarantine_percent: u8,
    /// A version that is broken while younger than this is replaced by the one before.
    pub rollback_within: Duration,
    /// That a user whose connection has ended has to come back; none: no time.
    pub leave_grace: Option<Duration>,
    /// What it may keep by key, in the whole process.
    pub key_values: StoreBounds,
}

impl Default for PluginSettings {
    fn default() -> Self {
        Self {
            channels: None,
            config: BTreeMap::new(),
            order: 0,
            limits: PluginLimits::default(),
            grants: GrantSettings::default(),
            stores: None,
            hibernate_after: 300,
            trial: None,
            pin: None,
            quarantine_percent: 10,
            rollback_within: Duration::from_secs(600),
            leave_grace: None,
            key_values: StoreBounds::default(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct PluginsConfig {
    pub dir: PathBuf,
    /// None: what is compiled is not kept.
    pub cache_dir: Option<PathBuf>,
    pub plugins: BTreeMap<String, PluginSettings>,
}

pub type OnChange = Box<dyn Fn(Arc<Registry>) + Send + Sync>;

/// What the host's thread and the rest of the process share. None of it is on a message's way.
#[derive(Default)]
pub struct Shared {
    pub lasting: Arc<AllLasting>,
    pub registry: Mutex<Arc<Registry>>,
    pub on_change: Mutex<Option<OnChange>>,
    pub told: Mutex<Told>,
    pub taps: Mutex<BTreeMap<PluginName, Arc<Taps>>>,
}

/// What the report adds to the registry.
#[derive(Default)]
pub struct Told {
    pub swaps: BTreeMap<PluginName, Swap>,
    pub errors: BTreeMap<PluginName, FileError>,
    pub retired: BTreeMap<PluginName, Loaded>,
    pub ignored: BTreeMap<PathBuf, FileError>,
    pub trials: BTreeMap<PluginName, Trial>,
    /// One a plugin, with its compiled code.
    pub previous: BTreeMap<PluginName, Arc<Generation>>,
    /// What the plugin's file is, but not in use any more.
    pub rolled_back: BTreeMap<PluginName, RolledBack>,
    pub quarantined: BTreeMap<PluginName, Quarantine>,
    pub shadows: BTreeMap<PluginName, Shadow>,
}

pub fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub struct PluginHost {
    shared: Arc<Shared>,
    notes: mpsc::Sender<Note>,
    reads: Reads,
}

/// The thread ends with the host. Its watcher has a sender too, so silence does not tell it.
impl Drop for PluginHost {
    fn drop(&mut self) {
        // The thread may have ended by itself.
        let _ = self.notes.send(Note::End);
    }
}

impl PluginHost {
    /// Loads what lies in the folder, and watches it from then on. A broken file is told of,
    /// never fatal.
    pub fn start(config: PluginsConfig) -> Result<Self> {
        let engine = PluginEngine::new(config.cache_dir.as_deref())?;
        let shared = Arc::new(Shared { lasting: engine.lasting.clone(), ..Shared::default() });
        let reads = engine.reads.clone();
        let (notes, inbox) = mpsc::channel();
        let mut keeper = Keeper::new(engine, config, shared.clone(), &notes)?;
        let (ready, looked) = mpsc::channel();
        std::thread::Builder::new()
            .name("plugin-host".into())
            .spawn(move || {
                keeper.first_look();
                // Whoever started it may have given up.
                let _ = ready.send(());
                keeper.run(inbox);
            })
            .context("cannot start the plugin host's thread")?;
        looked.recv().context("the plugin host's thread has ended")?;
        Ok(Self { shared, notes, reads })
    }

    /// Who answers what plugins ask of the server. Only the first counts.
    pub fn read_by(&self, reader: Arc<dyn Reader>) {
        self.reads.answer_by(reader);
    }

    /// What plugins keep by key, for the server after this one; `at` is now.
    pub fn saved_stores(&self, at: UnixMillis) -> Vec<SavedStore> {
        self.shared.lasting.saved(at)
    }

    /// What the server before this one had of it: before anybody calls a plugin.
    pub fn restore_stores(&self, stores: Vec<SavedStore>) {
        self.shared.lasting.restore(stores);
    }

    /// Hands the plugins new settings, without a restart. What comes of it is in the log and the report.
    pub fn reconfigure(&self, plugins: BTreeMap<String, PluginSettings>) {
        // The thread is there as long as this is.
        let _ = self.notes.send(Note::Settings(plugins));
    }

    pub fn registry(&self) -> Arc<Registry> {
        lock(&self.shared.registry).clone()
    }

    /// Called from the host's thread with each new registry, and at once with the present one.
    /// It should return when the registry is in use everywhere: that is what a swap's time tells.
    pub fn on_change(&self, call: impl Fn(Arc<Registry>) + Send + Sync + 'static) {
        // Held meanwhile, so that no registry comes between the two.
        let mut on_change = lock(&self.shared.on_change);
        call(self.registry());
        *on_change = Some(Box::new(call));
    }

    /// Does what an operator wants, when what is under way is done.
    pub async fn order(&self, plugin: PluginName, want: Want) -> Result<Done, OrderError> {
        let (answer, answered) = oneshot::channel();
        let sent = self.notes.send(Note::Order(Order { plugin, want, answer }));
        sent.map_err(|_| OrderError::Gone)?;
        answered.await.map_err(|_| OrderError::Gone)?
    }

    /// The plugin's calls from now on, and the version that is in use; none: there is no such plugin.
    pub fn listen(&self, name: &str) -> Option<(Tap, Arc<Generation>)> {
        let name = PluginName::parse(name)?;
        let generation = self.registry().plugin(&name)?.clone();
        Some((generation.taps.listen(), generation))
    }

    pub fn report(&self) -> PluginsReport {
        let registry = self.registry();
        let told = lock(&self.shared.told);
        let mut plugins: BTreeMap<PluginName, PluginReport> = BTreeMap::new();
        let report = |name: &PluginName, state, loaded| PluginReport {
            name: name.to_string(),
            state,
            loaded,
            swap: told.swaps.get(name).cloned(),
            error: told.errors.get(name).cloned(),
            canary: told.trials.get(name).map(CanaryReport::of),
            previous: told.previous.get(name).map(|previous| Version::of(previous)),
            rolled_back: told.rolled_back.get(name).cloned(),
            quarantine: told.quarantined.get(name).cloned(),
            shadow: told.shadows.get(name).map(ShadowReport::of),
            at_work: self.shared.lasting.find(name).map(|lasting| AtWork::of(&lasting.seen())),
        };
        for generation in registry.plugins() {
            let name = &generation.name;
            let state = match () {
                () if told.quarantined.contains_key(name) => PluginState::Quarantined,
                () if told.errors.contains_key(name) => PluginState::ActiveNewerRefused,
                () if told.rolled_back.contains_key(name) => PluginState::RolledBack,
                () => PluginState::Active,
            };
            let loaded = Some(Loaded::of(generation));
            plugins.insert(generation.name.clone(), report(&generation.name, state, loaded));
        }
        for (name, loaded) in &told.retired {
            let retired = || report(name, PluginState::Retired, Some(loaded.clone()));
            plugins.entry(name.clone()).or_insert_with(retired);
        }
        for name in told.errors.keys() {
            plugins.entry(name.clone()).or_insert_with(|| report(name, PluginState::Refused, None));
        }
        let mut ignored: Vec<FileError> = told.ignored.values().cloned().collect();
        let alone = told.shadows.iter().filter(|of| !plugins.contains_key(of.0));
        ignored.extend(alone.map(|(name, shadow)| shadow.without(name)));
        PluginsReport { plugins: plugins.into_values().collect(), ignored }
    }
}
