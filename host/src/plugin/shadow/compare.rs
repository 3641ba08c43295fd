//! What two versions gave of one call, side by side.

use serde_json::{Value, json};

use crate::plugin::failure::PluginFailure;
use crate::plugin::generation::Generation;
use crate::plugin::limits::line;
use crate::plugin::offline::Call;
use crate::plugin::tap::Called;

/// Places that are named.
const PLACES: usize = 8;
/// Of one place's name, and of what is shown of a call in the log.
const PLACE_BYTES: usize = 128;
const SHOWN: usize = 4096;

/// One call that gave something else. What it gave is for the log alone: it is clients' data.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Difference {
    pub function: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// JSON pointers (RFC 6901) into what was given, at most 8; an empty one is all of it.
    pub places: Vec<String>,
    #[serde(skip)]
    was: Value,
    #[serde(skip)]
    now: Value,
}

impl Difference {
    /// None: it gave the same. Of failures only the classes are compared.
    pub fn between(called: &Called, now: Result<Value, PluginFailure>) -> Option<Self> {
        let now = now.unwrap_or_else(|failure| json!({ "failed": failure.class() }));
        let was = match &called.said {
            Ok(said) => said.clone(),
            Err((class, _)) => json!({ "failed": class }),
        };
        let mut places = Vec::new();
        differ(&was, &now, &mut String::new(), &mut places);
        // What is null there and missing here has no place of its own.
        if places.is_empty() && was != now {
            places.push(String::new());
        }
        let channel = called.call.channel().map(ToString::to_string);
        (!places.is_empty()).then(|| Self { function: called.call.said().0, channel, places, was, now })
    }

    /// In the log; what was said only where somebody wants to know all.
    pub fn tell(&self, called: &Called, shadow: &Generation, nth: u64) {
        let Self { function, channel, places, was, now } = self;
        let channel = channel.as_deref().unwrap_or_default();
        tracing::info!(plugin = %shadow.name, shadow = shadow.version, function, channel, nth,
            "the version in the shadow differs at {}", places.join(", "));
        let shown = |value: &Value| line(value.to_string(), SHOWN);
        // A handshake has what proves who somebody is.
        let call = match &called.call {
            Call::Authenticate(_) => String::new(),
            call => shown(&call.said().1),
        };
        tracing::debug!(plugin = %shadow.name, shadow = shadow.version, function, channel, call,
            was = shown(was), now = shown(now), "the version in the shadow differs");
    }
}

fn differ(was: &Value, now: &Value, at: &mut String, places: &mut Vec<String>) {
    if places.len() >= PLACES || was == now {
        return;
    }
    let mut deeper = |key: &str, was: &Value, now: &Value| {
        let length = at.len();
        at.push('/');
        at.push_str(&key.replace('~', "~0").replace('/', "~1"));
        differ(was, now, at, places);
        at.truncate(length);
    };
    match (was, now) {
        (Value::Object(was), Value::Object(now)) => {
            for (key, value) in was {
                deeper(key, value, now.get(key).unwrap_or(&Value::Null));
            }
            for (key, value) in now.iter().filter(|(key, _)| !was.contains_key(*key)) {
                deeper(key, &Value::Null, value);
            }
        }
        (Value::Array(was), Value::Array(now)) if was.len() == now.len() => {
            for (nth, (was, now)) in was.iter().zip(now).enumerate() {
                deeper(&nth.to_string(), was, now);
            }
        }
        _ => places.push(line(at.clone(), PLACE_BYTES)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{ClientId, Sender, UserId};

    fn places(was: Value, now: Value) -> Vec<String> {
        let who = Sender { client: ClientId(1), user: UserId("ada".into()) };
        let call = Call::Action { name: "echo".into(), who, data: "1".into() };
        let called = Called { call, said: Ok(was), begins: false };
        Difference::between(&called, Ok(now)).map(|difference| difference.places).unwrap_or_default()
    }

    #[test]
    fn a_difference_names_the_places() {
        let was = json!({ "verdict": { "replace": { "data": { "n": 1 } } }, "effects": [1, 2] });
        assert_eq!(places(was.clone(), was.clone()), [""; 0]);
        let now = json!({ "verdict": { "replace": { "data": { "n": 2, "a/b": 1 } } }, "effects": [1] });
        assert_eq!(
            places(was.clone(), now),
            ["/effects", "/verdict/replace/data/n", "/verdict/replace/data/a~1b"]
        );
        assert_eq!(places(was, json!({ "failed": "panic" })), ["/effects", "/verdict", "/failed"]);
        assert_eq!(places(json!(1), json!(2)), [""]);
        assert_eq!(places((0..20).collect(), (1..21).collect()).len(), PLACES);
    }

    #[test]
    fn what_is_null_there_and_missing_here_differs() {
        assert_eq!(places(json!({ "a": null }), json!({})), [""; 1]);
    }
}
