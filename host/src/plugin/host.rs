//! The plugin host: one thread that watches the folder, loads what changes, and hands each
//! new registry to the shards.
//!
//! Events are hints: what counts is what lies in the folder when it has been quiet for a
//! moment. A file that does not parse may be half written, so it is looked at again before
//! anybody is told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::engine::PluginEngine;
use super::folder::{self, Found, Stamp};
use super::generation::Generation;
use super::key_values::StoreBounds;
use super::limits::{FILE_BYTES, PluginLimits};
use super::loader::{self, LoadError, Source, load, settings_of};
use super::registry::Registry;
use super::report::{FileError, Loaded, PluginReport, PluginState, PluginsReport, Swap, seconds};
use super::watcher::{Note, Watcher};
use crate::core::clock::UnixMillis;
use crate::core::{Pattern, PluginName};

/// Quiet after a writer has closed the file, or put it there whole by a rename.
const SETTLE_CLOSED: Duration = Duration::from_millis(20);
/// Quiet where nobody said that writing has ended.
const SETTLE_OPEN: Duration = Duration::from_millis(250);
/// A file that may be half written is tried again so often …
const RETRY: Duration = Duration::from_millis(250);
/// … and told of when it has not changed for so long.
const UNFINISHED: Duration = Duration::from_secs(1);
/// A rename-save passes a moment without a file.
const REMOVAL: Duration = Duration::from_secs(1);
/// For file systems whose changes cause no events.
const POLL: Duration = Duration::from_secs(2);

/// What the operator says of one plugin.
#[derive(Clone, Debug)]
pub struct PluginSettings {
    /// Instead of the plugin's own.
    pub channels: Option<Vec<Pattern>>,
    pub config: BTreeMap<String, String>,
    pub limits: PluginLimits,
    /// Channels with a store of their own, a shard; each store takes about four of the
    /// 65,530 memory mappings that Linux gives a process.
    pub stores: usize,
    /// Seconds without a call after which a channel is saved and dropped, if it can be.
    pub hibernate_after: u32,
    /// What it may keep by key, in the whole process.
    pub key_values: StoreBounds,
}

impl Default for PluginSettings {
    fn default() -> Self {
        Self {
            channels: None,
            config: BTreeMap::new(),
            limits: PluginLimits::default(),
            stores: 500,
            hibernate_after: 300,
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

type OnChange = Box<dyn Fn(Arc<Registry>) + Send + Sync>;

/// What the host's thread and the rest of the process share. None of it is on a message's way.
#[derive(Default)]
struct Shared {
    registry: Mutex<Arc<Registry>>,
    on_change: Mutex<Option<OnChange>>,
    told: Mutex<Told>,
}

/// What the report adds to the registry.
#[derive(Default)]
struct Told {
    swaps: BTreeMap<PluginName, Swap>,
    errors: BTreeMap<PluginName, FileError>,
    retired: BTreeMap<PluginName, Loaded>,
    ignored: BTreeMap<PathBuf, FileError>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub struct PluginHost {
    shared: Arc<Shared>,
    notes: mpsc::Sender<Note>,
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
        let shared = Arc::new(Shared::default());
        let (notes, inbox) = mpsc::channel();
        let watcher = Watcher::new(&config.dir, notes.clone());
        // For the timers of WASI: nothing else here waits for a runtime.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .context("cannot make the plugin host's runtime")?;
        let mut keeper =
            Keeper { engine, config, shared: shared.clone(), files: BTreeMap::new(), watcher, runtime };
        if !keeper.config.dir.is_dir() {
            tracing::warn!(
                "there is no plugin folder {}: it is looked for again every {} s",
                keeper.config.dir.display(),
                POLL.as_secs()
            );
        }
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
        Ok(Self { shared, notes })
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
        };
        for generation in registry.plugins() {
            let refused = told.errors.contains_key(&generation.name);
            let state = if refused { PluginState::ActiveNewerRefused } else { PluginState::Active };
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
        PluginsReport {
            plugins: plugins.into_values().collect(),
            ignored: told.ignored.values().cloned().collect(),
        }
    }
}

/// A file, as far as the host has followed it.
struct Followed {
    name: Option<PluginName>,
    stamp: Stamp,
    /// When its present form was first noticed, and when it last changed.
    noticed: Instant,
    changed: Instant,
    whole: bool,
    state: Follow,
    missing_since: Option<Instant>,
}

enum Follow {
    /// To be read at this time.
    Settling(Instant),
    /// Read: there is nothing to do until it changes.
    Done,
}

struct Keeper {
    engine: PluginEngine,
    config: PluginsConfig,
    shared: Arc<Shared>,
    files: BTreeMap<PathBuf, Followed>,
    watcher: Watcher,
    runtime: tokio::runtime::Runtime,
}

impl Keeper {
    /// At the start nobody waits for anything to settle: what is there is loaded.
    fn first_look(&mut self) {
        self.watcher.follow();
        self.look(Instant::now());
        for file in self.files.values_mut() {
            file.state = Follow::Settling(file.noticed);
        }
        self.work(Instant::now());
    }

    fn run(mut self, inbox: mpsc::Receiver<Note>) {
        let mut next_poll = Instant::now() + POLL;
        loop {
            let now = Instant::now();
            let wait = self.next_deadline().map_or(next_poll, |at| at.min(next_poll));
            match inbox.recv_timeout(wait.saturating_duration_since(now)) {
                Ok(note) => {
                    let now = Instant::now();
                    for note in std::iter::once(note).chain(inbox.try_iter()) {
                        match note {
                            Note::Hint { paths, whole } => self.take_hint(paths, whole, now),
                            Note::End => return,
                        }
                    }
                    self.look(now);
                }
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = Instant::now();
            if now >= next_poll {
                next_poll = now + POLL;
                self.watcher.follow();
                self.look(now);
            }
            self.work(now);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let settling = self.files.values().filter_map(|file| match file.state {
            Follow::Settling(at) => Some(at),
            Follow::Done => None,
        });
        let missing = self.files.values().filter_map(|file| file.missing_since.map(|at| at + REMOVAL));
        settling.chain(missing).min()
    }

    fn take_hint(&mut self, paths: Vec<PathBuf>, whole: bool, now: Instant) {
        for path in paths {
            if let Some(file) = self.files.get_mut(&path) {
                file.whole |= whole;
                if matches!(file.state, Follow::Done) {
                    file.noticed = now;
                }
                file.state = Follow::Settling(now + settle(file.whole));
            } else if whole && path.extension().is_some_and(|e| e == "wasm") {
                // New: `look` finds it; that it is whole is known already.
                if let Some(stamp) = folder::stamp(&path) {
                    self.files.insert(path, Followed::new(stamp, now, true));
                }
            }
        }
    }

    /// Compares the folder with what is known of it.
    fn look(&mut self, now: Instant) {
        let found = folder::scan(&self.config.dir);
        for (path, file) in &mut self.files {
            if !found.iter().any(|found| found.path == *path) {
                file.missing_since.get_or_insert(now);
                // Whatever hints have come of it: there is nothing to read.
                file.state = Follow::Done;
            }
        }
        lock(&self.shared.told).ignored.retain(|path, _| found.iter().any(|found| found.path == *path));
        for Found { path, stamp, name } in found {
            let name = match name {
                Ok(name) => name,
                Err(error) => {
                    self.ignore(path, &error);
                    continue;
                }
            };
            let file = self.files.entry(path).or_insert_with(|| Followed::new(stamp, now, false));
            file.name = Some(name);
            let was_missing = file.missing_since.take().is_some();
            if file.stamp != stamp || was_missing {
                if matches!(file.state, Follow::Done) {
                    file.noticed = now;
                }
                (file.stamp, file.changed) = (stamp, now);
                file.state = Follow::Settling(now + settle(file.whole));
            }
        }
    }

    /// Does what is due.
    fn work(&mut self, now: Instant) {
        let due = |file: &Followed| matches!(file.state, Follow::Settling(at) if at <= now);
        let paths: Vec<PathBuf> =
            self.files.iter().filter(|(_, file)| due(file)).map(|(path, _)| path.clone()).collect();
        for path in paths {
            self.read(&path);
        }
        let gone = |file: &Followed| file.missing_since.is_some_and(|at| now >= at + REMOVAL);
        let gone: Vec<PathBuf> =
            self.files.iter().filter(|(_, file)| gone(file)).map(|(path, _)| path.clone()).collect();
        for path in gone {
            self.retire(&path);
        }
    }

    fn read(&mut self, path: &Path) {
        let Some(file) = self.files.get_mut(path) else { return };
        let Some(name) = file.name.clone() else {
            // Hinted at, but not in the folder's reach.
            self.files.remove(path);
            return;
        };
        let (changed, noticed, stamp) = (file.changed, file.noticed, file.stamp);
        file.state = Follow::Done;
        file.whole = false;
        if stamp.bytes > FILE_BYTES {
            return self.refuse(&name, path, &LoadError::TooBig(stamp.bytes));
        }
        let bytes = match folder::read(path) {
            Ok(bytes) if folder::stamp(path) == Some(stamp) && bytes.len() as u64 == stamp.bytes => bytes,
            // It changed while it was read, or is gone: that has an event of its own, and the
            // next look sees it.
            Ok(_) => {
                file.state = Follow::Settling(Instant::now() + SETTLE_CLOSED);
                return self.look(Instant::now());
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return self.look(Instant::now()),
            Err(error) => return self.refuse(&name, path, &LoadError::Unreadable(error.to_string())),
        };
        let registry = lock(&self.shared.registry).clone();
        let current = registry.plugin(&name).cloned();
        if current.as_ref().is_some_and(|g| g.sha256 == loader::sha256(&bytes) && g.file == *path) {
            // The same again: whatever was wrong with the file in between is mended.
            lock(&self.shared.told).errors.remove(&name);
            return;
        }
        let source = Source { name: name.clone(), file: path.to_owned(), bytes };
        let settings = settings_of(&self.config.plugins, &name);
        match self.runtime.block_on(load(&self.engine, source, settings)) {
            Ok(generation) => self.install(&registry, current, Arc::new(generation), noticed),
            Err(error) if error.is_perhaps_unfinished() && changed.elapsed() < UNFINISHED => {
                if let Some(file) = self.files.get_mut(path) {
                    file.state = Follow::Settling(Instant::now() + RETRY);
                }
            }
            Err(error) => self.refuse(&name, path, &error),
        }
    }

    fn install(
        &self,
        registry: &Registry,
        current: Option<Arc<Generation>>,
        generation: Arc<Generation>,
        noticed: Instant,
    ) {
        let name = generation.name.clone();
        self.publish(registry.with(generation.clone()));
        let took_ms = noticed.elapsed().as_secs_f64() * 1000.0;
        let mut told = lock(&self.shared.told);
        told.errors.remove(&name);
        told.retired.remove(&name);
        let capabilities = generation.capabilities.names().join(", ");
        match current {
            None => tracing::info!(plugin = %name, version = generation.version,
                generation = generation.number, compile_ms = generation.compile_ms.round(),
                "loaded {}: {capabilities}", generation.file.display()),
            Some(old) => {
                tracing::info!(plugin = %name, from = old.version, to = generation.version,
                    from_generation = old.number, generation = generation.number,
                    took_ms = took_ms.round(), compile_ms = generation.compile_ms.round(),
                    "swapped {}", generation.file.display());
                let swap = Swap {
                    from_generation: old.number,
                    from_version: old.version.clone(),
                    from_sha256: old.sha256.clone(),
                    to_generation: generation.number,
                    to_version: generation.version.clone(),
                    took_ms,
                    at: seconds(UnixMillis::now()),
                };
                told.swaps.insert(name, swap);
            }
        }
    }

    fn retire(&mut self, path: &Path) {
        let Some(name) = self.files.remove(path).and_then(|file| file.name) else { return };
        let registry = lock(&self.shared.registry).clone();
        lock(&self.shared.told).errors.remove(&name);
        match registry.plugin(&name) {
            Some(generation) if generation.file == *path => {
                lock(&self.shared.told).retired.insert(name.clone(), Loaded::of(generation));
                self.publish(registry.without(&name));
                tracing::info!(plugin = %name, "retired: {} was removed", path.display());
            }
            // It had another file by then, or never was good.
            _ => {}
        }
    }

    /// A file that was refused: the old version, if there is one, keeps serving.
    fn refuse(&self, name: &PluginName, path: &Path, error: &LoadError) {
        let serving = match lock(&self.shared.registry).plugin(name) {
            Some(old) => format!("version {} (generation {}) keeps serving", old.version, old.number),
            None => "there is no earlier version".into(),
        };
        tracing::warn!(plugin = %name, "refused {}: {error}; {serving}", path.display());
        lock(&self.shared.told).errors.insert(name.clone(), file_error(path, error));
    }

    /// Told of once, not with every look.
    fn ignore(&mut self, path: PathBuf, error: &LoadError) {
        let mut told = lock(&self.shared.told);
        if !told.ignored.contains_key(&path) {
            tracing::warn!("ignored {}: {error}", path.display());
            told.ignored.insert(path.clone(), file_error(&path, error));
        }
        drop(told);
    }

    /// First to the shards, then to the report: what it names is in use everywhere.
    fn publish(&self, registry: Registry) {
        let registry = Arc::new(registry);
        let on_change = lock(&self.shared.on_change);
        if let Some(call) = &*on_change {
            call(registry.clone());
        }
        *lock(&self.shared.registry) = registry;
    }
}

impl Followed {
    fn new(stamp: Stamp, now: Instant, whole: bool) -> Self {
        Self {
            name: None,
            stamp,
            noticed: now,
            changed: now,
            whole,
            state: Follow::Settling(now + settle(whole)),
            missing_since: None,
        }
    }
}

fn settle(whole: bool) -> Duration {
    if whole { SETTLE_CLOSED } else { SETTLE_OPEN }
}

fn file_error(path: &Path, error: &LoadError) -> FileError {
    FileError { file: path.display().to_string(), message: error.to_string(), at: seconds(UnixMillis::now()) }
}
