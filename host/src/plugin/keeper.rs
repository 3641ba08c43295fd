//! The plugin host's thread: watches the folder, and loads what changes.
//!
//! Events are hints: what counts is what lies in the folder when it has been quiet for a
//! moment. A file that does not parse may be half written, so it is looked at again before
//! anybody is told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::engine::PluginEngine;
use super::folder::{self, Found, Stamp};
use super::generation::Generation;
use super::grants::GrantSettings;
use super::host::{PluginSettings, PluginsConfig, Shared};
use super::limits::FILE_BYTES;
use super::loader::{self, LoadError, Source, load, renew, settings_of};
use super::orders::{Order, Want};
use super::shadow::Shadowing;
use super::stage::Stage;
use super::watcher::{Note, Watcher};
use crate::core::PluginName;

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
/// A plugin's failures are judged together, so often: of one that fails all the time there are thousands a
/// second, and each that rings wakes this thread.
const TROUBLE: Duration = Duration::from_millis(5);
/// For file systems whose changes cause no events.
const POLL: Duration = Duration::from_secs(2);

/// A file, as far as the host has followed it.
struct Followed {
    name: Option<PluginName>,
    is_shadow: bool,
    stamp: Stamp,
    /// When its present form was first noticed, and when it last changed.
    noticed: Instant,
    changed: Instant,
    whole: bool,
    state: Follow,
    /// The hash of what was last made of it: the same again says nothing new, whatever became of it.
    dealt_with: Option<String>,
    missing_since: Option<Instant>,
}

enum Follow {
    /// To be read at this time.
    Settling(Instant),
    /// Read: there is nothing to do until it changes.
    Done,
}

pub struct Keeper {
    engine: PluginEngine,
    config: PluginsConfig,
    stage: Stage,
    files: BTreeMap<PathBuf, Followed>,
    /// Plugins that have failed, and when that is judged.
    troubles: BTreeMap<PluginName, Instant>,
    watcher: Watcher,
    runtime: tokio::runtime::Runtime,
}

impl Keeper {
    pub fn new(
        engine: PluginEngine,
        config: PluginsConfig,
        shared: Arc<Shared>,
        notes: &mpsc::Sender<Note>,
    ) -> Result<Self> {
        let watcher = Watcher::new(&config.dir, notes.clone());
        // For what a component may do while it is asked what it is: WASI has timers, files and requests.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot make the plugin host's runtime")?;
        if !config.dir.is_dir() {
            tracing::warn!(
                "there is no plugin folder {}: it is looked for again every {} s",
                config.dir.display(),
                POLL.as_secs()
            );
        }
        let stage = Stage::new(shared, notes.clone());
        Ok(Self {
            engine,
            config,
            stage,
            files: BTreeMap::new(),
            troubles: BTreeMap::new(),
            watcher,
            runtime,
        })
    }

    /// At the start nobody waits for anything to settle: what is there is loaded.
    pub fn first_look(&mut self) {
        self.watcher.follow();
        self.look(Instant::now());
        for file in self.files.values_mut() {
            file.state = Follow::Settling(file.noticed);
        }
        self.work(Instant::now());
    }

    pub fn run(mut self, inbox: mpsc::Receiver<Note>) {
        let mut next_poll = Instant::now() + POLL;
        loop {
            let now = Instant::now();
            let wait = self.next_deadline().map_or(next_poll, |at| at.min(next_poll));
            match inbox.recv_timeout(wait.saturating_duration_since(now)) {
                Ok(note) => {
                    let (now, mut hinted) = (Instant::now(), false);
                    for note in std::iter::once(note).chain(inbox.try_iter()) {
                        match note {
                            Note::Hint { paths, whole } => {
                                self.take_hint(paths, whole, now);
                                hinted = true;
                            }
                            Note::Trouble(plugin) => {
                                self.troubles.entry(plugin).or_insert(now + TROUBLE);
                            }
                            Note::Order(order) => self.obey(order),
                            Note::Settings(plugins) => self.reconfigure(plugins, now),
                            Note::End => return,
                        }
                    }
                    if hinted {
                        self.look(now);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = Instant::now();
            if now >= next_poll {
                next_poll = now + POLL;
                self.watcher.follow();
                self.look(now);
                self.stage.calm(now);
            }
            self.work(now);
            self.stage.look(|plugin| self.settings(plugin).clone(), now);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let settling = self.files.values().filter_map(|file| match file.state {
            Follow::Settling(at) => Some(at),
            Follow::Done => None,
        });
        let missing = self.files.values().filter_map(|file| file.missing_since.map(|at| at + REMOVAL));
        let troubles = self.troubles.values().copied();
        settling.chain(missing).chain(troubles).chain(self.stage.next_deadline()).min()
    }

    fn settings(&self, plugin: &PluginName) -> &PluginSettings {
        settings_of(&self.config.plugins, plugin)
    }

    fn obey(&self, Order { plugin, want, answer }: Order) {
        let done = match want {
            Want::Rollback => self.stage.roll_back(&plugin, self.settings(&plugin)),
            Want::Resume => self.stage.resume(&plugin),
        };
        // The version before has the settings of its time.
        if let Some(current) = self.stage.current(&plugin) {
            self.renew(&current, Instant::now());
        }
        // Who asked may be gone.
        let _ = answer.send(done);
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

    /// Takes what the operator now says. A version whose settings are others gives way to one of the same
    /// component; one that does not start with them stays as it is.
    fn reconfigure(&mut self, plugins: BTreeMap<String, PluginSettings>, now: Instant) {
        self.config.plugins = plugins;
        let mut refused = Vec::new();
        for generation in self.stage.all() {
            if !self.renew(&generation, now) {
                refused.push(generation.file.clone());
            }
        }
        // A file that was refused, or is on trial with other settings, may be right now. Of one whose settings are
        // wrong there is nothing new to read, and to find it as it was would pass for a recovery.
        for (path, file) in &mut self.files {
            if file.missing_since.is_some() || refused.contains(path) {
                continue;
            }
            let is_of_others = |name| match file.is_shadow {
                true => {
                    !self.stage.is_shadowed_with(name, &of_shadow(settings_of(&self.config.plugins, name)))
                }
                false => self.stage.is_on_trial(name),
            };
            if file.name.as_ref().is_some_and(is_of_others) {
                file.dealt_with = None;
            }
            file.state = Follow::Settling(now);
        }
    }

    /// Gives a version the settings as they are. False: it does not start with them.
    fn renew(&self, generation: &Generation, now: Instant) -> bool {
        let settings = settings_of(&self.config.plugins, &generation.name);
        if *settings == *generation.configured {
            return true;
        }
        match self.runtime.block_on(renew(&self.engine, generation, settings)) {
            Ok(renewed) => {
                self.stage.renew(renewed, now);
                true
            }
            Err(error) => {
                self.stage.refuse(&generation.name, &generation.file, &error);
                false
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
        self.stage.heed(|path| found.iter().any(|found| found.path == path));
        for Found { path, stamp, name, is_shadow } in found {
            let name = match name {
                Ok(name) => name,
                Err(error) => {
                    self.stage.ignore(path, &error);
                    continue;
                }
            };
            let file = self.files.entry(path).or_insert_with(|| Followed::new(stamp, now, false));
            (file.name, file.is_shadow) = (Some(name), is_shadow);
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
        let (due, later) = std::mem::take(&mut self.troubles).into_iter().partition(|(_, at)| *at <= now);
        self.troubles = later;
        for plugin in due.into_keys() {
            self.stage.trouble(&plugin, self.settings(&plugin), now);
        }
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
            match self.files.remove(&path) {
                Some(Followed { name: Some(name), is_shadow: true, .. }) => {
                    self.stage.end_shadow(&name, &path);
                }
                Some(Followed { name: Some(name), .. }) => self.stage.retire(&name, &path),
                _ => {}
            }
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
        let is_shadow = file.is_shadow;
        let refuse = |stage: &Stage, error: &LoadError| match is_shadow {
            true => stage.refuse_shadow(&name, path, error),
            false => stage.refuse(&name, path, error),
        };
        if stamp.bytes > FILE_BYTES {
            return refuse(&self.stage, &LoadError::TooBig(stamp.bytes));
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
            Err(error) => return refuse(&self.stage, &LoadError::Unreadable(error.to_string())),
        };
        let sha256 = loader::sha256(&bytes);
        if is_shadow && file.dealt_with.as_ref() == Some(&sha256) {
            return;
        }
        if let Some(current) = self.stage.current(&name).filter(|current| !is_shadow && current.file == *path)
        {
            if current.sha256 == sha256 {
                file.dealt_with = Some(sha256);
                return self.stage.same_again(&name);
            }
            if file.dealt_with.as_ref() == Some(&sha256) {
                return self.stage.mended(&name);
            }
        }
        let pin = settings_of(&self.config.plugins, &name).pin.as_ref();
        if let Some(wanted) = pin.filter(|pin| !is_shadow && **pin != sha256) {
            let error = LoadError::NotPinned { wanted: wanted.clone(), found: sha256 };
            return self.stage.refuse(&name, path, &error);
        }
        let source = Source { name: name.clone(), file: path.to_owned(), bytes };
        let settings = settings_of(&self.config.plugins, &name);
        let loaded = if is_shadow {
            let loaded = self.runtime.block_on(Shadowing::load(source, &of_shadow(settings), &self.engine));
            loaded.map(|shadow| self.stage.begin_shadow(shadow))
        } else {
            let loaded = self.runtime.block_on(load(&self.engine, source, settings));
            loaded.map(|generation| self.stage.install(generation, settings, noticed))
        };
        match loaded {
            Ok(()) => file.dealt_with = Some(sha256),
            Err(error) if error.is_perhaps_unfinished() && changed.elapsed() < UNFINISHED => {
                file.state = Follow::Settling(Instant::now() + RETRY);
            }
            Err(error) => refuse(&self.stage, &error),
        }
    }
}

impl Followed {
    fn new(stamp: Stamp, now: Instant, whole: bool) -> Self {
        Self {
            name: None,
            is_shadow: false,
            stamp,
            noticed: now,
            changed: now,
            whole,
            state: Follow::Settling(now + settle(whole)),
            dealt_with: None,
            missing_since: None,
        }
    }
}

/// What a version in the shadow is given of its plugin's settings: nothing by which it could be heard.
fn of_shadow(settings: &PluginSettings) -> PluginSettings {
    PluginSettings { grants: GrantSettings::default(), ..settings.clone() }
}

fn settle(whole: bool) -> Duration {
    if whole { SETTLE_CLOSED } else { SETTLE_OPEN }
}
