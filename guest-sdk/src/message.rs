//! A published message as a channel's handler sees it.

use crate::{Caller, Denial, PayloadKind};

pub use crate::bindings::channel::exports::tidegate::plugin::channel_handler::Message;

impl Message {
    /// The payload, whatever its kind.
    pub fn bytes(&self) -> &[u8] {
        &self.payload
    }

    /// # Errors
    /// If the payload is not UTF-8, which only a binary one can be.
    pub fn text(&self) -> Result<&str, Denial> {
        std::str::from_utf8(&self.payload).map_err(|_| "The payload is not text.".into())
    }

    /// # Errors
    /// With code 0 and serde's explanation, if the payload has another shape than `T`.
    #[cfg(feature = "json")]
    pub fn json<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, Denial> {
        serde_json::from_slice(&self.payload)
            .map_err(|error| Denial::from(format!("The payload is not as expected: {error}")))
    }

    /// The sender's user; `server` for a message from the server's own API or from
    /// another handler.
    pub fn user(&self) -> &str {
        self.sender.as_ref().map_or("server", |sender| &sender.user)
    }

    /// A JSON message of client 1, for tests of a plugin.
    pub fn for_test(user: &str, payload: impl Into<Vec<u8>>) -> Self {
        Self { sender: Some(Caller::for_test(user)), ..Self::from_server_for_test(payload) }
    }

    /// A JSON message without a sender, for tests of a plugin.
    pub fn from_server_for_test(payload: impl Into<Vec<u8>>) -> Self {
        Self { sender: None, event: None, kind: PayloadKind::Json, payload: payload.into(), at_ms: 0 }
    }
}

impl Caller {
    /// Client 1 of this user, for tests of a plugin.
    pub fn for_test(user: &str) -> Self {
        Self { client: 1, user: user.to_owned() }
    }
}
