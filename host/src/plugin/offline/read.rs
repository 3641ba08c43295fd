//! Calls and recordings from JSON. What is wrong with it is told with the way to where it stands.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::call::{Call, Judged, Who};
use super::recorded::{Kept, Present, Recorded};
use super::shapes::{
    ActionJson, AuthenticateJson, AuthorizeJson, BytesJson, CallJson, ClientJson, FilterJson, HostJson,
    JudgedJson, PastJson, PublishJson, SaveJson, SubscribeJson, TimerJson, UnsubscribeJson, WhyJson,
    from_base64,
};
use crate::core::clock::UnixMillis;
use crate::core::{Captures, ChannelName, ClientId, Payload, Sender, UserId};
use crate::plugin::{AuthAction, Departure, Handshake, Headers, Job};

/// What is wrong with JSON that was given, and where.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub(super) String);

impl Call {
    /// The functions, as [`Call::parse`] takes them.
    pub const FUNCTIONS: [&str; 9] = [
        "authenticate",
        "authorize",
        "subscribe",
        "publish",
        "unsubscribe",
        "timer",
        "save",
        "filter",
        "action",
    ];

    /// # Errors
    /// Names the field that is wrong or missing.
    pub fn parse(function: &str, json: &str) -> Result<Self, BadInput> {
        Ok(match function {
            "authenticate" => {
                let AuthenticateJson { path, query, headers, token, peer } = read(json)?;
                Self::Authenticate(Handshake {
                    path: path.unwrap_or_else(|| "/ws".into()),
                    query: query.unwrap_or_default(),
                    headers: Headers::pack(|| headers.iter().map(|(name, value)| (&**name, &**value))),
                    token,
                    peer: peer.unwrap_or_else(|| "127.0.0.1:1".into()),
                })
            }
            "authorize" => {
                let AuthorizeJson { user, claims, expires_at_ms, action, channel, captures } = read(json)?;
                Self::Authorize {
                    who: Who {
                        user: user.unwrap_or_default(),
                        claims: claims.into_iter().collect(),
                        expires_at: expires_at_ms.map(UnixMillis),
                    },
                    action: match action {
                        ActionJson::Subscribe => AuthAction::Subscribe,
                        ActionJson::Publish => AuthAction::Publish,
                    },
                    channel: self::channel(&channel)?,
                    captures: captures.map(Captures::from_iter),
                }
            }
            "subscribe" => {
                let SubscribeJson { channel, captures, snapshot, client, user, params, respond } =
                    read(json)?;
                let job = Job::Subscribe { who: sender(client, user), params: params.map(raw), respond };
                handle(&channel, captures, snapshot, job)?
            }
            "publish" => {
                let PublishJson {
                    channel,
                    captures,
                    snapshot,
                    client,
                    user,
                    event,
                    data,
                    text,
                    base64,
                    at_ms,
                } = read(json)?;
                let from_somebody = client.is_some() || user.is_some();
                let job = Job::Publish {
                    sender: from_somebody.then(|| sender(client, user)),
                    event: event.unwrap_or_default().into(),
                    payload: payload(data, text, base64)?,
                    at: at_ms.map_or_else(UnixMillis::now, UnixMillis),
                };
                handle(&channel, captures, snapshot, job)?
            }
            "unsubscribe" => {
                let UnsubscribeJson { channel, captures, snapshot, client, user, why } = read(json)?;
                let why = match why {
                    None | Some(WhyJson::Left) => Departure::Left,
                    Some(WhyJson::Disconnected) => Departure::Disconnected,
                    Some(WhyJson::Expired) => Departure::Expired,
                    Some(WhyJson::Removed) => Departure::Removed,
                };
                handle(&channel, captures, snapshot, Job::Unsubscribe { who: sender(client, user), why })?
            }
            "timer" => {
                let TimerJson { channel, captures, snapshot, id } = read(json)?;
                handle(&channel, captures, snapshot, Job::Timer { id })?
            }
            "save" => {
                let SaveJson { channel, captures, snapshot } = read(json)?;
                Self::Save {
                    channel: self::channel(&channel)?,
                    captures: captures.map(Captures::from_iter),
                    snapshot: snapshot.map(BytesJson::into_bytes).transpose()?.map(|bytes| bytes.to_vec()),
                }
            }
            "filter" => {
                let FilterJson { params, messages } = read(json)?;
                let messages = messages.into_iter().map(|message| {
                    let JudgedJson { event, data, text, base64 } = message;
                    let payload = payload(data, text, base64)?;
                    Ok(Judged { event: event.unwrap_or_default().into(), payload })
                });
                Self::Filter {
                    params: params.map_or(Bytes::from_static(b"null"), raw),
                    messages: messages.collect::<Result<_, BadInput>>()?,
                }
            }
            "action" => {
                let CallJson { name, client, user, data } = read(json)?;
                Self::Action {
                    name,
                    who: sender(client, user),
                    data: data.map_or(Bytes::from_static(b"null"), raw),
                }
            }
            other => {
                let known = Self::FUNCTIONS.join(", ");
                return Err(BadInput(format!("there is no function `{other}`; there are {known}")));
            }
        })
    }
}

impl Recorded {
    /// A recording, as `--host` takes it.
    ///
    /// # Errors
    /// Names the field that is wrong.
    pub fn parse(json: &str) -> Result<Self, BadInput> {
        let HostJson { config, store, presence, history, groups, trace } = read(json)?;
        let config = config.into_iter().map(|(key, value)| match value {
            serde_json::Value::String(text) => (key, text),
            other => (key, other.to_string()),
        });
        let store = store.into_iter().map(|(key, value)| Ok((key, value.into_bytes()?)));
        let presence = presence.into_iter().map(|(channel, members)| {
            let members = members.into_iter().map(|member| Present {
                user: member.user,
                data: member.data.map(raw),
                joined_at_ms: member.joined_at_ms,
                connections: member.connections.unwrap_or(1),
            });
            (channel, members.collect())
        });
        let history = history.into_iter().map(|(channel, past)| {
            let past = past.into_iter().zip(1..).map(|(past, nth)| {
                let PastJson { offset, event, data, text, base64, at_ms } = past;
                Ok(Kept {
                    offset: offset.unwrap_or(nth),
                    event: event.filter(|event| !event.is_empty()),
                    payload: payload(data, text, base64)?,
                    at_ms,
                })
            });
            Ok((channel, past.collect::<Result<Vec<_>, BadInput>>()?))
        });
        Ok(Self {
            config: config.collect(),
            store: store.collect::<Result<_, BadInput>>()?,
            presence: presence.collect(),
            history: history.collect::<Result<_, BadInput>>()?,
            groups,
            trace,
            written: Vec::new(),
        })
    }
}

fn read<T: DeserializeOwned>(json: &str) -> Result<T, BadInput> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let why = error.into_inner();
        if path == "." { BadInput(why.to_string()) } else { BadInput(format!("`{path}`: {why}")) }
    })?;
    reader.end().map_err(|error| BadInput(format!("there is more than one JSON value: {error}")))?;
    Ok(read)
}

fn handle(
    channel: &str,
    captures: Option<BTreeMap<String, String>>,
    snapshot: Option<BytesJson>,
    job: Job,
) -> Result<Call, BadInput> {
    Ok(Call::Handle {
        channel: self::channel(channel)?,
        captures: captures.map(Captures::from_iter),
        snapshot: snapshot.map(BytesJson::into_bytes).transpose()?.map(|bytes| bytes.to_vec()),
        job,
    })
}

fn channel(name: &str) -> Result<ChannelName, BadInput> {
    ChannelName::parse(name).map_err(|why| BadInput(format!("`channel`: `{name}` {why}")))
}

/// A client without a user is anonymous: its user is its id. One that is not named is client 1.
fn sender(client: Option<ClientJson>, user: Option<String>) -> Sender {
    let client = client.map_or(ClientId(1), |ClientJson(client)| client);
    let user = user.unwrap_or_else(|| client.to_string());
    Sender { client, user: UserId(user.into()) }
}

fn raw(json: Box<RawValue>) -> Bytes {
    String::from(Box::<str>::from(json)).into()
}

fn payload(
    data: Option<Box<RawValue>>,
    text: Option<String>,
    base64: Option<String>,
) -> Result<Payload, BadInput> {
    match (data, text, base64) {
        (Some(data), None, None) => Ok(Payload::json(raw(data))),
        (None, Some(text), None) => Ok(Payload::text(text)),
        (None, None, Some(base64)) => Ok(Payload::binary(from_base64(&base64)?)),
        _ => Err(BadInput("a message has one of `data` (JSON), `text` and `base64`".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(function: &str, json: &str) -> String {
        Call::parse(function, json).err().map(|why| why.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_call_says_what_it_lacks_and_where() {
        assert!(wrong("publish", "{").contains("EOF"), "{}", wrong("publish", "{"));
        assert!(wrong("publish", "{}").contains("missing field `channel`"));
        let both = r#"{"channel":"a","data":1,"text":"x"}"#;
        assert_eq!(wrong("publish", both), "a message has one of `data` (JSON), `text` and `base64`");
        assert!(wrong("publish", r#"{"channel":"a","dat":1}"#).starts_with("`dat`: unknown field `dat`"));
        assert!(wrong("publish", r#"{"channel":"","data":1}"#).starts_with("`channel`: `` "));
        assert!(
            wrong("filter", r#"{"messages":[{"data":1},{"data":1,"x":2}]}"#).starts_with("`messages[1].x`")
        );
        assert!(wrong("timer", r#"{"channel":"a","id":1} {}"#).starts_with("there is more than one"));
        assert!(wrong("shout", "{}").starts_with("there is no function `shout`; there are authenticate, "));
        let client = wrong("publish", r#"{"channel":"a","data":1,"client":"x"}"#);
        assert!(client.starts_with("`client`: `x` is not sixteen hexadecimal digits"), "{client}");
    }

    #[test]
    fn a_client_without_a_user_is_anonymous() {
        let Ok(Call::Action { who, data, .. }) = Call::parse("action", r#"{"name":"a","client":255}"#) else {
            panic!("no action");
        };
        assert_eq!((who.user.as_str(), who.client), ("00000000000000ff", ClientId(255)));
        assert_eq!(data, "null");
    }

    #[test]
    fn a_recording_has_what_it_names_and_nothing_else() {
        let recorded = Recorded::parse(
            r#"{"config":{"a":"x","b":[1]},"store":{"k":"v","z":{"base64":"AP8="}},
                "history":{"c":[{"text":"old","event":""},{"data":{"n":1},"event":"said","offset":7}]}}"#,
        )
        .unwrap();
        assert_eq!(recorded.config["b"], "[1]");
        assert_eq!((&recorded.store["k"][..], &recorded.store["z"][..]), (&b"v"[..], &[0, 255][..]));
        let offsets: Vec<u64> = recorded.history["c"].iter().map(|kept| kept.offset).collect();
        assert_eq!(offsets, [1, 7]);
        let events: Vec<_> = recorded.history["c"].iter().map(|kept| kept.event.as_deref()).collect();
        assert_eq!(events, [None, Some("said")]);
        let why = Recorded::parse(r#"{"presence":{"c":[{"usr":"a"}]}}"#).unwrap_err().to_string();
        assert!(why.starts_with("`presence.c[0].usr`: unknown field `usr`"), "{why}");
    }
}
