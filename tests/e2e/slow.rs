//! Clients that stop reading: the channel's policy decides, and nobody else notices.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::harness::raw::{self, CLOSE, PONG, TEXT};
use crate::harness::wait::within;
use crate::harness::{Client, Events, Raw, Server, eventually, http};

/// More than any system keeps for a socket that nobody reads.
const MANY: u64 = 400;
const TEXT_BYTES: usize = 60_000;

const CONFIG: &str = "
    limits.outbox_bytes = 262144
    [[channel]]
    pattern = 'x'
    [[channel]]
    pattern = 'feed'
    offsets = true
";

fn server(policy: &str) -> Server {
    Server::builder().config(&format!("{CONFIG}slow = '{policy}'")).start()
}

async fn stopped_reader(server: &Server) -> Raw {
    asking_for(server, Value::Null).await
}

/// A client that reads nothing more once it is subscribed.
async fn asking_for(server: &Server, policy: Value) -> Raw {
    let mut slow = Raw::narrow(server).await;
    slow.send_json(json!({ "type": "subscribe", "channel": "feed", "policy": policy })).await;
    let said = slow.next().await.json();
    assert_eq!(said["type"], "subscribed", "{said}");
    slow
}

/// Publishes to the feed, while a witness reads everything, until `enough`. The last offset.
async fn speak(server: &Server, enough: impl Fn() -> bool) -> u64 {
    speak_on(server, 0, enough).await
}

async fn speak_on(server: &Server, before: u64, enough: impl Fn() -> bool) -> u64 {
    let (mut publisher, mut witness) = (Client::connect(server).await, Client::connect(server).await);
    witness.subscribe("feed").await;
    let text = "x".repeat(TEXT_BYTES);
    for n in before + 1..=before + MANY {
        assert_eq!(publisher.publish("feed", json!(text)).await, n);
        let said = witness.expect("data").await;
        assert_eq!((&said["offset"], said["data"].as_str().map(str::len)), (&json!(n), Some(TEXT_BYTES)));
        if enough() {
            return n;
        }
    }
    before + MANY
}

async fn say(server: &Server, text: &str) {
    Client::connect(server).await.publish("feed", json!(text)).await;
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

/// Offsets of what comes, to the last; what is missing between them was told before.
async fn all_but_the_dropped(slow: &mut Raw, last: u64) -> Vec<u64> {
    let (mut offsets, mut told) = (Vec::new(), 0);
    while offsets.last() != Some(&last) {
        let frame = slow.next().await;
        assert_eq!(frame.opcode(), TEXT, "after {offsets:?}");
        let said = frame.json();
        if said["type"] == "dropped" {
            assert_eq!(said, json!({ "type": "dropped", "channel": "feed", "count": said["count"] }));
            told += said["count"].as_u64().unwrap();
            continue;
        }
        assert_eq!(said["data"].as_str().map(str::len), Some(TEXT_BYTES));
        offsets.push(said["offset"].as_u64().unwrap());
        let missing = offsets.last().unwrap() - offsets.len() as u64;
        assert!(told >= missing, "before {offsets:?}: {told}");
    }
    assert_eq!(told, last - offsets.len() as u64, "all that is missing, and no more");
    offsets
}

async fn keeps_the_connection(policy: &str) {
    let server = server(policy);
    let mut slow = stopped_reader(&server).await;
    let last = speak(&server, || false).await;
    let offsets = all_but_the_dropped(&mut slow, last).await;
    assert!(offsets.is_sorted_by(|a, b| a < b), "{offsets:?}");
    assert!((offsets.len() as u64) < last, "something was left out");
    slow.send(raw::PING, b"there?").await;
    let pong = slow.next().await;
    assert_eq!((pong.opcode(), &*pong.payload), (PONG, &b"there?"[..]));
    assert!(server.logged(&["slow consumer"]).is_empty());

    say(&server, "after").await;
    assert_eq!(slow.next().await.json()["data"], "after");
}

/// What a channel's rule says is one thing, what a subscriber asks for another.
#[tokio::test]
async fn a_subscriber_chooses_what_is_done_when_it_is_slow() {
    for policy in ["drop_oldest", "latest"] {
        let server = server("disconnect");
        let mut slow = asking_for(&server, json!(policy)).await;
        let last = speak(&server, || false).await;
        let offsets = all_but_the_dropped(&mut slow, last).await;
        assert!((offsets.len() as u64) < last, "{policy}");
        assert!(server.logged(&["slow consumer"]).is_empty());
        say(&server, "after").await;
        assert_eq!(slow.next().await.json()["data"], "after");
    }
    let server = server("drop_oldest");
    let _slow = asking_for(&server, json!("disconnect")).await;
    speak(&server, || !server.logged(&["slow consumer"]).is_empty()).await;
    assert_eq!(server.logged(&["slow consumer"]).len(), 1);
}

#[tokio::test]
async fn subscribing_again_replaces_the_choice() {
    let server = server("disconnect");
    let mut slow = asking_for(&server, json!("disconnect")).await;
    slow.send_json(json!({ "type": "subscribe", "channel": "feed", "policy": "latest" })).await;
    assert_eq!(slow.next().await.json()["type"], "subscribed");
    let last = speak(&server, || false).await;
    all_but_the_dropped(&mut slow, last).await;

    slow.send_json(json!({ "type": "subscribe", "channel": "feed" })).await;
    assert_eq!(slow.next().await.json()["type"], "subscribed");
    speak_on(&server, last, || !server.logged(&["slow consumer"]).is_empty()).await;
    assert_eq!(server.logged(&["slow consumer"]).len(), 1, "without a choice it is the rule's again");
}

#[tokio::test]
async fn nonsense_is_refused_and_so_is_a_choice_that_the_rule_forbids() {
    let server = Server::with(&[]);
    let mut client = Client::connect(&server).await;
    for policy in [json!("pause"), json!(""), json!(7), json!(["latest"])] {
        client.send(json!({ "type": "subscribe", "channel": "feed", "policy": policy })).await;
        let refused = client.expect("error").await;
        assert_eq!(refused["code"], "invalid_params");
        assert_eq!(refused["details"], "policy: is not `disconnect`, `drop_oldest` or `latest`", "{policy}");
    }
    let config = "
        [[channel]]
        pattern = 'feed'
        slow = 'drop_oldest'
        slow_choice = false
    ";
    let server = Server::builder().config(config).start();
    let mut client = Client::connect(&server).await;
    client.send(json!({ "type": "subscribe", "channel": "feed", "policy": "latest" })).await;
    let refused = client.expect("error").await;
    assert_eq!(refused["code"], "invalid_params");
    assert_eq!(refused["details"], "policy: `latest` is not for this channel's subscribers to ask for");
    client.send(json!({ "type": "subscribe", "channel": "feed", "policy": "drop_oldest" })).await;
    client.expect("subscribed").await;
    client.send(json!({ "type": "subscribe", "channel": "feed", "policy": null })).await;
    client.expect("subscribed").await;
}

/// Of many stocks the last price of each arrives, in the order of the last prices.
#[tokio::test]
async fn latest_by_key_keeps_the_last_of_each() {
    const KEYS: u64 = 7;
    let config = "
        limits.outbox_bytes = 4194304
        [[channel]]
        pattern = 'feed'
        offsets = true
        slow = 'latest'
        latest_key = '/of/symbol'
    ";
    let server = Server::builder().config(config).start();
    let mut slow = stopped_reader(&server).await;
    let mut publisher = Client::connect(&server).await;
    let text = "x".repeat(TEXT_BYTES);
    let stock = |n: u64| json!({ "of": { "symbol": format!("S{}", n % KEYS) }, "text": text });
    for n in 1..=MANY {
        assert_eq!(publisher.publish("feed", stock(n)).await, n);
    }
    let (mut offsets, mut told) = (Vec::new(), 0);
    while offsets.last() != Some(&MANY) {
        let said = slow.next().await.json();
        match said["type"].as_str().unwrap() {
            "dropped" => told += said["count"].as_u64().unwrap(),
            _ => offsets.push(said["offset"].as_u64().unwrap()),
        }
    }
    assert!(offsets.is_sorted());
    let last: Vec<u64> = (MANY - KEYS + 1..=MANY).collect();
    assert!(offsets.ends_with(&last), "the last of each of {KEYS}: {offsets:?}");
    assert_eq!(told, MANY - offsets.len() as u64);
    assert!(told > MANY / 4, "far fewer than all waited: {told}");
}

#[tokio::test]
async fn a_subscriber_with_a_filter_is_told_only_of_what_was_for_it() {
    let config = "
        limits.outbox_bytes = 262144
        [[channel]]
        pattern = 'feed'
        offsets = true
        slow = 'drop_oldest'
    ";
    let server = Server::builder().plugins(&["level-filter"]).config(config).start();
    let mut slow = Raw::narrow(&server).await;
    let filter = json!({ "plugin": "level-filter", "params": { "min": "error" } });
    slow.send_json(json!({ "type": "subscribe", "channel": "feed", "filter": filter })).await;
    assert_eq!(slow.next().await.json()["type"], "subscribed");
    let mut publisher = Client::connect(&server).await;
    let text = "x".repeat(TEXT_BYTES);
    for n in 1..=MANY {
        let level = if n % 2 == 0 { "error" } else { "debug" };
        publisher.publish("feed", json!({ "level": level, "text": text })).await;
    }
    let (mut offsets, mut told) = (Vec::new(), 0);
    while offsets.last() != Some(&MANY) {
        let said = slow.next().await.json();
        match said["type"].as_str().unwrap() {
            "dropped" => told += said["count"].as_u64().unwrap(),
            _ => offsets.push(said["offset"].as_u64().unwrap()),
        }
    }
    assert!(offsets.iter().all(|offset| offset % 2 == 0));
    assert!(told > 0);
    assert_eq!(told, MANY / 2 - offsets.len() as u64);
}

#[tokio::test]
async fn the_api_says_how_much_was_dropped_of_a_connection() {
    let server = server("drop_oldest");
    let mut slow = stopped_reader(&server).await;
    let last = speak(&server, || false).await;
    let listed = http::get(&server, "/api/connections").await.json();
    // Who spoke and who listened may not be gone yet.
    let counts = listed["connections"].as_array().unwrap().iter().map(|one| one["dropped"].as_u64().unwrap());
    let [dropped] = counts.filter(|dropped| *dropped > 0).collect::<Vec<_>>()[..] else { panic!("{listed}") };
    let metrics = http::get(&server, "/metrics").await.body;
    assert!(metrics.contains(&format!("tidegate_messages_dropped_total {dropped}\n")), "{metrics}");
    let offsets = all_but_the_dropped(&mut slow, last).await;
    assert_eq!(dropped, last - offsets.len() as u64);
}

#[tokio::test]
async fn a_stream_of_events_asks_and_is_told_too() {
    for path in ["/sse?channel=feed&policy=drop_oldest", "/sse?channel=feed&channel=x&policy=latest"] {
        let server = Server::builder().config(&(CONFIG.to_owned() + "slow = 'disconnect'")).start();
        let mut slow = Events::narrow(&server, path).await;
        let last = speak(&server, || false).await;
        let (mut came, mut told) = (0, 0);
        while came + told < last {
            let block = slow.next().await;
            match block.event.as_deref() {
                Some("dropped") => {
                    let said = block.json();
                    assert_eq!(said, json!({ "channel": "feed", "count": said["count"] }));
                    assert_eq!(block.id, None);
                    told += said["count"].as_u64().unwrap();
                }
                _ => came += 1,
            }
        }
        assert!(told > 0);
        assert_eq!(came + told, last);
        say(&server, "after").await;
        assert!(slow.next().await.data.unwrap().contains("after"));
    }
    let server = Server::with(&[]);
    let refused = http::get(&server, "/sse?channel=feed&policy=none").await;
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("policy: is not `disconnect`"), "{}", refused.body);
}

/// A bridge's frames are messages and nothing else.
#[tokio::test]
async fn a_bridge_asks_and_is_told_nothing() {
    let server = Server::builder().config(&(CONFIG.to_owned() + "slow = 'disconnect'")).start();
    let mut slow = Raw::narrow_at(&server, "/ws/feed?policy=latest").await;
    // The subscription is older than the first message: its pong is behind it.
    slow.send(raw::PING, b"").await;
    assert_eq!(slow.next().await.opcode(), PONG);
    speak(&server, || false).await;
    say(&server, "the end").await;
    let mut came = 0;
    loop {
        let said = slow.next().await.json();
        if said == "the end" {
            break;
        }
        assert_eq!(said.as_str().map(str::len), Some(TEXT_BYTES));
        came += 1;
    }
    assert!(came < MANY, "something was left out");
}

/// It keeps its side of the connection open and does not read: nobody would hear of it again.
#[tokio::test]
async fn a_client_that_has_ended_its_side_keeps_nothing_of_the_server() {
    let server = server("latest");
    let before = server.open_files();
    let mut slow = stopped_reader(&server).await;
    speak(&server, || false).await;
    within("the end of its side", slow.stream.shutdown()).await.unwrap();
    eventually("no descriptors but those before", async || (server.open_files() <= before).then_some(()))
        .await;
}
