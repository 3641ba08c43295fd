//! The plugins in use, as one immutable set: every shard has the same, and moves to the
//! next as a whole.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::generation::Generation;
use super::lot::{Lot, Share};
use crate::core::{Pattern, PluginName};

/// Who handles a channel.
#[derive(Debug)]
pub enum Route<'a> {
    /// By this pattern of its own.
    Handler(&'a Arc<Generation>, &'a Pattern),
    /// A plugin handled it whose file is gone. No open rule applies: a moderated channel must
    /// not become an unmoderated one because a file vanished.
    Retired,
    None,
}

#[derive(Debug, Default)]
pub struct Registry {
    /// Grows with every change.
    pub number: u64,
    plugins: BTreeMap<PluginName, Arc<Generation>>,
    auth: Vec<Arc<Generation>>,
    /// Most specific first, then by the plugin's name.
    routes: Vec<(Pattern, Arc<Generation>)>,
    retired: BTreeMap<PluginName, Vec<Pattern>>,
    /// New versions on trial. Where a channel goes is said by the version in use.
    canaries: BTreeMap<PluginName, (Arc<Generation>, Share)>,
}

impl Registry {
    /// The next registry: with a new generation of a plugin.
    pub fn with(&self, generation: Arc<Generation>) -> Self {
        let (mut plugins, mut retired) = (self.plugins.clone(), self.retired.clone());
        retired.remove(&generation.name);
        let mut canaries = self.canaries.clone();
        canaries.remove(&generation.name);
        plugins.insert(generation.name.clone(), generation);
        Self::build(self.number + 1, plugins, retired, canaries)
    }

    /// The next registry: without a plugin, whose channels are closed until it is back.
    pub fn without(&self, name: &PluginName) -> Self {
        let (mut plugins, mut retired) = (self.plugins.clone(), self.retired.clone());
        if let Some(generation) = plugins.remove(name) {
            retired.insert(name.clone(), generation.routes.clone());
        }
        let mut canaries = self.canaries.clone();
        canaries.remove(name);
        Self::build(self.number + 1, plugins, retired, canaries)
    }

    /// The next registry: a version that gets a share of what the one in use gets; with none the
    /// one in use gets all of it.
    pub fn with_canary(&self, name: &PluginName, canary: Option<(Arc<Generation>, Share)>) -> Self {
        let mut canaries = self.canaries.clone();
        match canary {
            Some(canary) => canaries.insert(name.clone(), canary),
            None => canaries.remove(name),
        };
        Self::build(self.number + 1, self.plugins.clone(), self.retired.clone(), canaries)
    }

    fn build(
        number: u64,
        plugins: BTreeMap<PluginName, Arc<Generation>>,
        retired: BTreeMap<PluginName, Vec<Pattern>>,
        canaries: BTreeMap<PluginName, (Arc<Generation>, Share)>,
    ) -> Self {
        let auth = plugins.values().filter(|g| g.capabilities.auth.is_some()).cloned().collect();
        let pairs =
            plugins.values().flat_map(|g| g.routes.iter().map(|pattern| (pattern.clone(), g.clone())));
        let mut routes: Vec<_> = pairs.collect();
        // Stable: equals stay in the order of the plugins' names.
        routes.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.specificity()));
        Self { number, plugins, auth, routes, retired, canaries }
    }

    /// The version on trial, if that is whose turn it is.
    fn drawn<'a>(
        &'a self,
        generation: &'a Arc<Generation>,
        lot: impl FnOnce() -> Lot,
    ) -> &'a Arc<Generation> {
        if self.canaries.is_empty() {
            return generation;
        }
        match self.canaries.get(&generation.name) {
            Some((canary, share)) if share.takes(lot()) => canary,
            _ => generation,
        }
    }

    pub fn route(&self, channel: &str) -> Route<'_> {
        if let Some((pattern, generation)) = self.routes.iter().find(|(pattern, _)| pattern.matches(channel))
        {
            return Route::Handler(self.drawn(generation, || Lot::of(channel)), pattern);
        }
        let mut retired = self.retired.values().flatten();
        if retired.any(|pattern| pattern.matches(channel)) { Route::Retired } else { Route::None }
    }

    /// The pattern by which a channel comes to its handler.
    pub fn pattern(&self, channel: &str) -> Option<&Pattern> {
        match self.route(channel) {
            Route::Handler(_, pattern) => Some(pattern),
            Route::Retired | Route::None => None,
        }
    }

    /// In the order of their names.
    pub fn auth(&self) -> &[Arc<Generation>] {
        &self.auth
    }

    /// The same, as a client asks them that has drawn this lot.
    pub fn auth_for(&self, lot: Lot) -> Cow<'_, [Arc<Generation>]> {
        if self.canaries.is_empty() {
            return Cow::Borrowed(&self.auth);
        }
        self.auth.iter().map(|generation| self.drawn(generation, || lot).clone()).collect()
    }

    /// A filter plugin by its name, or by its name without `-filter`.
    pub fn filter(&self, name: &str) -> Option<&Arc<Generation>> {
        let long = || self.plugins.get(format!("{name}-filter").as_str());
        self.plugins.get(name).or_else(long).filter(|g| g.capabilities.filter.is_some())
    }

    /// The plugin with an action of this name, as a client gets it that has drawn this lot.
    pub fn action(&self, name: &str, lot: Lot) -> Option<&Arc<Generation>> {
        let generation = self.plugins.values().find(|g| g.actions.iter().any(|action| action == name))?;
        Some(self.drawn(generation, || lot))
    }

    pub fn canaries(&self) -> impl Iterator<Item = &(Arc<Generation>, Share)> {
        self.canaries.values()
    }

    pub fn plugin(&self, name: &PluginName) -> Option<&Arc<Generation>> {
        self.plugins.get(name)
    }

    pub fn plugins(&self) -> impl Iterator<Item = &Arc<Generation>> {
        self.plugins.values()
    }
}
