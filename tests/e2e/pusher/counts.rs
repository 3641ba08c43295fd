//! Subscribers that are told how many they are.

use serde_json::json;

use super::{Pusher, config, server};
use crate::harness::Server;

const COUNT: &str = "pusher_internal:subscription_count";

#[tokio::test]
async fn every_change_is_told_to_all_who_are_there() {
    let server = Server::builder().config(&config("subscription_count = true")).start();
    let mut ada = Pusher::connect(&server).await;
    for channel in ["x", "private-x"] {
        ada.subscribe(channel).await;
        assert_eq!(ada.next_data(COUNT).await, json!({ "subscription_count": 1 }));
    }
    let mut bob = Pusher::connect(&server).await;
    bob.subscribe("x").await;
    assert_eq!(bob.next_data(COUNT).await, json!({ "subscription_count": 2 }));
    assert_eq!(ada.next_data(COUNT).await, json!({ "subscription_count": 2 }));
    bob.unsubscribe("x").await;
    assert_eq!(ada.next_data(COUNT).await, json!({ "subscription_count": 1 }));
    bob.silent().await;
    bob.subscribe("private-x").await;
    bob.next_data(COUNT).await;
    ada.next_data(COUNT).await;
    bob.gone().await;
    assert_eq!(ada.next_data(COUNT).await, json!({ "subscription_count": 1 }));
}

#[tokio::test]
async fn presence_channels_and_other_apps_do_without() {
    let server_with = Server::builder().config(&config("subscription_count = true")).start();
    let mut ada = Pusher::connect(&server_with).await;
    ada.join("presence-x", json!({ "user_id": "1" })).await;
    ada.silent().await;
    let without = server();
    let mut bob = Pusher::connect(&without).await;
    bob.subscribe("x").await;
    bob.silent().await;
}

#[tokio::test]
async fn many_are_told_now_and_then_and_of_the_last_change_for_certain() {
    let server = Server::builder().config(&config("subscription_count = true")).start();
    let mut ada = Pusher::connect(&server).await;
    ada.subscribe("x").await;
    let mut others = Vec::new();
    for count in 1..=100 {
        assert_eq!(ada.next_data(COUNT).await, json!({ "subscription_count": count }));
        let mut other = Pusher::connect(&server).await;
        other.subscribe("x").await;
        others.push(other);
    }
    // The hundred and first waits for its five seconds, and so does the next.
    let mut last = Pusher::connect(&server).await;
    last.subscribe("x").await;
    ada.silent().await;
    let told = ada.client.next_patiently().await.json().unwrap();
    assert_eq!((&told["event"], &told["data"]), (&json!(COUNT), &json!("{\"subscription_count\":102}")));
}
