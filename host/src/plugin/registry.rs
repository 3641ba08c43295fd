//! The plugins in use, as one immutable set: every shard has the same, and moves to the
//! next as a whole.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::generation::Generation;
use super::lot::{Lot, Share};
use crate::core::{Pattern, PluginName};

/// Who handles a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// One plugin or several: [`Registry::chain`].
    Handled,
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
    /// Of channels, in the order in which they are asked; the patterns of each, most specific first.
    handlers: Vec<(Arc<Generation>, Vec<Pattern>)>,
    retired: BTreeMap<PluginName, Retired>,
    /// New versions on trial. Which channels they get is said by the versions in use.
    canaries: BTreeMap<PluginName, (Arc<Generation>, Share)>,
}

/// A plugin whose file is gone.
#[derive(Clone, Debug)]
struct Retired {
    number: u64,
    sha256: String,
    routes: Vec<Pattern>,
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
            let Generation { number, sha256, routes, .. } = &*generation;
            let gone = Retired { number: *number, sha256: sha256.clone(), routes: routes.clone() };
            retired.insert(name.clone(), gone);
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
        retired: BTreeMap<PluginName, Retired>,
        canaries: BTreeMap<PluginName, (Arc<Generation>, Share)>,
    ) -> Self {
        let auth = plugins.values().filter(|g| g.capabilities.auth.is_some()).cloned().collect();
        let routed = plugins.values().filter(|g| !g.routes.is_empty());
        let mut handlers: Vec<_> = routed.map(|g| (g.clone(), g.routes.clone())).collect();
        for (_, patterns) in &mut handlers {
            patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.specificity()));
        }
        // Stable: equals stay in the order of the plugins' names.
        handlers.sort_by_key(|(generation, _)| generation.configured.order);
        Self { number, plugins, auth, handlers, retired, canaries }
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

    /// Those that handle a channel, in the order in which they are asked, each by the most specific of its
    /// patterns.
    pub fn chain<'a>(&'a self, channel: &'a str) -> impl Iterator<Item = (&'a Arc<Generation>, &'a Pattern)> {
        let matching = |patterns: &'a [Pattern]| patterns.iter().find(|pattern| pattern.matches(channel));
        self.handlers.iter().filter_map(move |(generation, patterns)| {
            let pattern = matching(patterns)?;
            Some((self.drawn(generation, || Lot::of(channel)), pattern))
        })
    }

    /// Is a plugin gone that handled this channel? Not if its file only has another name now.
    fn misses_one(&self, channel: &str) -> bool {
        let is_it =
            |g: &Generation, retired: &Retired| g.sha256 == retired.sha256 && g.number > retired.number;
        let is_back = |retired: &Retired| self.plugins.values().any(|g| is_it(g, retired));
        let missed = |retired: &&Retired| retired.routes.iter().any(|pattern| pattern.matches(channel));
        self.retired.values().filter(missed).any(|retired| !is_back(retired))
    }

    /// A channel that was handled by a plugin that is gone is closed, also where others handle it: without
    /// the one that moderates it, it would be another channel.
    pub fn route(&self, channel: &str) -> Route {
        if !self.retired.is_empty() && self.misses_one(channel) {
            return Route::Retired;
        }
        if self.chain(channel).next().is_some() { Route::Handled } else { Route::None }
    }

    /// The most specific pattern by which a channel comes to one of its handlers.
    pub fn pattern(&self, channel: &str) -> Option<&Pattern> {
        let mut found: Option<&Pattern> = None;
        for (_, patterns) in &self.handlers {
            let Some(pattern) = patterns.iter().find(|pattern| pattern.matches(channel)) else { continue };
            if found.is_none_or(|found| pattern.specificity() > found.specificity()) {
                found = Some(pattern);
            }
        }
        found
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
