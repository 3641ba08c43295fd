//! A call as JSON: what [`Call::parse`] reads.

use serde_json::{Map, Value, json};

use super::call::{Call, Judged};
use super::said;
use crate::core::{Captures, ChannelName, Sender};
use crate::plugin::{AuthAction, Departure, Job};

impl Call {
    /// One of [`Call::FUNCTIONS`], and its arguments.
    pub fn said(&self) -> (&'static str, Value) {
        match self {
            Self::Authenticate(handshake) => {
                let headers = handshake.headers.iter().map(|(name, value)| (name.to_owned(), value.into()));
                let headers: Map<String, Value> = headers.collect();
                let fields = json!({
                    "path": handshake.path, "query": handshake.query,
                    "headers": headers, "token": handshake.token,
                    "peer": handshake.peer,
                });
                ("authenticate", fields)
            }
            Self::Authorize { who, action, channel, captures } => {
                let action = match action {
                    AuthAction::Subscribe => "subscribe",
                    AuthAction::Publish => "publish",
                };
                let fields = json!({
                    "user": who.user, "claims": said::pairs(&who.claims),
                    "expires_at_ms": who.expires_at.map(|at| at.0), "action": action,
                    "channel": channel.as_str(), "captures": captures.as_ref().map(taken),
                });
                ("authorize", fields)
            }
            Self::Handle { channel, captures, snapshot, job } => {
                let mut fields = room(channel, captures.as_ref(), snapshot.as_deref());
                let function = self::job(job, &mut fields);
                (function, Value::Object(fields))
            }
            Self::Save { channel, captures, snapshot } => {
                let fields = room(channel, captures.as_ref(), snapshot.as_deref());
                ("save", Value::Object(fields))
            }
            Self::Filter { params, messages } => {
                let messages: Value = messages.iter().map(judged).collect();
                ("filter", json!({ "params": said::json_of(params), "messages": messages }))
            }
            Self::Action { name, who, data } => {
                let mut fields = Map::from_iter([("name".to_owned(), name.as_str().into())]);
                sender(who, &mut fields);
                fields.insert("data".into(), said::json_of(data));
                ("action", Value::Object(fields))
            }
        }
    }
}

fn room(channel: &ChannelName, captures: Option<&Captures>, snapshot: Option<&[u8]>) -> Map<String, Value> {
    let mut fields = Map::from_iter([("channel".to_owned(), channel.as_str().into())]);
    if let Some(captures) = captures.map(taken) {
        fields.insert("captures".into(), captures);
    }
    if let Some(snapshot) = snapshot {
        fields.insert("snapshot".into(), said::bytes(snapshot));
    }
    fields
}

fn job(job: &Job, fields: &mut Map<String, Value>) -> &'static str {
    match job {
        Job::Subscribe { who, params, respond } => {
            sender(who, fields);
            if let Some(params) = params {
                fields.insert("params".into(), said::json_of(params));
            }
            fields.insert("respond".into(), (*respond).into());
            "subscribe"
        }
        Job::Publish { sender: from, event, payload, at } => {
            if let Some(from) = from {
                sender(from, fields);
            }
            said::event(fields, event);
            fields.extend(said::content(payload));
            fields.insert("at_ms".into(), at.0.into());
            "publish"
        }
        Job::Unsubscribe { who, why } => {
            sender(who, fields);
            let why = match why {
                Departure::Left => "left",
                Departure::Disconnected => "disconnected",
                Departure::Expired => "expired",
                Departure::Removed => "removed",
            };
            fields.insert("why".into(), why.into());
            "unsubscribe"
        }
        Job::Timer { id } => {
            fields.insert("id".into(), (*id).into());
            "timer"
        }
    }
}

fn sender(who: &Sender, fields: &mut Map<String, Value>) {
    fields.insert("client".into(), who.client.to_string().into());
    fields.insert("user".into(), who.user.as_str().into());
}

fn judged(message: &Judged) -> Value {
    let mut fields = said::content(&message.payload);
    said::event(&mut fields, &message.event);
    Value::Object(fields)
}

fn taken(captures: &Captures) -> Value {
    captures.pairs().into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_the_same() {
        for (function, json) in [
            ("authenticate", r#"{"path":"/ws","query":"a=b","headers":{"x":"y"},"token":"t","peer":"p"}"#),
            (
                "authorize",
                r#"{"user":"ada","claims":{"a":"b"},"expires_at_ms":5,"action":"publish","channel":"a"}"#,
            ),
            (
                "subscribe",
                r#"{"channel":"a:b","captures":{"n":"b"},"snapshot":{"base64":"AP8="},"user":"ada","client":7,"params":{"x":1},"respond":true}"#,
            ),
            (
                "publish",
                r#"{"channel":"a","user":"ada","client":7,"event":"e","data":{"b":[1,null]},"at_ms":9}"#,
            ),
            ("publish", r#"{"channel":"a","text":"hi","at_ms":9}"#),
            ("publish", r#"{"channel":"a","base64":"AP8=","at_ms":9}"#),
            ("unsubscribe", r#"{"channel":"a","user":"ada","client":7,"why":"expired"}"#),
            ("timer", r#"{"channel":"a","id":3}"#),
            ("filter", r#"{"params":{"min":1},"messages":[{"data":1},{"text":"x","event":"e"}]}"#),
            ("action", r#"{"name":"add","client":7,"user":"ada","data":[1,2]}"#),
        ] {
            let written = Call::parse(function, json).unwrap().said();
            let again = Call::parse(written.0, &written.1.to_string()).unwrap().said();
            assert_eq!(written, again, "{json}");
            assert_eq!(written.0, function);
            let given: Value = serde_json::from_str(json).unwrap();
            for (key, value) in given.as_object().unwrap().iter().filter(|(key, _)| *key != "client") {
                assert_eq!(&written.1[key], value, "{json}");
            }
        }
    }
}
