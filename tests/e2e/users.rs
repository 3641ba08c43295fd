//! Users' own channels, messages to one client or user, and what waits for a user to come.

use std::cell::Cell;

use serde_json::{Value, json};

use crate::harness::client::Arrived;
use crate::harness::http::{self, Response};
use crate::harness::sign::{self, SECRET};
use crate::harness::{Client, Events, Server, eventually};

/// Tokens name the users; every channel is open.
fn server(more: &str) -> Server {
    start("", more)
}

fn start(top: &str, more: &str) -> Server {
    let config = format!("{top}\n[[channel]]\npattern = '*'\n{more}\n[jwt]\nsecret = '{SECRET}'\n");
    Server::builder().config(&config).shards(3).start()
}

fn token(user: &str) -> String {
    sign::HS256.sign(json!({ "sub": user }))
}

async fn connect(server: &Server, user: &str) -> Client {
    Client::with_token(server, &token(user)).await
}

/// One that subscribes to its user's channel.
async fn present(server: &Server, user: &str) -> Client {
    let mut client = connect(server, user).await;
    client.subscribe(&format!("$user:{user}")).await;
    client
}

async fn post(server: &Server, path: &str, body: Value) -> Value {
    let answer = http::post(server, path, &body.to_string()).await;
    assert_eq!(answer.status, 200, "{path} {body}: {}", answer.body);
    answer.json()
}

async fn send(server: &Server, body: Value) -> Value {
    post(server, "/api/send", body).await
}

fn code(answer: &Response) -> (u16, String) {
    let code = answer.json()["error"]["code"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned();
    (answer.status, code)
}

async fn refused(server: &Server, path: &str, body: Value) -> (u16, String) {
    code(&http::post(server, path, &body.to_string()).await)
}

fn denied(user: &str, channel: &str) -> Value {
    let message = format!("User '{user}' not authorized for channel '{channel}'.");
    json!({ "type": "error", "message": message, "code": "permission_denied", "channel": channel })
}

/// The data of so many messages, which are all that came.
async fn numbers(client: &mut Client, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        numbers.push(client.data().await.as_u64().unwrap());
    }
    client.ping().await;
    assert_eq!(client.left_over(), []);
    numbers
}

// === the channel ===

#[tokio::test]
async fn a_users_channel_is_for_that_user_alone() {
    let server = server("");
    let mut ada = connect(&server, "ada").await;
    let mut bob = connect(&server, "bob").await;
    let subscribed = ada.subscribe("$user:ada").await;
    assert_eq!(subscribed, json!({ "type": "subscribed", "channel": "$user:ada" }));
    for kind in ["subscribe", "presence", "history", "join"] {
        let answer = bob.ask(json!({ "type": kind, "channel": "$user:ada" })).await;
        assert_eq!(answer, denied("bob", "$user:ada"), "{kind}");
    }
    let mut nobody = Client::connect(&server).await;
    let answer = nobody.ask(json!({ "type": "subscribe", "channel": "$user:ada" })).await;
    assert_eq!(answer, denied("anonymous", "$user:ada"));

    let bearer = format!("Bearer {}", token("bob"));
    let (mut bridge, _) = Client::open(&server, "/ws/$user:ada", &[("authorization", &bearer)]).await;
    assert_eq!(bridge.closed().await.0, 4003);
    let path = format!("/sse?channel=$user:ada&token={}", token("bob"));
    assert_eq!(http::get(&server, &path).await.status, 403);
    let order = json!({ "user": "bob", "channel": "$user:ada" });
    assert_eq!(refused(&server, "/api/subscribe", order).await, (403, "permission_denied".into()));

    assert_eq!(send(&server, json!({ "user": "ada", "data": 1 })).await, json!({ "delivered": 1 }));
    let said = ada.next_json().await;
    assert_eq!(said, json!({ "type": "data", "channel": "$user:ada", "data": 1 }));
    for client in [&mut bob, &mut nobody] {
        client.ping().await;
        assert_eq!(client.left_over(), []);
    }
}

#[tokio::test]
async fn a_tokens_lists_of_channels_do_not_take_a_user_its_own() {
    let server = server("");
    let token = sign::HS256.sign(json!({ "sub": "ada", "channels": [] }));
    let mut ada = Client::with_token(&server, &token).await;
    ada.subscribe("$user:ada").await;
    let answer = ada.ask(json!({ "type": "subscribe", "channel": "room" })).await;
    assert_eq!(answer["code"], "permission_denied");
    let token = sign::HS256.sign(json!({ "sub": "bob", "channels": ["*", "$user:*"] }));
    let mut bob = Client::with_token(&server, &token).await;
    let answer = bob.ask(json!({ "type": "subscribe", "channel": "$user:ada" })).await;
    assert_eq!(answer, denied("bob", "$user:ada"), "nor give it to another");
}

#[tokio::test]
async fn an_anonymous_clients_user_is_its_id() {
    let server = Server::with(&[]);
    let (mut one, mut other) = (Client::connect(&server).await, Client::connect(&server).await);
    let (id, others) = (one.user().await, other.user().await);
    one.subscribe(&format!("$user:{id}")).await;
    let answer = one.ask(json!({ "type": "subscribe", "channel": format!("$user:{others}") })).await;
    assert_eq!(answer["code"], "permission_denied");
    assert_eq!(send(&server, json!({ "user": id, "data": 1 })).await["delivered"], 1);
    assert_eq!(one.data().await, 1);
    let require = server_with_rule("require_auth = true");
    let mut nobody = Client::connect(&require).await;
    let id = nobody.user().await;
    let answer = nobody.ask(json!({ "type": "subscribe", "channel": format!("$user:{id}") })).await;
    assert_eq!(answer["code"], "permission_denied");
    present(&require, "ada").await;
}

fn server_with_rule(rule: &str) -> Server {
    server(&format!("[[channel]]\npattern = '$user:*'\n{rule}"))
}

#[tokio::test]
async fn who_names_itself_is_not_that_user() {
    let server = server("[bridge]\nanonymous_names = true");
    let (mut bridge, _) = Client::open(&server, "/ws/$user:ada?user=ada", &[]).await;
    assert_eq!(bridge.closed().await.0, 4003);
    let (mut bridge, _) = Client::open(&server, "/ws/room?user=ada", &[]).await;
    bridge.send_text("here").await;
    assert_eq!(bridge.next_text().await, "here");
    let order = json!({ "user": "ada", "channel": "$user:ada" });
    assert_eq!(post(&server, "/api/subscribe", order).await, json!({ "subscribed": 0 }));
    assert_eq!(send(&server, json!({ "user": "ada", "data": 1 })).await, json!({ "delivered": 0 }));
}

#[tokio::test]
async fn only_the_server_speaks_in_it_unless_a_rule_says_otherwise() {
    let publish = json!({ "type": "publish", "channel": "$user:ada", "data": "hi" });
    for rule in ["", "[[channel]]\npattern = '$user:*'\nslow = 'latest'"] {
        let server = server(rule);
        let (mut ada, mut bob) = (present(&server, "ada").await, connect(&server, "bob").await);
        assert_eq!(bob.ask(publish.clone()).await, denied("bob", "$user:ada"), "{rule}");
        assert_eq!(ada.ask(publish.clone()).await, denied("ada", "$user:ada"), "{rule}");
    }
    let server = server_with_rule("publish = 'subscribers'");
    let (mut ada, mut bob) = (present(&server, "ada").await, connect(&server, "bob").await);
    let mut phone = present(&server, "ada").await;
    assert_eq!(bob.ask(publish.clone()).await, denied("bob", "$user:ada"));
    ada.ask(json!({ "type": "publish", "channel": "$user:ada", "data": "hi", "echo": false })).await;
    assert_eq!(phone.data().await, "hi");
    let server = server_with_rule("publish = 'anyone'");
    let (mut ada, mut bob) = (present(&server, "ada").await, connect(&server, "bob").await);
    bob.publish_quietly("$user:ada").await;
    let said = ada.expect("data").await;
    assert_eq!((&said["data"], &said["sender"]), (&json!("hi"), &json!("bob")));
}

impl Client {
    async fn publish_quietly(&mut self, channel: &str) {
        assert_eq!(self.try_publish(channel, json!("hi")).await["type"], "published");
    }
}

#[tokio::test]
async fn other_names_with_a_dollar_are_nobodys() {
    let server = Server::with(&[]);
    let mut client = Client::connect(&server).await;
    for name in ["$client", "$user:", "$user", "$users:ada", "$sys"] {
        let answer = client.ask(json!({ "type": "subscribe", "channel": name })).await;
        assert_eq!(answer["code"], "invalid_params", "{name}");
        let body = json!({ "channel": name, "data": 1 });
        assert_eq!(refused(&server, "/api/publish", body).await.0, 400, "{name}");
    }
    let group = http::request(&server, "PUT", "/api/groups/$user:a/room", &[], "").await;
    assert_eq!(group.status, 400);
}

#[tokio::test]
async fn a_group_may_have_users_in_it() {
    let server = server("");
    let (mut ada, mut bob) = (present(&server, "ada").await, present(&server, "bob").await);
    for user in ["ada", "bob"] {
        let path = format!("/api/groups/team/$user:{user}");
        assert_eq!(http::request(&server, "PUT", &path, &[], "").await.status, 200);
    }
    post(&server, "/api/groups/team/publish", json!({ "data": "all" })).await;
    assert_eq!((ada.data().await, bob.data().await), (json!("all"), json!("all")));
}

#[tokio::test]
async fn without_them_there_are_none() {
    let server = server("[users]\nenabled = false");
    let mut ada = connect(&server, "ada").await;
    let answer = ada.ask(json!({ "type": "subscribe", "channel": "$user:ada" })).await;
    assert_eq!(answer["code"], "channel_not_found");
    let answer = refused(&server, "/api/send", json!({ "user": "ada", "data": 1 })).await;
    assert_eq!(answer, (404, "channel_not_found".into()));
    let id = client_of(&server, "ada").await;
    send(&server, json!({ "client": id, "data": 1 })).await;
    assert_eq!(ada.data().await, 1, "a client is still a client");
}

/// The id of a user's only connection.
async fn client_of(server: &Server, user: &str) -> String {
    let list = http::get(server, &format!("/api/connections?user={user}")).await.json();
    list["connections"][0]["client"].as_str().unwrap().to_owned()
}

// === subscribed without asking ===

#[tokio::test]
async fn users_are_subscribed_without_asking_where_the_configuration_says_so() {
    let server = server("[users]\nsubscribe = true");
    let mut ada = connect(&server, "ada").await;
    assert_eq!(ada.next_json().await, json!({ "type": "subscribed", "channel": "$user:ada" }));
    let (mut event, _) = Client::open(&server, &format!("/dialect/event?token={}", token("ada")), &[]).await;
    event.next_text().await;
    assert_eq!(send(&server, json!({ "user": "ada", "data": 1 })).await["delivered"], 2);
    assert_eq!(ada.data().await, 1);

    // Where messages do not say where they are from, none of another channel come in between.
    let bearer = format!("Bearer {}", token("bob"));
    let (mut bridge, _) = Client::open(&server, "/ws/room", &[("authorization", &bearer)]).await;
    bridge.send_text("here").await;
    assert_eq!(bridge.next_text().await, "here");
    assert_eq!(send(&server, json!({ "user": "bob", "data": 1 })).await["delivered"], 0);

    ada.unsubscribe("$user:ada").await;
    assert_eq!(send(&server, json!({ "user": "ada", "data": 1 })).await["delivered"], 1, "it may leave");
}

#[tokio::test]
async fn who_becomes_another_user_changes_the_channel() {
    let server = server("[users]\nsubscribe = true");
    let mut client = Client::connect(&server).await;
    client.ping().await;
    assert_eq!(client.left_over(), [], "an anonymous client has to ask");
    let id = client.user().await;
    client.subscribe(&format!("$user:{id}")).await;
    for (user, before) in [("ada", id), ("bob", "ada".into())] {
        client.send(json!({ "type": "auth", "token": token(user) })).await;
        let gone = client.expect("unsubscribed").await;
        assert_eq!(gone["channel"], format!("$user:{before}"));
        assert_eq!(client.expect("authenticated").await["user"], user);
        let came = client.expect("subscribed").await;
        assert_eq!(came, json!({ "type": "subscribed", "channel": format!("$user:{user}") }));
        assert_eq!(send(&server, json!({ "user": before, "data": 1 })).await["delivered"], 0);
        assert_eq!(send(&server, json!({ "user": user, "data": user })).await["delivered"], 1);
        assert_eq!(client.data().await, user);
    }
    assert_eq!(client.ask(json!({ "type": "auth", "token": token("bob") })).await["type"], "authenticated");
    client.ping().await;
    assert_eq!(client.left_over(), [], "the same user stays where it is");
}

#[tokio::test]
async fn it_counts_as_a_subscription() {
    let server = server("[users]\nsubscribe = true\n[limits]\nsubscriptions = 1");
    let mut ada = connect(&server, "ada").await;
    ada.expect("subscribed").await;
    let answer = ada.ask(json!({ "type": "subscribe", "channel": "room" })).await;
    assert_eq!(answer["code"], "limit_exceeded");
}

// === direct messages ===

#[tokio::test]
async fn a_message_to_a_user_reaches_all_its_connections_on_every_shard() {
    let server = server("");
    let mut phones = Vec::new();
    for _ in 0..9 {
        phones.push(present(&server, "ada").await);
    }
    let mut bystander = connect(&server, "ada").await;
    let bearer = format!("Bearer {}", token("ada"));
    let headers = [("authorization", bearer.as_str())];
    let (mut bridge, _) = Client::open(&server, "/ws/$user:ada", &headers).await;
    let mut events = Events::with(&server, "/sse?channel=$user:ada", &headers).await;
    eventually("the bridge's subscription", async || {
        let sent = send(&server, json!({ "user": "ada", "data": "knock" })).await;
        (sent == json!({ "delivered": 11 })).then_some(())
    })
    .await;
    let say = [
        (json!({ "data": { "a": 1 } }), r#"{"a":1}"#),
        (json!({ "text": "hi", "event": "greeting" }), "hi"),
        (json!({ "base64": "AP8=" }), ""),
    ];
    for (content, text) in say {
        let mut body = content;
        body["user"] = json!("ada");
        assert_eq!(send(&server, body).await, json!({ "delivered": 11 }));
        if text.is_empty() {
            continue;
        }
        loop {
            let came = bridge.next_text().await;
            if came != "\"knock\"" {
                assert_eq!(came, text);
                break;
            }
        }
        loop {
            let (_, data) = events.said().await;
            if data != "\"knock\"" {
                assert_eq!(data, text);
                break;
            }
        }
    }
    assert_eq!(bridge.next().await, Arrived::Binary(vec![0, 255]));
    for phone in &mut phones {
        assert_eq!(phone.binary().await, b"\x09$user:ada\x00\xff");
        let said: Vec<_> = phone.left_over().into_iter().filter_map(|frame| frame.json()).collect();
        let said: Vec<_> = said.iter().filter(|frame| frame["data"] != "knock").collect();
        let first = json!({ "type": "data", "channel": "$user:ada", "data": { "a": 1 } });
        let second = json!({ "type": "data", "channel": "$user:ada", "data": "hi", "event": "greeting" });
        assert_eq!(said, [&first, &second]);
    }
    bystander.ping().await;
    assert_eq!(bystander.left_over(), [], "it has not asked for them");
}

#[tokio::test]
async fn a_message_to_a_client_reaches_it_alone_on_whatever_shard() {
    let server = server("");
    let mut clients = Vec::new();
    for _ in 0..9 {
        let mut client = Client::connect(&server).await;
        let id = client.user().await;
        clients.push((client, id));
    }
    for (_, id) in &clients {
        assert_eq!(send(&server, json!({ "client": id, "data": id })).await, json!({ "delivered": 1 }));
    }
    for (client, id) in &mut clients {
        let said = client.next_json().await;
        assert_eq!(said, json!({ "type": "data", "channel": "$client", "data": id }));
        client.ping().await;
        assert_eq!(client.left_over(), []);
    }
    let (client, id) = &mut clients[0];
    send(&server, json!({ "client": id, "text": "hi", "event": "greeting" })).await;
    let said = client.next_json().await;
    assert_eq!(said, json!({ "type": "data", "channel": "$client", "data": "hi", "event": "greeting" }));
    send(&server, json!({ "client": id, "base64": "AP8=" })).await;
    assert_eq!(client.binary().await, b"\x07$client\x00\xff");
}

#[tokio::test]
async fn dialects_without_channels_get_the_bare_message() {
    let server = server("");
    let bearer = format!("Bearer {}", token("ada"));
    let headers = [("authorization", bearer.as_str())];
    let (mut bridge, _) = Client::open(&server, "/ws/room", &headers).await;
    bridge.send_text("here").await;
    assert_eq!(bridge.next_text().await, "here");
    send(&server, json!({ "client": client_of(&server, "ada").await, "data": [1] })).await;
    assert_eq!(bridge.next_text().await, "[1]");

    let bearer = format!("Bearer {}", token("bob"));
    let mut events = Events::with(&server, "/sse?channel=room", &[("authorization", &bearer)]).await;
    let body = json!({ "client": client_of(&server, "bob").await, "data": [1], "event": "said" });
    send(&server, body).await;
    assert_eq!(events.said().await, ("said".into(), "[1]".into()));
}

#[tokio::test]
async fn who_is_gone_or_cannot_be_is_said() {
    let server = server("");
    let mut client = Client::connect(&server).await;
    let id = client.user().await;
    send(&server, json!({ "client": id, "data": 1 })).await;
    drop(client);
    eventually("the client's end", async || {
        let answer = http::post(&server, "/api/send", &json!({ "client": id, "data": 1 }).to_string()).await;
        (answer.status == 404).then(|| assert_eq!(code(&answer).1, "not_found"))
    })
    .await;
    let long = "a".repeat(250);
    for (body, status, why) in [
        (json!({ "client": "ffffffffffffffff", "data": 1 }), 404, "not_found"),
        (json!({ "client": "0000000000000000", "data": 1 }), 404, "not_found"),
        (json!({ "client": "ada", "data": 1 }), 400, "invalid_params"),
        (json!({ "client": id, "user": "ada", "data": 1 }), 400, "invalid_params"),
        (json!({ "data": 1 }), 400, "invalid_params"),
        (json!({ "user": "ada" }), 400, "invalid_params"),
        (json!({ "user": "", "data": 1 }), 400, "invalid_params"),
        (json!({ "user": long, "data": 1 }), 400, "invalid_params"),
        (json!({ "user": "a\nb", "data": 1 }), 400, "invalid_params"),
        (json!({ "user": "ada", "data": 1, "text": "a" }), 400, "invalid_params"),
        (json!({ "user": "ada", "data": 1, "channel": "a" }), 400, "invalid_params"),
        (json!({ "user": "ada", "text": "a".repeat(70_000) }), 413, "too_large"),
    ] {
        assert_eq!(refused(&server, "/api/send", body.clone()).await, (status, why.into()), "{body}");
    }
    let mut commands = vec![json!({ "send": { "client": id, "data": 1 } })];
    commands.push(json!({ "send": { "user": "ada", "data": 1 } }));
    let results = post(&server, "/api/batch", json!({ "commands": commands })).await;
    assert_eq!(results["results"][0]["error"]["code"], "not_found");
    assert_eq!(results["results"][1], json!({ "delivered": 0 }));
}

// === what waits ===

const QUEUE: &str = "[users.queue]";

fn with_queue(settings: &str) -> Server {
    server(&format!("{QUEUE}\n{settings}"))
}

/// What waits, or is delivered; the answers to it.
async fn say(server: &Server, user: &str, numbers: std::ops::RangeInclusive<u64>) -> Vec<Value> {
    let mut answers = Vec::new();
    for number in numbers {
        answers.push(send(server, json!({ "user": user, "data": number })).await);
    }
    answers
}

#[tokio::test]
async fn what_is_sent_to_who_is_away_comes_in_order_and_once() {
    let server = with_queue("");
    let queued = json!({ "delivered": 0, "queued": true });
    assert_eq!(say(&server, "ada", 1..=5).await, vec![queued; 5]);
    let publish = json!({ "channel": "$user:ada", "data": 6, "idempotency_key": "k" });
    for _ in 0..2 {
        let answer = post(&server, "/api/publish", publish.clone()).await;
        assert_eq!((&answer["offset"], &answer["queued"]), (&json!(6), &json!(true)));
    }
    let mut ada = connect(&server, "ada").await;
    let subscribed = ada.subscribe("$user:ada").await;
    assert_eq!(
        (&subscribed["offset"], subscribed.get("recovered")),
        (&json!(0), None),
        "what comes next is after it"
    );
    let first = ada.next_json().await;
    assert_eq!((&first["channel"], &first["offset"]), (&json!("$user:ada"), &json!(1)));
    assert!(first["timestamp"].is_f64(), "{first}");
    assert_eq!(numbers(&mut ada, 5).await, [2, 3, 4, 5, 6]);

    let mut phone = present(&server, "ada").await;
    assert_eq!(numbers(&mut phone, 0).await, [0; 0], "the first has taken all");
    assert_eq!(say(&server, "ada", 7..=7).await, [json!({ "delivered": 2 })]);
    assert_eq!((ada.data().await, phone.data().await), (json!(7), json!(7)));
    ada.subscribe("$user:ada").await;
    assert_eq!(numbers(&mut ada, 0).await, [0; 0], "and none comes twice");

    for client in [&mut ada, &mut phone] {
        client.unsubscribe("$user:ada").await;
    }
    assert_eq!(say(&server, "ada", 8..=8).await[0]["queued"], true, "away is who does not subscribe");
    let mut bob = present(&server, "bob").await;
    assert_eq!(numbers(&mut bob, 0).await, [0; 0]);
    ada.subscribe("$user:ada").await;
    assert_eq!(numbers(&mut ada, 1).await, [8]);
}

#[tokio::test]
async fn of_two_that_come_at_once_one_gets_all() {
    let server = with_queue("");
    for round in 0..10 {
        let user = format!("user-{round}");
        say(&server, &user, 1..=3).await;
        let channel = format!("$user:{user}");
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(connect(&server, &user).await);
        }
        futures_util::future::join_all(clients.iter_mut().map(|client| client.subscribe(&channel))).await;
        let mut shares = Vec::new();
        for client in &mut clients {
            client.ping().await;
            let came = client.left_over().iter().filter_map(Arrived::json).collect::<Vec<_>>();
            shares.push(came.iter().map(|frame| frame["data"].as_u64().unwrap()).collect::<Vec<_>>());
        }
        shares.sort();
        assert_eq!(shares, [vec![], vec![], vec![], vec![1, 2, 3]]);
    }
}

#[tokio::test]
async fn what_waits_is_bounded_in_messages_bytes_and_time() {
    let server = with_queue("messages = 3");
    assert!(say(&server, "ada", 1..=7).await.iter().all(|answer| answer["queued"] == true));
    assert_eq!(numbers(&mut present(&server, "ada").await, 3).await, [5, 6, 7]);

    let server = with_queue("bytes = 1000");
    say(&server, "ada", 1..=9).await;
    let large = send(&server, json!({ "user": "ada", "text": "a".repeat(900) })).await;
    assert_eq!(large, json!({ "delivered": 0 }), "more than may wait at all: it drives nothing out");
    assert_eq!(numbers(&mut present(&server, "ada").await, 5).await, [5, 6, 7, 8, 9]);

    let server = with_queue("ttl_secs = 1");
    say(&server, "ada", 1..=3).await;
    let sent = std::time::Instant::now();
    eventually("a second", async || (sent.elapsed().as_millis() > 1000).then_some(())).await;
    say(&server, "ada", 4..=4).await;
    assert_eq!(numbers(&mut present(&server, "ada").await, 1).await, [4]);
}

#[tokio::test]
async fn there_are_so_many_users_for_whom_something_waits() {
    let config = format!("[[channel]]\npattern = '*'\n[users.queue]\nusers = 2\n[jwt]\nsecret = '{SECRET}'");
    let server = Server::builder().config(&config).shards(1).start();
    say(&server, "ada", 1..=2).await;
    say(&server, "bob", 1..=2).await;
    let cleo = json!({ "user": "cleo", "data": 1 });
    assert_eq!(refused(&server, "/api/send", cleo.clone()).await, (429, "limit_exceeded".into()));
    say(&server, "ada", 3..=3).await;
    let mut present_cleo = present(&server, "cleo").await;
    assert_eq!(send(&server, cleo.clone()).await, json!({ "delivered": 1 }), "who is there needs no queue");
    assert_eq!(numbers(&mut present_cleo, 1).await, [1]);
    present_cleo.unsubscribe("$user:cleo").await;
    assert_eq!(refused(&server, "/api/send", cleo.clone()).await.0, 429);
    assert_eq!(numbers(&mut present(&server, "ada").await, 3).await, [1, 2, 3]);
    assert_eq!(send(&server, cleo).await["queued"], true);
}

#[tokio::test]
async fn a_history_gives_back_what_a_connection_lost() {
    let server = server("[[channel]]\npattern = '$user:*'\nhistory = { messages = 20 }\n[users.queue]");
    let mut ada = connect(&server, "ada").await;
    let subscribed = ada.subscribe("$user:ada").await;
    say(&server, "ada", 1..=2).await;
    assert_eq!(numbers(&mut ada, 2).await, [1, 2]);
    drop(ada);
    eventually("its end", async || {
        let answer = send(&server, json!({ "user": "ada", "data": 0 })).await;
        (answer["queued"] == true).then_some(())
    })
    .await;
    let all = http::get(&server, "/api/channels/$user:ada/history").await.json();
    let all: Vec<_> =
        all["messages"].as_array().unwrap().iter().map(|m| m["offset"].as_u64().unwrap()).collect();
    let last = *all.last().unwrap();
    assert!(all.len() >= 3 && all.len() as u64 == last, "{all:?}");

    let mut recover = json!({ "epoch": subscribed["epoch"], "offset": 2 });
    let asked = json!({ "channel": "$user:ada", "recover": recover });
    let mut ada = connect(&server, "ada").await;
    assert_eq!(ada.subscribe_with(asked).await["recovered"], true);
    for offset in 3..=last {
        assert_eq!(ada.next_json().await["offset"], offset, "each once, whether it was lost or waited");
    }
    assert_eq!(numbers(&mut ada, 0).await, [0; 0]);
    ada.unsubscribe("$user:ada").await;

    say(&server, "ada", 100..=101).await;
    ada.subscribe_with(json!({ "channel": "$user:ada", "history": 3 })).await;
    assert_eq!(numbers(&mut ada, 3).await, [0, 100, 101], "a wish for more of the past");
    ada.unsubscribe("$user:ada").await;
    say(&server, "ada", 102..=104).await;
    ada.subscribe_with(json!({ "channel": "$user:ada", "history": 1 })).await;
    assert_eq!(numbers(&mut ada, 3).await, [102, 103, 104], "or for less");
    ada.unsubscribe("$user:ada").await;
    say(&server, "ada", 105..=105).await;
    recover["epoch"] = json!("00000000000000aa");
    let answer = ada.subscribe_with(json!({ "channel": "$user:ada", "recover": recover })).await;
    assert_eq!(answer["recovered"], false);
    assert_eq!(ada.next_json().await["offset"], 1, "what is kept");
}

#[tokio::test]
async fn without_a_history_what_waited_is_recovered_from() {
    let server = with_queue("");
    let mut ada = connect(&server, "ada").await;
    let epoch = ada.subscribe("$user:ada").await["epoch"].clone();
    say(&server, "ada", 1..=2).await;
    assert_eq!(numbers(&mut ada, 2).await, [1, 2]);
    ada.unsubscribe("$user:ada").await;
    say(&server, "ada", 3..=4).await;
    let asked =
        |offset: u64| json!({ "channel": "$user:ada", "recover": { "epoch": epoch, "offset": offset } });
    assert_eq!(ada.subscribe_with(asked(2)).await["recovered"], true);
    assert_eq!(numbers(&mut ada, 2).await, [3, 4]);
    ada.unsubscribe("$user:ada").await;
    assert_eq!(ada.subscribe_with(asked(2)).await["recovered"], false, "it was handed on, and is gone");
    assert_eq!(numbers(&mut ada, 0).await, [0; 0]);
}

#[tokio::test]
async fn forgetting_a_channels_past_forgets_what_waits() {
    let server = with_queue("");
    say(&server, "ada", 1..=3).await;
    let answer = http::request(&server, "DELETE", "/api/channels/$user:ada/history", &[], "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    say(&server, "ada", 4..=4).await;
    assert_eq!(numbers(&mut present(&server, "ada").await, 1).await, [4]);
}

#[tokio::test]
async fn a_user_that_is_subscribed_without_asking_gets_what_waits() {
    let server = server("[users]\nsubscribe = true\n[users.queue]");
    say(&server, "ada", 1..=3).await;
    let mut ada = connect(&server, "ada").await;
    assert_eq!(ada.next_json().await["type"], "subscribed");
    assert_eq!(numbers(&mut ada, 3).await, [1, 2, 3]);
}

#[tokio::test]
async fn a_stream_of_events_takes_what_waits() {
    let server = with_queue("");
    say(&server, "ada", 1..=2).await;
    let path = format!("/sse?channel=$user:ada&token={}", token("ada"));
    let mut events = Events::open(&server, &path).await;
    assert_eq!((events.said().await.1, events.said().await.1), ("1".into(), "2".into()));
}

/// Whoever comes and goes, on whatever shard: each message reaches exactly one stay, in order.
/// Those who go say so, or are sent away, so that what was handed to them can be seen.
#[tokio::test]
async fn coming_and_going_loses_nothing_and_doubles_nothing() {
    const MESSAGES: u64 = 600;
    let server = with_queue("messages = 1000\nbytes = 1000000");
    let said = Cell::new(false);
    let publish = async {
        for first in (1..=MESSAGES).step_by(3) {
            let commands: Vec<_> = (first..first + 3)
                .map(|number| json!({ "publish": { "channel": "$user:ada", "data": number } }))
                .collect();
            post(&server, "/api/batch", json!({ "commands": commands })).await;
        }
        said.set(true);
    };
    let came = async {
        let mut came: Vec<u64> = Vec::new();
        let mut stay = 0;
        let mut last = false;
        while !last {
            last = said.get();
            stay += 1;
            let mut client = connect(&server, "ada").await;
            client.send(json!({ "type": "subscribe", "channel": "$user:ada" })).await;
            client.expect("subscribed").await;
            for _ in 0..stay % 4 {
                client.ping().await;
            }
            if stay % 2 == 0 {
                client.unsubscribe("$user:ada").await;
            } else {
                let order = json!({ "user": "ada" });
                assert_eq!(post(&server, "/api/disconnect", order).await["disconnected"], 1);
                client.closed().await;
            }
            let frames: Vec<_> = client.left_over().iter().filter_map(Arrived::json).collect();
            came.extend(frames.iter().map(|frame| frame["data"].as_u64().unwrap()));
        }
        (came, stay)
    };
    let ((), (came, stays)) = tokio::join!(publish, came);
    assert!(stays > 3, "{stays} stays say nothing");
    assert_eq!(came, (1..=MESSAGES).collect::<Vec<_>>(), "in {stays} stays");
}

// === published to others only ===

/// A subscriber of each way in, of whom the first is left out; all but that one hear `heard`.
struct Others {
    left_out: Client,
    native: Client,
    bridge: Client,
    events: Events,
}

impl Others {
    async fn of(server: &Server, channel: &str) -> Self {
        let (mut left_out, mut native) = (Client::connect(server).await, Client::connect(server).await);
        left_out.subscribe(channel).await;
        native.subscribe(channel).await;
        let bridge = Client::open(server, &format!("/ws/{channel}"), &[]).await.0;
        let events = Events::open(server, &format!("/sse?channel={channel}")).await;
        // The bridge says nothing of its subscription.
        eventually("all subscriptions", async || {
            let list = http::get(server, "/api/channels").await.json();
            let channels = list["channels"].as_array().unwrap();
            let found = channels.iter().find(|one| one["name"] == channel)?;
            (found["subscribers"] == 4).then_some(())
        })
        .await;
        Self { left_out, native, bridge, events }
    }

    async fn hear(&mut self, heard: Value) {
        assert_eq!(self.native.data().await, heard);
        assert_eq!(self.bridge.next_json().await, heard);
        assert_eq!(self.events.said().await.1, heard.to_string());
        self.left_out.ping().await;
        assert_eq!(self.left_out.left_over(), []);
    }
}

#[tokio::test]
async fn all_but_the_publisher_hear_what_is_not_for_it() {
    let server = Server::with(&["tools"]);
    let mut others = Others::of(&server, "room").await;
    let one = json!({ "type": "publish", "channel": "room", "data": 1, "echo": false });
    others.left_out.ask(one).await;
    others.hear(json!(1)).await;

    let mut visitor = Client::connect(&server).await;
    let id = visitor.user().await;
    post(&server, "/api/publish", json!({ "channel": "room", "data": 2, "exclude": id })).await;
    assert_eq!(others.left_out.data().await, 2, "it is another that is left out");
    others.hear(json!(2)).await;
    let id = others.left_out.user().await;
    post(&server, "/api/publish", json!({ "channel": "room", "data": 3, "exclude": id })).await;
    others.hear(json!(3)).await;
    let body = json!({ "channels": ["room"], "data": 4, "exclude": id });
    post(&server, "/api/broadcast", body).await;
    others.hear(json!(4)).await;

    let said = json!({ "channel": "room", "text": "hi", "others": true });
    others.left_out.ask(json!({ "type": "action", "channel": "send_message", "data": said })).await;
    others.hear(json!({ "text": "hi" })).await;
}

#[tokio::test]
async fn bridges_and_streams_are_left_out_too() {
    let server = server("");
    for (user, path) in [("ada", "/ws/room"), ("bob", "/sse?channel=room")] {
        let bearer = format!("Bearer {}", token(user));
        let headers = [("authorization", bearer.as_str())];
        let say = async |data: Value, exclude: &str| {
            let body = json!({ "channel": "room", "data": data, "exclude": exclude, "receipt": true });
            post(&server, "/api/publish", body).await
        };
        if user == "ada" {
            let (mut bridge, _) = Client::open(&server, path, &headers).await;
            bridge.send_text("0").await;
            assert_eq!(bridge.next_text().await, "0");
            let id = client_of(&server, user).await;
            assert_eq!(say(json!(1), &id).await["excluded"], 1);
            say(json!(2), "ffffffffffffffff").await;
            assert_eq!(bridge.next_text().await, "2");
        } else {
            let mut events = Events::with(&server, path, &headers).await;
            let id = client_of(&server, user).await;
            assert_eq!(say(json!(1), &id).await["excluded"], 1);
            say(json!(2), "ffffffffffffffff").await;
            assert_eq!(events.said().await.1, "2");
        }
    }
}

#[tokio::test]
async fn a_users_other_connections_can_be_told_what_one_did() {
    let server = with_queue("");
    let mut phone = present(&server, "ada").await;
    let id = client_of(&server, "ada").await;
    let mut laptop = present(&server, "ada").await;
    let read = json!({ "channel": "$user:ada", "data": "read", "exclude": id, "receipt": true });
    let answer = post(&server, "/api/publish", read.clone()).await;
    assert_eq!((&answer["delivered"], &answer["excluded"]), (&json!(1), &json!(1)));
    assert_eq!(laptop.data().await, "read");
    laptop.unsubscribe("$user:ada").await;
    let answer = post(&server, "/api/publish", read).await;
    let fate = (&answer["delivered"], &answer["excluded"], answer.get("queued"));
    assert_eq!(fate, (&json!(0), &json!(1), None), "it is there, and is not to have it");
    phone.ping().await;
    assert_eq!(phone.left_over(), []);
    laptop.subscribe("$user:ada").await;
    assert_eq!(numbers(&mut laptop, 0).await, [0; 0]);
}

#[tokio::test]
async fn plugins_reach_a_user_through_its_channel() {
    let config = format!("[[channel]]\npattern = '*'\n[users.queue]\n[jwt]\nsecret = '{SECRET}'");
    let server = Server::builder().plugins(&["tools"]).config(&config).start();
    let mut bob = connect(&server, "bob").await;
    let said = json!({ "channel": "$user:ada", "text": "hi" });
    let answer = bob.ask(json!({ "type": "action", "channel": "send_message", "data": said })).await;
    assert_eq!(answer["status"], "completed");
    let mut ada = present(&server, "ada").await;
    assert_eq!(ada.data().await, json!({ "text": "hi" }));
}

#[tokio::test]
async fn a_handler_and_a_filter_of_a_users_channel_see_what_waits() {
    let config = format!(
        "[[channel]]\npattern = '*'\n[users.queue]\n[jwt]\nsecret = '{SECRET}'\n\
         [plugins.chat]\nchannels = ['$user:*']\n"
    );
    let server = Server::builder().plugins(&["chat", "level-filter"]).config(&config).start();
    let says = |level: &str| json!({ "user": "ada", "data": { "text": level, "level": level } });
    assert_eq!(refused(&server, "/api/send", json!({ "user": "ada", "data": 1 })).await.0, 400);
    for text in ["one", "two"] {
        assert_eq!(send(&server, says(text)).await["queued"], true);
    }
    let mut ada = connect(&server, "ada").await;
    let filter = json!({ "plugin": "level", "params": { "min": "error" } });
    ada.subscribe_with(json!({ "channel": "$user:ada", "filter": filter })).await;
    let answer = send(&server, says("three")).await;
    assert_eq!(answer, json!({ "delivered": 0 }), "the filter has judged it: it does not wait");
    let mut phone = present(&server, "ada").await;
    send(&server, says("four")).await;
    let said = phone.data().await;
    assert_eq!((&said["text"], &said["from"]), (&json!("four"), &json!("server")));
    assert_eq!(numbers(&mut ada, 0).await, [0; 0], "nor what waited, which has no level");
}
