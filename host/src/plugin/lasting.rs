//! What of a plugin outlives its versions: the process has one for each name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::key_values::KeyValues;
use crate::core::PluginName;

#[derive(Debug, Default)]
pub struct Lasting {
    pub key_values: KeyValues,
}

/// By name. As many as there have been names in the plugin folder.
#[derive(Debug, Default)]
pub struct AllLasting(Mutex<HashMap<PluginName, Arc<Lasting>>>);

impl AllLasting {
    pub fn of(&self, plugin: &PluginName) -> Arc<Lasting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(plugin.clone()).or_default().clone()
    }
}
