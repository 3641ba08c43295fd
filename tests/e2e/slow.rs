//! Clients that stop reading: the channel's policy decides, and nobody else notices.

use serde_json::json;

use crate::harness::raw::{self, CLOSE, PONG, TEXT};
use crate::harness::{Client, Raw, Server};

/// More than any system keeps for a socket that nobody reads.
const MANY: u64 = 400;
const TEXT_BYTES: usize = 60_000;

fn server(policy: &str) -> Server {
    let config = format!(
        "
        limits.outbox_bytes = 262144
        [[channel]]
        pattern = 'feed'
        offsets = true
        slow = '{policy}'
        "
    );
    Server::builder().config(&config).start()
}

async fn stopped_reader(server: &Server) -> Raw {
    let mut slow = Raw::narrow(server).await;
    slow.send_json(json!({ "type": "subscribe", "channel": "feed" })).await;
    assert_eq!(slow.next().await.json()["type"], "subscribed");
    slow
}

/// Publishes to the feed, while a witness reads everything, until `enough`.
async fn speak(server: &Server, enough: impl Fn() -> bool) -> u64 {
    let (mut publisher, mut witness) = (Client::connect(server).await, Client::connect(server).await);
    witness.subscribe("feed").await;
    let text = "x".repeat(TEXT_BYTES);
    let mut last = 0;
    for n in 1..=MANY {
        last = publisher.publish("feed", json!(text)).await;
        assert_eq!(last, n);
        let said = witness.expect("data").await;
        assert_eq!((&said["offset"], said["data"].as_str().map(str::len)), (&json!(n), Some(TEXT_BYTES)));
        if enough() {
            break;
        }
    }
    last
}

#[tokio::test]
async fn a_client_that_stops_reading_is_closed_while_others_get_everything() {
    let server = server("disconnect");
    let mut slow = stopped_reader(&server).await;
    speak(&server, || !server.logged(&["slow consumer"]).is_empty()).await;
    assert_eq!(server.logged(&["slow consumer"]).len(), 1);
    let mut expected = 1;
    let close = loop {
        let frame = slow.next().await;
        if frame.opcode() == CLOSE {
            break raw::close_of(&frame);
        }
        assert_eq!(frame.json()["offset"], expected, "what it gets before the close is whole and in order");
        expected += 1;
    };
    assert_eq!(close, (4008, "Slow consumer.".to_owned()));
}

#[tokio::test]
async fn a_burst_of_several_channels_past_the_bound_is_one_close_that_arrives() {
    let server = Server::builder().config("limits.outbox_bytes = 1024\n[[channel]]\npattern = '*'").start();
    let mut reader = Client::connect(&server).await;
    let mut publisher = Raw::open(&server).await;
    let mut burst = Vec::new();
    for channel in ["a", "b", "c"] {
        reader.subscribe(channel).await;
        let publish = json!({ "type": "publish", "channel": channel, "data": "x".repeat(2000) });
        burst.extend(raw::frame(raw::FIN | TEXT, publish.to_string().as_bytes()));
    }
    publisher.write(&burst).await;
    assert_eq!(reader.closed().await, (4008, "Slow consumer.".to_owned()));
}

#[tokio::test]
async fn drop_oldest_keeps_the_connection_and_the_newest() {
    keeps_the_connection("drop_oldest").await;
}

#[tokio::test]
async fn latest_keeps_the_connection_and_the_last() {
    keeps_the_connection("latest").await;
}

async fn keeps_the_connection(policy: &str) {
    let server = server(policy);
    let mut slow = stopped_reader(&server).await;
    let last = speak(&server, || false).await;
    let mut offsets = Vec::new();
    while offsets.last() != Some(&last) {
        let frame = slow.next().await;
        assert_eq!(frame.opcode(), TEXT, "after {offsets:?}");
        let said = frame.json();
        assert_eq!(said["data"].as_str().map(str::len), Some(TEXT_BYTES));
        offsets.push(said["offset"].as_u64().unwrap());
    }
    assert!(offsets.is_sorted_by(|a, b| a < b), "{offsets:?}");
    assert!((offsets.len() as u64) < last, "something was left out");
    slow.send(raw::PING, b"there?").await;
    let pong = slow.next().await;
    assert_eq!((pong.opcode(), &*pong.payload), (PONG, &b"there?"[..]));
    assert!(server.logged(&["slow consumer"]).is_empty());

    let mut publisher = Client::connect(&server).await;
    publisher.publish("feed", json!("after")).await;
    assert_eq!(slow.next().await.json()["data"], "after");
}
