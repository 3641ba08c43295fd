//! The past through the other dialects: history first on the bridge, recovery by event ids.

use serde_json::json;

use crate::harness::{Client, Events, Server};

fn server() -> Server {
    let config = "[[channel]]\npattern = \"*\"\nhistory = { messages = 5 }";
    Server::builder().config(config).start()
}

async fn say(client: &mut Client, channel: &str, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        client.publish(channel, json!(number)).await;
    }
}

#[tokio::test]
async fn the_bridge_begins_with_what_is_kept() {
    let server = server();
    let mut ada = Client::connect(&server).await;
    say(&mut ada, "room", 1..=7).await;
    for (path, kept) in [("/ws/room", 3..=7), ("/ws/room?history=2", 6..=7), ("/ws/room?history=100", 3..=7)]
    {
        let (mut bridge, _) = Client::open(&server, path, &[]).await;
        for number in kept {
            assert_eq!(bridge.next_text().await, number.to_string(), "{path}");
        }
    }
    let (mut bridge, _) = Client::open(&server, "/ws/room?history=0", &[]).await;
    bridge.send_text("8").await;
    assert_eq!(bridge.next_text().await, "8", "without any");
}

#[tokio::test]
async fn an_event_stream_goes_on_where_its_last_event_was() {
    let server = server();
    let mut ada = Client::connect(&server).await;
    say(&mut ada, "room", 1..=2).await;
    let mut events = Events::open(&server, "/sse?channel=room&history=1").await;
    let last = loop {
        let block = events.block().await;
        if block.data.as_deref() == Some("2") {
            break block.id.unwrap();
        }
    };
    drop(events);
    say(&mut ada, "room", 3..=4).await;
    let mut events = Events::open(&server, &format!("/sse?channel=room&last_event_id={last}")).await;
    for number in ["3", "4"] {
        assert_eq!(events.said().await.1, number);
    }
    say(&mut ada, "room", 5..=5).await;
    assert_eq!(events.said().await.1, "5");
}

#[tokio::test]
async fn a_stream_of_several_channels_recovers_each() {
    let server = server();
    let mut ada = Client::connect(&server).await;
    let mut events = Events::open(&server, "/sse?channel=a&channel=b").await;
    say(&mut ada, "a", 1..=2).await;
    say(&mut ada, "b", 1..=1).await;
    // The ids follow the messages: the last one has all three.
    let (mut last, mut seen) = (String::new(), 0);
    while seen < 3 || last.is_empty() || !(last.contains(":2") && last.contains(":1")) {
        let block = events.block().await;
        seen += u32::from(block.data.is_some());
        last = block.id.unwrap_or(last);
    }
    drop(events);
    say(&mut ada, "a", 3..=3).await;
    say(&mut ada, "b", 2..=3).await;
    let path = format!("/sse?channel=a&channel=b&last_event_id={last}");
    let mut events = Events::open(&server, &path).await;
    let mut got = Vec::new();
    for _ in 0..3 {
        let frame = events.next().await.json();
        got.push((frame["channel"].as_str().unwrap().to_owned(), frame["data"].as_u64().unwrap()));
    }
    got.sort();
    assert_eq!(got, [("a".to_owned(), 3), ("b".to_owned(), 2), ("b".to_owned(), 3)]);
}
