//! The Pusher Channels protocol: whatever a frame, a member or a message is, what is said of it is a
//! frame whose `data` is a string, and nothing of the frame passes that is not meant to.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tidegate::core::apps::{AppNames, ChannelKind, MAX_EVENT, channel};
use tidegate::core::clock::UnixMillis;
use tidegate::core::{ChannelName, ClientId, Message, Offset, PayloadKind, Sender};
use tidegate::dialect::pusher::member::{Member, member, user};
use tidegate::dialect::pusher::payload::posted;
use tidegate::dialect::pusher::{Pusher, Said, own, text};
use tidegate::hub::presence::Presence;
use tidegate::hub::wire::{Reply, Wire};

use super::input::Input;
use super::sent::{Object, frames, is_json};

const PREFIX: &str = "a.";

pub fn pusher(data: &[u8]) {
    let mut input = Input::new(data);
    let (channel_data, event) = (input.long_text(), input.long_text());
    if let Ok(member) = member(&channel_data) {
        listed(&member, &channel_data);
    }
    let _ = user(&channel_data);
    let sent = Bytes::copy_from_slice(input.rest());
    let Ok(frame) = std::str::from_utf8(&sent) else { return };
    published(&event, frame);
    match text(&sent) {
        Ok(Said::Event { channel: name, event, payload }) => {
            assert!(event.starts_with("client-") && event.chars().count() <= MAX_EVENT, "{event}");
            assert!(payload.kind != PayloadKind::Json || is_json(&payload.bytes), "{payload:?}");
            if let Ok(channel) = channel(PREFIX, &name) {
                let heard = heard(&channel, &event, &payload_text(&payload.bytes), Some(1));
                let is_presence = ChannelKind::of(&name).is_presence();
                let user = heard.text("user_id");
                assert_eq!(user.as_deref(), is_presence.then_some("ada"), "{name}");
            }
        }
        Ok(Said::Subscribe { channel: name, .. }) => {
            if let Ok(channel) = channel(PREFIX, &name) {
                assert_eq!(channel.as_str().strip_prefix(PREFIX), Some(&*name));
            }
            let mut out = BytesMut::new();
            own::refused(&name, "AuthError", &name, 401, &mut out);
            assert_eq!(Object::of_frame(&out).text("channel"), Some(name));
        }
        Ok(_) => {}
        Err(unsaid) => {
            let mut out = BytesMut::new();
            own::error(None, &unsaid.to_string(), &mut out);
            assert!(Object::of_frame(&out).raw("data").is_some());
        }
    }
}

fn payload_text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("what a client sends as text is text")
}

/// What is posted comes out byte for byte.
fn published(event: &str, data: &str) {
    let channel = ChannelName::parse("a.room").unwrap();
    let heard = heard(&channel, event, data, None);
    let name = if event.is_empty() { "message" } else { event };
    assert_eq!(heard.text("event").as_deref(), Some(name));
    assert_eq!(heard.text("channel").as_deref(), Some("room"));
}

fn heard(channel: &ChannelName, event: &str, data: &str, client: Option<u64>) -> Object {
    let user = tidegate::core::UserId("ada".into());
    let message = Message {
        offset: Offset(1),
        at: UnixMillis(0),
        sender: client.map(|id| Sender { client: ClientId(id), user }),
        event: Bytes::copy_from_slice(event.as_bytes()),
        payload: posted(data.to_owned()),
        except: None,
    };
    let mut out = BytesMut::new();
    wire().message(channel, &message, None, &mut out);
    let object = Object::of_frame(&out);
    assert_eq!(object.text("data").as_deref(), Some(data));
    let known = ["channel", "data", "event", "user_id"];
    assert!(object.keys().iter().all(|key| known.contains(key)), "{:?}", object.keys());
    object
}

/// A member is in the list that it joins, under its id and with what was said of it.
fn listed(Member { user, metadata }: &Member, channel_data: &str) {
    assert!(metadata.is_empty() || is_json(metadata), "{metadata:?}");
    let mut members = Presence::default();
    let who = Sender { client: ClientId(1), user: user.clone() };
    members.join(&who, Some(metadata.clone()), UnixMillis(0));
    let channel = ChannelName::parse("a.presence-x").unwrap();
    let mut out = BytesMut::new();
    let reply = Reply::Subscribed {
        channel: &channel,
        position: None,
        recovered: None,
        members: Some(&members),
        cached: None,
    };
    wire().reply(None, reply, &mut out);
    assert_eq!(frames(&out).len(), 1);
    let data = Object::of_frame(&out).text("data").expect("a string");
    let presence = Object::parse(&data).ok().and_then(|data| data.raw("presence").map(str::to_owned));
    let presence = Object::parse(&presence.expect("presence")).expect("an object");
    let hash = Object::parse(presence.raw("hash").expect("a hash")).expect("an object");
    assert_eq!((presence.raw("count"), hash.keys()), (Some("1"), vec![user.as_str()]));
    let said = Object::parse(channel_data).expect("an object");
    assert_eq!(hash.raw(user.as_str()), Some(said.raw("user_info").unwrap_or("{}")));
}

fn wire() -> Pusher {
    Pusher(Arc::new(AppNames::new(vec![PREFIX.to_owned()])))
}
