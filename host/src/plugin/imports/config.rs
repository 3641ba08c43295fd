//! `tidegate:plugin/config`

use crate::plugin::bindings::config;
use crate::plugin::store::StoreData;

impl config::Host for StoreData {
    fn get(&mut self, key: String) -> Option<String> {
        self.owner.settings.get(&key).cloned()
    }
}
