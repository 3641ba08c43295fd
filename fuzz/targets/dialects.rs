//! The small dialects: whatever a path, a query or a frame is, a command is what was sent, and what
//! is said of it in any dialect holds it and nothing else.

use bytes::{Bytes, BytesMut};
use tidegate::core::clock::UnixMillis;
use tidegate::core::{ChannelName, Message, Offset, PayloadKind};
use tidegate::dialect::bridge::Opening;
use tidegate::dialect::sse::Stream;
use tidegate::dialect::{Action, Bridge, Command, Event, Framed, Plain, Request, action, bridge, event};
use tidegate::hub::wire::{Epoch, Position, Reply, Wire};

use super::input::Input;
use super::sent::{frames, is_json};

pub fn dialects(data: &[u8]) {
    let mut input = Input::new(data);
    let (path, query, id) = (input.text(), input.text(), input.text());
    let _ = Stream::parse(&query, Some(&id)).map(|stream| stream.requests().count());
    let _ = Stream::parse(&format!("channel=a&last_event_id={id}"), None);
    let channel = match Opening::parse(&path, &query) {
        Ok(opening) => opening.channel,
        Err(_) => ChannelName::parse("a").unwrap(),
    };

    let text = input.bit();
    let sent = Bytes::copy_from_slice(input.rest());
    let (requests, echo) = if text && std::str::from_utf8(&sent).is_ok() {
        let by_action = action::text(&sent);
        (vec![bridge::text(&channel, &sent), event::text(&sent), by_action.clone()], Some(by_action))
    } else {
        (vec![bridge::binary(&channel, &sent)], None)
    };
    for request in &requests {
        said(request, &sent);
    }
    if let Some(Request { id, command: Err(refusal) }) = echo {
        let mut out = BytesMut::new();
        Action.reply(id.as_ref(), Reply::Refused { channel: None, refusal }, &mut out);
        assert!(frames(&out)[0].payload.starts_with(&[b"Echo: ", &sent[..], b" "].concat()));
    }
}

fn said(request: &Request, sent: &Bytes) {
    let Ok(Command::Publish { channel, event, payload, .. }) = &request.command else { return };
    if payload.kind == PayloadKind::Json {
        assert!(is_json(&payload.bytes), "{payload:?}");
    }
    let is_of_it = sent.windows(payload.bytes.len().max(1)).any(|part| part == payload.bytes);
    assert!(is_of_it || payload.bytes.is_empty() || payload.bytes == "null");
    let message = Message {
        offset: Offset(7),
        at: UnixMillis(0),
        sender: None,
        event: event.clone(),
        payload: payload.clone(),
        except: None,
    };
    for wire in [&Bridge as &dyn Wire, &Event, &Action] {
        let mut out = BytesMut::new();
        wire.message(channel, &message, Some(Epoch(1)), &mut out);
        assert_eq!(frames(&out).len(), 1);
    }
    let mut out = BytesMut::new();
    Bridge.direct(channel, event, payload, &mut out);
    assert_eq!(frames(&out)[0].payload, &payload.bytes[..]);
    stream(channel, &message);
}

/// One event, and no field but those that it was given.
fn stream(channel: &ChannelName, message: &Message) {
    let place = Position { epoch: Epoch(1), offset: message.offset };
    for wire in [&Plain as &dyn Wire, &Framed] {
        let mut out = BytesMut::new();
        wire.message(channel, message, Some(place.epoch), &mut out);
        wire.places(&[(channel.clone(), place)], &mut out);
        let text = String::from_utf8(out.to_vec()).unwrap();
        assert!(!text.contains('\r') && text.ends_with("\n\n"), "{text:?}");
        let lines: Vec<_> = text.split_terminator('\n').collect();
        let ids = lines.iter().filter(|line| line.starts_with("id: ")).count();
        let known = ["id: ", "event: ", "data: "];
        assert!(
            lines.iter().all(|line| line.is_empty() || known.iter().any(|field| line.starts_with(field)))
        );
        assert_eq!(ids, 1, "{text:?}");
    }
}
