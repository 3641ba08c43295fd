//! What a plugin gave, as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::core::{Payload, PayloadKind};
use crate::plugin::bindings::auth;
use crate::plugin::{Answer, Audience, Denial, Direct, Effect, Metric, Publication, Recipient, Verdict};

/// What a function gave.
pub enum Given {
    Answer(Answer),
    /// Or the reason of a refusal.
    Identity(Result<auth::IdentityResult, String>),
    Permission(auth::Permission),
    /// For each message, or why there is no such filter.
    Passes(Result<Vec<bool>, String>),
    Reply(Result<(Bytes, Vec<Effect>), Denial>),
    Snapshot(Option<Box<[u8]>>),
}

impl Given {
    pub fn json(&self) -> Value {
        match self {
            Self::Answer(answer) => self::answer(answer),
            Self::Identity(Ok(identity)) => json!({ "identity": {
                "user": identity.user,
                "claims": pairs(&identity.claims),
                "expires_at_ms": identity.expires_at_ms,
            } }),
            Self::Identity(Err(reason)) | Self::Passes(Err(reason)) => json!({ "refused": reason }),
            Self::Permission(auth::Permission::Granted) => json!({ "permission": "granted" }),
            Self::Permission(auth::Permission::GrantedFor(seconds)) => {
                json!({ "permission": { "granted_for": seconds } })
            }
            Self::Permission(auth::Permission::Refused(reason)) => {
                json!({ "permission": { "refused": reason } })
            }
            Self::Passes(Ok(passes)) => json!({ "passes": passes }),
            Self::Reply(Ok((data, effects))) => {
                json!({ "reply": json_of(data), "effects": self::effects(effects) })
            }
            Self::Reply(Err(denial)) => denied(denial),
            Self::Snapshot(snapshot) => json!({ "snapshot": snapshot.as_deref().map(bytes) }),
        }
    }
}

pub fn answer(answer: &Answer) -> Value {
    match answer {
        Answer::Published(outcome) => {
            let verdict = match &outcome.verdict {
                Verdict::Pass => json!("pass"),
                // Of the message's own kind, which is not told again.
                Verdict::Replace(payload) => json!({ "replace": unkinded(payload) }),
                Verdict::Drop => json!("drop"),
                Verdict::Deny { code, reason } => json!({ "deny": { "code": code, "reason": reason } }),
            };
            json!({ "verdict": verdict, "effects": effects(&outcome.effects) })
        }
        Answer::Subscribed(Ok(acceptance)) => {
            let response = acceptance.response.as_ref().map(|response| {
                let mut fields = content(&response.payload);
                event(&mut fields, &response.event);
                Value::Object(fields)
            });
            json!({ "accepted": { "response": response }, "effects": effects(&acceptance.effects) })
        }
        Answer::Subscribed(Err(denial)) => denied(denial),
        Answer::Unsubscribed(list) | Answer::Timer(list) => json!({ "effects": effects(list) }),
    }
}

pub fn identity(answer: &Result<auth::IdentityResult, auth::Refusal>) -> Value {
    match answer {
        Ok(identity) => json!({ "identity": {
            "user": identity.user,
            "claims": pairs(&identity.claims),
            "expires_at_ms": identity.expires_at_ms,
        } }),
        Err(refusal) => json!({ "refused": refusal.reason }),
    }
}

pub fn permission(permission: &auth::Permission) -> Value {
    match permission {
        auth::Permission::Granted => json!({ "permission": "granted" }),
        auth::Permission::GrantedFor(seconds) => json!({ "permission": { "granted_for": seconds } }),
        auth::Permission::Refused(reason) => json!({ "permission": { "refused": reason } }),
    }
}

pub fn reply(data: &[u8], list: &[Effect]) -> Value {
    json!({ "reply": json_of(data), "effects": effects(list) })
}

pub fn denied(denial: &Denial) -> Value {
    json!({ "denied": { "code": denial.code, "reason": denial.reason } })
}

fn effects(effects: &[Effect]) -> Value {
    effects.iter().map(effect).collect()
}

fn effect(effect: &Effect) -> Value {
    match effect {
        Effect::Publish(publication) => json!({ "publish": self::publication(publication) }),
        Effect::Persist(publication) => json!({ "persist": self::publication(publication) }),
        Effect::Send(Direct { to, event, payload }) => {
            let mut fields = content(payload);
            let to = match to {
                Recipient::Client(client) => json!({ "client": client.0 }),
                Recipient::User(channel) => json!({ "user": channel.user() }),
            };
            fields.insert("to".into(), to);
            self::event(&mut fields, event);
            json!({ "send": fields })
        }
        Effect::Subscribe { client, channel, params } => json!({ "subscribe": {
            "client": client.0, "channel": channel.as_str(), "params": params.as_deref().map(json_of),
        } }),
        Effect::Unsubscribe { client, channel } => {
            json!({ "unsubscribe": { "client": client.0, "channel": channel.as_str() } })
        }
        Effect::Kick(dismissal) => {
            json!({ "kick": { "client": dismissal.client.0, "reason": dismissal.reason } })
        }
        Effect::Join { client, channel, data } => json!({ "join": {
            "client": client.0, "channel": channel.as_str(), "data": data.as_deref().map(json_of),
        } }),
        Effect::Leave { client, channel } => {
            json!({ "leave": { "client": client.0, "channel": channel.as_str() } })
        }
        Effect::GroupAdd { group, channel } => {
            json!({ "group_add": { "group": group.as_str(), "channel": channel.as_str() } })
        }
        Effect::GroupDiscard { group, channel } => {
            json!({ "group_discard": { "group": group.as_str(), "channel": channel.as_str() } })
        }
        Effect::Count(Metric { name, value }) => json!({ "count": { "name": name, "value": value } }),
        Effect::Gauge(Metric { name, value }) => json!({ "gauge": { "name": name, "value": value } }),
        Effect::SetTimer { id, after_ms } => json!({ "set_timer": { "id": id, "after_ms": after_ms } }),
        Effect::CancelTimer(id) => json!({ "cancel_timer": id }),
    }
}

fn publication(publication: &Publication) -> Value {
    let mut fields = content(&publication.payload);
    fields.insert("channel".into(), publication.channel.as_str().into());
    event(&mut fields, &publication.event);
    match &publication.to {
        Audience::All => {}
        Audience::Others(client) => {
            fields.insert("to".into(), json!({ "others": client.0 }));
        }
        Audience::Only(clients) => {
            let clients: Vec<u64> = clients.iter().map(|client| client.0).collect();
            fields.insert("to".into(), json!({ "only": clients }));
        }
    }
    Value::Object(fields)
}

pub fn event(fields: &mut Map<String, Value>, event: &[u8]) {
    if !event.is_empty() {
        fields.insert("event".into(), String::from_utf8_lossy(event).into());
    }
}

/// `data`, `text` or `base64`, as messages are given to the tools.
pub fn content(payload: &Payload) -> Map<String, Value> {
    let (key, value) = match payload.kind {
        PayloadKind::Json => ("data", json_of(&payload.bytes)),
        PayloadKind::Text => ("text", String::from_utf8_lossy(&payload.bytes).into()),
        PayloadKind::Binary => ("base64", STANDARD.encode(&payload.bytes).into()),
    };
    Map::from_iter([(key.to_owned(), value)])
}

/// JSON where it is that, else text, else base64.
fn unkinded(bytes: &[u8]) -> Value {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(value) => json!({ "data": value }),
        Err(_) => match std::str::from_utf8(bytes) {
            Ok(text) => json!({ "text": text }),
            Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
        },
    }
}

/// A plugin's JSON has been checked; what it could not be read as is shown as text.
pub fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into())
}

/// A string, or `{"base64": …}` for what is no text.
pub fn bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

pub fn pairs(pairs: &[(String, String)]) -> Value {
    Value::Object(pairs.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect())
}
