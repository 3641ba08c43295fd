//! The plugins in use, as one immutable set: every shard has the same, and moves to the
//! next as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::generation::Generation;
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
        plugins.insert(generation.name.clone(), generation);
        Self::build(self.number + 1, plugins, retired)
    }

    /// The next registry: without a plugin, whose channels are closed until it is back.
    pub fn without(&self, name: &PluginName) -> Self {
        let (mut plugins, mut retired) = (self.plugins.clone(), self.retired.clone());
        if let Some(generation) = plugins.remove(name) {
            let Generation { number, sha256, routes, .. } = &*generation;
            let gone = Retired { number: *number, sha256: sha256.clone(), routes: routes.clone() };
            retired.insert(name.clone(), gone);
        }
        Self::build(self.number + 1, plugins, retired)
    }

    fn build(
        number: u64,
        plugins: BTreeMap<PluginName, Arc<Generation>>,
        retired: BTreeMap<PluginName, Retired>,
    ) -> Self {
        let auth = plugins.values().filter(|g| g.capabilities.auth.is_some()).cloned().collect();
        let routed = plugins.values().filter(|g| !g.routes.is_empty());
        let mut handlers: Vec<_> = routed.map(|g| (g.clone(), g.routes.clone())).collect();
        for (_, patterns) in &mut handlers {
            patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.specificity()));
        }
        // Stable: equals stay in the order of the plugins' names.
        handlers.sort_by_key(|(generation, _)| generation.configured.order);
        Self { number, plugins, auth, handlers, retired }
    }

    /// Those that handle a channel, in the order in which they are asked, each by the most specific of its
    /// patterns.
    pub fn chain<'a>(&'a self, channel: &'a str) -> impl Iterator<Item = (&'a Arc<Generation>, &'a Pattern)> {
        let matching = |patterns: &'a [Pattern]| patterns.iter().find(|pattern| pattern.matches(channel));
        self.handlers
            .iter()
            .filter_map(move |(generation, patterns)| matching(patterns).map(|pattern| (generation, pattern)))
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

    /// A filter plugin by its name, or by its name without `-filter`.
    pub fn filter(&self, name: &str) -> Option<&Arc<Generation>> {
        let long = || self.plugins.get(format!("{name}-filter").as_str());
        self.plugins.get(name).or_else(long).filter(|g| g.capabilities.filter.is_some())
    }

    pub fn action(&self, name: &str) -> Option<&Arc<Generation>> {
        self.plugins.values().find(|g| g.actions.iter().any(|action| action == name))
    }

    pub fn plugin(&self, name: &PluginName) -> Option<&Arc<Generation>> {
        self.plugins.get(name)
    }

    pub fn plugins(&self) -> impl Iterator<Item = &Arc<Generation>> {
        self.plugins.values()
    }
}
