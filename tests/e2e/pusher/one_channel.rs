//! A channel is one, whoever speaks to it in whatever words.

use serde_json::json;

use super::{Pusher, SECRET, config, publish, server};
use crate::harness::{Client, Server, http};

#[tokio::test]
async fn each_hears_the_other_in_its_own_words() {
    let more = "[[channel]]\npattern = '*'";
    let server = Server::builder().config(&format!("{}{more}", config(""))).start();
    let (mut native, mut pusher) = (Client::connect(&server).await, Pusher::connect(&server).await);
    native.subscribe("x").await;
    pusher.subscribe("x").await;
    publish(&server, "x", "said", "{\"a\": 1}").await;
    let heard = native.expect("data").await;
    assert_eq!((&heard["event"], &heard["data"]), (&json!("said"), &json!({ "a": 1 })));
    assert_eq!(pusher.next().await["data"], "{\"a\": 1}");

    native.send_text(r#"{"type":"publish","channel":"x","event":"E","data":{"b" : 2}}"#).await;
    assert_eq!(pusher.next().await, json!({ "event": "E", "channel": "x", "data": "{\"b\" : 2}" }));
    native.send_text(r#"{"type":"publish","channel":"x","data":"hi"}"#).await;
    assert_eq!(pusher.next().await, json!({ "event": "message", "channel": "x", "data": "\"hi\"" }));
    native.send_binary(b"\x01x\xff\x00".to_vec()).await;
    assert_eq!(pusher.next().await, json!({ "event": "message", "channel": "x", "data": "/wA=" }));
}

#[tokio::test]
async fn no_other_client_speaks_for_the_server() {
    let more = "[[channel]]\npattern = '*'";
    let server = Server::builder().config(&format!("{}{more}", config(""))).start();
    let (mut native, mut pusher) = (Client::connect(&server).await, Pusher::connect(&server).await);
    pusher.subscribe("x").await;
    for event in ["pusher_internal:subscription_count", "pusher:error"] {
        native.send(json!({ "type": "publish", "channel": "x", "event": event, "data": 1 })).await;
        assert_eq!(pusher.next().await, json!({ "event": "message", "channel": "x", "data": "1" }));
    }
}

#[tokio::test]
async fn what_clients_say_to_each_other_is_heard_natively_too() {
    let server = Server::builder().plugins(&["test-auth"]).config(&config("")).start();
    let mut native = Client::with_token(&server, "eve").await;
    native.subscribe("presence-x").await;
    let mut ada = Pusher::connect(&server).await;
    ada.join("presence-x", json!({ "user_id": 7 })).await;
    ada.whisper("client-typing", "presence-x", json!({ "a": 1 })).await;
    let heard = native.expect("data").await;
    assert_eq!(
        (&heard["event"], &heard["data"], &heard["sender"]),
        (&json!("client-typing"), &json!({ "a": 1 }), &json!("7"))
    );
}

#[tokio::test]
async fn without_a_rule_other_clients_hear_public_channels_and_say_nothing() {
    let server = server();
    let (mut native, mut pusher) = (Client::connect(&server).await, Pusher::connect(&server).await);
    native.subscribe("x").await;
    pusher.subscribe("x").await;
    publish(&server, "x", "e", "1").await;
    assert_eq!(native.data().await, 1);
    assert_eq!(pusher.next().await["event"], "e");
    let answer = native.try_publish("x", json!(2)).await;
    assert_eq!(answer["code"], "permission_denied", "{answer}");
    pusher.silent().await;
}

#[tokio::test]
async fn apps_with_prefixes_do_not_hear_each_other() {
    let two = format!(
        "{}[[pusher.app]]\nid = 4\nkey = 'other'\nsecret = '{SECRET}'\nprefix = 'b.'\n",
        config("prefix = 'a.'")
    );
    let server = Server::builder().config(&two).start();
    let mut ada = Pusher::connect(&server).await;
    let mut bob = Pusher::at(&server, "/app/other?protocol=7").await;
    ada.subscribe("x").await;
    bob.subscribe("x").await;
    publish(&server, "a.x", "e", "1").await;
    publish(&server, "b.x", "e", "2").await;
    assert_eq!(ada.next().await, json!({ "event": "e", "channel": "x", "data": "1" }));
    assert_eq!(bob.next().await, json!({ "event": "e", "channel": "x", "data": "2" }));
    // A signature with the other's key is nothing here, although their secrets are the same.
    let auth = super::signed(&[&bob.socket_id, ":", "private-x"]);
    assert_eq!(bob.refused("private-x", &auth, None).await["type"], "AuthError");
    let answer = http::post(&server, "/api/publish", r#"{"channel":"x","data":1}"#).await;
    assert_eq!(answer.status, 404, "nobody's channel: {answer:?}");
}

#[tokio::test]
async fn a_history_serves_who_asks_for_it_natively() {
    let more = "[[channel]]\npattern = 'x'\nhistory = { messages = 10 }";
    let server = Server::builder().config(&format!("{}{more}", config(""))).start();
    let mut pusher = Pusher::connect(&server).await;
    pusher.subscribe("x").await;
    publish(&server, "x", "e", "1").await;
    assert_eq!(pusher.next().await, json!({ "event": "e", "channel": "x", "data": "1" }));
    let mut native = Client::connect(&server).await;
    native.subscribe_with(json!({ "channel": "x", "history": 5 })).await;
    assert_eq!(native.expect("data").await["event"], "e");
}

#[tokio::test]
async fn fifty_clients_hear_two_hundred_messages_each_once_and_in_order() {
    let server = server();
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut pusher = Pusher::connect(&server).await;
        pusher.subscribe("x").await;
        clients.push(pusher);
    }
    for n in 0..200 {
        publish(&server, "x", "e", &n.to_string()).await;
    }
    for pusher in &mut clients {
        for n in 0..200 {
            assert_eq!(pusher.next().await["data"], n.to_string());
        }
        pusher.silent().await;
    }
}
