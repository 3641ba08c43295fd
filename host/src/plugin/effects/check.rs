//! Whether an answer keeps to the contract. One effect that does not spoils all of them.

use bytes::Bytes;

use super::{Acceptance, Audience, Direct, Dismissal, Effect, Metric, Outcome, Publication};
use super::{Recipient, Response, Verdict};
use crate::core::metadata::Metadata;
use crate::core::{ChannelName, ClientId, Payload, PayloadKind, json};
use crate::plugin::actor::Denial;
use crate::plugin::aside::beside;
use crate::plugin::bindings::{actions, channel_handler, types};
use crate::plugin::failure::PluginFailure;
use crate::plugin::limits::{AUDIENCE, EFFECTS, METRIC_NAME_BYTES, REASON_BYTES, cut, line};

impl Acceptance {
    pub fn check(
        acceptance: channel_handler::Acceptance,
        payload_bytes: usize,
    ) -> Result<Self, PluginFailure> {
        let response = acceptance.response.map(|response| {
            let payload = payload(response.kind.into(), response.payload, payload_bytes)?;
            Ok(Response { event: event(response.event), payload })
        });
        let effects = effects(acceptance.effects, payload_bytes)?;
        Ok(Self { response: response.transpose()?, effects })
    }
}

impl Outcome {
    /// Checks a handler's answer to a message of this kind.
    pub fn check(
        outcome: channel_handler::Outcome,
        kind: PayloadKind,
        payload_bytes: usize,
    ) -> Result<Self, PluginFailure> {
        let verdict = match outcome.verdict {
            channel_handler::Verdict::Pass => Verdict::Pass,
            channel_handler::Verdict::Drop => Verdict::Drop,
            channel_handler::Verdict::Deny(denial) => {
                let Denial { code, reason } = denial.into();
                Verdict::Deny { code, reason }
            }
            channel_handler::Verdict::Replace(bytes) => {
                Verdict::Replace(payload(kind, bytes, payload_bytes)?.bytes)
            }
        };
        Ok(Self { verdict, effects: effects(outcome.effects, payload_bytes)? })
    }
}

/// Bytes of an answer that are looked through one by one.
pub trait Weigh {
    fn weight(&self) -> usize;
}

impl Weigh for Vec<types::Effect> {
    fn weight(&self) -> usize {
        let weight = |effect: &types::Effect| match effect {
            types::Effect::Publish(said) | types::Effect::Persist(said) => said.payload.len(),
            types::Effect::Send(said) => said.payload.len(),
            types::Effect::Subscribe(said) => said.params.as_ref().map_or(0, Vec::len),
            types::Effect::Join(said) => said.data.as_ref().map_or(0, Vec::len),
            _ => 0,
        };
        self.iter().map(weight).sum()
    }
}

impl Weigh for channel_handler::Outcome {
    fn weight(&self) -> usize {
        let replaced = match &self.verdict {
            channel_handler::Verdict::Replace(bytes) => bytes.len(),
            _ => 0,
        };
        replaced + self.effects.weight()
    }
}

impl Weigh for channel_handler::Acceptance {
    fn weight(&self) -> usize {
        self.response.as_ref().map_or(0, |response| response.payload.len()) + self.effects.weight()
    }
}

impl Weigh for actions::Reply {
    fn weight(&self) -> usize {
        self.data.len() + self.effects.weight()
    }
}

/// Checks an answer. A large one beside the shard: a component may answer 512 KiB, which hold it for half a millisecond.
pub async fn checked<A, T>(answer: A, check: impl FnOnce(A) -> T + Send + 'static) -> T
where
    A: Weigh + Send + 'static,
    T: Send + 'static,
{
    // Some 40 µs of JSON at its worst.
    const LARGE: usize = 16 << 10;
    match answer.weight() {
        ..=LARGE => check(answer),
        _ => Box::pin(beside(move || check(answer))).await,
    }
}

impl From<types::Denial> for Denial {
    fn from(denial: types::Denial) -> Self {
        Self { code: denial.code, reason: cut(denial.reason, REASON_BYTES) }
    }
}

/// Checks a list of effects; one that breaks the contract breaks all.
pub fn effects(effects: Vec<types::Effect>, payload_bytes: usize) -> Result<Vec<Effect>, PluginFailure> {
    if effects.len() > EFFECTS {
        return bad(format!("{} effects; at most {EFFECTS} are allowed", effects.len()));
    }
    effects.into_iter().map(|effect| check(effect, payload_bytes)).collect()
}

/// The same for an action, which has no channel.
pub fn effects_of_action(
    list: Vec<types::Effect>,
    payload_bytes: usize,
) -> Result<Vec<Effect>, PluginFailure> {
    let of_channel = |effect: &_| matches!(effect, Effect::SetTimer { .. } | Effect::CancelTimer(_));
    let effects = effects(list, payload_bytes)?;
    if effects.iter().any(of_channel) {
        return bad("a timer is a channel's, and an action has no channel".into());
    }
    Ok(effects)
}

fn check(effect: types::Effect, payload_bytes: usize) -> Result<Effect, PluginFailure> {
    Ok(match effect {
        types::Effect::Publish(publication) => {
            Effect::Publish(self::publication(publication, payload_bytes)?)
        }
        types::Effect::Persist(publication) => {
            let publication = self::publication(publication, payload_bytes)?;
            if publication.to != Audience::All {
                return bad("what it persists is for all".into());
            }
            Effect::Persist(publication)
        }
        types::Effect::Subscribe(types::Subscription { client, channel, params }) => Effect::Subscribe {
            client: ClientId(client),
            channel: name(channel, "subscribes a client to")?,
            params: params.map(|json| json_of(json, payload_bytes)).transpose()?,
        },
        types::Effect::Unsubscribe(types::Place { client, channel }) => Effect::Unsubscribe {
            client: ClientId(client),
            channel: name(channel, "unsubscribes a client from")?,
        },
        types::Effect::Join(types::Member { client, channel, data }) => Effect::Join {
            client: ClientId(client),
            channel: name(channel, "lets a client join")?,
            data: data.map(metadata).transpose()?,
        },
        types::Effect::Leave(types::Place { client, channel }) => {
            Effect::Leave { client: ClientId(client), channel: name(channel, "lets a client leave")? }
        }
        types::Effect::GroupAdd(types::Grouping { group, channel }) => Effect::GroupAdd {
            group: name(group, "adds to the group")?,
            channel: name(channel, "adds to a group")?,
        },
        types::Effect::GroupDiscard(types::Grouping { group, channel }) => Effect::GroupDiscard {
            group: name(group, "discards from the group")?,
            channel: name(channel, "discards from a group")?,
        },
        types::Effect::Count(metric) => {
            let metric = self::metric(metric)?;
            if metric.value < 0.0 {
                return bad(format!("it counts `{}` by {}; a counter only grows", metric.name, metric.value));
            }
            Effect::Count(metric)
        }
        types::Effect::Gauge(metric) => Effect::Gauge(self::metric(metric)?),
        types::Effect::Send(direct) => Effect::Send(Direct {
            to: match direct.to {
                types::Recipient::Client(client) => Recipient::Client(ClientId(client)),
                types::Recipient::User(user) => {
                    Recipient::User(ChannelName::of_user(&user).or_else(|why| {
                        bad(format!("it sends to the user `{}`, whose name {why}", line(user, 100)))
                    })?)
                }
            },
            event: event(direct.event),
            payload: payload(direct.kind.into(), direct.payload, payload_bytes)?,
        }),
        types::Effect::Kick(dismissal) => Effect::Kick(Dismissal {
            client: ClientId(dismissal.client),
            reason: cut(dismissal.reason, REASON_BYTES),
        }),
        types::Effect::SetTimer(timer) => Effect::SetTimer { id: timer.id, after_ms: timer.after_ms },
        types::Effect::CancelTimer(id) => Effect::CancelTimer(id),
    })
}

fn name(said: String, doing: &str) -> Result<ChannelName, PluginFailure> {
    ChannelName::parse(&said).or_else(|why| bad(format!("it {doing} `{}`, which {why}", line(said, 100))))
}

fn publication(said: types::Publication, payload_bytes: usize) -> Result<Publication, PluginFailure> {
    Ok(Publication {
        channel: name(said.channel, "publishes to")?,
        event: event(said.event),
        payload: payload(said.kind.into(), said.payload, payload_bytes)?,
        to: match said.to {
            types::Audience::All => Audience::All,
            types::Audience::Others(client) => Audience::Others(ClientId(client)),
            types::Audience::Only(clients) if clients.len() > AUDIENCE => {
                return bad(format!(
                    "a publication for {} clients; at most {AUDIENCE} are named",
                    clients.len()
                ));
            }
            types::Audience::Only(clients) => Audience::Only(clients.into_iter().map(ClientId).collect()),
        },
    })
}

/// None is empty here, so that an empty one of a plugin's counts as none.
fn event(said: Option<String>) -> Bytes {
    said.unwrap_or_default().into()
}

fn metadata(said: Vec<u8>) -> Result<Bytes, PluginFailure> {
    match Metadata::check(&said) {
        Ok(()) => Ok(said.into()),
        Err(why) => bad(format!("it lets a client join with `data` that {why}")),
    }
}

fn metric(said: types::Metric) -> Result<Metric, PluginFailure> {
    let types::Metric { name, value } = said;
    let named = (1..=METRIC_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match (named, value.is_finite()) {
        (false, _) => {
            bad(format!("`{}` is no name of a metric: 1 to 64 letters, digits and `_`", line(name, 100)))
        }
        (true, false) => bad(format!("the metric `{name}` is {value}, which is no number")),
        (true, true) => Ok(Metric { name, value }),
    }
}

fn json_of(bytes: Vec<u8>, limit: usize) -> Result<Bytes, PluginFailure> {
    Ok(payload(PayloadKind::Json, bytes, limit)?.bytes)
}

/// A payload of a plugin is what it says it is, or it breaks every client's decoder.
pub fn payload(kind: PayloadKind, bytes: Vec<u8>, limit: usize) -> Result<Payload, PluginFailure> {
    if bytes.len() > limit {
        return bad(format!("a payload of {} bytes; at most {limit} are allowed", bytes.len()));
    }
    match kind {
        PayloadKind::Json if !json::is_value(&bytes) => bad("a JSON payload is not valid JSON".into()),
        PayloadKind::Json | PayloadKind::Text if simdutf8::basic::from_utf8(&bytes).is_err() => {
            bad("a JSON or text payload is not UTF-8".into())
        }
        _ => Ok(Payload { kind, bytes: bytes.into() }),
    }
}

fn bad<T>(why: String) -> Result<T, PluginFailure> {
    Err(PluginFailure::BadOutput(why))
}

impl From<types::PayloadKind> for PayloadKind {
    fn from(kind: types::PayloadKind) -> Self {
        match kind {
            types::PayloadKind::Json => Self::Json,
            types::PayloadKind::Text => Self::Text,
            types::PayloadKind::Binary => Self::Binary,
        }
    }
}

impl From<PayloadKind> for types::PayloadKind {
    fn from(kind: PayloadKind) -> Self {
        match kind {
            PayloadKind::Json => Self::Json,
            PayloadKind::Text => Self::Text,
            PayloadKind::Binary => Self::Binary,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_what_they_say() {
        let of = |kind, bytes: &[u8]| payload(kind, bytes.to_vec(), 10).is_ok();
        assert!(of(PayloadKind::Json, b"{\"a\":1}"));
        assert!(!of(PayloadKind::Json, b"{not json"));
        assert!(!of(PayloadKind::Json, b"\"\xff\""));
        assert!(!of(PayloadKind::Text, b"\xff"));
        assert!(of(PayloadKind::Binary, b"\xff"));
        assert!(!of(PayloadKind::Binary, b"12345678901"));
    }

    fn is_legal(effect: types::Effect) -> bool {
        match effects(vec![effect], 10) {
            Ok(checked) => checked.len() == 1,
            Err(PluginFailure::BadOutput(_)) => false,
            Err(other) => panic!("not a fault of the answer: {other}"),
        }
    }

    fn publication(to: types::Audience) -> types::Publication {
        types::Publication {
            channel: "x".to_owned(),
            event: None,
            kind: types::PayloadKind::Json,
            payload: b"1".to_vec(),
            to,
        }
    }

    #[test]
    fn an_audience_has_a_bound_and_what_is_persisted_has_none() {
        let only = |clients: usize| publication(types::Audience::Only(vec![1; clients]));
        assert!(
            is_legal(types::Effect::Publish(only(AUDIENCE))) && is_legal(types::Effect::Publish(only(0)))
        );
        assert!(!is_legal(types::Effect::Publish(only(AUDIENCE + 1))));
        assert!(is_legal(types::Effect::Persist(publication(types::Audience::All))));
        assert!(!is_legal(types::Effect::Persist(only(1))));
        assert!(!is_legal(types::Effect::Persist(publication(types::Audience::Others(1)))));
    }

    #[test]
    fn an_event_that_is_there_and_empty_is_none() {
        for (said, checked) in [(None, ""), (Some(""), ""), (Some("seated"), "seated")] {
            assert_eq!(event(said.map(str::to_owned)), checked);
        }
    }

    #[test]
    fn a_call_has_so_many_effects() {
        let cancel = |count: u32| (0..count).map(types::Effect::CancelTimer).collect();
        assert!(effects(cancel(EFFECTS as u32), 10).is_ok());
        assert!(effects(cancel(EFFECTS as u32 + 1), 10).is_err());
        assert!(effects_of_action(cancel(1), 10).is_err(), "an action has no channel");
    }

    #[test]
    fn what_names_something_is_a_name() {
        let place = |channel: &str| types::Place { client: 0, channel: channel.to_owned() };
        let grouping =
            |group: &str, channel: &str| types::Grouping { group: group.into(), channel: channel.into() };
        for bad in ["", " x", "$own", &"x".repeat(256)] {
            assert!(!is_legal(types::Effect::Unsubscribe(place(bad))), "{bad}");
            assert!(!is_legal(types::Effect::Leave(place(bad))), "{bad}");
            assert!(!is_legal(types::Effect::GroupAdd(grouping(bad, "x"))), "{bad}");
            assert!(!is_legal(types::Effect::GroupDiscard(grouping("x", bad))), "{bad}");
        }
        assert!(is_legal(types::Effect::Leave(place("$user:ada"))));
        assert!(is_legal(types::Effect::GroupAdd(grouping("x", "x"))));
    }

    #[test]
    fn what_stands_for_a_client_is_json() {
        let (client, channel) = (0, || "x".to_owned());
        let of = |params: Option<&[u8]>| {
            let params = params.map(<[u8]>::to_vec);
            types::Effect::Subscribe(types::Subscription { client, channel: channel(), params })
        };
        assert!(is_legal(of(None)) && is_legal(of(Some(b"[1]"))));
        assert!(!is_legal(of(Some(b"{"))) && !is_legal(of(Some(b"[1,2,3,4,5,6]"))));
        let of = |data: Option<&[u8]>| {
            let data = data.map(<[u8]>::to_vec);
            types::Effect::Join(types::Member { client, channel: channel(), data })
        };
        assert!(is_legal(of(None)) && is_legal(of(Some(br#"{"longer":"than a payload"}"#))));
        assert!(!is_legal(of(Some(b"1"))) && !is_legal(of(Some(br#"{"user_id":1}"#))));
    }

    #[test]
    fn a_figure_has_a_name_and_is_a_number() {
        let metric = |name: &str, value: f64| types::Metric { name: name.to_owned(), value };
        for bad in ["", "a-b", "\u{e4}", &"x".repeat(65)] {
            assert!(!is_legal(types::Effect::Gauge(metric(bad, 1.0))), "{bad}");
        }
        assert!(is_legal(types::Effect::Gauge(metric(&"x".repeat(64), -1.0))));
        assert!(is_legal(types::Effect::Count(metric("A_1", 0.0))));
        for bad in [f64::NAN, f64::INFINITY, -0.1] {
            assert!(!is_legal(types::Effect::Count(metric("a", bad))), "{bad}");
        }
    }
}
