//! Channels that nobody uses are forgotten, when their rule says.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::wait::LONG;
use crate::harness::{Client, Server, http, wait};

fn server() -> Server {
    let config = r#"
        [[channel]]
        pattern = "*"
        offsets = true
        [[channel]]
        pattern = "brief:*"
        offsets = true
        expire_after_secs = 1
        [[channel]]
        pattern = "greeter:*"
        default_response = true
        expire_after_secs = 1
        [[channel]]
        pattern = "kept:*"
        history = { messages = 10, ttl_secs = 3 }
        expire_after_secs = 1
        [[channel]]
        pattern = "present:*"
        offsets = true
        expire_after_secs = 1
    "#;
    Server::builder().plugins(&["greeter"]).config(config).shards(2).start()
}

/// The position of a channel that the server knows; asking does not keep it.
async fn known(server: &Server, channel: &str) -> bool {
    let listed = http::get(server, "/api/channels").await.json();
    listed["channels"].as_array().unwrap().iter().any(|facts| facts["name"] == channel)
}

async fn until_forgotten(server: &Server, channel: &str) {
    let what = format!("{channel} is forgotten");
    wait::eventually_in(LONG, &what, async || (!known(server, channel).await).then_some(())).await;
}

fn recover(channel: &str, answer: &Value) -> Value {
    let place = json!({ "epoch": answer["epoch"], "offset": answer["offset"] });
    json!({ "channel": channel, "recover": place })
}

#[tokio::test]
async fn an_idle_channel_is_forgotten_and_begins_another_epoch() {
    let server = server();
    let mut client = Client::connect(&server).await;
    client.publish("brief:a", json!(1)).await;
    client.publish("room", json!(1)).await;
    let before = client.subscribe("brief:a").await;
    assert_eq!(before["offset"], 1);
    client.unsubscribe("brief:a").await;
    until_forgotten(&server, "brief:a").await;
    assert!(known(&server, "room").await, "by its rule it is kept for a minute");
    let after = client.subscribe_with(recover("brief:a", &before)).await;
    assert_eq!((&after["offset"], &after["recovered"]), (&json!(0), &json!(false)), "{after}");
    assert_ne!(after["epoch"], before["epoch"]);
}

#[tokio::test]
async fn its_handler_is_opened_anew() {
    let server = server();
    let mut client = Client::connect(&server).await;
    for greeted in [1, 2] {
        client.subscribe("greeter:a").await;
        assert_eq!(client.data().await["greeted"], greeted);
    }
    client.unsubscribe("greeter:a").await;
    until_forgotten(&server, "greeter:a").await;
    client.subscribe("greeter:a").await;
    assert_eq!(client.data().await["greeted"], 1);
}

#[tokio::test]
async fn whoever_uses_a_channel_keeps_it() {
    let server = server();
    let mut client = Client::connect(&server).await;
    let subscribed = client.subscribe("brief:a").await;
    client.ask(json!({ "type": "join", "channel": "present:a" })).await;
    client.publish("brief:gone", json!(1)).await;
    let began = std::time::Instant::now();
    until_forgotten(&server, "brief:gone").await;
    client.publish("brief:gone", json!(1)).await;
    until_forgotten(&server, "brief:gone").await;
    let elapsed = began.elapsed();
    assert!(elapsed >= Duration::from_secs(2), "each time it had its second: {elapsed:?}");
    assert!(known(&server, "brief:a").await && known(&server, "present:a").await);
    let mut other = Client::connect(&server).await;
    let answer = other.subscribe_with(recover("brief:a", &subscribed)).await;
    assert_eq!((&answer["epoch"], &answer["recovered"]), (&subscribed["epoch"], &json!(true)));
}

#[tokio::test]
async fn a_history_keeps_its_channel_for_as_long_as_it_lasts() {
    let server = server();
    let mut client = Client::connect(&server).await;
    let before = client.subscribe("kept:a").await;
    client.unsubscribe("kept:a").await;
    let published = std::time::Instant::now();
    client.publish("kept:a", json!(1)).await;
    until_forgotten(&server, "kept:a").await;
    let elapsed = published.elapsed();
    // A message's time is in whole milliseconds.
    assert!(
        elapsed >= Duration::from_millis(3990),
        "its message for 3 s, the channel for 1 s more: {elapsed:?}"
    );
    let after = client.subscribe_with(recover("kept:a", &before)).await;
    assert_eq!((&after["recovered"], &after["offset"]), (&json!(false), &json!(0)));
}
