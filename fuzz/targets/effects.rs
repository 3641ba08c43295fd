//! A handler's answer, of any content that the contract's types can hold.

use std::collections::BTreeMap;

use bytes::BytesMut;
use serde_json::value::RawValue;
use tidegate::core::{ChannelName, Payload, PayloadKind};
use tidegate::dialect::Native;
use tidegate::hub::wire::Wire;
use tidegate::plugin::bindings::{channel_handler, types};
use tidegate::plugin::{Effect, Outcome, PluginFailure, Verdict};

use super::input::Input;
use super::sent::{frames, is_json};

const EFFECTS: usize = 256;
const AUDIENCE: usize = 1024;
const REASON_BYTES: usize = 1024;
/// What a plugin's failure may take of a log line, whatever the plugin answered.
const FAILURE_BYTES: usize = 1024;

pub fn effects(data: &[u8]) {
    let mut input = Input::new(data);
    let kind = payload_kind(&mut input);
    let limit = usize::from(input.u16());
    let outcome = outcome(&mut input);
    let legal = is_legal(&outcome, kind, limit);
    let said = outcome.clone();
    match Outcome::check(outcome, kind.into(), limit) {
        Ok(checked) => {
            assert!(legal, "this breaks the contract: {said:?}");
            verdict(&checked.verdict, &said.verdict);
            assert_eq!(checked.effects.len(), said.effects.len());
            for (checked, said) in checked.effects.iter().zip(&said.effects) {
                effect(checked, said);
            }
        }
        Err(PluginFailure::BadOutput(why)) => {
            assert!(!legal, "refused, although it keeps to the contract ({why}): {said:?}");
            assert!(why.len() <= FAILURE_BYTES, "{} bytes of log", why.len());
            assert!(!why.contains(['\n', '\r']), "a plugin cannot forge another line: {why}");
        }
        Err(other) => panic!("not a fault of the answer: {other}"),
    }
}

fn payload_kind(input: &mut Input<'_>) -> types::PayloadKind {
    use types::PayloadKind::*;
    [Json, Text, Binary][usize::from(input.byte() % 3)]
}

fn outcome(input: &mut Input<'_>) -> channel_handler::Outcome {
    let verdict = match input.byte() % 4 {
        0 => channel_handler::Verdict::Pass,
        1 => channel_handler::Verdict::Drop,
        2 => channel_handler::Verdict::Replace(input.long_bytes()),
        _ => channel_handler::Verdict::Deny(types::Denial { code: input.u16(), reason: input.long_text() }),
    };
    let mut effects = Vec::new();
    while !input.is_empty() && effects.len() < 2 * EFFECTS {
        effects.extend(some_effects(input));
    }
    channel_handler::Outcome { verdict, effects }
}

fn some_effects(input: &mut Input<'_>) -> Vec<types::Effect> {
    let choice = input.byte();
    let effect = match choice % 3 {
        _ if (0xE0..0xF0).contains(&choice) => {
            let id = u32::from(input.u16());
            if input.bit() {
                types::Effect::SetTimer(types::Timer { id, after_ms: u32::from(input.u16()) })
            } else {
                types::Effect::CancelTimer(id)
            }
        }
        _ if (0x60..0xE0).contains(&choice) => rarer(input, choice),
        0 => types::Effect::Publish(publication(input)),
        1 => types::Effect::Send(types::Direct {
            to: if input.bit() {
                types::Recipient::Client(input.u64())
            } else {
                types::Recipient::User(input.long_text())
            },
            event: event(input),
            kind: payload_kind(input),
            payload: input.long_bytes(),
        }),
        _ => types::Effect::Kick(types::Dismissal { client: input.u64(), reason: input.long_text() }),
    };
    // Few bytes reach the most effects of a call.
    vec![effect; if choice >= 0xF0 { 90 } else { 1 }]
}

fn event(input: &mut Input<'_>) -> Option<String> {
    input.bit().then(|| input.text().into())
}

fn publication(input: &mut Input<'_>) -> types::Publication {
    types::Publication {
        channel: input.long_text(),
        event: event(input),
        kind: payload_kind(input),
        payload: input.long_bytes(),
        to: match input.byte() % 3 {
            0 => types::Audience::All,
            1 => types::Audience::Others(input.u64()),
            _ => types::Audience::Only(vec![input.u64(); usize::from(input.u16() % 2048)]),
        },
    }
}

fn json(input: &mut Input<'_>) -> Option<Vec<u8>> {
    input.bit().then(|| match input.byte() % 4 {
        0 => br#"{"mood":"fine"}"#.to_vec(),
        1 => format!(r#"{{"user_id":{:?}}}"#, input.byte()).into_bytes(),
        2 => format!(r#"{{"pad":"{}"}}"#, "x".repeat(usize::from(input.u16() % 8192))).into_bytes(),
        _ => input.long_bytes(),
    })
}

fn metric(input: &mut Input<'_>) -> types::Metric {
    let name = match input.bit() {
        true => "m".repeat(usize::from(input.byte() % 80)),
        false => input.text().into(),
    };
    types::Metric { name, value: f64::from_bits(input.u64()) }
}

fn rarer(input: &mut Input<'_>, choice: u8) -> types::Effect {
    let place = |input: &mut Input<'_>| types::Place { client: input.u64(), channel: input.long_text() };
    let grouping =
        |input: &mut Input<'_>| types::Grouping { group: input.long_text(), channel: input.long_text() };
    match choice % 9 {
        0 => types::Effect::Persist(publication(input)),
        1 => types::Effect::Subscribe(types::Subscription {
            client: input.u64(),
            channel: input.long_text(),
            params: json(input),
        }),
        2 => types::Effect::Unsubscribe(place(input)),
        3 => types::Effect::Join(types::Member {
            client: input.u64(),
            channel: input.long_text(),
            data: json(input),
        }),
        4 => types::Effect::Leave(place(input)),
        5 => types::Effect::GroupAdd(grouping(input)),
        6 => types::Effect::GroupDiscard(grouping(input)),
        7 => types::Effect::Count(metric(input)),
        _ => types::Effect::Gauge(metric(input)),
    }
}

/// What lists of members are written with: an object of at most 4,096 bytes, without the server's
/// own fields.
fn is_metadata(json: &[u8]) -> bool {
    let text = std::str::from_utf8(json).ok();
    let object: Option<BTreeMap<String, &RawValue>> = text.and_then(|text| serde_json::from_str(text).ok());
    json.len() <= 4096
        && object.is_some_and(|object| !["user_id", "joined_at"].iter().any(|own| object.contains_key(*own)))
}

fn is_metric(metric: &types::Metric) -> bool {
    let letters = metric.name.chars().all(|letter| letter == '_' || letter.is_ascii_alphanumeric());
    (1..=64).contains(&metric.name.len()) && letters && metric.value.is_finite()
}

/// By the contract's own words.
fn is_legal(outcome: &channel_handler::Outcome, kind: types::PayloadKind, limit: usize) -> bool {
    let is_payload = |kind: types::PayloadKind, bytes: &[u8]| {
        bytes.len() <= limit
            && match kind {
                types::PayloadKind::Json => is_json(bytes),
                types::PayloadKind::Text => std::str::from_utf8(bytes).is_ok(),
                types::PayloadKind::Binary => true,
            }
    };
    let is_name = |name: &str| ChannelName::parse(name).is_ok();
    let is_publication = |publication: &types::Publication| {
        is_name(&publication.channel)
            && !matches!(&publication.to, types::Audience::Only(clients) if clients.len() > AUDIENCE)
            && is_payload(publication.kind, &publication.payload)
    };
    let verdict = match &outcome.verdict {
        channel_handler::Verdict::Replace(bytes) => is_payload(kind, bytes),
        _ => true,
    };
    verdict
        && outcome.effects.len() <= EFFECTS
        && outcome.effects.iter().all(|effect| match effect {
            types::Effect::Publish(publication) => is_publication(publication),
            types::Effect::Persist(publication) => {
                is_publication(publication) && matches!(publication.to, types::Audience::All)
            }
            types::Effect::Subscribe(subscription) => {
                let params = subscription.params.as_deref();
                is_name(&subscription.channel)
                    && params.is_none_or(|params| is_payload(types::PayloadKind::Json, params))
            }
            types::Effect::Join(member) => {
                is_name(&member.channel) && member.data.as_deref().is_none_or(is_metadata)
            }
            types::Effect::Unsubscribe(place) | types::Effect::Leave(place) => is_name(&place.channel),
            types::Effect::GroupAdd(grouping) | types::Effect::GroupDiscard(grouping) => {
                is_name(&grouping.group) && is_name(&grouping.channel)
            }
            types::Effect::Count(metric) => is_metric(metric) && metric.value >= 0.0,
            types::Effect::Gauge(metric) => is_metric(metric),
            types::Effect::Send(direct) => {
                let is_named = match &direct.to {
                    types::Recipient::Client(_) => true,
                    types::Recipient::User(user) => ChannelName::of_user(user).is_ok(),
                };
                is_named && is_payload(direct.kind, &direct.payload)
            }
            types::Effect::Kick(_) | types::Effect::SetTimer(_) | types::Effect::CancelTimer(_) => true,
        })
}

fn verdict(checked: &Verdict, said: &channel_handler::Verdict) {
    match (checked, said) {
        (Verdict::Pass, channel_handler::Verdict::Pass) => {}
        (Verdict::Drop, channel_handler::Verdict::Drop) => {}
        (Verdict::Replace(bytes), channel_handler::Verdict::Replace(said)) => assert_eq!(bytes, said),
        (Verdict::Deny { code, reason }, channel_handler::Verdict::Deny(said)) => {
            assert_eq!(*code, said.code);
            is_cut(reason, &said.reason);
        }
        other => panic!("another verdict: {other:?}"),
    }
}

fn effect(checked: &Effect, said: &types::Effect) {
    match (checked, said) {
        (Effect::Publish(publication), types::Effect::Publish(said)) => {
            assert_eq!(publication.channel.as_str(), said.channel);
            assert_eq!(publication.event, said.event.as_deref().unwrap_or_default());
            is_sent(&publication.channel, &publication.event, &publication.payload, &said.payload);
        }
        (Effect::Persist(publication), types::Effect::Persist(said)) => {
            assert_eq!(publication.channel.as_str(), said.channel);
            is_sent(&publication.channel, &publication.event, &publication.payload, &said.payload);
        }
        (Effect::Subscribe { client, channel, params }, types::Effect::Subscribe(said)) => {
            assert_eq!((client.0, channel.as_str()), (said.client, &*said.channel));
            assert_eq!(params.as_deref(), said.params.as_deref());
        }
        (Effect::Join { client, channel, data }, types::Effect::Join(said)) => {
            assert_eq!((client.0, channel.as_str()), (said.client, &*said.channel));
            assert_eq!(data.as_deref(), said.data.as_deref());
        }
        (Effect::Unsubscribe { client, channel }, types::Effect::Unsubscribe(said))
        | (Effect::Leave { client, channel }, types::Effect::Leave(said)) => {
            assert_eq!((client.0, channel.as_str()), (said.client, &*said.channel));
        }
        (Effect::GroupAdd { group, channel }, types::Effect::GroupAdd(said))
        | (Effect::GroupDiscard { group, channel }, types::Effect::GroupDiscard(said)) => {
            assert_eq!((group.as_str(), channel.as_str()), (&*said.group, &*said.channel));
        }
        (Effect::Count(metric), types::Effect::Count(said))
        | (Effect::Gauge(metric), types::Effect::Gauge(said)) => {
            assert_eq!((&*metric.name, metric.value), (&*said.name, said.value));
        }
        (Effect::Send(direct), types::Effect::Send(said)) => {
            assert_eq!(direct.event, said.event.as_deref().unwrap_or_default());
            let channel = ChannelName::parse("x").unwrap();
            is_sent(&channel, &direct.event, &direct.payload, &said.payload);
        }
        (Effect::Kick(dismissal), types::Effect::Kick(said)) => {
            assert_eq!(dismissal.client.0, said.client);
            is_cut(&dismissal.reason, &said.reason);
        }
        (Effect::SetTimer { id, after_ms }, types::Effect::SetTimer(said)) => {
            assert_eq!((*id, *after_ms), (said.id, said.after_ms));
        }
        (Effect::CancelTimer(id), types::Effect::CancelTimer(said)) => assert_eq!(id, said),
        other => panic!("another effect: {other:?}"),
    }
}

/// What was checked once goes to clients as it is: their decoders must not break on it.
fn is_sent(channel: &ChannelName, event: &[u8], payload: &Payload, said: &[u8]) {
    assert_eq!(payload.bytes, said);
    let mut out = BytesMut::new();
    Native.direct(channel, event, payload, &mut out);
    let frames = frames(&out);
    assert_eq!(frames.len(), 1);
    if payload.kind != PayloadKind::Binary {
        assert!(is_json(frames[0].payload));
    }
}

fn is_cut(text: &str, said: &str) {
    assert!(text.len() <= REASON_BYTES && said.starts_with(text));
    assert!(text.len() == said.len() || text.len() > REASON_BYTES - 4);
}
