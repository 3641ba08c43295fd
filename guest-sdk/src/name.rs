//! Names of channels, with what their patterns took of them.

use std::fmt;
use std::ops::Deref;

/// A channel's name: a `str`, and what the `{captures}` in its patterns took of it. Those
/// are the ones of the `[[channel]]` rule that holds for it and of the route to its handler;
/// where both have a name, the rule's counts.
///
/// ```
/// use tidegate_guest::prelude::*;
///
/// let channel = ChannelName::from("private-order.7").with("id", "7");
/// assert!(channel.starts_with("private-"));
/// assert_eq!(channel.capture("id"), Some("7"));
/// assert_eq!(channel.capture("user"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelName {
    name: String,
    captures: Vec<(String, String)>,
}

impl ChannelName {
    pub(crate) fn new(name: String, captures: Vec<(String, String)>) -> Self {
        Self { name, captures }
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// What the capture of this name took.
    pub fn capture(&self, name: &str) -> Option<&str> {
        self.captures.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All captures: names and what they took.
    pub fn captures(&self) -> &[(String, String)] {
        &self.captures
    }

    /// With one more capture, for tests of a plugin.
    pub fn with(mut self, capture: impl Into<String>, value: impl Into<String>) -> Self {
        self.captures.push((capture.into(), value.into()));
        self
    }
}

/// Without captures, for tests of a plugin.
impl From<&str> for ChannelName {
    fn from(name: &str) -> Self {
        Self::new(name.to_owned(), Vec::new())
    }
}

impl Deref for ChannelName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
