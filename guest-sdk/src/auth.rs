//! Who a connection is, and what it may do.

use crate::ChannelName;
use crate::bindings::auth::exports::tidegate::plugin::auth as wit;

pub use wit::{Action, Handshake, Identity, Permission};

/// Names the users. There is one instance a shard (a thread of the server with its
/// share of the connections): keep nothing that all connections must see.
///
/// ```
/// use tidegate_guest::prelude::*;
///
/// struct Guests;
///
/// impl Auth for Guests {
///     fn authenticate(request: &Handshake) -> Result<Identity, String> {
///         match request.token.as_deref() {
///             None => Ok(Identity::anonymous()),
///             Some("open sesame") => Ok(Identity::user("ali").claim("role", "owner")),
///             Some(_) => Err("Wrong password.".into()),
///         }
///     }
///
///     fn authorize(who: &Identity, action: Action, channel: &ChannelName) -> Permission {
///         // With a rule for `private-inbox.{user}`: nobody reads another's.
///         match channel.capture("user") {
///             Some(user) if who.user == user => Permission::Granted,
///             Some(user) => Permission::refused(format!("Only {user} may read this.")),
///             None => (action == Action::Subscribe || who.claimed("role") == Some("owner")).into(),
///         }
///     }
/// }
///
/// tidegate_guest::export!(auth: Guests);
///
/// let ali = Guests::authenticate(&Handshake::for_test(Some("open sesame"))).unwrap();
/// assert!(Guests::authorize(&ali, Action::Publish, &"chat:lobby".into()).is_granted());
/// let inbox = ChannelName::from("private-inbox.bob").with("user", "bob");
/// assert!(!Guests::authorize(&ali, Action::Subscribe, &inbox).is_granted());
/// ```
pub trait Auth {
    /// Once a connection, before anything else it asks for, and again for each new
    /// token that it sends. May take 50 ms.
    ///
    /// # Errors
    /// Close the connection with 4001 and this reason.
    fn authenticate(request: &Handshake) -> Result<Identity, String>;

    /// Before a subscription, and before a connection's first publish to a channel.
    /// Everything is allowed unless this is implemented. May take 50 ms.
    fn authorize(who: &Identity, action: Action, channel: &ChannelName) -> Permission {
        let _ = (who, action, channel);
        Permission::Granted
    }
}

impl Permission {
    /// Granted for so many seconds; then the plugin is asked again.
    pub fn for_secs(seconds: u32) -> Self {
        Self::GrantedFor(seconds)
    }

    /// Refused, with a reason that the client reads.
    pub fn refused(reason: impl Into<String>) -> Self {
        Self::Refused(reason.into())
    }

    /// Is it granted, for however long?
    pub fn is_granted(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

/// Granted or, without a reason, refused.
impl From<bool> for Permission {
    fn from(granted: bool) -> Self {
        if granted { Self::Granted } else { Self::Refused(String::new()) }
    }
}

impl Identity {
    /// A user who stays for as long as the connection.
    pub fn user(name: impl Into<String>) -> Self {
        Self { user: name.into(), claims: Vec::new(), expires_at_ms: None }
    }

    /// Nobody in particular. The user's name is left empty, and the server puts the
    /// connection's id in hexadecimal in its place.
    pub fn anonymous() -> Self {
        Self::user("")
    }

    /// Adds something to remember for [`Auth::authorize`]; the server does not read it.
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.claims.push((name.into(), value.into()));
        self
    }

    /// The first claim of this name.
    pub fn claimed(&self, name: &str) -> Option<&str> {
        self.claims.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Ends the identity at this Unix time in milliseconds. The client is told 30 s
    /// before, and closed with 4001 unless it sends a new token. A time that is past
    /// ends it at once, so a plugin needs no clock to refuse an expired token.
    pub fn until_ms(mut self, unix_ms: u64) -> Self {
        self.expires_at_ms = Some(unix_ms);
        self
    }
}

impl Handshake {
    /// A header of the connection's request, by its name in lower case.
    /// `authorization` and `cookie` are never there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A connection with this token and nothing else, for tests of a plugin.
    pub fn for_test(token: Option<&str>) -> Self {
        Self {
            path: "/".to_owned(),
            query: String::new(),
            headers: Vec::new(),
            token: token.map(str::to_owned),
            peer: "127.0.0.1:1".to_owned(),
        }
    }
}

#[doc(hidden)]
pub fn authenticate<T: Auth>(request: &Handshake) -> Result<Identity, wit::Refusal> {
    crate::panic::install_hook();
    T::authenticate(request).map_err(|reason| wit::Refusal { reason })
}

#[doc(hidden)]
pub fn authorize<T: Auth>(
    who: &Identity,
    action: Action,
    channel: String,
    captures: Vec<(String, String)>,
) -> Permission {
    crate::panic::install_hook();
    T::authorize(who, action, &ChannelName::new(channel, captures))
}
