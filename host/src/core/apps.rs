//! Applications that share the server's channels: each has the names that begin with its prefix,
//! and what is behind the prefix says what kind of channel it is (the Pusher Channels protocol's
//! naming).

use super::names::{ChannelName, NameError};

/// Which names are which application's. No prefix begins another, so a name has one owner.
#[derive(Clone, Debug, Default)]
pub struct AppNames(Vec<String>);

impl AppNames {
    /// The prefixes by the applications' numbers; the configuration has checked that none begins
    /// another.
    pub fn new(prefixes: Vec<String>) -> Self {
        Self(prefixes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The application's number, and the name as the application says it. None: nobody's.
    pub fn split<'a>(&self, channel: &'a str) -> Option<(usize, &'a str)> {
        if channel.starts_with('$') {
            return None;
        }
        let mut prefixes = self.0.iter().enumerate();
        prefixes.find_map(|(number, prefix)| Some((number, channel.strip_prefix(prefix.as_str())?)))
    }

    /// The name behind the owner's prefix; a name that is nobody's is left as it is.
    pub fn local<'a>(&self, channel: &'a str) -> &'a str {
        self.split(channel).map_or(channel, |(_, name)| name)
    }

    /// Of what kind a channel is, if it is some application's.
    pub fn kind(&self, channel: &str) -> Option<ChannelKind> {
        self.split(channel).map(|(_, name)| ChannelKind::of(name))
    }
}

/// What a channel's name says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelKind {
    pub access: Access,
    /// The last event is remembered for who comes later.
    pub cache: bool,
}

/// Who may subscribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Public,
    /// Whom the application lets in.
    Private,
    /// The same; the server cannot read what is said there.
    Encrypted,
    /// The same, and all know who is there.
    Presence,
    /// `#server-to-user-{id}`: the signed-in user with that id.
    User,
}

/// The server's own channel of a user's signed-in connections, who are its members: those who watch
/// the user subscribe to it.
pub fn online(prefix: &str, user: &str) -> ChannelName {
    ChannelName::online(&format!("{prefix}{user}"))
}

impl AppNames {
    /// The user of such a channel.
    pub fn online<'a>(&self, channel: &'a str) -> Option<&'a str> {
        let name = channel.strip_prefix(ChannelName::ONLINE)?;
        self.0.iter().find_map(|prefix| name.strip_prefix(prefix.as_str()))
    }
}

/// Begins the name of a user's own channel.
pub const SERVER_TO_USER: &str = "#server-to-user-";

impl ChannelKind {
    /// By a name without its application's prefix.
    pub fn of(name: &str) -> Self {
        let private = name.strip_prefix("private-");
        let (access, rest) = match private.map(|rest| (rest.strip_prefix("encrypted-"), rest)) {
            Some((Some(rest), _)) => (Access::Encrypted, rest),
            Some((None, rest)) => (Access::Private, rest),
            None => match name.strip_prefix("presence-") {
                Some(rest) => (Access::Presence, rest),
                None if name.starts_with(SERVER_TO_USER) => (Access::User, ""),
                None => (Access::Public, name),
            },
        };
        Self { access, cache: rest.starts_with("cache-") }
    }

    pub fn is_presence(self) -> bool {
        self.access == Access::Presence
    }
}

/// The longest name of a channel behind its prefix, in characters; each is one byte.
pub const MAX_CHANNEL: usize = 200;
/// The longest name of an event, in characters.
pub const MAX_EVENT: usize = 200;
/// The longest id of a user, in characters.
pub const MAX_USER: usize = 128;
/// The longest prefix of an application, in bytes: with it a channel's name still fits.
pub const MAX_PREFIX: usize = ChannelName::MAX_BYTES - MAX_CHANNEL;

/// Why a name is no channel's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    #[error("a channel's name has 1 to {MAX_CHANNEL} characters")]
    Length,
    #[error("a channel's name consists of A-Z, a-z, 0-9 and _ - = @ , . ;")]
    Character,
    #[error("the channel's name {0}")]
    Name(#[from] NameError),
}

/// The channel that an application's client or its HTTP API names.
///
/// # Errors
/// The name cannot be.
pub fn channel(prefix: &str, name: &str) -> Result<ChannelName, BadName> {
    check(name)?;
    Ok(ChannelName::parse(&format!("{prefix}{name}"))?)
}

/// Could an application name a channel so? Otherwise it is none of its, whatever it begins with.
pub fn is_channel(name: &str) -> bool {
    check(name).is_ok()
}

fn check(name: &str) -> Result<(), BadName> {
    let (id, most) = match name.strip_prefix(SERVER_TO_USER) {
        Some(id) => (id, MAX_USER),
        None => (name, MAX_CHANNEL),
    };
    if id.is_empty() || id.chars().nth(most).is_some() {
        return Err(BadName::Length);
    }
    // An id is the application's own: any characters that a name may have.
    if id.len() == name.len() && !name.bytes().all(is_channel_byte) {
        return Err(BadName::Character);
    }
    Ok(())
}

fn is_channel_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-=@,.;".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_it_is() {
        use Access::*;
        for (name, access, cache) in [
            ("room", Public, false),
            ("cache-room", Public, true),
            ("private-room", Private, false),
            ("private-cache-room", Private, true),
            ("private-encrypted-room", Encrypted, false),
            ("private-encrypted-cache-room", Encrypted, true),
            ("presence-room", Presence, false),
            ("presence-cache-room", Presence, true),
            ("presence-encrypted-room", Presence, false),
            ("#server-to-user-7", User, false),
            ("my-private-room", Public, false),
            ("encrypted-cache-room", Public, false),
        ] {
            assert_eq!(ChannelKind::of(name), ChannelKind { access, cache }, "{name}");
        }
    }

    #[test]
    fn a_name_has_one_owner() {
        let names = AppNames::new(vec!["a.".into(), "b.".into()]);
        assert_eq!(names.split("b.room"), Some((1, "room")));
        assert_eq!(names.split("room"), None);
        assert_eq!(names.local("a.room"), "room");
        let only = AppNames::new(vec![String::new()]);
        assert_eq!(only.split("a.room"), Some((0, "a.room")));
        assert_eq!(only.split("$own"), None);
        assert_eq!(AppNames::default().split("room"), None);
        assert_eq!(names.online(online("b.", "ada").as_str()), Some("ada"));
        assert_eq!(only.online(online("", "$x").as_str()), Some("$x"));
        assert_eq!(only.online("$other"), None);
    }

    #[test]
    fn names_are_checked() {
        assert_eq!(channel("x.", "private-a@b=,.;_-").unwrap().as_str(), "x.private-a@b=,.;_-");
        assert!(channel(&"p".repeat(MAX_PREFIX), &"c".repeat(200)).is_ok());
        assert_eq!(channel("", &"c".repeat(201)), Err(BadName::Length));
        assert_eq!(channel("", ""), Err(BadName::Length));
        for bad in ["a b", "a:b", "#a", "räume", "a/b", "$a", "a#server-to-user-1"] {
            assert_eq!(channel("", bad), Err(BadName::Character), "{bad}");
        }
        assert!(channel("", "#server-to-user-ada lovelace").is_ok());
        assert!(channel("", &format!("#server-to-user-{}", "1".repeat(128))).is_ok());
        assert_eq!(channel("", &format!("#server-to-user-{}", "1".repeat(129))), Err(BadName::Length));
        assert_eq!(channel("", "#server-to-user-"), Err(BadName::Length));
        assert_eq!(channel("", "#server-to-user-a\n"), Err(BadName::Name(NameError::BadCharacter)));
    }
}
