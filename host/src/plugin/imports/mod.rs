//! What plugins may import.

mod config;
pub mod log;
pub mod stdio;

use super::bindings::types;
use super::store::StoreData;

/// Types only: there is nothing to call.
impl types::Host for StoreData {}
