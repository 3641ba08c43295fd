//! `/sse`: server-sent events.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Client, Events, Raw, Server, eventually, http, within};

const NUMBERED: &str = "
    [[channel]]
    pattern = '*'
    [[channel]]
    pattern = 'numbered:*'
    offsets = true
";

async fn publish(server: &Server, body: &str) {
    let answer = http::post(server, "/_broadcast", body).await;
    assert_eq!(answer.status, 200, "{body}: {}", answer.body);
}

// === messages ===

#[tokio::test]
async fn one_channels_messages_are_their_payloads() {
    let server = Server::with(&[]);
    let mut events = Events::open(&server, "/sse?channel=room").await;
    assert!(events.head.contains("\r\ncontent-type: text/event-stream\r\n"), "{}", events.head);
    assert!(events.head.contains("\r\ncache-control: no-store\r\n"), "{}", events.head);
    assert!(!events.head.contains("transfer-encoding"), "{}", events.head);
    publish(&server, r#"{"channel":"room","data":{"a" : 1.50}}"#).await;
    let block = events.block().await;
    assert_eq!((block.event, block.data.as_deref(), block.id), (None, Some(r#"{"a" : 1.50}"#), None));
    publish(&server, r#"{"channel":"room","data":"hi","event":"said"}"#).await;
    assert_eq!(events.said().await, ("said".into(), "\"hi\"".into()));
    let (mut bridge, _) = Client::open(&server, "/ws/room", &[]).await;
    bridge.send_text("two\r\nlines").await;
    assert_eq!(events.said().await, (String::new(), "two\nlines".into()));
    bridge.send_binary(vec![0, 255]).await;
    assert_eq!(events.said().await, ("binary".into(), "AP8=".into()));
}

#[tokio::test]
async fn several_channels_messages_name_their_channel() {
    let server = Server::with(&[]);
    let mut events = Events::open(&server, "/sse?channel=a&channel=b%20c").await;
    publish(
        &server,
        r#"{"channel":"b c","data":[1,
        2],"event":"said"}"#,
    )
    .await;
    let block = events.next().await;
    assert_eq!(block.event, None, "all of them come to `onmessage`");
    assert_eq!(block.json(), json!({ "type": "data", "channel": "b c", "data": [1, 2], "event": "said" }));
    let (mut bridge, _) = Client::open(&server, "/ws/a", &[]).await;
    bridge.send_binary(vec![0, 255]).await;
    let said = events.next().await.json();
    assert_eq!((&said["channel"], &said["base64"]), (&json!("a"), &json!("AP8=")));

    let mut alone = Events::open(&server, "/sse?channel=a&envelope=true").await;
    publish(&server, r#"{"channel":"a","data":1}"#).await;
    assert_eq!(alone.next().await.json(), json!({ "type": "data", "channel": "a", "data": 1 }));
}

#[tokio::test]
async fn what_ends_a_line_ends_nothing_else() {
    let server = Server::with(&[]);
    let mut plain = Events::open(&server, "/sse?channel=room").await;
    let mut framed = Events::open(&server, "/sse?channel=room&channel=other").await;
    let mut native = Client::connect(&server).await;
    let event = "said\r\ndata: forged\n\nid: 1\n\n";
    native.send(json!({ "type": "publish", "channel": "room", "data": 1, "event": event })).await;
    assert_eq!(plain.said().await, ("saiddata: forgedid: 1".into(), "1".into()));
    assert_eq!(framed.next().await.json()["event"], event);
    let (mut bridge, _) = Client::open(&server, "/ws/room", &[]).await;
    let text = "one\n\nevent: forged\r\rdata: x\nid: 5";
    bridge.send_text(text).await;
    assert_eq!(plain.said().await, (String::new(), text.replace('\r', "\n")));
    assert_eq!(framed.next().await.json()["data"], text);
    assert_eq!((&*plain.last_id, &*framed.last_id), ("", ""));
}

// === ids ===

#[tokio::test]
async fn an_id_is_the_place_of_its_message() {
    let server = Server::builder().config(NUMBERED).start();
    let mut native = Client::connect(&server).await;
    let epoch = native.subscribe("numbered:a").await["epoch"].as_str().unwrap().to_owned();
    native.publish("numbered:a", json!("before")).await;
    let mut events = Events::open(&server, "/sse?channel=numbered:a").await;
    let first = events.block().await;
    assert_eq!((first.id, first.data), (Some(format!("{epoch}:1")), None), "where it begins");
    native.publish("numbered:a", json!(1)).await;
    let block = events.block().await;
    assert_eq!((block.id, block.data), (Some(format!("{epoch}:2")), Some("1".into())));
}

#[tokio::test]
async fn with_several_channels_the_id_is_the_place_in_all_of_them() {
    let server = Server::builder().config(NUMBERED).start();
    let mut native = Client::connect(&server).await;
    let a = native.subscribe("numbered:a").await["epoch"].as_str().unwrap().to_owned();
    let b = native.subscribe("numbered:b,c").await["epoch"].as_str().unwrap().to_owned();
    native.publish("numbered:a", json!("before")).await;
    let mut events =
        Events::open(&server, "/sse?channel=numbered:a&channel=numbered:b%2Cc&channel=unnumbered").await;
    let is = |x: u64, y: u64| {
        let entries = [format!("numbered:a={a}:{x}"), format!("numbered:b~2Cc={b}:{y}")];
        move |id: &str| entries.iter().all(|entry| id.split(',').any(|one| one == entry))
    };
    events.until_id(is(1, 0)).await;
    native.publish("numbered:b,c", json!(1)).await;
    assert_eq!(events.next().await.json()["data"], 1);
    events.until_id(is(1, 1)).await;
    native.publish("numbered:a", json!(2)).await;
    native.publish("numbered:a", json!(3)).await;
    events.until_id(is(3, 1)).await;
    assert!(!events.last_id.contains("unnumbered"), "{}", events.last_id);
}

#[tokio::test]
async fn a_last_event_id_that_is_not_understood_is_ignored() {
    let server = Server::builder().config(NUMBERED).start();
    for id in ["", "x", ":", "5", "\u{fc}", "numbered:a=", "00000000000000ff:-1", &"9".repeat(5000)] {
        let mut events = Events::with(&server, "/sse?channel=numbered:a", &[("Last-Event-ID", id)]).await;
        publish(&server, r#"{"channel":"numbered:a","data":1}"#).await;
        assert_eq!(events.said().await.1, "1", "{id}");
    }
    let mut events = Events::open(&server, "/sse?channel=numbered:a&last_event_id=%26%3D,,").await;
    publish(&server, r#"{"channel":"numbered:a","data":2}"#).await;
    assert_eq!(events.said().await.1, "2");
}

// === refusals ===

#[tokio::test]
async fn a_stream_that_cannot_be_is_an_http_error() {
    let config = "
        [[channel]]
        pattern = 'room'
        [[channel]]
        pattern = 'private:*'
        [[channel]]
        pattern = 'hostile:*'
    ";
    let server = Server::builder().plugins(&["test-auth"]).config(config).start();
    let many: String = (0..33).map(|n| format!("&channel=c{n}")).collect();
    for (path, status, error) in [
        ("/sse", 400, "channel: is required, as in /sse?channel=news"),
        ("/sse?channel=$sys", 400, "channel: '$sys' begins with `$`, which is kept for the server"),
        ("/sse?channel=%ff", 400, "channel: is not percent-encoded UTF-8"),
        (&format!("/sse?{many}"), 400, "channel: more than 32 of them"),
        ("/sse?channel=room&history=x", 400, "history: is not a number"),
        ("/sse?channel=room&token=refuse", 401, "Not you."),
        ("/sse?channel=private:a&token=ada", 403, "User 'ada' not authorized for channel 'private:a'."),
        (
            "/sse?channel=room&channel=private:a",
            403,
            "User 'anonymous' not authorized for channel 'private:a'.",
        ),
        ("/sse?channel=room&channel=nowhere", 404, "Channel 'nowhere' not found."),
    ] {
        let answer = http::get(&server, path).await;
        assert_eq!((answer.status, answer.json()), (status, json!({ "error": error })), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
    }
    assert_eq!(http::post(&server, "/sse?channel=room", "").await.status, 405);
    assert_eq!(http::request(&server, "OPTIONS", "/sse", &[], "").await.status, 405);
    let bearer = [("Authorization", "Bearer admin")];
    let mut events = Events::with(&server, "/sse?channel=private:a", &bearer).await;
    publish(&server, r#"{"channel":"private:a","data":1}"#).await;
    assert_eq!(events.said().await.1, "1");
}

#[tokio::test]
async fn a_token_that_ends_ends_the_stream() {
    let server = Server::with(&["test-auth"]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let until = now.as_millis() + 1500;
    let mut events = Events::open(&server, &format!("/sse?channel=room&token=short-{until}")).await;
    assert_eq!(events.ends().await, ": 4001 The token has expired.\n\n");
}

#[tokio::test]
async fn pages_of_other_sites_read_only_where_they_may() {
    let server = Server::with(&[]);
    let events = Events::open(&server, "/sse?channel=room").await;
    assert!(!events.head.contains("access-control"), "{}", events.head);
    let config = "
        [sse]
        allow_origin = 'https://app.example'
        [[channel]]
        pattern = 'room'
    ";
    let server = Server::builder().config(config).start();
    let header = "access-control-allow-origin";
    let events = Events::open(&server, "/sse?channel=room").await;
    assert!(events.head.contains(&format!("\r\n{header}: https://app.example\r\n")), "{}", events.head);
    for path in ["/sse", "/sse?channel=nowhere"] {
        assert_eq!(http::get(&server, path).await.header(header), Some("https://app.example"), "{path}");
    }
    let preflight = http::request(&server, "OPTIONS", "/sse", &[("Origin", "https://app.example")], "").await;
    assert_eq!((preflight.status, preflight.header(header)), (204, Some("https://app.example")));
    assert_eq!(preflight.header("access-control-allow-headers"), Some("authorization, last-event-id"));
}

// === the connection ===

#[tokio::test]
async fn a_connection_that_had_other_requests_can_become_a_stream() {
    let server = Server::with(&[]);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok\n") {
            let read = within("an answer", stream.read_buf(&mut answer)).await.unwrap();
            assert!(read > 0);
        }
    }
    let mut events = Events::on(stream, "/sse?channel=room", &[]).await;
    publish(&server, r#"{"channel":"room","data":1}"#).await;
    assert_eq!(events.said().await.1, "1");
}

#[tokio::test]
async fn a_client_that_hangs_up_is_gone_and_one_too_many_is_told() {
    let config = "
        limits.connections = 1
        [[channel]]
        pattern = '*'
    ";
    let server = Server::builder().config(config).shards(1).start();
    let events = Events::open(&server, "/sse?channel=room").await;
    let answer = http::get(&server, "/sse?channel=room").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["error"], "the server has as many connections as it may");
    drop(events);
    eventually("the place of who has hung up", async || {
        let answer = http::get_head(&server, "/sse?channel=room").await;
        answer.starts_with("HTTP/1.1 200 ").then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_hangs_up_before_the_stream_begins_leaves_nothing_behind() {
    let config = "
        [[channel]]
        pattern = 'room'
        offsets = true
        [plugins.hostile]
        call_ms = 1000
    ";
    let server = Server::builder().plugins(&["hostile"]).config(config).start();
    let mut native = Client::connect(&server).await;
    native.ping().await;
    let before = server.open_files();
    // Its handler is busy: a second channel's answer, and so the stream, has to wait.
    native.send(json!({ "type": "publish", "channel": "hostile:a", "data": { "do": "loop" } })).await;
    for _ in 0..20 {
        let mut raw = Raw::tcp(&server).await;
        raw.write(b"GET /sse?channel=room&channel=hostile:a HTTP/1.1\r\nHost: x\r\n\r\n").await;
        native.ping().await;
        native.publish("room", json!(1)).await;
    }
    assert_eq!(native.expect("error").await["code"], "plugin_failed");
    eventually("no descriptors but those before", async || (server.open_files() <= before).then_some(()))
        .await;
}

#[tokio::test]
async fn heartbeats_do_not_end_a_stream_and_comments_keep_it_alive() {
    let config = "
        [heartbeat]
        interval_secs = 1
        missed = 1
        [[channel]]
        pattern = '*'
    ";
    let server = Server::builder().config(config).start();
    let mut events = Events::open(&server, "/sse?channel=room").await;
    assert_eq!(events.comment().await, "");
    publish(&server, r#"{"channel":"room","data":1}"#).await;
    assert_eq!(events.said().await.1, "1");
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_closed_while_others_get_everything() {
    let config = "
        limits.outbox_bytes = 262144
        [[channel]]
        pattern = 'feed'
        offsets = true
    ";
    let server = Server::builder().config(config).start();
    let mut slow = Events::narrow(&server, "/sse?channel=feed").await;
    let mut witness = Events::open(&server, "/sse?channel=feed").await;
    let mut publisher = Client::connect(&server).await;
    let text = "x".repeat(60_000);
    for n in 1..=400 {
        assert_eq!(publisher.publish("feed", json!(text)).await, n);
        let block = witness.next().await;
        assert_eq!(block.data.map(|data| data.len()), Some(text.len() + 2));
        assert!(block.id.unwrap().ends_with(&format!(":{n}")));
        if !server.logged(&["slow consumer"]).is_empty() {
            break;
        }
    }
    assert_eq!(server.logged(&["slow consumer"]).len(), 1);
    let mut expected = 0;
    loop {
        let block = slow.block().await;
        match block.comment {
            Some(comment) => break assert_eq!(comment, "4008 Slow consumer."),
            None => {
                let id = block.id.unwrap();
                assert!(id.ends_with(&format!(":{expected}")), "whole and in order: {id}, not {expected}");
                expected += 1;
            }
        }
    }
    assert_eq!(slow.ends().await, "");
}

#[tokio::test]
async fn a_server_that_goes_ends_its_streams() {
    let mut server = Server::with(&[]);
    let mut streams = Vec::new();
    for path in ["/sse?channel=room", "/sse?channel=room&channel=other"] {
        streams.push(Events::open(&server, path).await);
    }
    publish(&server, r#"{"channel":"room","data":"last words"}"#).await;
    for stream in &mut streams {
        assert!(stream.next().await.data.unwrap().contains("last words"));
    }
    server.terminate();
    for stream in &mut streams {
        assert!(stream.comment().await.starts_with("1001 Server going away."));
        assert_eq!(stream.ends().await, "");
    }
    drop(streams);
    assert_eq!(server.ended().await.code(), Some(0));
}
