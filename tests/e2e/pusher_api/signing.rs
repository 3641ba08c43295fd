//! Who may call: only who has signed it, lately.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::pusher::{APP, App, builder, config, now};
use crate::harness::{Client, Server, http, within};
use crate::pusher::Pusher;

const OTHER: App = App { id: "4", key: "other", secret: "other-secret" };

fn two_apps() -> Server {
    let App { id, key, secret } = OTHER;
    let more = format!(
        "prefix = 'a.'\n[[pusher.app]]\nid = '{id}'\nkey = '{key}'\nsecret = '{secret}'\nprefix = 'b.'"
    );
    Server::builder().config(&config(&more)).start()
}

#[tokio::test]
async fn what_nobody_signed_is_refused_and_not_published() {
    let server = two_apps();
    let mut client = Client::connect(&server).await;
    client.subscribe("a.room").await;
    let event = json!({ "name": "e", "channels": ["room"], "data": "no" });
    let good = || APP.post("/events", &event);
    let secret = |secret| App { secret, ..APP }.post("/events", &event);
    let of_other = App { id: APP.id, ..OTHER }.post("/events", &event);
    let digest = "00000000000000000000000000000000";
    for (call, status, words) in [
        (secret("wrong"), 401, "auth_signature is not"),
        (of_other, 401, "auth_key is not"),
        (App { key: OTHER.key, ..APP }.post("/events", &event), 401, "auth_key is not"),
        (App { id: "5", ..APP }.post("/events", &event), 404, "no application with the id \"5\""),
        (good().with("auth_key", None), 401, "auth_key is missing"),
        (good().with("auth_version", None), 401, "auth_version is missing"),
        (good().with("auth_version", Some("2.0")), 401, "auth_version is not"),
        (good().with("auth_timestamp", None), 401, "auth_timestamp is missing"),
        (good().with("auth_timestamp", Some("soon")), 401, "auth_timestamp is no number"),
        (good().with("auth_timestamp", Some(&(now() - 601).to_string())), 401, "compare the clocks"),
        (good().with("auth_timestamp", Some(&(now() + 660).to_string())), 401, "compare the clocks"),
        (good().with("body_md5", None), 401, "body_md5 is missing"),
        (good().with("body_md5", Some(digest)), 401, "body_md5 is not the body's"),
    ] {
        let (got, message) = call.refused(&server).await;
        assert!(got == status && message.contains(words), "{got} {message:?} for {words}");
    }
    // Signed for another body, another path, another method.
    let target = good().target();
    let lie = event.to_string().replace("no", "on");
    let answer = http::request(&server, "POST", &target, &[], &lie).await;
    assert_eq!(answer.status, 401, "{}", answer.body);
    assert_eq!(answer.header("www-authenticate"), Some("Pusher"));
    let batch = target.replace("/events", "/batch_events");
    assert_eq!(http::request(&server, "POST", &batch, &[], &event.to_string()).await.status, 401);
    let list = APP.get("/channels").target().replace("/channels", "/channels/a");
    assert_eq!(http::get(&server, &list).await.status, 401);
    assert_eq!(http::get(&server, "/apps/3/channels").await.status, 401);

    // The window is wide enough for clocks that differ.
    let late = good().with("auth_timestamp", Some(&(now() - 590).to_string()));
    late.done(&server).await;
    assert_eq!(client.data().await, "no");
    client.ping().await;
    assert!(client.left_over().is_empty());
}

#[tokio::test]
async fn what_sdks_encode_in_their_queries_is_understood() {
    let server = builder("").start();
    let mut client = Pusher::connect(&server).await;
    client.join("presence-a@b=,.;", json!({ "user_id": "ada" })).await;
    let call = APP.get("/channels/presence-a@b=,.;?info=user_count,subscription_count");
    let raw = call.target();
    let encoded = raw.replace("user_count,sub", "user_count%2Csub");
    assert_ne!(raw, encoded);
    for target in [raw, encoded] {
        let answer = http::get(&server, &target).await;
        assert_eq!((answer.status, answer.json()), (200, json!({ "occupied": true, "user_count": 1 })));
    }
    // One SDK signs the digest of an empty body too.
    let call = APP.get("/channels").with("body_md5", Some("d41d8cd98f00b204e9800998ecf8427e"));
    assert_eq!(call.done(&server).await, json!({ "channels": { "presence-a@b=,.;": {} } }));
}

/// Its sender writes all of the body before it reads.
#[tokio::test]
async fn a_refused_call_leaves_the_connection_as_it_was() {
    let server = builder("").start();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let body = json!({ "name": "e", "channel": "a", "data": "x".repeat(10_000) }).to_string();
    let bad = App { secret: "wrong", ..APP }.call("POST", "/apps/3/events".into(), &body);
    let good = APP.call("POST", "/apps/3/events".into(), &body);
    for (call, status) in [(&bad, "401"), (&good, "200"), (&bad, "401"), (&good, "200")] {
        let length = body.len();
        let head = format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n", call.target());
        within("a call", stream.write_all(format!("{head}{body}").as_bytes())).await.unwrap();
        let mut answer = String::new();
        while !answer.ends_with('}') && !answer.ends_with("}\n") {
            let mut some = [0; 4096];
            let read = within("an answer", stream.read(&mut some)).await.unwrap();
            assert!(read > 0, "the connection ended after {answer:?}");
            answer += std::str::from_utf8(&some[..read]).unwrap();
        }
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

/// One SDK has a path of its own for this; its signature is of that path.
#[tokio::test]
async fn the_short_path_finds_its_application_by_the_key() {
    let server = two_apps();
    let short = "/users/ada/terminate_connections".to_owned();
    for app in [APP, OTHER] {
        assert_eq!(app.call("POST", short.clone(), "{}").done(&server).await, json!({}));
    }
    let stranger = App { key: "stranger", ..APP };
    assert_eq!(stranger.call("POST", short.clone(), "{}").refused(&server).await.0, 401);
    let wrong = App { secret: OTHER.secret, ..APP };
    assert_eq!(wrong.call("POST", short, "{}").refused(&server).await.0, 401);
}
