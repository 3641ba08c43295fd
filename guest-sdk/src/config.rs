//! The plugin's own settings: `[plugins.NAME.config]` of the server's configuration.
//!
//! ```
//! use tidegate_guest::config;
//!
//! # config::set_for_test("secret", "s3cret");
//! assert_eq!(config::require("secret").unwrap(), "s3cret");
//! assert_eq!(config::get("limit"), None);
//! ```

/// A setting by its key: a string as it is, anything else as JSON text; `None` where
/// it is not set. It is read anew with each call, so keep what a hot path needs.
pub fn get(key: &str) -> Option<String> {
    read(key)
}

/// # Errors
/// With a text that names the key, if it is not set.
pub fn require(key: &str) -> Result<String, String> {
    get(key).ok_or_else(|| format!("The plugin's setting `{key}` is missing."))
}

#[cfg(target_arch = "wasm32")]
fn read(key: &str) -> Option<String> {
    crate::bindings::tidegate::plugin::config::get(key)
}

#[cfg(not(target_arch = "wasm32"))]
use for_test::read;
#[cfg(not(target_arch = "wasm32"))]
pub use for_test::set_for_test;

#[cfg(not(target_arch = "wasm32"))]
mod for_test {
    use std::cell::RefCell;
    use std::collections::HashMap;

    thread_local! {
        static SETTINGS: RefCell<HashMap<String, String>> = RefCell::default();
    }

    /// Sets a key for this thread, and so for one test. Not there on wasm.
    pub fn set_for_test(key: &str, value: &str) {
        SETTINGS.with_borrow_mut(|settings| settings.insert(key.to_owned(), value.to_owned()));
    }

    pub(super) fn read(key: &str) -> Option<String> {
        SETTINGS.with_borrow(|settings| settings.get(key).cloned())
    }
}
