//! Channels that remember their last event.

use serde_json::json;

use super::{Pusher, publish, server, signed};

#[tokio::test]
async fn who_comes_late_gets_the_last_event_or_hears_that_there_is_none() {
    let server = server();
    for channel in ["cache-x", "private-cache-x", "private-encrypted-cache-x"] {
        let mut early = Pusher::connect(&server).await;
        early.subscribe(channel).await;
        assert_eq!(early.next().await, json!({ "event": "pusher:cache_miss", "channel": channel }));
        publish(&server, channel, "first", "1").await;
        publish(&server, channel, "last", "{\"n\" : 2}").await;
        assert_eq!(early.next().await["event"], "first");
        early.next().await;
        early.gone().await;
        // Also of a channel that everyone has left.
        let mut late = Pusher::connect(&server).await;
        late.subscribe(channel).await;
        assert_eq!(late.next().await, json!({ "event": "last", "channel": channel, "data": "{\"n\" : 2}" }));
        late.silent().await;
    }
}

#[tokio::test]
async fn in_presence_channels_too() {
    let server = server();
    publish(&server, "presence-cache-x", "e", "1").await;
    let mut pusher = Pusher::connect(&server).await;
    pusher.join("presence-cache-x", json!({ "user_id": "1" })).await;
    assert_eq!(pusher.next().await["event"], "e");
}

#[tokio::test]
async fn what_clients_send_is_not_remembered() {
    let server = server();
    let mut ada = Pusher::connect(&server).await;
    ada.subscribe("private-cache-x").await;
    ada.next().await;
    ada.whisper("client-e", "private-cache-x", json!(1)).await;
    ada.silent().await;
    let mut bob = Pusher::connect(&server).await;
    bob.subscribe("private-cache-x").await;
    assert_eq!(bob.next().await["event"], "pusher:cache_miss");
}

#[tokio::test]
async fn other_channels_remember_nothing() {
    let server = server();
    publish(&server, "x", "e", "1").await;
    let mut pusher = Pusher::connect(&server).await;
    pusher.subscribe("x").await;
    pusher.silent().await;
    let auth = signed(&[&pusher.socket_id, ":", "private-x"]);
    pusher.ask("private-x", &auth, None).await;
    pusher.silent().await;
}
