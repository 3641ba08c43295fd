//! Dialects beside each other: what one says, all others hear in their own words; and the two
//! that are keyed by `event` and by `action`.

use serde_json::json;

use crate::harness::client::Arrived;
use crate::harness::{Client, Events, Raw, Server, http};

async fn at(server: &Server, path: &str) -> Client {
    Client::open(server, path, &[]).await.0
}

/// On `/dialect/event`, subscribed.
async fn event(server: &Server, channel: &str) -> Client {
    let mut client = at(server, "/dialect/event").await;
    client.send(json!({ "event": "subscribe", "channel": channel })).await;
    assert_eq!(client.next_json().await, json!({ "event": "subscribed", "channel": channel }));
    client
}

/// On `/dialect/action`, subscribed: that is not answered, but its own message comes.
async fn action(server: &Server, topic: &str) -> Client {
    let mut client = at(server, "/dialect/action").await;
    client.send(json!({ "action": "subscribe", "topic": topic })).await;
    client.send(json!({ "action": "publish", "topic": topic, "data": "here" })).await;
    assert_eq!(client.next_text().await, "\"here\"");
    client
}

async fn bridge(server: &Server, channel: &str) -> Client {
    let mut client = at(server, &format!("/ws/{channel}")).await;
    client.send_text("here").await;
    assert_eq!(client.next_text().await, "here");
    client
}

/// The native protocol's binary frame.
fn named(channel: &str, payload: &[u8]) -> Vec<u8> {
    [&[channel.len() as u8], channel.as_bytes(), payload].concat()
}

#[tokio::test]
async fn what_one_dialect_says_every_other_hears() {
    let server = Server::builder().shards(3).start();
    let mut by_action = action(&server, "room").await;
    let mut by_bridge = bridge(&server, "room").await;
    assert_eq!(by_action.next_text().await, "here");
    let mut by_event = event(&server, "room").await;
    let mut native = Client::connect(&server).await;
    native.subscribe("room").await;
    let mut plain = Events::open(&server, "/sse?channel=room").await;
    let mut framed = Events::open(&server, "/sse?channel=room&channel=other").await;

    for (name, value) in [("native", "1"), ("bridge", "2"), ("event", "3"), ("action", "4"), ("http", "5")] {
        let data: serde_json::Value = serde_json::from_str(&format!(r#"{{"n":{value}}}"#)).unwrap();
        match name {
            "native" => native.send(json!({ "type": "publish", "channel": "room", "data": data })).await,
            "bridge" => by_bridge.send_text(&data.to_string()).await,
            "event" => {
                by_event.send(json!({ "event": "counted", "channel": "room", "data": data })).await;
            }
            "action" => by_action.send(json!({ "action": "publish", "topic": "room", "data": data })).await,
            _ => {
                let body = json!({ "channel": "room", "data": data }).to_string();
                assert_eq!(http::post(&server, "/_broadcast", &body).await.status, 200);
            }
        }
        let called = if name == "event" { "counted" } else { "message" };
        assert_eq!(native.data().await, data, "from {name}");
        assert_eq!(by_bridge.next_text().await, data.to_string(), "from {name}");
        assert_eq!(by_action.next_text().await, data.to_string(), "from {name}");
        assert_eq!(
            by_event.next_json().await,
            json!({ "event": called, "channel": "room", "data": data }),
            "from {name}"
        );
        let (event, said) = plain.said().await;
        assert_eq!((&*event, said), (if name == "event" { "counted" } else { "" }, data.to_string()));
        assert_eq!(framed.next().await.json()["data"], data, "from {name}");
    }
}

#[tokio::test]
async fn text_and_bytes_are_what_they_are_in_every_dialect() {
    let server = Server::with(&[]);
    let mut by_action = action(&server, "room").await;
    let mut by_bridge = bridge(&server, "room").await;
    by_action.next_text().await;
    let mut by_event = event(&server, "room").await;
    let mut native = Client::connect(&server).await;
    native.subscribe("room").await;

    by_bridge.send_text("just \"text\"").await;
    assert_eq!(by_bridge.next_text().await, "just \"text\"");
    assert_eq!(by_action.next_text().await, "just \"text\"");
    assert_eq!(by_event.next_json().await["data"], "just \"text\"");
    assert_eq!(native.data().await, "just \"text\"");

    let bytes = vec![0, 1, 255];
    for sender in 0..4 {
        match sender {
            0 => by_bridge.send_binary(bytes.clone()).await,
            1 => native.send_binary(named("room", &bytes)).await,
            2 => by_event.send_binary(named("room", &bytes)).await,
            _ => by_action.send_binary(named("room", &bytes)).await,
        }
        assert_eq!(by_bridge.next().await, Arrived::Binary(bytes.clone()), "{sender}");
        assert_eq!(by_action.next().await, Arrived::Binary(bytes.clone()), "{sender}");
        assert_eq!(by_event.next().await, Arrived::Binary(named("room", &bytes)), "{sender}");
        assert_eq!(native.binary().await, named("room", &bytes), "{sender}");
    }
}

#[tokio::test]
async fn the_event_dialect_speaks_as_the_guide_has_it() {
    let server = Server::with(&["test-auth"]);
    let mut client = at(&server, "/api/v1/broadcasting/ws?token=ada").await;
    client.send(json!({ "event": "subscribe", "channel": "users" })).await;
    assert_eq!(client.next_text().await, r#"{"event":"subscribed","channel":"users"}"#);
    client
        .send(json!({ "event": "App\\Events\\UserCreated", "channel": "users", "data": { "id": 1 } }))
        .await;
    assert_eq!(
        client.next_text().await,
        r#"{"event":"App\\Events\\UserCreated","channel":"users","data":{"id":1}}"#
    );
    client.send(json!({ "event": "ping" })).await;
    assert_eq!(client.next_text().await, r#"{"event":"pong"}"#);
    client.send(json!({ "event": "unsubscribe", "channel": "users" })).await;
    assert_eq!(client.next_text().await, r#"{"event":"unsubscribed","channel":"users"}"#);
    client.send(json!({ "event": "auth", "data": { "token": "bob" } })).await;
    assert_eq!(client.next_text().await, r#"{"event":"authenticated","data":{"user":"bob"}}"#);

    for (frame, message, code) in [
        ("hello", "Message is not valid JSON.", "bad_json"),
        ("{}", "Event is required.", "type_required"),
        (r#"{"event":"said"}"#, "Channel is required.", "channel_required"),
        (r#"{"event":"subscribed","channel":"users"}"#, "Event 'subscribed' cannot be sent.", "unknown_type"),
        (
            r#"{"event":"subscribe","channel":"private:a"}"#,
            "User 'bob' not authorized for channel 'private:a'.",
            "permission_denied",
        ),
    ] {
        client.send_text(frame).await;
        let said = client.next_json().await;
        assert_eq!(said["event"], "error", "{said}");
        assert_eq!((&said["data"]["message"], &said["data"]["code"]), (&json!(message), &json!(code)));
    }
}

#[tokio::test]
async fn a_frame_with_channel_and_data_is_a_message_whatever_its_event() {
    let server = Server::with(&[]);
    let mut client = event(&server, "room").await;
    let mut native = Client::connect(&server).await;
    native.send(json!({ "type": "publish", "channel": "room", "data": 1, "event": "error" })).await;
    let frame = json!({ "event": "error", "channel": "room", "data": 1 });
    assert_eq!(client.next_json().await, frame);
}

#[tokio::test]
async fn the_action_dialect_delivers_bare_data_and_echoes_errors() {
    let server = Server::with(&["test-auth"]);
    let (mut client, _) = Client::open(&server, "/dialect/action", &[("authorization", "Bearer ada")]).await;
    client.send(json!({ "action": "publish", "topic": "room", "data": "before" })).await;
    client.send(json!({ "action": "subscribe", "topic": "room" })).await;
    client.send_text(r#"{"action":"publish","topic":"room","data":{"a" : 1}}"#).await;
    assert_eq!(client.next_text().await, r#"{"a" : 1}"#, "the first was published before it subscribed");
    client.send(json!({ "action": "unsubscribe", "topic": "room" })).await;
    client.send(json!({ "action": "publish", "topic": "room", "data": "after" })).await;
    for (frame, error) in [
        ("hello", "Message is not valid JSON."),
        ("[1]", "Action is required."),
        (r#"{"action":"dance"}"#, "Unknown action: dance."),
        (r#"{"action":"publish","data":1}"#, "Topic is required."),
        (
            r#"{"action":"publish","topic":"readonly:a"}"#,
            "User 'ada' not authorized for channel 'readonly:a'.",
        ),
        (
            r#"{"action":"subscribe","topic":"private:a"}"#,
            "User 'ada' not authorized for channel 'private:a'.",
        ),
    ] {
        client.send_text(frame).await;
        assert_eq!(client.next_text().await, format!("Echo: {frame} {error}"));
    }
}

#[tokio::test]
async fn a_dialect_that_is_off_is_not_there() {
    let config = "
        [dialects]
        bridge = false
        sse = false
        event = false
        action = false
        [[channel]]
        pattern = '*'
    ";
    let server = Server::builder().config(config).start();
    for path in
        ["/ws/room", "/sse?channel=room", "/dialect/event", "/api/v1/broadcasting/ws", "/dialect/action"]
    {
        assert_eq!(http::get(&server, path).await.status, 404, "{path}");
        assert!(Client::try_open(&server, path, &[]).await.is_err(), "{path}");
    }
    Client::connect(&server).await.ping().await;
}

#[tokio::test]
async fn a_dialects_path_asked_without_upgrade_says_so() {
    let server = Server::with(&[]);
    for path in ["/dialect/event", "/dialect/action", "/api/v1/broadcasting/ws"] {
        assert_eq!(http::get(&server, path).await.status, 426, "{path}");
        assert_eq!(http::post(&server, path, "").await.status, 405, "{path}");
    }
}

#[tokio::test]
async fn every_dialect_is_told_when_the_server_goes() {
    let mut server = Server::with(&[]);
    let mut clients = [event(&server, "a").await, action(&server, "b").await, bridge(&server, "c").await];
    let mut raw = Raw::open(&server).await;
    server.terminate();
    for client in &mut clients {
        assert_eq!(client.closed().await.0, 1001);
    }
    assert_eq!(raw.closed().await.0, 1001);
}
