//! Messages and replies to frames.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::close::{Ending, code_for};
use super::decode::CLIENT_EVENT;
use super::member::user_info;
use super::own::{end, error, refused};
use super::payload;
use crate::core::apps::AppNames;
use crate::core::{ChannelName, ClientId, Message, Payload, Refusal, Sender};
use crate::dialect::frame::{self, Opcode, frame};
use crate::dialect::native::encode::{number, string};
use crate::hub::presence::{Lister, Presence, PresenceEvent};
use crate::hub::wire::{Epoch, Reply, RequestId, Wire};

/// What a message without an event is called, and one whose event is not its sender's to use.
const UNNAMED: &str = "message";
/// Begin the names of events that the server says of itself.
const RESERVED: [&str; 2] = ["pusher:", "pusher_internal:"];

/// Marks requests that are subscriptions: what is refused of them has a frame of its own.
pub fn subscription() -> RequestId {
    RequestId(Bytes::from_static(b"subscription"))
}

/// The encoder, for all applications: a channel's name says whose it is.
pub struct Pusher(pub Arc<AppNames>);

impl Wire for Pusher {
    fn message(&self, channel: &ChannelName, message: &Message, _: Option<Epoch>, out: &mut BytesMut) {
        let by_client = message.sender.as_ref().filter(|sender| sender.client != ClientId::NOBODY);
        let event = String::from_utf8_lossy(&message.event);
        let event = match &*event {
            "" => UNNAMED,
            // Clients believe these of the server alone.
            event if by_client.is_some() && RESERVED.iter().any(|own| event.starts_with(own)) => UNNAMED,
            event => event,
        };
        let sender = message.sender.as_ref().filter(|_| event.starts_with(CLIENT_EVENT));
        self.event(channel, event, &message.payload, sender, out);
    }

    fn direct(&self, channel: &ChannelName, event: &[u8], payload: &Payload, out: &mut BytesMut) {
        let event = String::from_utf8_lossy(event);
        self.event(channel, if event.is_empty() { UNNAMED } else { &event }, payload, None, out);
    }

    fn subscription(&self) -> Option<RequestId> {
        Some(subscription())
    }

    fn presence(&self, channel: &ChannelName, event: &PresenceEvent, out: &mut BytesMut) {
        let member = event.member();
        if self.0.online(channel.as_str()).is_some() {
            let state = match event {
                PresenceEvent::Join(_) => "online",
                PresenceEvent::Update(_) => return,
                PresenceEvent::Leave(_) => "offline",
            };
            return watched(member.user.as_str(), state, out);
        }
        let mut data = BytesMut::with_capacity(64 + member.metadata.len());
        data.put_slice(b"{\"user_id\":");
        string(member.user.as_str(), &mut data);
        let name = match event {
            PresenceEvent::Join(_) => {
                data.put_slice(b",\"user_info\":");
                data.put_slice(user_info(&member.metadata));
                "pusher_internal:member_added"
            }
            // Those who are there have their place; the protocol has no word for another name.
            PresenceEvent::Update(_) => return,
            PresenceEvent::Leave(_) => "pusher_internal:member_removed",
        };
        data.put_u8(b'}');
        self.internal(name, channel, &data, out);
    }

    fn subscribers(&self, channel: &ChannelName, subscribers: u64, out: &mut BytesMut) {
        let data = format!("{{\"subscription_count\":{subscribers}}}");
        self.internal("pusher_internal:subscription_count", channel, data.as_bytes(), out);
    }

    fn reply(&self, request: Option<&RequestId>, reply: Reply<'_>, out: &mut BytesMut) {
        match reply {
            Reply::Subscribed { channel, members, cached, .. } => {
                self.subscribed(channel, members, cached, out)
            }
            Reply::Pong => frame(Opcode::Text, out, |out| {
                out.put_slice(br#"{"event":"pusher:pong","data":"{}"}"#);
            }),
            Reply::Refused { channel, refusal } => {
                let words = self.words(&refusal);
                match channel.filter(|_| request == Some(&subscription())) {
                    Some(channel) => {
                        let (kind, status) = kind_of(&refusal);
                        refused(self.0.local(channel.as_str()), kind, &words, status, out);
                    }
                    None => error(error_code(&refusal), &words, out),
                }
            }
            // Nobody has asked for these here, or they are not told.
            _ => {}
        }
    }

    fn ping(&self, out: &mut BytesMut) {
        frame(Opcode::Ping, out, |_| {});
    }

    /// An answer to the client's own close has no reason, and its code.
    fn close(&self, code: u16, reason: &str, out: &mut BytesMut) {
        if reason.is_empty() {
            return frame::close(code, reason, out);
        }
        end(&Ending { code: code_for(code), reason: reason.to_owned() }, out);
    }
}

impl Pusher {
    fn event(
        &self,
        channel: &ChannelName,
        event: &str,
        payload: &Payload,
        sender: Option<&Sender>,
        out: &mut BytesMut,
    ) {
        let name = channel.as_str();
        let sender = sender.filter(|_| self.0.kind(name).is_some_and(|kind| kind.is_presence()));
        frame(Opcode::Text, out, |out| {
            out.put_slice(b"{\"event\":");
            string(event, out);
            out.put_slice(b",\"channel\":");
            string(self.0.local(name), out);
            out.put_slice(b",\"data\":");
            payload::write(payload, out);
            if let Some(sender) = sender {
                out.put_slice(b",\"user_id\":");
                string(sender.user.as_str(), out);
            }
            out.put_u8(b'}');
        });
    }

    /// An event of the server's own; `data` is JSON.
    fn internal(&self, event: &str, channel: &ChannelName, data: &[u8], out: &mut BytesMut) {
        frame(Opcode::Text, out, |out| {
            out.put_slice(b"{\"event\":");
            string(event, out);
            out.put_slice(b",\"channel\":");
            string(self.0.local(channel.as_str()), out);
            out.put_slice(b",\"data\":");
            string(&String::from_utf8_lossy(data), out);
            out.put_u8(b'}');
        });
    }

    fn subscribed(
        &self,
        channel: &ChannelName,
        members: Option<&Presence>,
        cached: Option<bool>,
        out: &mut BytesMut,
    ) {
        if let Some(user) = self.0.online(channel.as_str()) {
            let is_online = members.is_some_and(|members| !members.is_empty());
            return watched(user, if is_online { "online" } else { "offline" }, out);
        }
        let data = members.map_or(Bytes::from_static(b"{}"), |members| members.listed(Lister::Pusher, list));
        self.internal("pusher_internal:subscription_succeeded", channel, &data, out);
        if cached == Some(false) {
            frame(Opcode::Text, out, |out| {
                out.put_slice(b"{\"event\":\"pusher:cache_miss\",\"channel\":");
                string(self.0.local(channel.as_str()), out);
                out.put_u8(b'}');
            });
        }
    }

    /// The refusal in the application's own terms.
    fn words(&self, refusal: &Refusal) -> String {
        match refusal {
            Refusal::ChannelNotFound(channel) => {
                format!("Channel '{}' not found.", self.0.local(channel.as_str()))
            }
            Refusal::PermissionDenied { channel, .. } => {
                format!("Not authorized for channel '{}'.", self.0.local(channel.as_str()))
            }
            Refusal::InvalidParams { details, .. } => format!("Invalid {details}"),
            other => other.to_string(),
        }
    }
}

/// `{"presence":{"ids":[…],"hash":{…},"count":N}}`
fn list(members: &Presence) -> Bytes {
    let mut out = BytesMut::with_capacity(64 + members.len() * 64);
    out.put_slice(b"{\"presence\":{\"ids\":[");
    for (index, member) in members.members().enumerate() {
        comma(index, &mut out);
        string(member.user.as_str(), &mut out);
    }
    out.put_slice(b"],\"hash\":{");
    for (index, member) in members.members().enumerate() {
        comma(index, &mut out);
        string(member.user.as_str(), &mut out);
        out.put_u8(b':');
        out.put_slice(user_info(&member.metadata));
    }
    out.put_slice(b"},\"count\":");
    number(members.len() as u64, &mut out);
    out.put_slice(b"}}");
    out.freeze()
}

fn comma(index: usize, out: &mut BytesMut) {
    if index > 0 {
        out.put_u8(b',');
    }
}

/// A user that somebody watches is there now, or has gone.
fn watched(user: &str, state: &str, out: &mut BytesMut) {
    let data = serde_json::json!({ "events": [{ "name": state, "user_ids": [user] }] }).to_string();
    frame(Opcode::Text, out, |out| {
        out.put_slice(b"{\"event\":\"pusher_internal:watchlist_events\",\"data\":");
        string(&data, out);
        out.put_u8(b'}');
    });
}

/// What a refused subscription is called, and its number: HTTP's, where it has one.
fn kind_of(refusal: &Refusal) -> (&'static str, u16) {
    match refusal {
        Refusal::PermissionDenied { .. } => ("AuthError", 401),
        Refusal::LimitExceeded { .. } => ("LimitReached", 4004),
        Refusal::RateLimited { .. } => ("RateLimited", 429),
        Refusal::ChannelNotFound(_) => ("NotFound", 404),
        Refusal::Rejected { .. } => ("Rejected", 403),
        Refusal::PluginFailed(_) => ("Unavailable", 503),
        _ => ("BadRequest", 400),
    }
}

fn error_code(refusal: &Refusal) -> Option<u16> {
    match refusal {
        Refusal::RateLimited { .. } => Some(4301),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::clock::UnixMillis;
    use crate::core::{Offset, UserId, apps};
    use crate::dialect::pusher::own::{established, signed_in};

    fn pusher() -> Pusher {
        Pusher(Arc::new(AppNames::new(vec!["a.".into()])))
    }

    fn text_of(out: &[u8]) -> String {
        let head = if out[1] < 126 { 2 } else { 4 };
        String::from_utf8_lossy(&out[head..]).into_owned()
    }

    fn said(write: impl FnOnce(&Pusher, &mut BytesMut)) -> String {
        let mut out = BytesMut::new();
        write(&pusher(), &mut out);
        text_of(&out)
    }

    fn channel(name: &str) -> ChannelName {
        ChannelName::parse(name).unwrap()
    }

    fn message(name: &str, event: &str, sender: Option<u64>, payload: Payload) -> String {
        let sender = sender.map(|id| Sender { client: ClientId(id), user: UserId("ada".into()) });
        let message = Message {
            offset: Offset(1),
            at: UnixMillis(0),
            sender,
            event: Bytes::copy_from_slice(event.as_bytes()),
            payload,
            except: None,
        };
        said(|pusher, out| pusher.message(&channel(name), &message, Some(Epoch(1)), out))
    }

    #[test]
    fn a_message_is_its_apps_own() {
        assert_eq!(
            message("a.room", "App\\Events\\X", None, Payload::json("{\"a\" : \"b\"}")),
            r#"{"event":"App\\Events\\X","channel":"room","data":"{\"a\" : \"b\"}"}"#
        );
        assert_eq!(
            message("a.room", "", Some(1), Payload::text("hi")),
            r#"{"event":"message","channel":"room","data":"hi"}"#
        );
    }

    #[test]
    fn only_clients_events_in_presence_channels_say_whose_they_are() {
        let sent = |name, event, sender| message(name, event, sender, Payload::json("1"));
        assert_eq!(
            sent("a.presence-x", "client-e", Some(1)),
            r#"{"event":"client-e","channel":"presence-x","data":"1","user_id":"ada"}"#
        );
        for other in [
            sent("a.private-x", "client-e", Some(1)),
            sent("a.presence-x", "other", Some(1)),
            sent("a.presence-x", "client-e", None),
        ] {
            assert!(!other.contains("user_id"), "{other}");
        }
    }

    #[test]
    fn no_client_speaks_for_the_server() {
        for event in ["pusher_internal:member_added", "pusher:error"] {
            let (forged, own) = (
                message("a.x", event, Some(1), Payload::json("1")),
                message("a.x", event, None, Payload::json("1")),
            );
            assert_eq!(forged, r#"{"event":"message","channel":"x","data":"1"}"#);
            assert!(own.contains(event));
        }
    }

    #[test]
    fn members_are_listed_by_id() {
        let mut members = Presence::default();
        for (client, user, metadata) in
            [(1, "2", "{\"n\":1}"), (2, "1", ""), (3, "3", "{\"user_info\":null}")]
        {
            let who = Sender { client: ClientId(client), user: UserId(user.into()) };
            members.join(&who, Some(Bytes::from(metadata)), UnixMillis(0));
        }
        let name = channel("a.presence-x");
        let reply = Reply::Subscribed {
            channel: &name,
            position: None,
            recovered: None,
            members: Some(&members),
            cached: None,
        };
        let frame: serde_json::Value =
            serde_json::from_str(&said(|p, out| p.reply(None, reply, out))).unwrap();
        assert_eq!(frame["event"], "pusher_internal:subscription_succeeded");
        assert_eq!(frame["channel"], "presence-x");
        assert_eq!(
            frame["data"],
            r#"{"presence":{"ids":["1","2","3"],"hash":{"1":{},"2":{"n":1},"3":null},"count":3}}"#
        );
    }

    #[test]
    fn answers_are_worded_as_the_page_has_them() {
        let room = channel("a.room");
        let subscribed = |cached| Reply::Subscribed {
            channel: &room,
            position: None,
            recovered: None,
            members: None,
            cached,
        };
        assert_eq!(
            said(|p, out| p.reply(None, subscribed(Some(true)), out)),
            r#"{"event":"pusher_internal:subscription_succeeded","channel":"room","data":"{}"}"#
        );
        let missed = said(|p, out| p.reply(None, subscribed(Some(false)), out));
        assert!(missed.ends_with(r#"{"event":"pusher:cache_miss","channel":"room"}"#), "{missed}");
        assert_eq!(said(|p, out| p.reply(None, Reply::Pong, out)), r#"{"event":"pusher:pong","data":"{}"}"#);
        assert_eq!(
            said(|p, out| p.subscribers(&room, 3, out)),
            r#"{"event":"pusher_internal:subscription_count","channel":"room","data":"{\"subscription_count\":3}"}"#
        );
        let refusal = || Reply::Refused {
            channel: Some(room.clone()),
            refusal: Refusal::PermissionDenied { user: None, channel: room.clone(), reason: None },
        };
        assert_eq!(
            said(|p, out| p.reply(Some(&subscription()), refusal(), out)),
            r#"{"event":"pusher:subscription_error","channel":"room","data":{"type":"AuthError","error":"Not authorized for channel 'room'.","status":401}}"#
        );
        assert_eq!(
            said(|p, out| p.reply(None, refusal(), out)),
            r#"{"event":"pusher:error","data":{"code":null,"message":"Not authorized for channel 'room'."}}"#
        );
        assert_eq!(
            text_of(&signed_in("{\"id\":\"1\"}")),
            r#"{"event":"pusher:signin_success","data":"{\"user_data\":\"{\\\"id\\\":\\\"1\\\"}\"}"}"#
        );
        assert_eq!(
            text_of(&established("1.2", 120)),
            r#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.2\",\"activity_timeout\":120}"}"#
        );
    }

    #[test]
    fn who_comes_and_goes_is_told_once() {
        let member = crate::hub::presence::Member {
            user: UserId("2".into()),
            joined_at: UnixMillis(0),
            metadata: Bytes::from_static(b"{\"n\":1}"),
        };
        let told = |name: &ChannelName, event| {
            let mut out = BytesMut::new();
            pusher().presence(name, &event, &mut out);
            if out.is_empty() { String::new() } else { text_of(&out) }
        };
        let room = channel("a.presence-x");
        assert_eq!(
            told(&room, PresenceEvent::Join(member.clone())),
            r#"{"event":"pusher_internal:member_added","channel":"presence-x","data":"{\"user_id\":\"2\",\"user_info\":{\"n\":1}}"}"#
        );
        assert_eq!(
            told(&room, PresenceEvent::Leave(member.clone())),
            r#"{"event":"pusher_internal:member_removed","channel":"presence-x","data":"{\"user_id\":\"2\"}"}"#
        );
        assert_eq!(told(&room, PresenceEvent::Update(member.clone())), "");
        let online = apps::online("a.", "2");
        assert_eq!(
            told(&online, PresenceEvent::Join(member)),
            r#"{"event":"pusher_internal:watchlist_events","data":"{\"events\":[{\"name\":\"online\",\"user_ids\":[\"2\"]}]}"}"#
        );
    }

    #[test]
    fn an_end_says_whether_to_come_back() {
        let closed = |code, reason: &str| {
            let mut out = BytesMut::new();
            pusher().close(code, reason, &mut out);
            let at = out.len() - 2 - reason.len();
            u16::from_be_bytes([out[at], out[at + 1]])
        };
        for (code, here) in
            [(1001, 4200), (4000, 4201), (1000, 4202), (4002, 4100), (4008, 4100), (4004, 4009), (1009, 1009)]
        {
            assert_eq!(closed(code, "why"), here, "{code}");
        }
        assert_eq!(closed(1001, ""), 1001, "its own code comes back");
    }
}
