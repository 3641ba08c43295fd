//! Limits and rules hold whichever way a client comes in: bridges, event streams, questions.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::client::Arrived;
use crate::harness::sign::{self, SECRET};
use crate::harness::{Client, Events, Server, eventually, http};

/// A rate that gives nothing back while a test runs: so many messages, and that is all.
fn only(messages: u32) -> String {
    format!("rate = {{ messages_per_sec = {}, burst_secs = 3600 }}", f64::from(messages) / 3600.0)
}

fn server(config: &str) -> Server {
    let config = format!("{config}\n[[channel]]\npattern = '*'\n");
    Server::builder().config(&config).shards(4).start()
}

async fn bridge(server: &Server, path: &str) -> Client {
    Client::open(server, path, &[]).await.0
}

async fn broadcast(server: &Server, data: &str) {
    let body = json!({ "channel": "room", "data": data }).to_string();
    assert_eq!(http::post(server, "/_broadcast", &body).await.status, 200);
}

// === numbers ===

#[tokio::test]
async fn an_address_has_so_many_connections_of_all_kinds_together() {
    let server = server("trusted_proxies = ['127.0.0.1']\nlimits.address.connections = 2");
    let from = [("x-forwarded-for", "192.0.2.1")];
    let events = Events::with(&server, "/sse?channel=room", &from).await;
    let (mut bridge, _) = Client::open(&server, "/ws/room", &from).await;
    bridge.send_text("here").await;
    assert_eq!(bridge.next_text().await, "here");
    let why = "At most 2 connections of one address are allowed.";
    for path in ["/ws", "/ws/room", "/dialect/event"] {
        let closed = Client::open(&server, path, &from).await.0.closed().await;
        assert_eq!(closed, (4009, why.to_owned()), "{path}");
    }
    let refused = http::request(&server, "GET", "/sse?channel=room", &from, "").await;
    assert_eq!((refused.status, &refused.json()["error"]), (503, &json!(why)));
    // Others are not concerned, and what ends counts no more.
    Events::with(&server, "/sse?channel=room", &[("x-forwarded-for", "192.0.2.2")]).await;
    drop(events);
    eventually("a place is free", async || {
        let (mut client, _) = Client::open(&server, "/ws", &from).await;
        client.send(json!({ "type": "ping" })).await;
        (client.next().await.json()? == json!({ "type": "pong" })).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_address_has_so_many_subscriptions_whatever_they_are_called() {
    let server = server("limits.address.subscriptions = 3");
    let _events = Events::open(&server, "/sse?channel=a&channel=b").await;
    let mut bridge = bridge(&server, "/ws/c").await;
    bridge.send_text("here").await;
    assert_eq!(bridge.next_text().await, "here");
    let mut client = Client::connect(&server).await;
    // A question is none, and may be asked.
    client.ask(json!({ "type": "presence", "channel": "a" })).await;
    let refused = client.ask(json!({ "type": "subscribe", "channel": "d" })).await;
    assert_eq!(refused["code"], "limit_exceeded", "{refused}");
    assert_eq!(http::get(&server, "/sse?channel=d").await.status, 503);
    let mut second = Client::open(&server, "/ws/d", &[]).await.0;
    assert_eq!(second.closed().await.0, 1013);
}

// === rates ===

#[tokio::test]
async fn a_streams_channels_are_a_message_each() {
    let server = server(&format!("[limits.connection]\n{}", only(2)));
    Events::open(&server, "/sse?channel=a&channel=b").await;
    let refused = http::get(&server, "/sse?channel=a&channel=b&channel=c").await;
    assert_eq!(refused.status, 429, "{}", refused.body);
}

#[tokio::test]
async fn what_a_bridge_sends_counts() {
    for (excess, kind) in [("refuse", "text"), ("refuse", "binary"), ("disconnect", "text")] {
        let server = server(&format!("[limits.connection]\non_excess = '{excess}'\n{}", only(3)));
        let mut witness = Client::connect(&server).await;
        witness.subscribe("room").await;
        // To open it is the first.
        let mut bridge = bridge(&server, "/ws/room").await;
        for n in 1..=3 {
            let expected = match kind {
                "text" => {
                    bridge.send_text(&n.to_string()).await;
                    Arrived::Text(n.to_string())
                }
                _ => {
                    bridge.send_binary(vec![n]).await;
                    Arrived::Binary(vec![n])
                }
            };
            if n < 3 {
                assert_eq!(bridge.next().await, expected);
            }
        }
        let code = if excess == "refuse" {
            bridge.send_message(Message::Close(None)).await;
            // Answered in its turn: by now the third was read.
            bridge.closed().await.0
        } else {
            bridge.closed().await.0
        };
        assert_eq!(code == 4002, excess == "disconnect", "{code}");
        witness.next().await;
        witness.next().await;
        broadcast(&server, "last").await;
        let next = witness.next().await.json();
        assert_eq!(next.map(|next| next["data"].clone()), Some(json!("last")), "{kind}, {excess}");
    }
}

#[tokio::test]
async fn a_bridge_past_the_rate_does_not_open() {
    let server = server(&format!("[limits.address]\n{}", only(1)));
    let mut first = bridge(&server, "/ws/room").await;
    // It is not told when it has subscribed, and the second one is on another shard.
    eventually("its subscription", async || {
        let channels = http::get(&server, "/api/channels").await.json();
        (channels["channels"][0]["subscribers"] == 1).then_some(())
    })
    .await;
    assert_eq!(bridge(&server, "/ws/room").await.closed().await.0, 4002);
    broadcast(&server, "heard").await;
    assert_eq!(first.next_text().await, "\"heard\"");
}

#[tokio::test]
async fn questions_count_as_messages() {
    let server = server(&format!("[limits.connection]\n{}", only(4)));
    let mut client = Client::connect(&server).await;
    let questions = ["join", "presence", "history", "leave"];
    for kind in questions {
        let answer = client.ask(json!({ "type": kind, "channel": "room" })).await;
        assert_ne!(answer["type"], "error", "{answer}");
    }
    for kind in questions {
        let answer = client.ask(json!({ "type": kind, "channel": "room" })).await;
        assert_eq!((&answer["code"], &answer["channel"]), (&json!("rate_limited"), &json!("room")));
    }
}

// === rules ===

const MEMBERS: &str = "
    [[channel]]
    pattern = '*'
    [[channel]]
    pattern = 'members.{id}'
    require_auth = true
    history = { messages = 10 }
";

#[tokio::test]
async fn where_a_user_is_required_nobody_else_gets_in_by_another_way() {
    let config = format!("bridge.anonymous_names = true\njwt.secret = '{SECRET}'\n{MEMBERS}");
    let server = Server::builder().config(&config).start();
    let mut client = Client::connect(&server).await;
    for kind in ["join", "presence", "history"] {
        let answer = client.ask(json!({ "type": kind, "channel": "members.1" })).await;
        assert_eq!(answer["code"], "permission_denied", "{kind}: {answer}");
    }
    assert_eq!(http::get(&server, "/sse?channel=members.1").await.status, 403);
    assert_eq!(bridge(&server, "/ws/members.1?user=ada").await.closed().await.0, 4003);

    let token = sign::HS256.sign(json!({ "sub": "ada" }));
    let mut ada = Client::with_token(&server, &token).await;
    for kind in ["join", "presence", "history", "subscribe"] {
        let answer = ada.ask(json!({ "type": kind, "channel": "members.1" })).await;
        assert_ne!(answer["type"], "error", "{kind}: {answer}");
    }
    Events::open(&server, &format!("/sse?channel=members.1&token={token}")).await;
}

#[tokio::test]
async fn a_bridge_hears_itself_only_where_the_rule_lets_it() {
    let config = "
        [[channel]]
        pattern = '*'
        echo_to_sender = false
    ";
    let server = Server::builder().config(config).start();
    let mut witness = Client::connect(&server).await;
    witness.subscribe("room").await;
    let mut bridge = bridge(&server, "/ws/room").await;
    bridge.send_text("1").await;
    assert_eq!(witness.data().await, json!(1));
    broadcast(&server, "2").await;
    assert_eq!(bridge.next_text().await, "\"2\"");
}

#[tokio::test]
async fn a_full_channel_takes_no_stream_and_no_bridge() {
    let server = Server::builder().config("[[channel]]\npattern = '*'\nmax_subscribers = 1").start();
    let _first = Events::open(&server, "/sse?channel=room").await;
    assert_eq!(http::get(&server, "/sse?channel=room").await.status, 503);
    assert_eq!(bridge(&server, "/ws/room").await.closed().await.0, 1013);
}
