//! What is in use, and how it changes: new versions, files that are refused, plugins that go.
//! Each change is the next [`Registry`], handed to the shards, and told of in the log and the
//! report.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::generation::Generation;
use super::host::{Shared, lock};
use super::loader::LoadError;
use super::registry::Registry;
use super::report::{FileError, Loaded, Swap, seconds};
use crate::core::PluginName;
use crate::core::clock::UnixMillis;

pub struct Stage {
    shared: Arc<Shared>,
}

impl Stage {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
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

    /// The file is the one in use again: whatever was wrong with it is over.
    pub fn mended(&self, name: &PluginName) {
        lock(&self.shared.told).errors.remove(name);
    }

    /// Forgets what was wrong with files that are no longer there.
    pub fn heed(&self, is_there: impl Fn(&Path) -> bool) {
        lock(&self.shared.told).ignored.retain(|path, _| is_there(path));
    }

    /// A new version, or the first: it takes its place at once.
    pub fn install(&self, generation: Arc<Generation>, noticed: Instant) {
        let registry = self.registry();
        let current = registry.plugin(&generation.name).cloned();
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

    /// Its file was removed.
    pub fn retire(&self, name: &PluginName, path: &Path) {
        let registry = self.registry();
        lock(&self.shared.told).errors.remove(name);
        match registry.plugin(name) {
            Some(generation) if generation.file == *path => {
                lock(&self.shared.told).retired.insert(name.clone(), Loaded::of(generation));
                self.publish(registry.without(name));
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
        lock(&self.shared.told).errors.insert(name.clone(), file_error(path, error));
    }

    /// Told of once, not with every look.
    pub fn ignore(&self, path: PathBuf, error: &LoadError) {
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

fn file_error(path: &Path, error: &LoadError) -> FileError {
    FileError { file: path.display().to_string(), message: error.to_string(), at: seconds(UnixMillis::now()) }
}
