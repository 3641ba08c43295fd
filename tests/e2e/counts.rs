//! Limits of what there may be at a time: connections, subscriptions, actions; and idle clients.

use serde_json::json;

use crate::harness::raw::{PING, TEXT};
use crate::harness::{Client, Raw, Server, http, wait};

fn server(plugins: &[&str], config: &str) -> Server {
    let config = format!("{config}\n[[channel]]\npattern = '*'\n");
    Server::builder().plugins(plugins).config(&config).shards(4).start()
}

async fn ada(server: &Server) -> Client {
    Client::with_token(server, "ada").await
}

// === connections ===

#[tokio::test]
async fn a_user_has_so_many_connections_and_the_next_is_told_so() {
    let server = server(&["test-auth"], "limits.user.connections = 3");
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = ada(&server).await;
        client.ping().await;
        clients.push(client);
    }
    let too_many = (4009, "At most 3 connections of one user are allowed.".to_owned());
    for _ in 0..8 {
        assert_eq!(ada(&server).await.closed().await, too_many);
    }
    Client::with_token(&server, "bob").await.ping().await;
    let mut late = Client::connect(&server).await;
    late.send(json!({ "type": "auth", "token": "ada" })).await;
    assert_eq!(late.closed().await, too_many, "an `auth` frame makes a connection a user's");

    drop(clients.pop());
    wait::eventually("a place is free", async || {
        let mut client = ada(&server).await;
        client.send(json!({ "type": "ping" })).await;
        (client.next().await.json()? == json!({ "type": "pong" })).then_some(())
    })
    .await;
    for client in &mut clients {
        client.ping().await;
    }
}

#[tokio::test]
async fn who_becomes_another_user_leaves_its_place() {
    let server = server(&["test-auth"], "limits.user.connections = 1");
    let mut client = ada(&server).await;
    for user in ["ada", "bob"] {
        let answer = client.ask(json!({ "type": "auth", "token": user })).await;
        assert_eq!(answer, json!({ "type": "authenticated", "user": user }));
    }
    ada(&server).await.ping().await;
    assert_eq!(Client::with_token(&server, "bob").await.closed().await.0, 4009);
}

#[tokio::test]
async fn an_address_has_so_many_connections() {
    let server = server(&["test-auth"], "trusted_proxies = ['127.0.0.1']\nlimits.address.connections = 2");
    let from = async |address: &str| Client::open(&server, "/ws", &[("x-forwarded-for", address)]).await.0;
    let (mut one, mut two) = (from("192.0.2.1").await, from("192.0.2.1").await);
    one.ping().await;
    two.ping().await;
    let too_many = (4009, "At most 2 connections of one address are allowed.".to_owned());
    assert_eq!(from("192.0.2.1").await.closed().await, too_many);
    let headers = [("x-forwarded-for", "192.0.2.1")];
    let stream = http::request(&server, "GET", "/sse?channel=room", &headers, "").await;
    assert_eq!((stream.status, &stream.json()["error"]), (503, &json!(too_many.1)));
    from("192.0.2.2").await.ping().await;
    drop(one);
    wait::eventually("a place is free", async || {
        let mut client = from("192.0.2.1").await;
        client.send(json!({ "type": "ping" })).await;
        (client.next().await.json()? == json!({ "type": "pong" })).then_some(())
    })
    .await;
}

// === subscriptions ===

async fn code(client: &mut Client, channel: &str) -> Option<String> {
    let answer = client.ask(json!({ "type": "subscribe", "channel": channel })).await;
    answer["code"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn a_users_subscriptions_are_counted_over_all_its_connections() {
    let server = server(&["test-auth", "hostile"], "limits.user.subscriptions = 4");
    let (mut one, mut two) = (ada(&server).await, ada(&server).await);
    for n in 0..2 {
        one.subscribe(&format!("a{n}")).await;
        two.subscribe(&format!("b{n}")).await;
    }
    for client in [&mut one, &mut two] {
        let answer = client.ask(json!({ "type": "subscribe", "channel": "more" })).await;
        let message = "At most 4 subscriptions of one user are allowed.";
        assert_eq!(
            (&answer["code"], &answer["message"]),
            (&json!("limit_exceeded"), &json!(message)),
            "{answer}"
        );
    }
    one.subscribe("a0").await;
    assert_eq!(code(&mut Client::with_token(&server, "bob").await, "a0").await, None);

    one.unsubscribe("a0").await;
    assert_eq!(code(&mut two, "hostile:refuse-open").await.as_deref(), Some("plugin_failed"));
    two.subscribe("more").await;
    assert_eq!(code(&mut one, "again").await.as_deref(), Some("limit_exceeded"));
    drop(two);
    wait::eventually("the places of a connection that ended", async || {
        let free = code(&mut one, "again").await.is_none();
        free.then_some(())
    })
    .await;
    one.subscribe("a0").await;
    one.subscribe("b0").await;
    assert_eq!(code(&mut one, "b1").await.as_deref(), Some("limit_exceeded"));
    let bob = one.ask(json!({ "type": "auth", "token": "bob" })).await;
    assert_eq!(bob["type"], "authenticated", "{bob}");
    assert_eq!(code(&mut ada(&server).await, "a0").await, None, "its subscriptions are bob's now");
    assert_eq!(
        code(&mut Client::with_token(&server, "bob").await, "a0").await.as_deref(),
        Some("limit_exceeded")
    );
}

#[tokio::test]
async fn an_addresss_subscriptions_are_counted_too() {
    let server = server(&[], "limits.address.subscriptions = 2");
    let (mut one, mut two) = (Client::connect(&server).await, Client::connect(&server).await);
    one.subscribe("a").await;
    two.subscribe("b").await;
    assert_eq!(code(&mut one, "c").await.as_deref(), Some("limit_exceeded"));
    two.unsubscribe("b").await;
    one.subscribe("c").await;
}

// === actions ===

#[tokio::test]
async fn a_user_has_so_many_actions_under_way() {
    let config = "limits.user.in_flight_actions = 1\nplugins.sleeper.call_ms = 5000";
    let server = server(&["test-auth", "sleeper"], config);
    let (mut one, mut two) = (ada(&server).await, ada(&server).await);
    let sleep = |ms: u32| json!({ "type": "action", "channel": "sleep", "data": ms });
    // Whichever comes first sleeps for as long as the other takes to be refused.
    let answers = tokio::join!(one.ask(sleep(2000)), two.ask(sleep(2000)));
    let (done, refused) = match answers {
        (one, two) if one["type"] == "action" => (one, two),
        (one, two) => (two, one),
    };
    assert_eq!(done["status"], "completed");
    let message = "At most 1 actions of one user at a time are allowed.";
    assert_eq!((&refused["code"], &refused["message"]), (&json!("limit_exceeded"), &json!(message)));
    for client in [&mut one, &mut two] {
        assert_eq!(client.ask(sleep(0)).await["status"], "completed");
    }
    let mut bob = Client::with_token(&server, "bob").await;
    let answers = tokio::join!(one.ask(sleep(1000)), bob.ask(sleep(1000)));
    assert_eq!((&answers.0["status"], &answers.1["status"]), (&json!("completed"), &json!("completed")));
}

// === idle ===

#[tokio::test]
async fn who_does_nothing_and_waits_for_nothing_is_closed() {
    let config = "limits.connection.idle_secs = 2\nheartbeat = { interval_secs = 1, missed = 100 }";
    let server = server(&[], config);
    let mut waiting = Client::connect(&server).await;
    waiting.subscribe("room").await;
    let mut busy = Raw::open(&server).await;
    let mut pings = Raw::open(&server).await;
    let began = std::time::Instant::now();
    // Its library answers heartbeats, which is no doing of its own.
    let mut idle = Client::connect(&server).await;
    let closed = idle.closed();
    tokio::pin!(closed);
    let closed = loop {
        tokio::select! {
            closed = &mut closed => break closed,
            frame = busy.next_or_heartbeat() => if frame.opcode() == PING {
                busy.send(TEXT, br#"{"type":"ping"}"#).await;
                pings.send(PING, b"").await;
            },
        }
    };
    assert_eq!(closed, (1000, "Idle: no message and no subscription for 2 s.".to_owned()));
    assert!(began.elapsed().as_secs_f64() > 1.9, "{:?}", began.elapsed());
    waiting.ping().await;
    for raw in [&mut busy, &mut pings] {
        raw.send(TEXT, br#"{"type":"ping","id":"last"}"#).await;
        while !raw.next().await.payload.ends_with(br#""id":"last"}"#) {}
    }
    waiting.unsubscribe("room").await;
    assert_eq!(waiting.closed().await.0, 1000, "without its subscription it is idle too");
}

#[tokio::test]
async fn who_loses_its_subscription_is_idle_from_then_on() {
    let config = "limits.connection.idle_secs = 2\nheartbeat = { interval_secs = 1, missed = 100 }";
    let server = server(&["chat"], config);
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:lobby").await;
    // Quiet for longer than the rule has it: it waits for messages.
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    std::fs::remove_file(server.plugin("chat")).unwrap();
    assert_eq!(client.expect("error").await["code"], "channel_not_found");
    let lost = std::time::Instant::now();
    assert_eq!(client.closed().await.0, 1000);
    // Seconds are counted whole.
    assert!(lost.elapsed().as_secs_f64() > 1.5, "{:?}", lost.elapsed());
}
