//! `tidegate:plugin/trace`

use crate::plugin::bindings::trace::Host;
use crate::plugin::store::StoreData;

impl Host for StoreData {
    fn current(&mut self) -> Option<String> {
        self.traceparent().map(|trace| trace.to_string())
    }
}
