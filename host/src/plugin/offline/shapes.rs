//! Calls and recordings as they stand in JSON. What is not known is refused.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::read::BadInput;
use crate::core::ClientId;

pub fn from_base64(text: &str) -> Result<Bytes, BadInput> {
    STANDARD.decode(text).map(Into::into).map_err(|why| BadInput(format!("`base64`: {why}")))
}

/// A number, or the sixteen hexadecimal digits that clients see.
pub struct ClientJson(pub ClientId);

impl<'de> Deserialize<'de> for ClientJson {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a client is a number, or sixteen hexadecimal digits in quotes")]
        enum Either {
            Number(u64),
            Digits(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(number) => Ok(Self(ClientId(number))),
            Either::Digits(digits) => ClientId::parse(&digits).map(Self).ok_or_else(|| {
                serde::de::Error::custom(format!("`{digits}` is not sixteen hexadecimal digits"))
            }),
        }
    }
}

/// A string, or `{"base64": …}`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "bytes are a string, or {\"base64\": \"…\"}")]
pub enum BytesJson {
    Text(String),
    #[serde(rename_all = "snake_case")]
    Other {
        base64: String,
    },
}

impl BytesJson {
    pub fn into_bytes(self) -> Result<Bytes, BadInput> {
        match self {
            Self::Text(text) => Ok(text.into()),
            Self::Other { base64 } => from_base64(&base64),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthenticateJson {
    pub path: Option<String>,
    pub query: Option<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub token: Option<String>,
    pub peer: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionJson {
    Subscribe,
    Publish,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorizeJson {
    pub user: Option<String>,
    #[serde(default)]
    pub claims: BTreeMap<String, String>,
    pub expires_at_ms: Option<u64>,
    pub action: ActionJson,
    pub channel: String,
    pub captures: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscribeJson {
    pub channel: String,
    pub captures: Option<BTreeMap<String, String>>,
    pub snapshot: Option<BytesJson>,
    pub client: Option<ClientJson>,
    pub user: Option<String>,
    pub params: Option<Box<RawValue>>,
    #[serde(default)]
    pub respond: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishJson {
    pub channel: String,
    pub captures: Option<BTreeMap<String, String>>,
    pub snapshot: Option<BytesJson>,
    pub client: Option<ClientJson>,
    pub user: Option<String>,
    pub event: Option<String>,
    pub data: Option<Box<RawValue>>,
    pub text: Option<String>,
    pub base64: Option<String>,
    pub at_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyJson {
    Left,
    Disconnected,
    Expired,
    Removed,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnsubscribeJson {
    pub channel: String,
    pub captures: Option<BTreeMap<String, String>>,
    pub snapshot: Option<BytesJson>,
    pub client: Option<ClientJson>,
    pub user: Option<String>,
    pub why: Option<WhyJson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimerJson {
    pub channel: String,
    pub captures: Option<BTreeMap<String, String>>,
    pub snapshot: Option<BytesJson>,
    pub id: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaveJson {
    pub channel: String,
    pub captures: Option<BTreeMap<String, String>>,
    pub snapshot: Option<BytesJson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterJson {
    pub params: Option<Box<RawValue>>,
    pub messages: Vec<JudgedJson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgedJson {
    pub event: Option<String>,
    pub data: Option<Box<RawValue>>,
    pub text: Option<String>,
    pub base64: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallJson {
    pub name: String,
    pub client: Option<ClientJson>,
    pub user: Option<String>,
    pub data: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostJson {
    #[serde(default)]
    pub config: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    pub store: BTreeMap<String, BytesJson>,
    #[serde(default)]
    pub presence: BTreeMap<String, Vec<PresentJson>>,
    #[serde(default)]
    pub history: BTreeMap<String, Vec<PastJson>>,
    #[serde(default)]
    pub groups: BTreeMap<String, Vec<String>>,
    pub trace: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PresentJson {
    pub user: String,
    pub data: Option<Box<RawValue>>,
    #[serde(default)]
    pub joined_at_ms: u64,
    pub connections: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastJson {
    pub offset: Option<u64>,
    pub event: Option<String>,
    pub data: Option<Box<RawValue>>,
    pub text: Option<String>,
    pub base64: Option<String>,
    #[serde(default)]
    pub at_ms: u64,
}
