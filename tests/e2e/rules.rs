//! What a channel's rule says: who, what kinds of payload, how many subscribers.

use serde_json::json;

use crate::harness::{Client, Server, http};

fn server(plugins: &[&str], rules: &str) -> Server {
    Server::builder().plugins(plugins).config(rules).shards(4).start()
}

#[tokio::test]
async fn the_most_specific_rule_decides() {
    let server = server(
        &[],
        "
        [[channel]]
        pattern = '*'
        publish = 'server'
        [[channel]]
        pattern = 'chat:{room}:*'
        payloads = ['json']
        publish = 'server'
        [[channel]]
        pattern = 'chat:{room}:talk'
        [[channel]]
        pattern = 'chat:closed:*'
        publish = 'server'
        ",
    );
    let mut client = Client::connect(&server).await;
    for (channel, code) in [
        ("chat:a:talk", None),
        ("chat:a:b:talk", Some("permission_denied")),
        ("chat:a:talk:b", Some("permission_denied")),
        ("chat:closed:talk", Some("permission_denied")),
        ("chat:a", Some("permission_denied")),
    ] {
        let answer = client.try_publish(channel, json!(1)).await;
        assert_eq!(answer["code"].as_str(), code, "{channel}: {answer}");
    }
}

#[tokio::test]
async fn where_a_user_is_required_anonymous_clients_are_denied() {
    let server = server(
        &["test-auth"],
        "
        [[channel]]
        pattern = '*'
        [[channel]]
        pattern = 'members.{id}'
        require_auth = true
        ",
    );
    let mut client = Client::connect(&server).await;
    let denied = json!({
        "type": "error", "message": "User 'anonymous' not authorized for channel 'members.1'.",
        "code": "permission_denied", "channel": "members.1",
    });
    assert_eq!(client.ask(json!({ "type": "subscribe", "channel": "members.1" })).await, denied);
    assert_eq!(client.try_publish("members.1", json!(1)).await, denied);
    for kind in ["history", "presence", "join"] {
        assert_eq!(client.ask(json!({ "type": kind, "channel": "members.1" })).await, denied, "{kind}");
    }
    client.subscribe("members").await;
    client.ask(json!({ "type": "auth", "token": "ada" })).await;
    client.subscribe("members.1").await;
    client.publish("members.1", json!(1)).await;
}

#[tokio::test]
async fn only_the_kinds_of_payload_that_the_rule_names_are_taken() {
    let server = server(
        &[],
        "
        [[channel]]
        pattern = 'json'
        payloads = ['json', 'text']
        [[channel]]
        pattern = 'binary'
        payloads = ['binary']
        ",
    );
    let mut client = Client::connect(&server).await;
    client.subscribe("json").await;
    client.subscribe("binary").await;
    let refused = |channel: &str, details: &str| {
        json!({
            "type": "error", "message": format!("Invalid parameters for action '{channel}'"),
            "code": "invalid_params", "channel": channel, "details": details,
        })
    };
    client.send_binary(b"\x04json\x00".to_vec()).await;
    assert_eq!(
        client.next_json().await,
        refused("json", "data: is binary, and the channel takes json or text")
    );
    assert_eq!(
        client.try_publish("binary", json!(1)).await,
        refused("binary", "data: is json, and the channel takes binary")
    );
    let posted = http::post(&server, "/_broadcast", r#"{"channel":"binary","data":1}"#).await;
    assert_eq!(
        (posted.status, &posted.json()["error"]),
        (400, &json!("data: is json, and the channel takes binary"))
    );
    client.send_binary(b"\x06binary\x00".to_vec()).await;
    assert_eq!(client.binary().await, b"\x06binary\x00");
    client.publish("json", json!(1)).await;
    assert_eq!(client.data().await, 1);
    assert_eq!(client.left_over(), []);
}

#[tokio::test]
async fn the_rule_says_whether_publishers_hear_themselves_and_they_may_say_otherwise() {
    let server = server(&[], "[[channel]]\npattern = '*'\necho_to_sender = false");
    let (mut ada, mut bob) = (Client::connect(&server).await, Client::connect(&server).await);
    ada.subscribe("room").await;
    bob.subscribe("room").await;
    for (data, echo) in [(1, json!(null)), (2, json!(true)), (3, json!(false))] {
        ada.ask(json!({ "type": "publish", "channel": "room", "data": data, "echo": echo })).await;
        assert_eq!(bob.data().await, data);
    }
    assert_eq!(ada.data().await, 2);
    ada.send_binary(b"\x04room!".to_vec()).await;
    assert_eq!(bob.binary().await, b"\x04room!");
    ada.ping().await;
    assert_eq!(ada.left_over(), []);
}

#[tokio::test]
async fn a_channel_has_so_many_places() {
    let server = server(&["chat", "hostile"], "[[channel]]\npattern = '*'\nmax_subscribers = 3");
    for channel in ["room", "chat:lobby"] {
        let mut clients = Vec::new();
        for _ in 0..12 {
            clients.push(Client::connect(&server).await);
        }
        let join = |channel: &str| json!({ "type": "subscribe", "channel": channel });
        let answers = clients.iter_mut().map(|client| client.ask(join(channel)));
        let answers = futures_util::future::join_all(answers).await;
        let full = json!({
            "type": "error", "message": "At most 3 subscribers of this channel are allowed.",
            "code": "limit_exceeded", "channel": channel,
        });
        let inside: Vec<usize> = (0..12).filter(|n| answers[*n]["type"] == "subscribed").collect();
        assert_eq!(inside.len(), 3, "{answers:?}");
        assert_eq!(answers.iter().filter(|answer| **answer == full).count(), 9, "{answers:?}");

        let member = &mut clients[inside[0]];
        for _ in 0..3 {
            member.subscribe(channel).await;
        }
        // Both at once: the second replaces what the first has brought about.
        member.send(join(channel)).await;
        member.subscribe(channel).await;
        member.unsubscribe(channel).await;
        let outside = (0..12).find(|n| !inside.contains(n)).unwrap();
        clients[outside].subscribe(channel).await;
        let refused = clients[inside[0]].ask(join(channel)).await;
        assert_eq!(refused, full);
    }
    // A place that a handler does not give to one is there for another.
    let mut client = Client::connect(&server).await;
    for _ in 0..5 {
        let deny = json!({ "type": "subscribe", "channel": "hostile:a", "data": { "deny": true } });
        assert_eq!(client.ask(deny).await["code"], "rejected");
    }
    client.subscribe("hostile:a").await;
}
