//! What a handler wants done, checked: nothing of an answer that breaks the contract is applied.

use bytes::Bytes;
use serde::de::IgnoredAny;

use super::actor::Denial;
use super::bindings::{channel_handler, types};
use super::failure::PluginFailure;
use super::limits::{AUDIENCE, EFFECTS, METRIC_NAME_BYTES, REASON_BYTES, cut, line};
use crate::core::{ChannelName, ClientId, Payload, PayloadKind};

#[derive(Debug)]
pub struct Publication {
    pub channel: ChannelName,
    pub event: Bytes,
    pub payload: Payload,
    pub to: Audience,
}

/// Which of a channel's subscribers get a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    All,
    Others(ClientId),
    /// Without an offset, and not kept.
    Only(Box<[ClientId]>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    Client(ClientId),
    /// By its own channel.
    User(ChannelName),
}

#[derive(Debug)]
pub struct Direct {
    pub to: Recipient,
    pub event: Bytes,
    pub payload: Payload,
}

#[derive(Debug)]
pub struct Dismissal {
    pub client: ClientId,
    pub reason: String,
}

/// A figure of the plugin's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// 1 to 64 letters, digits and `_`.
    pub name: String,
    /// Finite.
    pub value: f64,
}

#[derive(Debug)]
pub enum Effect {
    Publish(Publication),
    /// Its audience is [`Audience::All`].
    Persist(Publication),
    Send(Direct),
    /// `params` is JSON.
    Subscribe {
        client: ClientId,
        channel: ChannelName,
        params: Option<Bytes>,
    },
    Unsubscribe {
        client: ClientId,
        channel: ChannelName,
    },
    Kick(Dismissal),
    /// `data` is JSON.
    Join {
        client: ClientId,
        channel: ChannelName,
        data: Option<Bytes>,
    },
    Leave {
        client: ClientId,
        channel: ChannelName,
    },
    /// `group` is what may name a channel.
    GroupAdd {
        group: ChannelName,
        channel: ChannelName,
    },
    GroupDiscard {
        group: ChannelName,
        channel: ChannelName,
    },
    /// Not negative.
    Count(Metric),
    Gauge(Metric),
    SetTimer {
        id: u32,
        after_ms: u32,
    },
    CancelTimer(u32),
}

#[derive(Debug)]
pub enum Verdict {
    Pass,
    /// Of the message's own kind.
    Replace(Bytes),
    Drop,
    Deny {
        code: u16,
        reason: String,
    },
}

#[derive(Debug)]
pub struct Outcome {
    pub verdict: Verdict,
    pub effects: Vec<Effect>,
}

/// A message for one new subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub event: Bytes,
    pub payload: Payload,
}

/// A handler's yes to a subscription.
#[derive(Debug)]
pub struct Acceptance {
    pub response: Option<Response>,
    pub effects: Vec<Effect>,
}

impl Acceptance {
    pub fn check(
        acceptance: channel_handler::Acceptance,
        payload_bytes: usize,
    ) -> Result<Self, PluginFailure> {
        let response = acceptance.response.map(|response| {
            let payload = payload(response.kind.into(), response.payload, payload_bytes)?;
            Ok(Response { event: response.event.into(), payload })
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

impl From<types::Denial> for Denial {
    fn from(denial: types::Denial) -> Self {
        Self { code: denial.code, reason: cut(denial.reason, REASON_BYTES) }
    }
}

/// Checks a list of effects; one that breaks the contract breaks all.
pub(super) fn effects(
    effects: Vec<types::Effect>,
    payload_bytes: usize,
) -> Result<Vec<Effect>, PluginFailure> {
    if effects.len() > EFFECTS {
        return bad(format!("{} effects; at most {EFFECTS} are allowed", effects.len()));
    }
    effects.into_iter().map(|effect| check(effect, payload_bytes)).collect()
}

/// The same for an action, which has no channel.
pub(super) fn effects_of_action(
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
            data: data.map(|json| json_of(json, payload_bytes)).transpose()?,
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
            event: direct.event.into(),
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
        event: said.event.into(),
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
pub(super) fn payload(kind: PayloadKind, bytes: Vec<u8>, limit: usize) -> Result<Payload, PluginFailure> {
    if bytes.len() > limit {
        return bad(format!("a payload of {} bytes; at most {limit} are allowed", bytes.len()));
    }
    match kind {
        PayloadKind::Json if serde_json::from_slice::<IgnoredAny>(&bytes).is_err() => {
            bad("a JSON payload is not valid JSON".into())
        }
        PayloadKind::Json | PayloadKind::Text if std::str::from_utf8(&bytes).is_err() => {
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
}
