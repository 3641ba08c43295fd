//! Frames and HTTP bodies to commands.

use bytes::{Bytes, BytesMut};
use tidegate::core::{ChannelName, IdempotencyKey, LastName, Offset, Payload, PayloadKind, Refusal};
use tidegate::dialect::{Command, FilterRequest, Native, Request, native};
use tidegate::hub::letter::{About, Wishes};
use tidegate::hub::slow::SlowPolicy;
use tidegate::hub::wire::{Epoch, Position, Reply, RequestId, Wire};

use super::sent::{Object, is_json};

/// What a client gets to read of a refusal, whatever it sent.
const REFUSAL_BYTES: usize = 2048;

pub fn native_decode(data: &[u8]) {
    let message = Bytes::copy_from_slice(data);
    binary(&message);
    let broadcast = native::broadcast(&message);
    match &broadcast {
        Ok(command) => is_of(command, &message),
        Err(refusal) => is_short(refusal),
    }
    // The WebSocket layer lets no other text through.
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Request { id, command } = native::text(&message, &mut LastName::default());
    match Object::parse(text) {
        Ok(fields) => {
            let mark = fields.raw("id").filter(|raw| raw.starts_with(['"', '-']) || starts_with_digit(raw));
            assert_eq!(id.as_ref().map(|id| &*id.0), mark.map(str::as_bytes), "the id is the frame's own");
            assert_ne!(command, Err(Refusal::BadJson), "it is JSON");
            match &command {
                Ok(command) => says_what_stands_there(command, &fields),
                Err(refusal) => is_answered(refusal, id.as_ref()),
            }
            if let Ok(publish @ Command::Publish { .. }) = &command {
                assert_eq!(broadcast.as_ref(), Ok(publish), "by HTTP it is the same");
            }
        }
        Err(_) => {
            assert_eq!(id, None, "there is no object to have an id");
            let refusal = if is_json(data) { Refusal::TypeRequired } else { Refusal::BadJson };
            assert_eq!(command, Err(refusal));
        }
    }
    if let Ok(command) = &command {
        is_of(command, &message);
    }
}

fn starts_with_digit(raw: &str) -> bool {
    raw.starts_with(|c: char| c.is_ascii_digit())
}

fn binary(message: &Bytes) {
    let Request { id, command } = native::binary(message, &mut LastName::default());
    assert_eq!(id, None);
    let parts = message.split_first().and_then(|(length, rest)| rest.split_at_checked((*length).into()));
    let name = parts.and_then(|(name, _)| ChannelName::parse(std::str::from_utf8(name).ok()?).ok());
    match (command, name) {
        (Ok(Command::Publish { channel, event, payload, echo, receipt: false, key: None }), Some(name)) => {
            assert_eq!((channel, event, echo), (name, Bytes::new(), None));
            assert_eq!(payload.kind, PayloadKind::Binary);
            assert_eq!(Some(&*payload.bytes), parts.map(|(_, payload)| payload));
            is_share(&payload.bytes, message);
        }
        (Err(refusal), None) => {
            assert_eq!(refusal == Refusal::ChannelRequired, parts.is_none());
            is_short(&refusal);
        }
        (command, name) => panic!("{command:?} for the channel {name:?}"),
    }
}

/// The same as any other reader of JSON finds in the frame.
fn says_what_stands_there(command: &Command, fields: &Object) {
    let kind = fields.text("type").expect("a command has a type");
    let data = fields.raw("data");
    let bytes_or_null = |raw: Option<&str>| Bytes::copy_from_slice(raw.unwrap_or("null").as_bytes());
    let channel = || ChannelName::parse(&fields.text("channel").unwrap()).expect("a legal name");
    let expected = match &*kind {
        "publish" => Command::Publish {
            channel: channel(),
            event: fields.text("event").unwrap_or_default().into(),
            payload: Payload::json(bytes_or_null(data)),
            echo: fields.raw("echo").map(|echo| echo != "false"),
            receipt: fields.raw("receipt") == Some("true"),
            key: fields.text("idempotency_key").map(|key| IdempotencyKey::parse(&key).expect("a legal key")),
        },
        "subscribe" => Command::Subscribe {
            channel: channel(),
            params: data.map(|data| bytes_or_null(Some(data))),
            filter: fields.raw("filter").map(|filter| {
                let filter = Object::parse(filter).expect("a filter is an object");
                let plugin = filter.text("plugin").expect("a filter names its plugin");
                FilterRequest { plugin, params: bytes_or_null(filter.raw("params")) }
            }),
            wishes: Wishes {
                recover: place(fields.raw("recover")),
                history: number(fields.raw("history")).unwrap_or(0),
                presence: fields.raw("presence") == Some("true"),
                cached: false,
                slow: fields.text("policy").map(|word| SlowPolicy::parse(&word).expect("a policy")),
            },
        },
        "join" => {
            let metadata = data.map(|data| bytes_or_null(Some(data)));
            Command::Ask { channel: channel(), about: About::Join { metadata } }
        }
        "leave" => Command::Ask { channel: channel(), about: About::Leave },
        "presence" => Command::Ask { channel: channel(), about: About::Presence },
        "history" => {
            let limit = number(fields.raw("limit")).unwrap_or(usize::MAX);
            let about = About::History { since: place(fields.raw("since")), limit };
            Command::Ask { channel: channel(), about }
        }
        "unsubscribe" => Command::Unsubscribe { channel: channel() },
        "action" => Command::Action { name: fields.text("channel").unwrap(), data: bytes_or_null(data) },
        "auth" => Command::Auth { token: fields.text("token").unwrap() },
        "ping" => Command::Ping,
        other => panic!("no such command: {other}"),
    };
    assert_eq!(*command, expected);
}

fn place(raw: Option<&str>) -> Option<Position> {
    let place = Object::parse(raw?).expect("a place is an object");
    let offset = place.raw("offset").and_then(|offset| offset.parse().ok()).expect("a whole number");
    Some(Position { epoch: Epoch::parse(&place.text("epoch").expect("an epoch")), offset: Offset(offset) })
}

fn number(raw: Option<&str>) -> Option<usize> {
    raw.map(|raw| raw.parse().expect("a whole number"))
}

/// What is handed on is a share of the frame's own bytes, and what the next in line takes it for.
fn is_of(command: &Command, message: &Bytes) {
    let json = |bytes: &Bytes| {
        assert!(is_json(bytes), "not JSON: {bytes:?}");
        if bytes != "null" {
            is_share(bytes, message);
        }
    };
    match command {
        Command::Publish { channel, event, payload, .. } => {
            is_legal(channel);
            assert!(std::str::from_utf8(event).is_ok());
            assert_eq!(payload.kind, PayloadKind::Json);
            json(&payload.bytes);
        }
        Command::Ask { channel, about } => {
            is_legal(channel);
            if let About::Join { metadata: Some(metadata) } = about {
                json(metadata);
            }
        }
        Command::Subscribe { channel, params, filter, .. } => {
            is_legal(channel);
            params.iter().for_each(json);
            filter.iter().for_each(|filter| json(&filter.params));
        }
        Command::Unsubscribe { channel } => is_legal(channel),
        Command::Action { name, data } => {
            assert!(name.len() <= ChannelName::MAX_BYTES);
            json(data);
        }
        Command::Auth { .. } | Command::Ping => {}
    }
}

fn is_legal(channel: &ChannelName) {
    assert_eq!(ChannelName::parse(channel.as_str()).as_ref(), Ok(channel));
}

fn is_share(bytes: &Bytes, message: &Bytes) {
    let (whole, part) = (message.as_ptr_range(), bytes.as_ptr_range());
    assert!(bytes.is_empty() || whole.start <= part.start && part.end <= whole.end, "a copy was made");
}

/// The client can tell what was refused, and of which of its requests.
fn is_answered(refusal: &Refusal, id: Option<&RequestId>) {
    is_short(refusal);
    let mut out = BytesMut::new();
    Native.reply(id, Reply::Refused { channel: None, refusal: refusal.clone() }, &mut out);
    let answer = Object::of_frame(&out);
    assert_eq!(answer.text("type").as_deref(), Some("error"));
    assert_eq!(answer.text("code").as_deref(), Some(refusal.code()));
    assert_eq!(answer.raw("id").map(str::as_bytes), id.map(|id| &*id.0));
}

fn is_short(refusal: &Refusal) {
    let details = match refusal {
        Refusal::InvalidParams { details, .. } => details.len(),
        _ => 0,
    };
    let length = refusal.to_string().len() + details;
    assert!(length <= REFUSAL_BYTES, "a refusal of {length} bytes");
}
