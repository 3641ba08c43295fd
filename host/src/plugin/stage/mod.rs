//! What is in use, and how it changes: new versions, at once or on trial; versions that are taken
//! back; files that are refused; plugins that go. Each change is the next [`Registry`], handed to
//! the shards, and told of in the log and the report.

mod shadows;

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::generation::Generation;
use super::host::{PluginSettings, Shared, lock};
use super::loader::LoadError;
use super::orders::{Done, OrderError};
use super::registry::Registry;
use super::report::{FileError, Loaded, Quarantine, RolledBack, Swap, seconds};
use super::tap::Taps;
use super::trial::{Ruling, Trial, TrialSettings};
use super::watcher::Note;
use crate::core::PluginName;
use crate::core::clock::UnixMillis;

pub struct Stage {
    shared: Arc<Shared>,
    notes: mpsc::Sender<Note>,
}

impl Stage {
    pub fn new(shared: Arc<Shared>, notes: mpsc::Sender<Note>) -> Self {
        Self { shared, notes }
    }

    fn registry(&self) -> Arc<Registry> {
        lock(&self.shared.registry).clone()
    }

    /// All that are in use.
    pub fn all(&self) -> Vec<Arc<Generation>> {
        self.registry().plugins().cloned().collect()
    }

    pub fn current(&self, name: &PluginName) -> Option<Arc<Generation>> {
        self.registry().plugin(name).cloned()
    }

    // === files ===

    /// The file is one that has been dealt with: whatever was wrong with it since is over.
    pub fn mended(&self, name: &PluginName) {
        lock(&self.shared.told).errors.remove(name);
    }

    /// The file is the version in use again: no other is on trial, or was taken back.
    pub fn same_again(&self, name: &PluginName) {
        self.mended(name);
        self.end_trial(name, "its file is the version in use again");
        lock(&self.shared.told).rolled_back.remove(name);
    }

    /// A new version, or the first. Where a trial is configured it gets its share first; else it
    /// takes its place at once.
    pub fn install(&self, mut generation: Generation, settings: &PluginSettings, noticed: Instant) {
        // Who listens to the plugin listens to all of its versions.
        generation.taps = self.taps(&generation.name);
        generation.conduct.report_to(self.notes.clone(), generation.name.clone());
        let (generation, registry) = (Arc::new(generation), self.registry());
        let name = &generation.name;
        self.end_trial(name, "a newer version has come");
        {
            let mut told = lock(&self.shared.told);
            told.errors.remove(name);
            told.retired.remove(name);
            told.rolled_back.remove(name);
        }
        match (registry.plugin(name), &settings.trial) {
            (Some(stable), Some(trial)) if !stable.conduct.is_quarantined() => {
                self.begin_trial(Trial::begin(generation.clone(), stable.clone(), trial.clone()));
            }
            (Some(stable), _) => self.replace(stable, &generation, noticed),
            (None, _) => {
                self.publish(registry.with(generation.clone()));
                tracing::info!(plugin = %name, version = generation.version,
                    generation = generation.number, compile_ms = generation.compile_ms.round(),
                    "loaded {}: {}", generation.file.display(), generation.capabilities.names().join(", "));
            }
        }
    }

    /// The version in use with other settings. What it may go back to is still the version before.
    pub fn renew(&self, mut renewed: Generation, now: Instant) {
        renewed.taps = self.taps(&renewed.name);
        renewed.conduct.report_to(self.notes.clone(), renewed.name.clone());
        let Some(current) = self.current(&renewed.name) else { return };
        let name = renewed.name.clone();
        self.end_trial(&name, "its settings have changed");
        let previous = lock(&self.shared.told).previous.get(&name).cloned();
        self.mended(&name);
        self.replace(&current, &Arc::new(renewed), now);
        let mut told = lock(&self.shared.told);
        match previous {
            Some(previous) => told.previous.insert(name, previous),
            None => told.previous.remove(&name),
        };
    }

    fn replace(&self, old: &Arc<Generation>, new: &Arc<Generation>, noticed: Instant) {
        let name = &new.name;
        self.publish(self.registry().with(new.clone()));
        let took_ms = noticed.elapsed().as_secs_f64() * 1000.0;
        tracing::info!(plugin = %name, from = old.version, to = new.version,
            from_generation = old.number, generation = new.number,
            took_ms = took_ms.round(), compile_ms = new.compile_ms.round(),
            "swapped {}", new.file.display());
        self.swapped(old, new, took_ms);
    }

    fn swapped(&self, old: &Arc<Generation>, new: &Arc<Generation>, took_ms: f64) {
        let swap = Swap {
            from_generation: old.number,
            from_version: old.version.clone(),
            from_sha256: old.sha256.clone(),
            to_generation: new.number,
            to_version: new.version.clone(),
            took_ms,
            at: seconds(UnixMillis::now()),
        };
        let mut told = lock(&self.shared.told);
        told.swaps.insert(new.name.clone(), swap);
        told.previous.insert(new.name.clone(), old.clone());
        told.quarantined.remove(&new.name);
    }

    /// Its file was removed.
    pub fn retire(&self, name: &PluginName, path: &Path) {
        let registry = self.registry();
        lock(&self.shared.told).errors.remove(name);
        match registry.plugin(name) {
            Some(generation) if generation.file == *path => {
                self.end_trial(name, "its file was removed");
                let mut told = lock(&self.shared.told);
                told.retired.insert(name.clone(), Loaded::of(generation));
                told.previous.remove(name);
                told.rolled_back.remove(name);
                told.quarantined.remove(name);
                drop(told);
                self.publish(self.registry().without(name));
                tracing::info!(plugin = %name, "retired: {} was removed", path.display());
            }
            // It had another file by then, or never was good.
            _ => {}
        }
    }

    /// A file that was refused: the old version, if there is one, keeps serving.
    pub fn refuse(&self, name: &PluginName, path: &Path, error: &LoadError) {
        let serving = match self.registry().plugin(name) {
            Some(old) => format!("version {} (generation {}) keeps serving", old.version, old.number),
            None => "there is no earlier version".into(),
        };
        tracing::warn!(plugin = %name, "refused {}: {error}; {serving}", path.display());
        lock(&self.shared.told)
            .errors
            .insert(name.clone(), FileError::of(path, error.to_string(), UnixMillis::now()));
    }

    /// Told of once, not with every look.
    pub fn ignore(&self, path: PathBuf, error: &LoadError) {
        let mut told = lock(&self.shared.told);
        if !told.ignored.contains_key(&path) {
            tracing::warn!("ignored {}: {error}", path.display());
            told.ignored.insert(path.clone(), FileError::of(&path, error.to_string(), UnixMillis::now()));
        }
        drop(told);
    }

    /// Forgets what was wrong with files that are no longer there.
    pub fn heed(&self, is_there: impl Fn(&Path) -> bool) {
        lock(&self.shared.told).ignored.retain(|path, _| is_there(path));
    }

    /// Who listens to a plugin.
    fn taps(&self, name: &PluginName) -> Arc<Taps> {
        lock(&self.shared.taps).entry(name.clone()).or_default().clone()
    }

    // === trials ===

    pub fn is_on_trial(&self, name: &PluginName) -> bool {
        lock(&self.shared.told).trials.contains_key(name)
    }

    fn trial(&self, name: &PluginName) -> Option<Trial> {
        lock(&self.shared.told).trials.get(name).cloned()
    }

    fn begin_trial(&self, trial: Trial) {
        let TrialSettings { share, time, errors } = trial.settings;
        let (name, canary) = (trial.canary.name.clone(), trial.canary.clone());
        self.publish(self.registry().with_canary(&name, Some((canary.clone(), share))));
        tracing::info!(plugin = %name, version = canary.version, generation = canary.number,
            beside = trial.stable.number, errors, "on trial: {} gets {} % for {} s",
            canary.file.display(), share.percent(), time.as_secs());
        lock(&self.shared.told).trials.insert(name, trial);
    }

    /// If one is on trial it goes, without a word of blame.
    fn end_trial(&self, name: &PluginName, why: &str) {
        let trial = lock(&self.shared.told).trials.remove(name);
        let Some(trial) = trial else { return };
        trial.end();
        self.publish(self.registry().with_canary(name, None));
        tracing::info!(plugin = %name, generation = trial.canary.number, "the trial has ended: {why}");
    }

    fn take_back(&self, trial: &Trial, why: &str) {
        let (name, canary) = (&trial.canary.name, &trial.canary);
        lock(&self.shared.told).trials.remove(name);
        trial.end();
        self.publish(self.registry().with_canary(name, None));
        tracing::warn!(plugin = %name, version = canary.version, generation = canary.number,
            "taken back: {why}; version {} (generation {}) serves all again", trial.stable.version,
            trial.stable.number);
        lock(&self.shared.told).rolled_back.insert(name.clone(), RolledBack::of(canary, why));
    }

    fn promote(&self, trial: &Trial, now: Instant) {
        let (canary, _) = trial.tallies();
        lock(&self.shared.told).trials.remove(&trial.canary.name);
        trial.end();
        tracing::info!(plugin = %trial.canary.name, generation = trial.canary.number,
            "promoted: {} of its {} calls failed", canary.failed, canary.calls);
        self.replace(&trial.stable, &trial.canary, now);
    }

    fn judge(&self, trial: &Trial, settings: &PluginSettings, now: Instant) {
        let fault = trial.canary.conduct.is_at_fault(settings.quarantine_percent);
        match (fault, trial.judge(now)) {
            (Some(fault), Ruling::Wait | Ruling::Promote) => self.take_back(trial, &fault.to_string()),
            (_, Ruling::TakeBack(why)) => self.take_back(trial, &why),
            (None, Ruling::Promote) => self.promote(trial, now),
            (None, Ruling::Wait) => {}
        }
    }

    /// When the next trial ends.
    pub fn next_deadline(&self) -> Option<Instant> {
        lock(&self.shared.told).trials.values().map(|trial| trial.until).min()
    }

    /// Trials whose time is over, and troubles that are.
    pub fn look(&self, settings: impl Fn(&PluginName) -> PluginSettings, now: Instant) {
        let over: Vec<Trial> =
            lock(&self.shared.told).trials.values().filter(|trial| trial.until <= now).cloned().collect();
        for trial in over {
            self.judge(&trial, &settings(&trial.canary.name), now);
        }
    }

    /// Once in a while: who has not failed for a minute is no longer counted.
    pub fn calm(&self, now: Instant) {
        let registry = self.registry();
        let all = registry.plugins().chain(registry.canaries().map(|(canary, _)| canary));
        all.for_each(|generation| generation.conduct.calm(now));
    }

    // === failures ===

    /// A version of this plugin has failed.
    pub fn trouble(&self, name: &PluginName, settings: &PluginSettings, now: Instant) {
        if let Some(trial) = self.trial(name) {
            trial.canary.conduct.heard();
            self.judge(&trial, settings, now);
        }
        let Some(generation) = self.current(name) else { return };
        generation.conduct.heard();
        if generation.conduct.is_quarantined() {
            return;
        }
        let Some(fault) = generation.conduct.is_at_fault(settings.quarantine_percent) else { return };
        let why = fault.to_string();
        let age = Duration::from_millis(UnixMillis::now().0.saturating_sub(generation.loaded_at.0));
        let previous = lock(&self.shared.told).previous.get(name).cloned();
        match previous {
            Some(previous) if age < settings.rollback_within && !previous.conduct.is_quarantined() => {
                self.go_back(&generation, &previous, &why);
            }
            _ => self.quarantine(&generation, why),
        }
    }

    fn quarantine(&self, generation: &Generation, why: String) {
        generation.conduct.quarantine();
        tracing::error!(plugin = %generation.name, version = generation.version,
            generation = generation.number, "in quarantine: {why}; its calls are refused until its file \
            changes or it is resumed");
        let quarantine = Quarantine { why, at: seconds(UnixMillis::now()) };
        lock(&self.shared.told).quarantined.insert(generation.name.clone(), quarantine);
    }

    fn go_back(&self, from: &Arc<Generation>, to: &Arc<Generation>, why: &str) {
        let began = Instant::now();
        // Its past failures are no news.
        to.conduct.reopen();
        self.publish(self.registry().with(to.clone()));
        let took_ms = began.elapsed().as_secs_f64() * 1000.0;
        tracing::warn!(plugin = %from.name, from = from.version, to = to.version,
            from_generation = from.number, generation = to.number, took_ms = took_ms.round(),
            "rolled back: {why}");
        self.swapped(from, to, took_ms);
        lock(&self.shared.told).rolled_back.insert(from.name.clone(), RolledBack::of(from, why));
    }

    // === orders ===

    /// Ends a trial, or goes back to the version before; done twice, it is as it was.
    pub fn roll_back(&self, name: &PluginName, settings: &PluginSettings) -> Result<Done, OrderError> {
        const WHY: &str = "by order";
        if let Some(trial) = self.trial(name) {
            self.take_back(&trial, WHY);
            return Ok(Done::of(&trial.stable));
        }
        let current = self.current(name).ok_or_else(|| OrderError::Unknown(name.clone()))?;
        let previous = lock(&self.shared.told).previous.get(name).cloned();
        let previous = previous.ok_or_else(|| OrderError::NoPrevious(name.clone()))?;
        if let Some(wanted) = settings.pin.as_ref().filter(|pin| **pin != previous.sha256) {
            let (wanted, found) = (wanted.clone(), previous.sha256.clone());
            return Err(OrderError::Pinned { plugin: name.clone(), wanted, found });
        }
        self.go_back(&current, &previous, WHY);
        Ok(Done::of(&previous))
    }

    /// Ends a quarantine.
    pub fn resume(&self, name: &PluginName) -> Result<Done, OrderError> {
        let current = self.current(name).ok_or_else(|| OrderError::Unknown(name.clone()))?;
        if !current.conduct.is_quarantined() {
            return Err(OrderError::NotQuarantined(name.clone()));
        }
        current.conduct.reopen();
        lock(&self.shared.told).quarantined.remove(name);
        tracing::info!(plugin = %name, generation = current.number, "resumed by order");
        Ok(Done::of(&current))
    }

    // === out ===

    /// First to the shards, then to the report: what it names is in use everywhere.
    fn publish(&self, registry: Registry) {
        let registry = Arc::new(registry);
        for generation in everything(&registry) {
            generation.conduct.withdraw(false);
        }
        let on_change = lock(&self.shared.on_change);
        if let Some(call) = &*on_change {
            call(registry.clone());
        }
        let before = std::mem::replace(&mut *lock(&self.shared.registry), registry.clone());
        for old in everything(&before) {
            if !everything(&registry).any(|generation| generation.number == old.number) {
                old.conduct.withdraw(true);
            }
        }
    }
}

fn everything(registry: &Registry) -> impl Iterator<Item = &Arc<Generation>> {
    registry.plugins().chain(registry.canaries().map(|(canary, _)| canary))
}

impl Done {
    fn of(generation: &Generation) -> Self {
        Self {
            generation: generation.number,
            version: generation.version.clone(),
            sha256: generation.sha256.clone(),
        }
    }
}
