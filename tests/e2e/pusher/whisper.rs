//! Events that clients send each other.

use serde_json::json;

use super::{KEY, PATH, Pusher, SECRET, config, server};
use crate::harness::{Client, Raw, Server, raw};

#[tokio::test]
async fn the_others_hear_and_the_sender_does_not() {
    let server = server();
    let (mut ada, mut bob) = (Pusher::connect(&server).await, Pusher::connect(&server).await);
    ada.subscribe("private-x").await;
    bob.subscribe("private-x").await;
    for (data, heard) in [
        (json!({ "typing": true }), "{\"typing\":true}"),
        (json!("text"), "text"),
        (json!("{\"a\" : 1}"), "{\"a\" : 1}"),
        (json!(5), "5"),
        (json!(null), "null"),
    ] {
        ada.whisper("client-typing", "private-x", data).await;
        assert_eq!(
            bob.next().await,
            json!({ "event": "client-typing", "channel": "private-x", "data": heard })
        );
    }
    ada.silent().await;
}

#[tokio::test]
async fn in_presence_channels_it_says_who_and_no_field_of_the_frame_passes() {
    let server = server();
    let (mut ada, mut bob) = (Pusher::connect(&server).await, Pusher::connect(&server).await);
    ada.join("presence-x", json!({ "user_id": 1 })).await;
    bob.join("presence-x", json!({ "user_id": 2 })).await;
    ada.next_data("pusher_internal:member_added").await;
    let frame = json!({
        "event": "client-e", "channel": "presence-x", "data": 1, "user_id": "eve", "socket_id": "1.1", "x": 1
    });
    bob.client.send(frame).await;
    assert_eq!(
        ada.next().await,
        json!({ "event": "client-e", "channel": "presence-x", "data": "1", "user_id": "2" })
    );
}

#[tokio::test]
async fn what_may_not_be_sent_is_answered_and_the_connection_stays() {
    let server = server();
    let (mut ada, mut bob) = (Pusher::connect(&server).await, Pusher::connect(&server).await);
    for channel in ["public", "private-x"] {
        ada.subscribe(channel).await;
    }
    bob.subscribe("private-y").await;
    let mut refused = async |event: &str, channel: &str, words: &str| {
        ada.whisper(event, channel, json!(1)).await;
        let (code, message) = ada.error().await;
        assert!(code.is_none() && message.contains(words), "{event} to {channel}: {code:?} {message}");
    };
    refused("client-e", "public", "only supported on private and presence channels").await;
    refused("client-e", "#server-to-user-1", "only supported on private and presence channels").await;
    let words = "Cannot broadcast client event (connection not subscribed to channel private-y)";
    refused("client-e", "private-y", words).await;
    refused("client-e", "private-a b", "not subscribed").await;
    refused("other", "private-x", "Unknown event 'other'").await;
    refused("pusher:other", "private-x", "Unknown event").await;
    refused("pusher_internal:member_added", "private-x", "Unknown event").await;
    refused(&format!("client-{}", "x".repeat(194)), "private-x", "200 characters").await;
    ada.whisper("client-e", "private-x", json!("x".repeat(10_241))).await;
    assert!(ada.error().await.1.contains("10240 bytes"));
    bob.silent().await;
    bob.unsubscribe("private-y").await;
    bob.whisper("client-e", "private-y", json!(1)).await;
    assert!(bob.error().await.1.contains("not subscribed"));
}

#[tokio::test]
async fn ten_thousand_two_hundred_and_forty_bytes_pass() {
    let server = server();
    let (mut ada, mut bob) = (Pusher::connect(&server).await, Pusher::connect(&server).await);
    ada.subscribe("private-x").await;
    bob.subscribe("private-x").await;
    let text = "x".repeat(10_240);
    ada.whisper(&format!("client-{}", "e".repeat(193)), "private-x", json!(text)).await;
    assert_eq!(bob.next().await["data"], text);
}

#[tokio::test]
async fn the_eleventh_in_a_second_is_refused_with_4301() {
    let server = server();
    let mut bob = Pusher::connect(&server).await;
    bob.subscribe("private-x").await;
    let mut raw = Raw::tcp(&server).await;
    raw.write(raw::handshake().replace("/ws", PATH).as_bytes()).await;
    raw.read_head().await;
    let hello = raw.next().await.json();
    let data: serde_json::Value = serde_json::from_str(hello["data"].as_str().unwrap()).unwrap();
    let auth = super::signed(&[data["socket_id"].as_str().unwrap(), ":", "private-x"]);
    raw.send_json(json!({ "event": "pusher:subscribe", "data": { "channel": "private-x", "auth": auth } }))
        .await;
    raw.next().await;
    // In one write, so that they are of one second.
    let event = |n: u8| json!({ "event": "client-e", "channel": "private-x", "data": n }).to_string();
    let burst: Vec<u8> =
        (0..11).flat_map(|n| raw::frame(raw::FIN | raw::TEXT, event(n).as_bytes())).collect();
    raw.write(&burst).await;
    let error = raw.next().await.json();
    assert_eq!((&error["event"], &error["data"]["code"]), (&json!("pusher:error"), &json!(4301)));
    for n in 0..10 {
        assert_eq!(bob.next().await["data"], n.to_string());
    }
    bob.silent().await;
    raw.send_json(json!({ "event": "pusher:ping", "data": {} })).await;
    assert_eq!(raw.next().await.json()["event"], "pusher:pong");
}

#[tokio::test]
async fn an_app_may_have_them_off() {
    let off = format!("[[pusher.app]]\nid = 3\nkey = '{KEY}'\nsecret = '{SECRET}'\n");
    let server = Server::builder().config(&off).start();
    let (mut ada, mut bob) = (Pusher::connect(&server).await, Pusher::connect(&server).await);
    ada.subscribe("private-x").await;
    bob.subscribe("private-x").await;
    ada.whisper("client-e", "private-x", json!(1)).await;
    assert!(ada.error().await.1.contains("not enabled"));
    bob.silent().await;
}

#[tokio::test]
async fn a_rule_may_leave_publishing_to_the_server() {
    let more = "[[channel]]\npattern = 'private-quiet'\npublish = 'server'";
    let server = Server::builder().config(&format!("{}{more}", config(""))).start();
    let mut ada = Pusher::connect(&server).await;
    ada.subscribe("private-quiet").await;
    ada.whisper("client-e", "private-quiet", json!(1)).await;
    assert_eq!(ada.error().await, (None, "Not authorized for channel 'private-quiet'.".into()));
}

#[tokio::test]
async fn a_channels_plugin_judges_them_like_any_message() {
    let more = "[plugins.chat]\nchannels = ['private-chat']";
    let server =
        Server::builder().plugins(&["chat", "test-auth"]).config(&format!("{}{more}", config(""))).start();
    let (mut ada, mut bob) = (Pusher::connect(&server).await, Pusher::connect(&server).await);
    ada.subscribe("private-chat").await;
    bob.subscribe("private-chat").await;
    let mut native = Client::with_token(&server, "eve").await;
    native.subscribe("private-chat").await;
    // What native clients get of their own refused message comes here as an error.
    let refusal = native.try_publish("private-chat", json!({})).await;
    assert_eq!(refusal["code"], "rejected", "{refusal}");
    ada.whisper("client-e", "private-chat", json!({})).await;
    assert_eq!(ada.error().await.1, refusal["message"].as_str().unwrap());
    ada.whisper("client-e", "private-chat", json!({ "text": "hi" })).await;
    let heard = bob.next().await;
    assert!(heard["data"].as_str().unwrap().contains("\"text\":\"hi\""), "{heard}");
}
