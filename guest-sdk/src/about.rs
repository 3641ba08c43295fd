//! What a plugin says of itself.

/// Usually made by [`export!`](crate::export) from `info: { … }`.
pub use crate::bindings::info::exports::tidegate::plugin::info::About;

impl About {
    #[doc(hidden)]
    pub fn empty() -> Self {
        Self { version: String::new(), summary: String::new(), channels: Vec::new() }
    }

    #[doc(hidden)]
    pub fn version(&mut self, version: impl Into<String>) {
        self.version = version.into();
    }

    #[doc(hidden)]
    pub fn summary(&mut self, summary: impl Into<String>) {
        self.summary = summary.into();
    }

    #[doc(hidden)]
    pub fn channels<const N: usize>(&mut self, channels: [&str; N]) {
        self.channels = channels.map(str::to_owned).to_vec();
    }
}
