//! Public and private channels: subscribing, hearing, leaving.

use serde_json::json;

use super::{Pusher, publish, server, signed};
use crate::harness::{eventually, http};

#[tokio::test]
async fn a_subscriber_hears_what_is_posted_byte_for_byte() {
    let server = server();
    let mut pusher = Pusher::connect(&server).await;
    let answer = pusher.subscribe("my-channel").await;
    assert_eq!(answer["data"], "{}");
    let text = "{\"a\" :  [1, \"ü\\u00fc\"], \"b\":1.0}";
    publish(&server, "my-channel", "App\\Events\\OrderShipped", text).await;
    assert_eq!(
        pusher.next().await,
        json!({ "event": "App\\Events\\OrderShipped", "channel": "my-channel", "data": text })
    );
    publish(&server, "my-channel", "e", "no JSON \"at\" all").await;
    assert_eq!(pusher.next().await["data"], "no JSON \"at\" all");
}

#[tokio::test]
async fn subscribe_takes_data_as_a_string_too() {
    let server = server();
    let mut pusher = Pusher::connect(&server).await;
    pusher.send("pusher:subscribe", json!("{\"channel\":\"x\"}")).await;
    assert_eq!(pusher.next().await["event"], "pusher_internal:subscription_succeeded");
    publish(&server, "x", "e", "1").await;
    assert_eq!(pusher.next().await["event"], "e");
}

#[tokio::test]
async fn the_second_subscription_is_an_error_and_delivers_nothing_twice() {
    let server = server();
    let mut pusher = Pusher::connect(&server).await;
    pusher.subscribe("x").await;
    let answer = pusher.ask("x", "", None).await;
    assert_eq!(
        answer,
        json!({ "event": "pusher:error", "data": { "code": null, "message": "Existing subscription to channel x" } })
    );
    publish(&server, "x", "e", "1").await;
    assert_eq!(pusher.next().await["event"], "e");
    pusher.silent().await;
}

#[tokio::test]
async fn two_subscriptions_at_once_are_one_and_an_error() {
    let server = server();
    let mut pusher = Pusher::connect(&server).await;
    for _ in 0..2 {
        pusher.send("pusher:subscribe", json!({ "channel": "x" })).await;
    }
    assert_eq!(pusher.next().await["event"], "pusher_internal:subscription_succeeded");
    assert_eq!(pusher.error().await.1, "Existing subscription to channel x");
}

#[tokio::test]
async fn leaving_is_not_answered_and_ends_it() {
    let server = server();
    let mut pusher = Pusher::connect(&server).await;
    pusher.subscribe("x").await;
    pusher.subscribe("y").await;
    pusher.unsubscribe("x").await;
    pusher.unsubscribe("never-had-it").await;
    pusher.silent().await;
    publish(&server, "x", "e", "1").await;
    publish(&server, "y", "e", "2").await;
    assert_eq!(pusher.next().await["channel"], "y");
    pusher.subscribe("x").await;
    publish(&server, "x", "e", "3").await;
    assert_eq!(pusher.next().await["data"], "3");
}

#[tokio::test]
async fn a_subscription_left_at_once_is_answered_and_left() {
    let server = server();
    let mut pusher = Pusher::connect(&server).await;
    pusher.send("pusher:subscribe", json!({ "channel": "x" })).await;
    pusher.unsubscribe("x").await;
    assert_eq!(pusher.next().await["event"], "pusher_internal:subscription_succeeded");
    pusher.silent().await;
    publish(&server, "x", "e", "1").await;
    pusher.silent().await;
}

#[tokio::test]
async fn the_one_with_the_excluded_socket_does_not_hear() {
    let server = server();
    let (mut ada, mut bob) = (Pusher::connect(&server).await, Pusher::connect(&server).await);
    ada.subscribe("x").await;
    bob.subscribe("x").await;
    let list = http::get(&server, "/api/connections").await.json();
    // The second part of a socket id is the client's own number.
    let number: u64 = ada.socket_id.split_once('.').unwrap().1.parse().unwrap();
    let clients: Vec<_> =
        list["connections"].as_array().unwrap().iter().map(|c| c["client"].clone()).collect();
    assert!(clients.contains(&json!(format!("{number:016x}"))), "{clients:?}");
    let body = json!({ "channel": "x", "data": 1, "exclude": format!("{number:016x}") });
    assert_eq!(http::post(&server, "/api/publish", &body.to_string()).await.status, 200);
    assert_eq!(bob.next().await["data"], "1");
    ada.silent().await;
}

#[tokio::test]
async fn encrypted_channels_are_relayed_unread() {
    let server = server();
    let mut pusher = Pusher::connect(&server).await;
    pusher.subscribe("private-encrypted-x").await;
    let text = r#"{"nonce":"Zm9v","ciphertext":"YmFy"}"#;
    publish(&server, "private-encrypted-x", "e", text).await;
    assert_eq!(pusher.next().await["data"], text);
}

#[tokio::test]
async fn a_connection_that_ends_leaves_its_channels() {
    let server = server();
    let mut pusher = Pusher::connect(&server).await;
    pusher.subscribe("x").await;
    pusher.gone().await;
    eventually("an empty channel", async || {
        let list = http::get(&server, "/api/channels").await.json();
        let x = list["channels"].as_array().unwrap().iter().find(|channel| channel["name"] == "x").cloned();
        x.is_none_or(|x| x["subscribers"] == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_signature_is_for_one_connection() {
    let server = server();
    let (ada, mut bob) = (Pusher::connect(&server).await, Pusher::connect(&server).await);
    let hers = signed(&[&ada.socket_id, ":", "private-x"]);
    assert_eq!(bob.refused("private-x", &hers, None).await["status"], 401);
}
