//! Versions in the shadow: which plugin has one, and since when.

use std::path::Path;

use super::Stage;
use crate::core::PluginName;
use crate::plugin::host::{PluginSettings, lock};
use crate::plugin::loader::LoadError;
use crate::plugin::shadow::{Shadow, Shadowing};

impl Stage {
    /// Is the plugin's shadow one with these settings? True where there is none.
    pub fn is_shadowed_with(&self, name: &PluginName, settings: &PluginSettings) -> bool {
        let told = lock(&self.shared.told);
        told.shadows.get(name).is_none_or(|shadow| *shadow.generation.configured == *settings)
    }

    /// It takes the place of the one before.
    pub fn begin_shadow(&self, plugin: Shadowing) {
        let (generation, taps) = (plugin.generation().clone(), self.taps(&plugin.generation().name));
        let (name, path) = (&generation.name, &generation.file);
        self.end_shadow_for(name, "another takes its place");
        match Shadow::begin(plugin, taps) {
            Ok(shadow) => {
                tracing::info!(plugin = %name, version = generation.version, generation = generation.number,
                    "in the shadow: {}", path.display());
                let mut told = lock(&self.shared.told);
                told.ignored.remove(path);
                told.shadows.insert(name.clone(), shadow);
            }
            Err(error) => tracing::warn!(plugin = %name, "no shadow by {}: {error:#}", path.display()),
        }
    }

    /// What lies there now cannot be called: what lay there before is not in the folder any more.
    pub fn refuse_shadow(&self, name: &PluginName, path: &Path, error: &LoadError) {
        self.end_shadow(name, path);
        lock(&self.shared.told).ignored.remove(path);
        self.ignore(path.to_owned(), error);
    }

    /// Its file was removed, or is another.
    pub fn end_shadow(&self, name: &PluginName, path: &Path) {
        let is_of = |shadow: &Shadow| shadow.generation.file == *path;
        if lock(&self.shared.told).shadows.get(name).is_some_and(is_of) {
            self.end_shadow_for(name, "its file was removed, or is no plugin");
        }
    }

    fn end_shadow_for(&self, name: &PluginName, why: &str) {
        let shadow = lock(&self.shared.told).shadows.remove(name);
        let Some(shadow) = shadow else { return };
        let compared = shadow.compared();
        tracing::info!(plugin = %name, version = shadow.generation.version, same = compared.same,
            differ = compared.differ, missed = compared.missed, "no longer in the shadow: {why}");
    }
}
