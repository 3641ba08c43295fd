//! Which dialect a WebSocket speaks: the path it is opened at says so.

use bytes::Bytes;

use super::run::{ACTION, BRIDGE, EVENT, NATIVE};
use crate::config::DialectsConfig;
use crate::core::LastName;
use crate::dialect::bridge::{self, BadBridge, Opening};
use crate::dialect::{Request, action, event, native};
use crate::hub::wire::WireId;

#[derive(Debug)]
pub enum Spoken {
    Native,
    Bridge(Opening),
    Event,
    Action,
}

impl Spoken {
    /// None: no WebSocket is opened there, or its dialect is turned off.
    pub fn at(path: &str, query: &str, on: &DialectsConfig) -> Option<Result<Self, BadBridge>> {
        match path {
            "/" | "/ws" => Some(Ok(Self::Native)),
            // The second is where the guide that the dialect is from has it.
            "/dialect/event" | "/api/v1/broadcasting/ws" if on.event => Some(Ok(Self::Event)),
            "/dialect/action" if on.action => Some(Ok(Self::Action)),
            path => {
                let channel = path.strip_prefix("/ws/").filter(|channel| on.bridge && !channel.is_empty())?;
                Some(Opening::parse(channel, query).map(Self::Bridge))
            }
        }
    }

    pub fn wire(&self) -> WireId {
        match self {
            Self::Native => NATIVE,
            Self::Bridge(_) => BRIDGE,
            Self::Event => EVENT,
            Self::Action => ACTION,
        }
    }

    /// A text message, UTF-8, of a client that has named this channel last.
    pub fn text(&self, message: &Bytes, last: &mut LastName) -> Request {
        match self {
            Self::Native => native::text(message, last),
            Self::Bridge(opening) => bridge::text(&opening.channel, message),
            Self::Event => event::text(message),
            Self::Action => action::text(message),
        }
    }

    pub fn binary(&self, message: &Bytes, last: &mut LastName) -> Request {
        match self {
            Self::Bridge(opening) => bridge::binary(&opening.channel, message),
            Self::Native | Self::Event | Self::Action => native::binary(message, last),
        }
    }
}
