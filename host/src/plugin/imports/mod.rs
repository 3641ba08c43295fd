//! What plugins may import.

mod config;
mod key_values;
pub mod log;
mod reads;
pub mod stdio;
mod trace;

use super::bindings::types;
use super::store::StoreData;

/// Types only: there is nothing to call.
impl types::Host for StoreData {}
