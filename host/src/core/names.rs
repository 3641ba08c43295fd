//! Names that clients and operators choose, checked once where they come in.

use std::fmt;
use std::sync::Arc;

/// Why a name cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("is empty")]
    Empty,
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    #[error("begins or ends with a space, or has a control character")]
    BadCharacter,
    #[error("begins with `$`, which is kept for the server")]
    Reserved,
}

/// The name of a channel: 1 to 255 bytes of UTF-8 without control characters or
/// outer spaces. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelName(Arc<str>);

/// Begins the names of channels that the server has for itself.
const OWN: char = '$';

impl ChannelName {
    pub const MAX_BYTES: usize = 255;

    /// Checks a name that came from outside.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > Self::MAX_BYTES {
            return Err(NameError::TooLong(Self::MAX_BYTES));
        }
        if name.trim() != name || name.chars().any(char::is_control) {
            return Err(NameError::BadCharacter);
        }
        if Self::is_own(name) {
            return Err(NameError::Reserved);
        }
        Ok(Self(name.into()))
    }

    /// Is it a channel that the server has for itself? Nobody else can name one.
    pub fn is_own(name: &str) -> bool {
        name.starts_with(OWN)
    }

    /// A channel of the server's own.
    pub fn own(name: &str) -> Self {
        Self(format!("{OWN}{name}").into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// So that a map keyed by names can be asked with a `&str`.
impl std::borrow::Borrow<str> for ChannelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a plugin: its file's stem, 1 to 64 of `a-z 0-9 -`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PluginName(Arc<str>);

impl PluginName {
    pub const MAX_BYTES: usize = 64;

    /// None for a name with other characters, an empty or a longer one.
    pub fn parse(name: &str) -> Option<Self> {
        let fits = (1..=Self::MAX_BYTES).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        fits.then(|| Self(name.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for PluginName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PluginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A publisher's own mark on a message, so that a repeat is known for one: 1 to 255 bytes of
/// UTF-8 without control characters. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Arc<str>);

impl IdempotencyKey {
    pub const MAX_BYTES: usize = 255;

    /// Checks a key that came from outside.
    pub fn parse(key: &str) -> Result<Self, NameError> {
        match key {
            "" => Err(NameError::Empty),
            key if key.len() > Self::MAX_BYTES => Err(NameError::TooLong(Self::MAX_BYTES)),
            key if key.chars().any(char::is_control) => Err(NameError::BadCharacter),
            key => Ok(Self(key.into())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A user, as an auth plugin names it; an anonymous client's is its client id. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(pub Arc<str>);

impl UserId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_names_are_checked() {
        assert!(ChannelName::parse("chat:lobby").is_ok());
        assert!(ChannelName::parse("räume/größe 1").is_ok());
        assert!(ChannelName::parse(&"a".repeat(255)).is_ok());
        assert_eq!(ChannelName::parse(""), Err(NameError::Empty));
        assert_eq!(ChannelName::parse(&"a".repeat(256)), Err(NameError::TooLong(255)));
        assert_eq!(ChannelName::parse(" a"), Err(NameError::BadCharacter));
        assert_eq!(ChannelName::parse("a\u{0}b"), Err(NameError::BadCharacter));
        assert_eq!(ChannelName::parse("$sys"), Err(NameError::Reserved));
    }

    #[test]
    fn plugin_names_are_file_stems() {
        assert!(PluginName::parse("level-filter").is_some());
        for bad in ["", "Chat", "a b", "a.b", "../x"] {
            assert!(PluginName::parse(bad).is_none(), "{bad}");
        }
    }
}
