//! A message on its way through the server.

use bytes::Bytes;

use super::clock::UnixMillis;
use super::ids::{ClientId, Offset};
use super::names::UserId;

/// What the bytes of a payload are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PayloadKind {
    /// One JSON value, checked where it came in.
    Json,
    /// UTF-8, checked where it came in.
    Text,
    Binary,
}

impl PayloadKind {
    /// As the configuration writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
            Self::Binary => "binary",
        }
    }
}

/// Bytes and what they are. Cheap to clone: the bytes are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    pub kind: PayloadKind,
    pub bytes: Bytes,
}

impl Payload {
    pub fn json(bytes: impl Into<Bytes>) -> Self {
        Self { kind: PayloadKind::Json, bytes: bytes.into() }
    }

    /// `bytes` are UTF-8.
    pub fn text(bytes: impl Into<Bytes>) -> Self {
        Self { kind: PayloadKind::Text, bytes: bytes.into() }
    }

    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Self { kind: PayloadKind::Binary, bytes: bytes.into() }
    }
}

/// The connection a message came from, and its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    pub client: ClientId,
    pub user: UserId,
}

impl Sender {
    /// The user, unless the client is anonymous: then its user is its own client id.
    pub fn named(&self) -> Option<&UserId> {
        (self.user.as_str() != self.client.to_string()).then_some(&self.user)
    }
}

/// A message that its channel has taken: it has a place in the channel's order.
#[derive(Clone, Debug)]
pub struct Message {
    pub offset: Offset,
    pub at: UnixMillis,
    /// None: from the server's API or a plugin.
    pub sender: Option<Sender>,
    /// Empty for none.
    pub event: Bytes,
    pub payload: Payload,
    /// This client does not get it.
    pub except: Option<ClientId>,
}
