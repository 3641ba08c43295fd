//! Messages and replies to frames: whatever names, events and payloads are, the frame holds them
//! and nothing else.

use bytes::{Bytes, BytesMut};
use tidegate::core::clock::UnixMillis;
use tidegate::core::{
    ChannelName, ClientId, LastName, Message, Offset, Payload, PayloadKind, PluginName, Refusal, Sender,
    UserId,
};
use tidegate::dialect::{Native, native};
use tidegate::hub::tally::Receipt;
use tidegate::hub::wire::{Epoch, Position, Reply, RequestId, Wire};

use super::input::Input;
use super::sent::{Object, frames, is_json};

pub fn native_encode(data: &[u8]) {
    let mut input = Input::new(data);
    let numbered = input.bit();
    let channel = ChannelName::parse(&input.text()).unwrap_or(ChannelName::parse("x").unwrap());
    let event = Bytes::copy_from_slice(input.text().as_bytes());
    let sender =
        input.bit().then(|| Sender { client: ClientId(input.u64()), user: UserId((&*input.text()).into()) });
    let (offset, at) = (Offset(input.u64()), UnixMillis(input.u64()));
    let payload = payload(&mut input);
    let message = Message { offset, at, sender, event, payload, except: None };

    let mut out = BytesMut::new();
    Native.message(&channel, &message, numbered.then_some(Epoch(1)), &mut out);
    holds(&out, &channel, &message, numbered);
    let mut direct = BytesMut::new();
    Native.direct(&channel, &message.event, &message.payload, &mut direct);
    holds(&direct, &channel, &Message { sender: None, ..message.clone() }, false);

    let id = id(&mut input);
    let words = input.text().into_owned();
    replies(&channel, &message, id.as_ref(), &words, input.u16());
    closes(&out, &words, input.u16());
}

/// As the server would have let it in.
fn payload(input: &mut Input<'_>) -> Payload {
    let kind = [PayloadKind::Json, PayloadKind::Text, PayloadKind::Binary][usize::from(input.byte() % 3)];
    let bytes = input.long_bytes();
    let text = || String::from_utf8_lossy(&bytes).into_owned();
    let bytes = match kind {
        PayloadKind::Json if !is_json(&bytes) => serde_json::to_vec(&text()).unwrap(),
        PayloadKind::Text => text().into(),
        _ => bytes,
    };
    Payload { kind, bytes: bytes.into() }
}

/// Only what the decoder takes for one.
fn id(input: &mut Input<'_>) -> Option<RequestId> {
    let frame = format!("{{\"id\":{}}}", input.text());
    native::text(&Bytes::from(frame), &mut LastName::default()).id
}

fn holds(frame: &[u8], channel: &ChannelName, message: &Message, numbered: bool) {
    let payload = &message.payload;
    if payload.kind == PayloadKind::Binary {
        let frames = frames(frame);
        assert_eq!((frames.len(), frames[0].opcode), (1, 0x2));
        let (length, rest) = frames[0].payload.split_first().expect("the name's length");
        let (name, bytes) = rest.split_at((*length).into());
        assert_eq!((name, bytes), (channel.as_str().as_bytes(), &*payload.bytes));
        return;
    }
    let fields = Object::of_frame(frame);
    assert_eq!(fields.text("type").as_deref(), Some("data"));
    assert_eq!(fields.text("channel").as_deref(), Some(channel.as_str()));
    match payload.kind {
        // `null` too.
        PayloadKind::Json => assert_eq!(fields.raw("data").unwrap_or("null"), &*trimmed(&payload.bytes)),
        _ => assert_eq!(fields.text("data").unwrap().as_bytes(), payload.bytes),
    }
    let mut keys = vec!["channel", "data", "type"];
    if !message.event.is_empty() {
        keys.push("event");
        assert_eq!(fields.text("event").unwrap().as_bytes(), message.event);
    }
    if let Some(sender) = &message.sender {
        keys.push("sender");
        assert_eq!(fields.text("sender").as_deref(), Some(sender.user.as_str()));
    }
    if numbered {
        keys.extend(["offset", "timestamp"]);
        assert_eq!(fields.raw("offset"), Some(&*message.offset.to_string()));
        let UnixMillis(at) = message.at;
        assert_eq!(fields.raw("timestamp"), Some(&*format!("{}.{:03}", at / 1000, at % 1000)));
    }
    keys.sort_unstable();
    assert_eq!(fields.keys(), keys);
}

/// A plugin's JSON may have white space around it.
fn trimmed(json: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(json.trim_ascii())
}

fn replies(channel: &ChannelName, message: &Message, id: Option<&RequestId>, words: &str, code: u16) {
    let (channel, user) = (channel.clone(), UserId(words.into()));
    let position = Position { epoch: Epoch(message.at.0), offset: message.offset };
    let json = if message.payload.kind == PayloadKind::Json { &*message.payload.bytes } else { b"null" };
    let refusals = [
        Refusal::UnknownType(words.into()),
        Refusal::ChannelNotFound(channel.clone()),
        Refusal::ActionNotFound(words.into()),
        Refusal::InvalidParams { subject: words.into(), details: words.into() },
        Refusal::PermissionDenied {
            user: Some(user.clone()),
            channel: channel.clone(),
            reason: code.is_multiple_of(2).then(|| words.into()),
        },
        Refusal::Rejected { reason: words.into(), code },
        Refusal::RateLimited { retry_after_secs: f64::from(code) / 8.0 },
        Refusal::TooLarge(code.into()),
        Refusal::PluginFailed(PluginName::parse("chat").unwrap()),
    ];
    let refused =
        refusals.into_iter().map(|refusal| Reply::Refused { channel: Some(channel.clone()), refusal });
    let replies = [
        Reply::Authenticated { user },
        Reply::Subscribed {
            channel: &channel,
            position: Some(position),
            recovered: Some(true),
            members: None,
            cached: None,
        },
        Reply::Unsubscribed { channel: channel.clone() },
        Reply::Published {
            channel: channel.clone(),
            offset: Some(message.offset),
            receipt: Some(Receipt::default()),
        },
        Reply::ActionCompleted { action: words.into(), data: Bytes::copy_from_slice(json) },
        Reply::Pong,
        Reply::Expiring,
    ];
    for reply in replies.into_iter().chain(refused) {
        let is_text = |raw: Option<String>, wanted: &str| assert_eq!(raw.as_deref(), Some(wanted));
        type Check<'a> = Box<dyn Fn(&Object) + 'a>;
        let check: Check<'_> = match &reply {
            Reply::Authenticated { user } => {
                let user = user.clone();
                Box::new(move |fields| is_text(fields.text("user"), user.as_str()))
            }
            Reply::ActionCompleted { action, data } => {
                let (action, data) = (action.clone(), data.clone());
                Box::new(move |fields| {
                    is_text(fields.text("channel"), &action);
                    assert_eq!(fields.raw("data").unwrap_or("null"), trimmed(&data));
                })
            }
            Reply::Refused { refusal, .. } => {
                let refusal = refusal.clone();
                Box::new(move |fields| {
                    is_text(fields.text("message"), &refusal.to_string());
                    is_text(fields.text("code"), refusal.code());
                })
            }
            Reply::Subscribed { .. } | Reply::Unsubscribed { .. } | Reply::Published { .. } => {
                Box::new(|fields| is_text(fields.text("channel"), channel.as_str()))
            }
            _ => Box::new(|_| {}),
        };
        let mut out = BytesMut::new();
        Native.reply(id, reply, &mut out);
        let fields = Object::of_frame(&out);
        assert!(fields.text("type").is_some());
        assert_eq!(fields.raw("id").map(str::as_bytes), id.map(|id| &*id.0));
        check(&fields);
    }
}

/// What comes behind other frames leaves them alone.
fn closes(before: &[u8], reason: &str, code: u16) {
    let mut out = BytesMut::from(before);
    Native.ping(&mut out);
    Native.close(code, reason, &mut out);
    assert!(out.starts_with(before));
    let frames = frames(&out[before.len()..]);
    let [ping, close] = &frames[..] else { panic!("a ping and a close") };
    assert_eq!((ping.opcode, ping.payload.len(), close.opcode), (0x9, 0, 0x8));
    let (said, cut) = close.payload.split_first_chunk::<2>().expect("a close code");
    assert_eq!(u16::from_be_bytes(*said), code);
    let cut = std::str::from_utf8(cut).expect("a reason is cut between characters");
    assert!(reason.starts_with(cut));
    assert!(cut.len() == reason.len() || cut.len() > 123 - 4, "as much of it as there is room for");
}
