//! Idempotency keys: however often a message is sent, it is published once.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{post, refused};
use crate::harness::{Client, Server, http};

async fn keyed(server: &Server, channel: &str, key: &str, data: Value) -> Value {
    post(server, "/api/publish", json!({ "channel": channel, "data": data, "idempotency_key": key })).await
}

/// One channel's messages.
struct Listener(Client, &'static str);

impl Listener {
    async fn new(server: &Server, channel: &'static str) -> Self {
        let mut client = Client::connect(server).await;
        client.subscribe(channel).await;
        Self(client, channel)
    }

    /// All that was published up to now.
    async fn heard(&mut self, server: &Server) -> Vec<Value> {
        let end = json!({ "do": "end" });
        post(server, "/api/publish", json!({ "channel": self.1, "data": end })).await;
        let mut heard = Vec::new();
        loop {
            match self.0.data().await {
                data if data == end => return heard,
                data => heard.push(data),
            }
        }
    }
}

/// A handler that takes some milliseconds for each message.
fn with_slow_handler() -> Server {
    let config = "
        [[channel]]
        pattern = '*'
        [plugins.hostile]
        call_ms = 5000
    ";
    Server::builder().plugins(&["hostile"]).config(config).start()
}

#[tokio::test]
async fn twenty_equal_requests_at_once_are_one_message() {
    let server = Server::with(&[]);
    let mut client = Listener::new(&server, "room").await;
    let all = join_all((0..20).map(|_| keyed(&server, "room", "k", json!("once")))).await;
    assert!(all.iter().all(|answer| *answer == all[0]), "{all:?}");
    assert_eq!(all[0]["offset"], 1);
    assert_eq!(keyed(&server, "room", "k", json!("once")).await, all[0], "later too");
    assert_eq!(client.heard(&server).await, [json!("once")]);
}

#[tokio::test]
async fn a_repeat_waits_for_a_first_that_is_still_under_way() {
    // The others come while the handler is at the first.
    let server = with_slow_handler();
    let mut client = Listener::new(&server, "hostile:a").await;
    let all = join_all((0..20).map(|_| keyed(&server, "hostile:a", "k", json!({ "do": "spin" })))).await;
    assert!(all.iter().all(|answer| *answer == all[0] && answer["offset"] == 1), "{all:?}");
    assert_eq!(client.heard(&server).await.len(), 1);
}

#[tokio::test]
async fn another_message_under_the_same_key_is_a_conflict() {
    let server = Server::with(&[]);
    keyed(&server, "room", "k", json!(1)).await;
    for fields in [
        json!({ "data": 2 }),
        json!({ "text": "1" }),
        json!({ "data": 1, "event": "e" }),
        json!({ "data": 1, "sender": "ada" }),
        json!({ "data": 1, "exclude": "ffffffffffffffff" }),
    ] {
        let mut body = fields;
        body["channel"] = json!("room");
        body["idempotency_key"] = json!("k");
        let (status, code, _) = refused(&server, "/api/publish", &body.to_string()).await;
        assert_eq!((status, &*code), (409, "key_reused"), "{body}");
    }
    assert_eq!(keyed(&server, "room", "k", json!(1)).await["offset"], 1);
    assert_eq!(keyed(&server, "room", "other", json!(1)).await["offset"], 2);
    assert_eq!(keyed(&server, "room-2", "k", json!(2)).await["offset"], 1, "a channel has keys of its own");
}

#[tokio::test]
async fn after_a_refusal_the_key_is_free() {
    let server = Server::with(&["chat"]);
    let empty = r#"{"channel":"chat:a","data":{"text":""},"idempotency_key":"k"}"#;
    for _ in 0..2 {
        assert_eq!(refused(&server, "/api/publish", empty).await.0, 400);
    }
    assert_eq!(keyed(&server, "chat:a", "k", json!({ "text": "hi" })).await["offset"], 1);
}

#[tokio::test]
async fn a_repeated_broadcast_publishes_where_it_was_not_yet() {
    let server = Server::with(&[]);
    let mut client = Listener::new(&server, "b").await;
    let broadcast = |channels: Value| json!({ "channels": channels, "data": 1, "idempotency_key": "k" });
    let first = post(&server, "/api/broadcast", broadcast(json!(["a", "b"]))).await;
    let again = post(&server, "/api/broadcast", broadcast(json!(["b", "c", "b"]))).await;
    assert_eq!(again["results"][0], first["results"][1]);
    assert_eq!(again["results"][2], first["results"][1]);
    assert_eq!(client.heard(&server).await, [json!(1)]);
}

#[tokio::test]
async fn clients_have_keys_too_and_none_meets_anothers() {
    let server = Server::with(&["test-auth"]);
    let mut client = Listener::new(&server, "room").await;
    let frame = |data: Value| json!({ "type": "publish", "channel": "room", "data": data, "idempotency_key": "k", "echo": false });
    let mut ada = Client::with_token(&server, "ada").await;
    let first = ada.ask(frame(json!("a"))).await;
    assert_eq!((&first["type"], &first["offset"]), (&json!("published"), &json!(1)), "{first}");
    assert_eq!(ada.ask(frame(json!("a"))).await, first);
    let mut again = Client::with_token(&server, "ada").await;
    assert_eq!(again.ask(frame(json!("a"))).await, first, "also on a new connection");
    let other = ada.ask(frame(json!("b"))).await;
    let message = "The idempotency key was used for another message.";
    assert_eq!((&other["code"], &other["message"]), (&json!("key_reused"), &json!(message)), "{other}");

    let mut bob = Client::with_token(&server, "bob").await;
    assert_eq!(bob.ask(frame(json!("c"))).await["offset"], 2);
    keyed(&server, "room", "k", json!("d")).await;
    for key in [json!(5), json!("")] {
        let bad = json!({ "type": "publish", "channel": "room", "data": 1, "idempotency_key": key });
        assert_eq!(bob.ask(bad).await["code"], "invalid_params");
    }
    let none = json!({ "type": "publish", "channel": "room", "data": "e", "idempotency_key": null });
    assert_eq!(bob.ask(none).await["offset"], 4);
    assert_eq!(client.heard(&server).await, ["a", "c", "d", "e"]);
}

#[tokio::test]
async fn twenty_equal_frames_without_waiting_are_one_message() {
    let server = with_slow_handler();
    let mut client = Listener::new(&server, "hostile:a").await;
    let mut ada = Client::connect(&server).await;
    for id in 0..20 {
        let data = json!({ "do": "spin" });
        ada.send(json!({ "type": "publish", "id": id, "channel": "hostile:a", "data": data, "idempotency_key": "k" }))
            .await;
    }
    for id in 0..20 {
        let answer = ada.expect("published").await;
        assert_eq!((&answer["id"], &answer["offset"]), (&json!(id), &json!(1)), "{answer}");
    }
    assert_eq!(client.heard(&server).await.len(), 1);
}

#[tokio::test]
async fn socketapis_endpoint_knows_no_keys() {
    let server = Server::with(&[]);
    let mut client = Listener::new(&server, "room").await;
    for key in ["\"k\"", "\"k\"", "5"] {
        let body = format!(r#"{{"channel":"room","data":1,"idempotency_key":{key}}}"#);
        assert_eq!(http::post(&server, "/_broadcast", &body).await.status, 200, "{key}");
    }
    assert_eq!(client.heard(&server).await.len(), 3);
}
