//! What of a plugin outlives its versions: the process has one for each name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::calls::{Calls, Counted};
use super::figures::{Figures, Kind};
use super::key_values::{KeyValues, StoreUse};
use crate::core::PluginName;
use crate::core::clock::Nanos;

#[derive(Debug, Default)]
pub struct Lasting {
    pub key_values: KeyValues,
    pub figures: Figures,
    pub calls: Calls,
}

impl Lasting {
    pub fn seen(&self) -> Seen {
        Seen {
            counted: self.calls.counted(),
            figures: self.figures.all(),
            key_values: self.key_values.in_use(Nanos::now()),
        }
    }
}

/// What there is to tell of it, at one moment.
#[derive(Clone, Debug)]
pub struct Seen {
    pub counted: Counted,
    pub figures: Vec<(Kind, String, f64)>,
    pub key_values: StoreUse,
}

/// By name. As many as there have been names in the plugin folder.
#[derive(Debug, Default)]
pub struct AllLasting(Mutex<HashMap<PluginName, Arc<Lasting>>>);

impl AllLasting {
    pub fn of(&self, plugin: &PluginName) -> Arc<Lasting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(plugin.clone()).or_default().clone()
    }

    /// None: there has been no plugin of that name.
    pub fn find(&self, plugin: &PluginName) -> Option<Arc<Lasting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(plugin).cloned()
    }
}
