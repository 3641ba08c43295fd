//! What an application is told of its channels, by requests to its own server.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::harness::pusher::{APP, builder, config, hmac};
use crate::harness::{Client, Server, eventually, wait};
use crate::jwks;
use crate::pusher::Pusher;

/// An application's server: it keeps what it is told, and answers as the test says.
struct Receiver {
    url: String,
    got: Arc<Mutex<Vec<Told>>>,
    /// Statuses of the next answers; 200 when there are no more.
    says: Arc<Mutex<VecDeque<u16>>>,
}

#[derive(Clone, Debug)]
struct Told {
    head: String,
    body: String,
    at: Instant,
}

impl Receiver {
    async fn start() -> Self {
        Self::serve(false).await
    }

    async fn serve(tls: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (scheme, port) = (if tls { "https" } else { "http" }, listener.local_addr().unwrap().port());
        let receiver = Self {
            url: format!("{scheme}://localhost:{port}/hook?x=1"),
            got: Arc::default(),
            says: Arc::default(),
        };
        let (got, says) = (receiver.got.clone(), receiver.says.clone());
        let tls = tls.then(jwks::tls);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (got, says, tls) = (got.clone(), says.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => take(stream, &got, &says).await,
                        Some(tls) => take(tls.accept(stream).await.unwrap(), &got, &says).await,
                    }
                });
            }
        });
        receiver
    }

    fn config(&self, more: &str) -> String {
        format!("{more}\nwebhooks = [{{ url = '{}' }}]", self.url)
    }

    /// All events so far, in order, from requests that were answered with 200.
    fn events(&self) -> Vec<Value> {
        let got = self.got.lock().unwrap();
        let of = |told: &Told| serde_json::from_str::<Value>(&told.body).unwrap()["events"].take();
        got.iter().flat_map(|told| of(told).as_array().unwrap().clone()).collect()
    }

    async fn until(&self, count: usize) -> Vec<Value> {
        let enough = async || Some(self.events()).filter(|events| events.len() >= count);
        wait::eventually_in(wait::LONG, &format!("{count} events"), enough).await
    }
}

async fn take(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    got: &Mutex<Vec<Told>>,
    says: &Mutex<VecDeque<u16>>,
) {
    let (mut bytes, mut some) = (Vec::new(), [0; 4096]);
    let told = loop {
        match stream.read(&mut some).await {
            Ok(0) | Err(_) => return,
            Ok(read) => bytes.extend_from_slice(&some[..read]),
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_lowercase();
        let length: usize =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
        if body.len() >= length {
            break Told { head, body: body.to_owned(), at: Instant::now() };
        }
    };
    let status = says.lock().unwrap().pop_front().unwrap_or(200);
    if status == 200 {
        got.lock().unwrap().push(told);
    }
    let _ = stream.write_all(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn occupied(channel: &str) -> Value {
    json!({ "name": "channel_occupied", "channel": channel })
}

fn vacated(channel: &str) -> Value {
    json!({ "name": "channel_vacated", "channel": channel })
}

fn member(name: &str, user: &str) -> Value {
    json!({ "name": name, "channel": "presence-room", "user_id": user })
}

#[tokio::test]
async fn it_is_signed_and_of_the_very_type() {
    let receiver = Receiver::start().await;
    let server = builder(&receiver.config("")).start();
    let mut client = Pusher::connect(&server).await;
    client.subscribe("room").await;
    assert_eq!(receiver.until(1).await, [occupied("room")]);
    let told = receiver.got.lock().unwrap()[0].clone();
    assert!(told.head.starts_with("post /hook?x=1 http/1.1\r\n"), "{}", told.head);
    assert!(told.head.contains("\r\ncontent-type: application/json\r\n"), "{}", told.head);
    assert!(told.head.contains(&format!("\r\nx-pusher-key: {}\r\n", APP.key)), "{}", told.head);
    let signature = hmac(APP.secret, &told.body);
    assert!(told.head.contains(&format!("\r\nx-pusher-signature: {signature}")), "{}", told.head);
    let body: Value = serde_json::from_str(&told.body).unwrap();
    assert!(body["time_ms"].as_u64().unwrap() > 1_700_000_000_000, "{body}");
}

#[tokio::test]
async fn all_that_happens_in_a_channel_is_told() {
    let receiver = Receiver::start().await;
    let server =
        builder(&receiver.config("client_events = true\nsubscription_count = true\nprefix = 'app.'")).start();
    let mut ada = Pusher::connect(&server).await;
    ada.join("presence-room", json!({ "user_id": "ada" })).await;
    let mut tab = Pusher::connect(&server).await;
    tab.join("presence-room", json!({ "user_id": "ada" })).await;
    let mut bob = Pusher::connect(&server).await;
    bob.join("presence-room", json!({ "user_id": 7 })).await;
    bob.whisper("client-typing", "presence-room", json!({ "a": [1] })).await;
    let said = json!({
        "name": "client_event", "channel": "presence-room", "event": "client-typing", "data": "{\"a\":[1]}",
        "socket_id": bob.socket_id, "user_id": "7",
    });
    let mut expected = vec![member("member_added", "ada"), occupied("presence-room")];
    expected.extend([member("member_added", "7"), said]);
    assert_eq!(receiver.until(4).await, expected, "the second tab of one user is nothing new");

    let began = Instant::now();
    drop((tab, ada));
    bob.unsubscribe("presence-room").await;
    let mut ended = receiver.until(7).await.split_off(4);
    assert!(receiver.got.lock().unwrap().last().unwrap().at - began >= Duration::from_secs(3));
    ended.sort_by_key(Value::to_string);
    let mut expected =
        [vacated("presence-room"), member("member_removed", "ada"), member("member_removed", "7")];
    expected.sort_by_key(Value::to_string);
    assert_eq!(ended, expected);

    // Public, private and cache channels. The first client may have heard that ada went, or not.
    let mut bob = Pusher::connect(&server).await;
    bob.subscribe("cache-x").await;
    let counted = |channel: &str, count: u64| json!({ "name": "subscription_count", "channel": channel, "subscription_count": count });
    let missed = json!({ "name": "cache_miss", "channel": "cache-x" });
    assert_eq!(receiver.until(10).await.split_off(7), [occupied("cache-x"), missed, counted("cache-x", 1)]);
    APP.post("/events", &json!({ "name": "e", "channel": "cache-x", "data": "1" })).done(&server).await;
    let mut carl = Pusher::connect(&server).await;
    carl.subscribe("private-x").await;
    carl.next_data("pusher_internal:subscription_count").await;
    carl.whisper("client-typing", "private-x", json!("x")).await;
    carl.subscribe("cache-x").await;
    let said = json!({
        "name": "client_event", "channel": "private-x", "event": "client-typing", "data": "x",
        "socket_id": carl.socket_id,
    });
    let mut last = receiver.until(14).await.split_off(10);
    // Of two channels, whose order is their own.
    last.sort_by_key(|event| event["channel"] != "cache-x");
    let rest = [counted("cache-x", 2), occupied("private-x"), counted("private-x", 1), said];
    assert_eq!(last, rest, "no miss: there is something to remember now");
}

#[tokio::test]
async fn who_is_back_within_three_seconds_was_never_away() {
    let receiver = Receiver::start().await;
    let server = builder(&receiver.config("")).start();
    let mut client = Pusher::connect(&server).await;
    for _ in 0..3 {
        client.join("presence-room", json!({ "user_id": "ada" })).await;
        client.unsubscribe("presence-room").await;
    }
    client.join("presence-room", json!({ "user_id": "ada" })).await;
    let mut other = Client::connect(&server).await;
    other.subscribe("other").await;
    other.unsubscribe("other").await;
    // The last comes after the others would have.
    let told = receiver.until(4).await;
    assert_eq!(
        told,
        [member("member_added", "ada"), occupied("presence-room"), occupied("other"), vacated("other")]
    );
}

#[tokio::test]
async fn a_webhook_that_fails_is_tried_again_and_loses_nothing() {
    let receiver = Receiver::start().await;
    receiver.says.lock().unwrap().extend([500, 302, 404]);
    let server = builder(&receiver.config("")).start();
    let mut client = Client::connect(&server).await;
    let names: Vec<_> = (0..300).map(|n| format!("room{n}")).collect();
    for name in &names {
        client.subscribe(name).await;
    }
    let mut told = receiver.until(300).await;
    told.sort_by_key(Value::to_string);
    let mut expected: Vec<_> = names.iter().map(|name| occupied(name)).collect();
    expected.sort_by_key(Value::to_string);
    assert_eq!(told, expected, "each once");
    let requests = receiver.got.lock().unwrap().len();
    assert!((3..30).contains(&requests), "they go together: {requests} requests");
    server.wait_for_log("a webhook has failed").await;
    assert_eq!(server.logged(&["WARN", "a webhook has failed", "500"]).len(), 1, "{:#?}", server.log());
}

#[tokio::test]
async fn a_webhook_that_hangs_disturbs_nobody() {
    // Accepts, and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = format!("http://{}", listener.local_addr().unwrap());
    let receiver = Receiver::start().await;
    let more = format!("webhooks = [{{ url = '{dead}' }}, {{ url = '{}' }}]", receiver.url);
    let server = Server::builder().config(&config(&more)).start();
    let mut client = Client::connect(&server).await;
    let (_held, _) = {
        client.subscribe("room").await;
        listener.accept().await.unwrap()
    };
    client.ping().await;
    client.subscribe("other").await;
    let told = receiver.until(2).await;
    assert!(told.contains(&occupied("room")) && told.contains(&occupied("other")), "{told:?}");
}

#[tokio::test]
async fn a_channel_that_goes_with_its_plugin_is_vacated() {
    let receiver = Receiver::start().await;
    let server = builder(&receiver.config("prefix = 'chat:'")).plugins(&["chat"]).start();
    let mut client = Pusher::connect(&server).await;
    client.subscribe("room").await;
    assert_eq!(receiver.until(1).await, [occupied("room")]);
    std::fs::remove_file(server.plugin("chat")).unwrap();
    assert_eq!(receiver.until(2).await, [occupied("room"), vacated("room")]);
}

#[tokio::test]
async fn each_webhook_is_told_what_it_wants() {
    let (all, some) = (Receiver::start().await, Receiver::start().await);
    let more = format!(
        "prefix = 'a.'\nwebhooks = [{{ url = '{}' }}, {{ url = '{}', events = ['channel_vacated'] }}]\n\
         [[pusher.app]]\nid = '4'\nkey = 'other'\nsecret = 's'\nprefix = 'b.'",
        all.url, some.url
    );
    let server = Server::builder().config(&config(&more)).start();
    let mut client = Client::connect(&server).await;
    for channel in ["b.room", "a.room"] {
        client.subscribe(channel).await;
        client.unsubscribe(channel).await;
    }
    assert_eq!(some.until(1).await, [vacated("room")]);
    assert_eq!(all.until(2).await, [occupied("room"), vacated("room")], "and nothing of the other app");
    let quiet = async || (some.got.lock().unwrap().len() == 1).then_some(());
    eventually("one request", quiet).await;
}

#[tokio::test]
async fn https_is_checked_against_the_machines_authorities() {
    let receiver = Receiver::serve(true).await;
    let authority = crate::harness::sign::path("authority.pem");
    let server = builder(&receiver.config("")).env("SSL_CERT_FILE", &authority).start();
    let mut client = Client::connect(&server).await;
    client.subscribe("room").await;
    assert_eq!(receiver.until(1).await, [occupied("room")]);
}
