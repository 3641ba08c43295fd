//! Names that clients and operators choose, checked once where they come in.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::channel_map;

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
/// outer spaces. One that begins with `$` is the server's own: from outside only a user's own
/// channel can be named, `$user:` and the user's id. Cheap to clone.
#[derive(Clone, serde::Deserialize, serde::Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChannelName {
    text: Arc<str>,
    /// For [`channel_map::ChannelMap`].
    hash: u64,
}

impl ChannelName {
    pub const MAX_BYTES: usize = 255;
    /// What comes before the user's id in the name of a user's own channel.
    pub const OF_USER: &str = "$user:";

    /// What comes before the user's name in the name of a channel that [`ChannelName::online`] is.
    pub const ONLINE: &str = "$online:";

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
        if name.starts_with('$') && user_in(name).is_none() {
            return Err(NameError::Reserved);
        }
        Ok(Self::unchecked(name))
    }

    fn unchecked(name: &str) -> Self {
        Self { text: name.into(), hash: channel_map::hash(name) }
    }

    /// Is it a channel that the server has for itself? Nobody else can name one.
    pub fn is_own(name: &str) -> bool {
        name.starts_with(Self::ONLINE)
    }

    /// Where a user of an application's is shown to be online; `name` is the user's, behind the
    /// application's prefix.
    pub fn online(name: &str) -> Self {
        Self::unchecked(&format!("{}{name}", Self::ONLINE))
    }

    /// A user's own channel.
    ///
    /// # Errors
    /// Of users whose ids leave no valid name: empty ones, those beyond 249 bytes, with control
    /// characters, or with a space at the end.
    pub fn of_user(user: &str) -> Result<Self, NameError> {
        match user {
            "" => Err(NameError::Empty),
            user if user.len() > Self::MAX_BYTES - Self::OF_USER.len() => {
                Err(NameError::TooLong(Self::MAX_BYTES - Self::OF_USER.len()))
            }
            user => Self::parse(&format!("{}{user}", Self::OF_USER)),
        }
    }

    /// What a message to one client, in nobody's channel, says it is from: `$client`. Nobody can
    /// subscribe to it.
    pub fn of_client() -> Self {
        Self::unchecked("$client")
    }

    /// Whose own channel it is; none: nobody's.
    pub fn user(&self) -> Option<&str> {
        user_in(&self.text)
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same for equal names, in this process alone.
    pub fn hashed(&self) -> u64 {
        self.hash
    }

    /// Is it a clone of this very one? Others may be equal: this is only the quicker question.
    pub fn is_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.text, &other.text)
    }
}

impl TryFrom<String> for ChannelName {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        Self::parse(&name)
    }
}

impl From<ChannelName> for String {
    fn from(name: ChannelName) -> Self {
        name.as_str().to_owned()
    }
}

fn user_in(name: &str) -> Option<&str> {
    name.strip_prefix(ChannelName::OF_USER).filter(|user| !user.is_empty())
}

/// The channel that a client has named last: most name the same one again, which is then neither
/// checked nor copied.
#[derive(Debug, Default)]
pub struct LastName(Option<ChannelName>);

impl LastName {
    /// As [`ChannelName::parse`].
    ///
    /// # Errors
    /// It is no name. The last one stays.
    pub fn parse(&mut self, name: &str) -> Result<ChannelName, NameError> {
        match &self.0 {
            Some(last) if last.as_str() == name => Ok(last.clone()),
            _ => Ok(self.0.insert(ChannelName::parse(name)?).clone()),
        }
    }
}

impl Hash for ChannelName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl PartialEq for ChannelName {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.text == other.text
    }
}

impl Eq for ChannelName {}

impl PartialOrd for ChannelName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ChannelName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The name of a plugin: its file's stem, 1 to 64 of `a-z 0-9 -`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Deserialize, serde::Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct PluginName(Arc<str>);

/// What [`PluginName::parse`] has no reason for.
#[derive(Debug, thiserror::Error)]
#[error("a plugin's name is 1 to {} of `a-z 0-9 -`", PluginName::MAX_BYTES)]
pub struct NoPluginName;

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

impl TryFrom<String> for PluginName {
    type Error = NoPluginName;

    fn try_from(name: String) -> Result<Self, NoPluginName> {
        Self::parse(&name).ok_or(NoPluginName)
    }
}

impl From<PluginName> for String {
    fn from(name: PluginName) -> Self {
        name.as_str().to_owned()
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
    }

    #[test]
    fn the_last_name_is_the_same_one_again() {
        let mut last = LastName::default();
        let room = last.parse("room").unwrap();
        assert!(last.parse("room").unwrap().is_same_as(&room));
        assert_eq!(last.parse(" room"), Err(NameError::BadCharacter));
        assert!(last.parse("room").unwrap().is_same_as(&room));
        assert_eq!(last.parse("hall").unwrap().as_str(), "hall");
        assert_eq!(last.parse("room"), Ok(room));
    }

    #[test]
    fn of_the_servers_own_names_users_channels_can_be_named() {
        for reserved in ["$", "$sys", "$client", "$user", "$user:", "$users:ada", "$USER:ada"] {
            assert_eq!(ChannelName::parse(reserved), Err(NameError::Reserved), "{reserved}");
        }
        let ada = ChannelName::parse("$user:ada").unwrap();
        assert_eq!((ada.user(), ChannelName::of_user("ada")), (Some("ada"), Ok(ada.clone())));
        assert_eq!(ChannelName::parse("user:ada").unwrap().user(), None);
        assert_eq!(ChannelName::of_user("$user:x").unwrap().user(), Some("$user:x"));
        assert!(ChannelName::of_user(&"a".repeat(249)).is_ok());
        for (user, why) in [
            ("".to_owned(), NameError::Empty),
            ("a".repeat(250), NameError::TooLong(249)),
            ("a ".to_owned(), NameError::BadCharacter),
            ("a\nb".to_owned(), NameError::BadCharacter),
        ] {
            assert_eq!(ChannelName::of_user(&user), Err(why), "{user:?}");
        }
    }

    #[test]
    fn plugin_names_are_file_stems() {
        assert!(PluginName::parse("level-filter").is_some());
        for bad in ["", "Chat", "a b", "a.b", "../x"] {
            assert!(PluginName::parse(bad).is_none(), "{bad}");
        }
    }
}
