//! What handlers make the server do: bounded, and only what they may.

use serde_json::json;

use crate::harness::client::Arrived;
use crate::harness::{Client, Server, eventually, wait};
use crate::{asks, provoke, server, works_again};

#[tokio::test]
async fn a_publication_to_its_own_channel_does_not_come_back_to_the_handler() {
    let server = server();
    let (mut client, mut reader) = (Client::connect(&server).await, Client::connect(&server).await);
    reader.subscribe("hostile:a").await;
    assert_eq!(client.publish("hostile:a", asks("self")).await, 1);
    client.publish("hostile:a", json!("end")).await;
    for offset in 1..=2 {
        let said = reader.expect("data").await;
        assert_eq!((&said["data"], &said["offset"]), (&asks("self"), &json!(offset)));
    }
    let said = reader.expect("data").await;
    assert_eq!((&said["data"], &said["offset"]), (&json!("end"), &json!(3)));
}

#[tokio::test]
async fn handlers_that_publish_to_each_other_come_to_an_end() {
    let server = Server::builder().plugins(&["hostile"]).shards(2).start();
    let (mut client, mut reader) = (Client::connect(&server).await, Client::connect(&server).await);
    reader.subscribe("hostile:a").await;
    reader.subscribe("hostile:b").await;
    client.publish("hostile:a", asks("bounce")).await;
    server.wait_for_log("1024 publications").await;
    // Whatever was on its way comes before these.
    client.publish("hostile:a", json!("end")).await;
    client.publish("hostile:b", json!("end")).await;
    let (mut bounced, mut ended) = (0, 0);
    while ended < 2 {
        match reader.data().await {
            data if data == asks("bounce") => bounced += 1,
            data => {
                assert_eq!(data, "end");
                ended += 1;
            }
        }
    }
    assert!((2..=1 + 1024).contains(&bounced), "{bounced}");
    client.ping().await;
}

#[tokio::test]
async fn a_flood_of_publications_is_cut() {
    let server = server();
    let (mut client, mut reader) = (Client::connect(&server).await, Client::connect(&server).await);
    reader.subscribe("hostile:sink").await;
    // A hundred thousand effects may also be more than one call has time for.
    let answer = provoke(&mut client, "hostile:a", "flood").await;
    assert!(answer["type"] == "published" || answer["code"] == "plugin_failed", "{answer}");
    works_again(&mut client, "hostile:a").await;
    client.publish("hostile:sink", json!("end")).await;
    let mut flooded = 0;
    while reader.data().await != "end" {
        flooded += 1;
    }
    assert!(flooded <= 1024, "{flooded}");
    assert_eq!(flooded > 0, answer["type"] == "published", "{flooded}, {answer}");
}

#[tokio::test]
async fn a_kick_ends_the_connection_with_4003() {
    let server = server();
    let (mut client, mut witness) = (Client::connect(&server).await, Client::connect(&server).await);
    witness.subscribe("hostile:a").await;
    client.send(json!({ "type": "publish", "channel": "hostile:a", "data": asks("kick") })).await;
    assert_eq!(client.closed().await, (4003, "Kicked on request.".to_owned()));
    assert_eq!(witness.data().await, asks("kick"), "the message itself is delivered");
    witness.ping().await;
}

#[tokio::test]
async fn a_message_to_one_client_reaches_that_client_only() {
    let server = Server::builder().plugins(&["hostile"]).shards(4).start();
    for _ in 0..4 {
        let (mut client, mut other) = (Client::connect(&server).await, Client::connect(&server).await);
        other.subscribe("hostile:a").await;
        client.publish("hostile:a", asks("tell")).await;
        assert_eq!(
            client.expect("data").await,
            json!({ "type": "data", "channel": "hostile:a", "data": { "told": true } }),
            "without an offset: it is outside the channel's order"
        );
        assert_eq!(other.data().await, asks("tell"));
        other.publish("hostile:a", json!("end")).await;
        assert_eq!(other.data().await, "end");
    }
}

#[tokio::test]
async fn the_handler_hears_of_who_leaves() {
    let server = server();
    let mut witness = Client::connect(&server).await;
    witness.subscribe("hostile:witness").await;
    let mut client = Client::connect(&server).await;
    let name = client.user().await;
    client.subscribe("hostile:bye").await;
    client.unsubscribe("hostile:bye").await;
    assert_eq!(witness.data().await, json!({ "bye": name }));
    client.subscribe("hostile:bye").await;
    client.subscribe("hostile:bye").await;
    drop(client);
    assert_eq!(witness.data().await, json!({ "bye": name }));
    witness.publish("hostile:witness", json!("end")).await;
    assert_eq!(witness.data().await, "end", "who subscribed twice leaves once");
}

#[tokio::test]
async fn a_plugin_that_logs_without_end_is_cut_short() {
    let server = server();
    let mut client = Client::connect(&server).await;
    let answer = provoke(&mut client, "hostile:a", "logs").await;
    assert!(answer["type"] == "published" || answer["code"] == "plugin_failed", "{answer}");
    works_again(&mut client, "hostile:a").await;
    let lines = eventually("some of its lines", async || {
        let lines = server.logged(&["hostile", "line "]).len();
        (lines > 0).then_some(lines)
    })
    .await;
    assert!(lines <= 400, "{lines} lines of 10,000");
    let count = |line: &String| line.contains("hostile") && line.contains("lines were left out");
    if answer["type"] == "published" {
        wait::eventually("the count of the others", async || {
            // The rest of that second is counted; the next line after it tells.
            client.publish("hostile:a", asks("logs")).await;
            server.log().iter().any(count).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_long_call_within_its_time_is_no_failure() {
    let server = server();
    let mut client = Client::connect(&server).await;
    client.subscribe("hostile:a").await;
    for n in 1..=10 {
        assert_eq!(client.publish("hostile:a", asks("spin")).await, n);
        assert_eq!(client.data().await, asks("spin"));
    }
    assert_eq!(client.left_over(), Vec::<Arrived>::new());
}
