//! The WebSocket itself, against clients that break its rules; a witness on the same server
//! sees everything undisturbed.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::harness::raw::{self, BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, frame, head, unmasked};
use crate::harness::{Client, Raw, Server, within};

const PING_TEXT: &[u8] = br#"{"type":"ping"}"#;

/// A client that talks to itself, and fails the test if anything is missing.
struct Witness {
    client: Client,
    said: u64,
}

impl Witness {
    async fn new(server: &Server) -> Self {
        let mut client = Client::connect(server).await;
        client.subscribe("witness").await;
        Self { client, said: 0 }
    }

    async fn sees_everything(&mut self) {
        self.said += 1;
        assert_eq!(self.client.publish("witness", json!(self.said)).await, self.said);
        assert_eq!(self.client.data().await, self.said);
        self.client.ping().await;
        assert_eq!(self.client.left_over(), []);
    }
}

/// One shard: whoever misbehaves is on the witness's own.
fn server() -> Server {
    Server::builder().shards(1).start()
}

/// Sends bytes on an open WebSocket; the close code they bring.
async fn close_code(server: &Server, bytes: &[u8]) -> u16 {
    let mut raw = Raw::open(server).await;
    // A server that closes early may not take all of it.
    let _ = within("writing", raw.stream.write_all(bytes)).await;
    let (code, _) = raw.closed().await;
    raw.send(CLOSE, &code.to_be_bytes()).await;
    assert!(raw.ends().await.is_empty(), "after the close there is nothing");
    code
}

// === frames that break the rules ===

#[tokio::test]
async fn a_frame_that_breaks_the_rules_closes_with_1002() {
    let server = server();
    let mut witness = Witness::new(&server).await;
    let control = |opcode: u8| frame(FIN | opcode, &[b'x'; 126]);
    for (what, bytes) in [
        ("unmasked", unmasked(FIN | TEXT, PING_TEXT)),
        ("unmasked and empty", unmasked(FIN | TEXT, b"")),
        ("an unmasked ping", unmasked(FIN | PING, b"")),
        ("reserved bit 1", frame(FIN | 0x40 | TEXT, PING_TEXT)),
        ("reserved bit 2", frame(FIN | 0x20 | TEXT, PING_TEXT)),
        ("reserved bit 3", frame(FIN | 0x10 | TEXT, PING_TEXT)),
        ("reserved opcode 3", frame(FIN | 0x3, b"")),
        ("reserved opcode 11", frame(FIN | 0xB, b"")),
        ("a ping of 126 bytes", control(PING)),
        ("a pong of 126 bytes", control(PONG)),
        ("a close of 126 bytes", control(CLOSE)),
        ("a ping in fragments", frame(PING, b"x")),
        ("a continuation of nothing", frame(FIN | CONTINUATION, b"x")),
        ("a message within a message", [frame(TEXT, b"{"), frame(FIN | TEXT, PING_TEXT)].concat()),
        ("a close of one byte", frame(FIN | CLOSE, b"\x03")),
        ("a close with a code that is not for clients", frame(FIN | CLOSE, &1005_u16.to_be_bytes())),
    ] {
        assert_eq!(close_code(&server, &bytes).await, 1002, "{what}");
        witness.sees_everything().await;
    }
}

#[tokio::test]
async fn text_that_is_not_utf_8_closes_with_1007() {
    let server = server();
    let mut witness = Witness::new(&server).await;
    for (what, bytes) in [
        ("a lone byte", frame(FIN | TEXT, b"{\"type\":\"\xff\"}")),
        ("cut off", frame(FIN | TEXT, b"\xc3")),
        ("a surrogate", frame(FIN | TEXT, b"\xed\xa0\x80")),
        ("in fragments", [frame(TEXT, b"\xc3"), frame(FIN | CONTINUATION, b"\x28")].concat()),
        ("a close reason", frame(FIN | CLOSE, b"\x03\xe8\xff")),
    ] {
        assert_eq!(close_code(&server, &bytes).await, 1007, "{what}");
        witness.sees_everything().await;
    }
}

#[tokio::test]
async fn past_sixteen_times_the_limit_a_message_closes_with_1009() {
    let server = server();
    let mut witness = Witness::new(&server).await;
    let over = 16 * 65_536 + 1;
    // Only the head: the server must not wait for what it will not take.
    assert_eq!(close_code(&server, &head(FIN | TEXT, over + 100, true)).await, 1009);
    witness.sees_everything().await;
    assert_eq!(close_code(&server, &head(FIN | BINARY, usize::MAX >> 1, true)).await, 1009);
    witness.sees_everything().await;
    let piece = frame(CONTINUATION, &[b' '; 60_000]);
    let fragments = [frame(TEXT, b"{"), piece.repeat(over / 60_000 + 1)].concat();
    assert_eq!(close_code(&server, &fragments).await, 1009);
    witness.sees_everything().await;
}

#[tokio::test]
async fn too_large_is_an_answer_also_in_fragments() {
    let server = server();
    let mut witness = Witness::new(&server).await;
    let mut raw = Raw::open(&server).await;
    let refused = json!({ "type": "error", "message": "Message exceeds 65536 bytes.", "code": "too_large" });
    raw.send(TEXT, &[b'x'; 65_537]).await;
    assert_eq!(raw.next().await.json(), refused);
    raw.write(&frame(TEXT, &[b' '; 40_000])).await;
    raw.write(&frame(CONTINUATION, &[b' '; 40_000])).await;
    raw.write(&frame(FIN | CONTINUATION, b"{")).await;
    assert_eq!(raw.next().await.json(), refused);
    raw.send(TEXT, PING_TEXT).await;
    assert_eq!(raw.next().await.json(), json!({ "type": "pong" }));
    witness.sees_everything().await;
}

// === fragments ===

#[tokio::test]
async fn a_fragmented_message_is_one_message() {
    let server = server();
    let mut raw = Raw::open(&server).await;
    let text = r#"{"type":"ping","id":"ü"}"#.as_bytes();
    for cut in 0..=text.len() {
        raw.write(&frame(TEXT, &text[..cut])).await;
        raw.write(&frame(CONTINUATION, b"")).await;
        raw.write(&frame(FIN | CONTINUATION, &text[cut..])).await;
        assert_eq!(raw.next().await.json(), json!({ "type": "pong", "id": "ü" }), "cut at {cut}");
    }
    raw.send_json(json!({ "type": "subscribe", "channel": "room" })).await;
    raw.next().await;
    raw.write(&frame(BINARY, b"\x04ro")).await;
    raw.write(&frame(FIN | CONTINUATION, b"om\x00\x01")).await;
    let echoed = raw.next().await;
    assert_eq!((echoed.opcode(), &*echoed.payload), (BINARY, &b"\x04room\x00\x01"[..]));
}

#[tokio::test]
async fn a_message_has_at_most_1024_fragments() {
    let server = server();
    let mut witness = Witness::new(&server).await;
    let begun = frame(TEXT, PING_TEXT);
    let piece = frame(CONTINUATION, b" ");
    let last = frame(FIN | CONTINUATION, b" ");

    let mut raw = Raw::open(&server).await;
    raw.write(&[begun.clone(), piece.repeat(1022), last.clone()].concat()).await;
    assert_eq!(raw.next().await.json(), json!({ "type": "pong" }));

    let mut raw = Raw::open(&server).await;
    raw.write(&[begun, piece.repeat(1023), last].concat()).await;
    assert_eq!(raw.closed().await.0, 1009);
    witness.sees_everything().await;
}

// === control frames ===

#[tokio::test]
async fn a_ping_is_answered_also_between_fragments() {
    let server = server();
    let mut raw = Raw::open(&server).await;
    for payload in [&b""[..], b"are you there", &[0xff; 125]] {
        raw.send(PING, payload).await;
        let pong = raw.next().await;
        assert_eq!((pong.first, &*pong.payload), (FIN | PONG, payload));
    }
    raw.write(&frame(TEXT, br#"{"type":"#)).await;
    raw.send(PING, b"between").await;
    assert_eq!(raw.next().await.payload, b"between");
    raw.write(&frame(FIN | CONTINUATION, br#""ping"}"#)).await;
    assert_eq!(raw.next().await.json(), json!({ "type": "pong" }));
}

#[tokio::test]
async fn a_pong_that_nobody_asked_for_is_passed_over() {
    let server = server();
    let mut raw = Raw::open(&server).await;
    raw.send(PONG, b"").await;
    raw.send(PONG, b"hello").await;
    raw.send(TEXT, PING_TEXT).await;
    assert_eq!(raw.next().await.json(), json!({ "type": "pong" }));
}

#[tokio::test]
async fn a_close_is_echoed_and_ends_the_stream() {
    let server = server();
    for (payload, code) in [
        (&b""[..], 1000),
        (b"\x03\xe8", 1000),
        (b"\x03\xe8bye", 1000),
        (b"\x03\xe9going away", 1001),
        (b"\x0b\xb8", 3000),
        (b"\x13\x87", 4999),
    ] {
        let mut raw = Raw::open(&server).await;
        raw.send_json(json!({ "type": "subscribe", "channel": "room" })).await;
        raw.next().await;
        raw.send(CLOSE, payload).await;
        let (echoed, _) = raw.closed().await;
        assert!(echoed == code || (payload.is_empty() && echoed == 1005), "{payload:?}: {echoed}");
        assert!(raw.ends().await.is_empty());
    }
}

#[tokio::test]
async fn what_follows_a_close_is_not_heard() {
    let server = server();
    let mut witness = Client::connect(&server).await;
    witness.subscribe("room").await;
    let mut raw = Raw::open(&server).await;
    let publish = frame(FIN | TEXT, br#"{"type":"publish","channel":"room","data":"too late"}"#);
    raw.write(&[frame(FIN | CLOSE, b"\x03\xe8"), publish].concat()).await;
    assert_eq!(raw.closed().await.0, 1000);
    assert!(raw.ends().await.is_empty());
    witness.publish("room", json!("after")).await;
    assert_eq!(witness.data().await, "after");
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_closed_and_one_that_does_is_not() {
    let config = "
        heartbeat.interval_secs = 1
        heartbeat.missed = 2
        [[channel]]
        pattern = '*'
    ";
    let server = Server::builder().config(config).start();
    let mut quiet = Client::connect(&server).await;
    quiet.subscribe("room").await;
    let mut dead = Raw::open(&server).await;
    let closed = tokio::select! {
        closed = dead.closed() => closed,
        // Reading is all it does: its library answers the pings.
        arrived = quiet.expect("data") => panic!("{arrived}"),
    };
    assert_eq!(closed, (4000, "Heartbeat missed.".to_owned()));
    quiet.publish("room", json!(1)).await;
    assert_eq!(quiet.data().await, 1);
}

#[tokio::test]
async fn a_client_that_says_anything_at_all_is_alive() {
    let config = "
        heartbeat.interval_secs = 1
        heartbeat.missed = 2
        [[channel]]
        pattern = '*'
    ";
    let server = Server::builder().config(config).shards(1).start();
    let (mut talker, mut dead) = (Raw::open(&server).await, Raw::open(&server).await);
    // It never answers a ping; each of the server's is followed by a request instead.
    for _ in 0..4 {
        while talker.next_or_heartbeat().await.opcode() != PING {}
        talker.send(TEXT, PING_TEXT).await;
    }
    assert_eq!(dead.closed().await.0, 4000);
    assert_eq!(talker.next().await.opcode(), TEXT);
}

// === before the WebSocket ===

#[tokio::test]
async fn a_handshake_that_is_none_is_a_bad_request() {
    let server = server();
    let mut witness = Witness::new(&server).await;
    let right = raw::handshake();
    for (what, request) in [
        ("no key", right.replace("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "")),
        ("no version", right.replace("Sec-WebSocket-Version: 13\r\n", "")),
        ("an old version", right.replace("Version: 13", "Version: 8")),
        ("no HTTP", "\x16\x03\x01\x02\x00\r\n\r\n".to_owned()),
        ("half HTTP", "GET\r\n\r\n".to_owned()),
        ("a header without a colon", right.replace("Host: localhost", "Host")),
    ] {
        let mut raw = Raw::tcp(&server).await;
        raw.write(request.as_bytes()).await;
        let head = raw.read_head().await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{what}: {head}");
        witness.sees_everything().await;
    }
}

#[tokio::test]
async fn a_head_that_never_ends_is_given_up() {
    let config = "
        limits.handshake_secs = 1
        [[channel]]
        pattern = '*'
    ";
    let server = Server::builder().config(config).shards(1).start();
    let mut witness = Witness::new(&server).await;
    let mut raw = Raw::tcp(&server).await;
    raw.write(b"GET /ws HTTP/1.1\r\nHost: localhost\r\n").await;
    let (mut read, mut write) = raw.stream.into_split();
    let began = Instant::now();
    let trickle = async {
        // Slow enough to be a head of its own: this is the attack, not a wait.
        let mut often = tokio::time::interval(Duration::from_millis(100));
        loop {
            often.tick().await;
            if write.write_all(b"X-More: 1\r\n").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let mut rest = Vec::new();
    let ended = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut rest);
    tokio::select! {
        _ = within("the end of a slow head", ended) => {}
        () = trickle => unreachable!(),
    }
    assert!(began.elapsed() >= Duration::from_millis(900), "only its time is up: {:?}", began.elapsed());
    witness.sees_everything().await;
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_given_up() {
    let config = "
        limits.handshake_secs = 1
        [[channel]]
        pattern = '*'
    ";
    let server = Server::builder().config(config).shards(1).start();
    let mut raw = Raw::tcp(&server).await;
    raw.ends().await;
}

#[tokio::test]
async fn a_head_of_any_length_or_many_headers_is_refused() {
    let server = server();
    let mut witness = Witness::new(&server).await;
    let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X-More: 1\r\n".repeat(1000));
    for request in [long, many] {
        let mut raw = Raw::tcp(&server).await;
        let _ = raw.stream.write_all(request.as_bytes()).await;
        let answer = String::from_utf8_lossy(&raw.ends().await).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
        witness.sees_everything().await;
    }
}

#[tokio::test]
async fn one_byte_at_a_time_works() {
    let server = server();
    let mut raw = Raw::tcp(&server).await;
    raw.stream.set_nodelay(true).unwrap();
    for byte in raw::handshake().bytes() {
        raw.write(&[byte]).await;
    }
    assert!(raw.read_head().await.starts_with("HTTP/1.1 101 "));
    for byte in frame(FIN | TEXT, PING_TEXT) {
        raw.write(&[byte]).await;
    }
    assert_eq!(raw.next().await.json(), json!({ "type": "pong" }));
}

#[tokio::test]
async fn frames_that_come_with_the_handshake_are_heard() {
    let server = server();
    let mut raw = Raw::tcp(&server).await;
    raw.write(&[raw::handshake().as_bytes(), &frame(FIN | TEXT, PING_TEXT)].concat()).await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(raw.next().await.json(), json!({ "type": "pong" }));
}

// === many of everything ===

#[tokio::test]
async fn of_ten_thousand_subscriptions_a_thousand_are_granted() {
    let server = server();
    let mut witness = Witness::new(&server).await;
    let mut client = Client::connect(&server).await;
    let (mut granted, mut refused) = (0, 0);
    for batch in 0..100 {
        for n in 0..100 {
            client.send(json!({ "type": "subscribe", "channel": format!("room-{}", batch * 100 + n) })).await;
        }
        for _ in 0..100 {
            let answer = client.next_json().await;
            match answer["type"].as_str() {
                Some("subscribed") => granted += 1,
                _ => {
                    assert_eq!(answer["code"], "limit_exceeded", "{answer}");
                    assert_eq!(answer["message"], "At most 1000 subscriptions of one client are allowed.");
                    refused += 1;
                }
            }
        }
    }
    assert_eq!((granted, refused), (1000, 9000));
    witness.sees_everything().await;
    client.publish("room-0", json!(1)).await;
    assert_eq!(client.data().await, 1);
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let config = "
        limits.connections = 2
        [[channel]]
        pattern = '*'
    ";
    let server = Server::builder().config(config).shards(1).start();
    let (mut one, two) = (Client::connect(&server).await, Client::connect(&server).await);
    assert_eq!(Client::connect(&server).await.closed().await.0, 4009);
    one.ping().await;
    drop(two);
    crate::harness::eventually("a place is free again", async || {
        let mut client = Client::connect(&server).await;
        client.send(json!({ "type": "ping" })).await;
        client.next().await.json()
    })
    .await;
}

#[tokio::test]
async fn a_thousand_requests_at_once_are_all_answered_in_order() {
    let server = server();
    let mut raw = Raw::open(&server).await;
    let mut bytes = Vec::new();
    for n in 0..1000 {
        let publish = json!({ "type": "publish", "channel": "room", "data": n, "id": n });
        bytes.extend(frame(FIN | TEXT, publish.to_string().as_bytes()));
    }
    raw.write(&bytes).await;
    for n in 0..1000 {
        let answer = raw.next().await.json();
        assert_eq!((&answer["id"], &answer["offset"]), (&json!(n), &json!(n + 1)));
    }
}
