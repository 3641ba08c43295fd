//! What a handler wants done, checked: nothing of an answer that breaks the contract is applied.

use bytes::Bytes;
use serde::de::IgnoredAny;

use super::actor::Denial;
use super::bindings::{channel_handler, types};
use super::failure::PluginFailure;
use super::limits::{EFFECTS, REASON_BYTES, cut, line};
use crate::core::{ChannelName, ClientId, Payload, PayloadKind};

#[derive(Debug)]
pub struct Publication {
    pub channel: ChannelName,
    pub event: Bytes,
    pub payload: Payload,
    pub except: Option<ClientId>,
}

#[derive(Debug)]
pub struct Direct {
    pub client: ClientId,
    pub event: Bytes,
    pub payload: Payload,
}

#[derive(Debug)]
pub struct Dismissal {
    pub client: ClientId,
    pub reason: String,
}

#[derive(Debug)]
pub enum Effect {
    Publish(Publication),
    Send(Direct),
    Kick(Dismissal),
    SetTimer { id: u32, after_ms: u32 },
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
        types::Effect::Publish(publication) => Effect::Publish(Publication {
            channel: ChannelName::parse(&publication.channel).or_else(|why| {
                bad(format!("it publishes to `{}`, which {why}", line(publication.channel, 100)))
            })?,
            event: publication.event.into(),
            payload: payload(publication.kind.into(), publication.payload, payload_bytes)?,
            except: publication.except.map(ClientId),
        }),
        types::Effect::Send(direct) => Effect::Send(Direct {
            client: ClientId(direct.client),
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
