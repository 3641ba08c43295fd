//! What was allowed does not stay so for ever: a time that ends, a new version of an auth plugin, and
//! a word of the server's API.

use serde_json::{Value, json};

use crate::harness::guest::Guest;
use crate::harness::wait::LONG;
use crate::harness::{Client, Events, Server, http, wait};

const GRANTED: [u32; 3] = [0, 0, 0];
/// The text at 3000.
const REASON: &str = "Not any more.";
/// One second.
const SHORTLY: [u32; 3] = [1, 1, 0];

/// Lets everybody in, as `ada`.
fn auth() -> Guest {
    Guest::of(&["auth"])
        .with("(data (i32.const 3000) \"Not any more.\")(data (i32.const 3100) \"ada\")")
        .answer("authenticate", &[0, 0, 3100, 3, 0, 0, 0, 0, 0, 0])
}

fn refused() -> [u32; 3] {
    [2, 3000, REASON.len() as u32]
}

/// What `authorize` answers: one thing until somebody asks to publish to a channel of six letters.
fn until_switched(before: [u32; 3], after: [u32; 3]) -> Guest {
    auth()
        .with("(global $switched (mut i32) (i32.const 0))")
        .words(3200, &before)
        .words(3300, &after)
        // Parameters 6 and 8: the action, and the channel's length.
        .body(
            "authorize",
            "(if (i32.and (i32.eq (local.get 6) (i32.const 1)) (i32.eq (local.get 8) (i32.const 6)))
               (then (global.set $switched (i32.const 1)) (return (i32.const 3200))))
             (select (i32.const 3300) (i32.const 3200) (global.get $switched))",
        )
}

fn install(server: &Server, guest: &Guest) {
    let unfinished = server.plugins_dir.join("judge.tmp");
    std::fs::write(&unfinished, guest.component()).unwrap();
    std::fs::rename(unfinished, server.plugin("judge")).unwrap();
}

async fn started(guest: &Guest) -> Server {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("judge.wasm"), guest.component()).unwrap();
    Server::builder().plugins_from(folder.path(), &["judge"]).shards(1).start()
}

fn denied(channel: &str, reason: &str) -> Value {
    json!({
        "type": "error", "message": format!("User 'ada' not authorized for channel '{channel}'."),
        "code": "permission_denied", "channel": channel, "reason": reason,
    })
}

async fn ends(client: &mut Client, channel: &str, reason: &str) {
    let told = tokio::time::timeout(LONG, client.expect("error")).await.expect("it is told in time");
    assert_eq!(told, denied(channel, reason));
    assert_eq!(client.expect("unsubscribed").await, json!({ "type": "unsubscribed", "channel": channel }));
}

async fn reauthorize(server: &Server, order: Value) -> Value {
    let answer = http::post(server, "/api/reauthorize", &order.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

/// A message of the server's own.
async fn say(server: &Server, channel: &str, data: &str) {
    let body = json!({ "channel": channel, "data": data }).to_string();
    assert_eq!(http::post(server, "/api/publish", &body).await.status, 200);
}

// === a new version ===

#[tokio::test]
async fn a_new_version_ends_what_it_no_longer_allows_and_says_why() {
    let server = started(&auth()).await;
    let (mut one, mut other) = (Client::connect(&server).await, Client::connect(&server).await);
    one.subscribe("room").await;
    one.subscribe("hall").await;
    other.subscribe("room").await;
    // Refuses channels of four letters that begin with an `r`.
    let new = auth().words(3200, &refused()).body(
        "authorize",
        "(select (i32.const 3200) (i32.const 1024)
           (i32.eq (i32.load8_u (local.get 7)) (i32.const 0x72)))",
    );
    install(&server, &new);
    ends(&mut one, "room", REASON).await;
    ends(&mut other, "room", REASON).await;
    say(&server, "room", "for nobody").await;
    say(&server, "hall", "for one").await;
    assert_eq!(one.data().await, "for one");
    other.ping().await;
    assert_eq!((one.left_over(), other.left_over()), (vec![], vec![]));
    let answer = one.ask(json!({ "type": "subscribe", "channel": "room" })).await;
    assert_eq!(answer, denied("room", REASON));
    let channels = http::get(&server, "/api/channels?prefix=room").await.json();
    assert_eq!(channels["channels"][0]["subscribers"], json!(0), "the home has counted: {channels}");
}

#[tokio::test]
async fn a_version_that_allows_the_same_changes_nothing() {
    let server = started(&auth()).await;
    let mut client = Client::connect(&server).await;
    client.subscribe("room").await;
    install(&server, &auth().with("(func $other)"));
    server.wait_for_log("subscriptions are judged again").await;
    let order = json!({ "channel": "room" });
    assert_eq!(reauthorize(&server, order).await, json!({ "judged": 1, "ended": 0 }));
    say(&server, "room", "still here").await;
    assert_eq!(client.next_json().await["data"], "still here");
}

#[tokio::test]
async fn an_auth_plugin_that_comes_late_judges_those_who_are_there() {
    let server = Server::builder().shards(1).start();
    let mut client = Client::connect(&server).await;
    client.subscribe("room").await;
    install(&server, &auth().answer("authorize", &refused()));
    let told = client.expect("error").await;
    assert_eq!((&told["code"], &told["reason"]), (&json!("permission_denied"), &json!(REASON)));
    client.expect("unsubscribed").await;
}

#[tokio::test]
async fn a_version_that_fails_is_asked_again_and_then_refuses() {
    let server = started(&auth()).await;
    let mut client = Client::connect(&server).await;
    client.subscribe("room").await;
    install(&server, &auth().body("authorize", "unreachable"));
    ends(&mut client, "room", "Plugin 'judge' failed.").await;
    client.ping().await;
}

#[tokio::test]
async fn many_clients_are_judged_and_others_come_in_meanwhile() {
    let server = started(&auth()).await;
    let mut clients = Vec::new();
    for _ in 0..150 {
        let mut client = Client::connect(&server).await;
        client.subscribe("room").await;
        clients.push(client);
    }
    install(&server, &auth().answer("authorize", &refused()));
    let mut late = Client::connect(&server).await;
    late.ping().await;
    for client in &mut clients {
        ends(client, "room", REASON).await;
    }
}

// === a time ===

#[tokio::test]
async fn a_permission_ends_with_its_time_unless_it_is_given_again() {
    // Given twice, and then no more.
    let counting =
        auth().with("(global $asked (mut i32) (i32.const 0))").words(3200, &SHORTLY).words(3300, &refused());
    let counting = counting.body(
        "authorize",
        "(global.set $asked (i32.add (global.get $asked) (i32.const 1)))
         (select (i32.const 3200) (i32.const 3300) (i32.lt_u (global.get $asked) (i32.const 3)))",
    );
    let server = started(&counting).await;
    let mut client = Client::connect(&server).await;
    client.subscribe("room").await;
    say(&server, "room", "heard").await;
    assert_eq!(client.data().await, "heard");
    ends(&mut client, "room", REASON).await;
    say(&server, "room", "unheard").await;
    client.ping().await;
    assert_eq!(client.left_over(), []);
}

#[tokio::test]
async fn a_verdict_on_publishing_ends_with_its_time() {
    let server = started(&until_switched(SHORTLY, refused())).await;
    let mut client = Client::connect(&server).await;
    client.publish("room", json!(1)).await;
    client.publish("switch", json!(1)).await;
    let answer = wait::eventually("a refusal", async || {
        let answer = client.try_publish("room", json!(2)).await;
        (answer["type"] == "error").then_some(answer)
    })
    .await;
    assert_eq!(answer, denied("room", REASON));
}

#[tokio::test]
async fn who_has_left_is_not_judged_when_the_time_is_over() {
    let server = started(&until_switched(SHORTLY, refused())).await;
    let mut client = Client::connect(&server).await;
    for n in 0..3 {
        client.subscribe(&format!("room{n}")).await;
        client.unsubscribe(&format!("room{n}")).await;
    }
    client.subscribe("kept").await;
    client.publish("switch", json!(1)).await;
    ends(&mut client, "kept", REASON).await;
    client.ping().await;
    assert_eq!(client.left_over(), []);
}

// === the server's API ===

#[tokio::test]
async fn a_word_of_the_api_ends_what_no_longer_holds() {
    let server = started(&until_switched(GRANTED, refused())).await;
    let (mut one, mut other) = (Client::connect(&server).await, Client::connect(&server).await);
    for client in [&mut one, &mut other] {
        client.subscribe("room").await;
        client.subscribe("hall").await;
    }
    one.publish("room", json!("before")).await;
    assert_eq!((one.data().await, other.data().await), (json!("before"), json!("before")));
    one.publish("switch", json!(1)).await;
    say(&server, "room", "nothing ends by itself").await;
    assert_eq!((one.data().await, other.data().await).0, "nothing ends by itself");

    assert_eq!(reauthorize(&server, json!({ "channel": "hall" })).await, json!({ "judged": 2, "ended": 2 }));
    ends(&mut one, "hall", REASON).await;
    ends(&mut other, "hall", REASON).await;
    let connections = http::get(&server, "/api/connections").await.json();
    let first = connections["connections"][0]["client"].as_str().unwrap().to_owned();
    let order = json!({ "client": first });
    assert_eq!(reauthorize(&server, order.clone()).await, json!({ "judged": 1, "ended": 1 }));
    assert_eq!(reauthorize(&server, order).await, json!({ "judged": 0, "ended": 0 }));
    assert_eq!(reauthorize(&server, json!({ "user": "ada" })).await, json!({ "judged": 1, "ended": 1 }));
    ends(&mut one, "room", REASON).await;
    ends(&mut other, "room", REASON).await;
    assert_eq!(reauthorize(&server, json!({ "user": "eve" })).await, json!({ "judged": 0, "ended": 0 }));
    // What was kept of publishing is forgotten too.
    assert_eq!(one.try_publish("room", json!("after")).await, denied("room", REASON));
}

#[tokio::test]
async fn an_order_that_names_nobody_or_too_many_is_refused() {
    let server = Server::with(&[]);
    for order in ["{}", r#"{"client":"1","user":"ada"}"#, r#"{"channel":""}"#, r#"{"everybody":true}"#] {
        let answer = http::post(&server, "/api/reauthorize", order).await;
        assert_eq!(answer.status, 400, "{order}: {}", answer.body);
    }
    let nobody = reauthorize(&server, json!({ "channel": "room" })).await;
    assert_eq!(nobody, json!({ "judged": 0, "ended": 0 }));
}

// === dialects ===

#[tokio::test]
async fn a_bridge_and_a_stream_end_with_their_channel() {
    let server = started(&until_switched(GRANTED, refused())).await;
    let (mut bridge, _) = Client::open(&server, "/ws/room", &[]).await;
    let mut stream = Events::open(&server, "/sse?channel=room").await;
    let mut client = Client::connect(&server).await;
    say(&server, "room", "hello").await;
    assert_eq!(bridge.next_text().await, "\"hello\"");
    assert_eq!(stream.next().await.json(), "hello");
    client.publish("switch", json!(1)).await;
    assert_eq!(reauthorize(&server, json!({ "channel": "room" })).await, json!({ "judged": 2, "ended": 2 }));
    assert_eq!(bridge.closed().await, (4003, REASON.to_owned()));
    assert!(stream.ends().await.contains(REASON));
}
