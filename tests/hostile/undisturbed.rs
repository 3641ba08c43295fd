//! Witnesses on the same shard while a plugin does its worst.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Client, Server};
use crate::{provoke, server, works_again};

/// Nobody's message may take longer, whatever others do.
const PATIENCE: Duration = Duration::from_secs(2);

/// One attacker, without a pause, and on a channel that has not failed yet: so that no
/// back-off protects the others.
async fn attack(mut client: Client, name: String, what: &'static str) {
    for round in 0.. {
        let answer = provoke(&mut client, &format!("hostile:{name}-{round}"), what).await;
        assert!(answer["type"] == "published" || answer["type"] == "error", "{answer}");
    }
}

/// Round trips of a channel without a handler, of one with, and of an action.
async fn round_trips(server: &Server, rounds: u64) -> Vec<Duration> {
    let mut client = Client::connect(server).await;
    client.subscribe("room").await;
    client.subscribe("chat:lobby").await;
    let mut times = Vec::new();
    for n in 1..=rounds {
        let began = Instant::now();
        assert_eq!(client.publish("room", json!(n)).await, n);
        assert_eq!(client.data().await, n);
        assert_eq!(client.publish("chat:lobby", json!({ "text": n.to_string() })).await, n);
        assert_eq!(client.data().await["text"], n.to_string());
        let answer = client.ask(json!({ "type": "action", "channel": "echo", "data": n })).await;
        assert_eq!(answer["data"], n);
        times.push(began.elapsed());
    }
    assert_eq!(client.left_over(), []);
    times
}

async fn undisturbed_by(what: &'static str) {
    let server = server();
    let mut attackers = Vec::new();
    for n in 0..4 {
        attackers.push(attack(Client::connect(&server).await, n.to_string(), what));
    }
    let mut times = tokio::select! {
        times = round_trips(&server, 60) => times,
        _ = futures_util::future::join_all(attackers) => unreachable!("attackers do not end"),
    };
    times.sort();
    let (p50, p99, most) = (times[times.len() / 2], times[times.len() * 99 / 100], times[times.len() - 1]);
    println!("three round trips while four clients `{what}`: p50 {p50:?}, p99 {p99:?}, most {most:?}");
    assert!(most <= PATIENCE, "{most:?}");
    let mut client = Client::connect(&server).await;
    works_again(&mut client, "hostile:a").await;
}

#[tokio::test]
async fn nobody_else_notices_endless_loops() {
    undisturbed_by("loop").await;
}

#[tokio::test]
async fn nobody_else_notices_traps() {
    undisturbed_by("trap").await;
}

#[tokio::test]
async fn nobody_else_notices_hoarders_of_memory() {
    undisturbed_by("alloc").await;
}

#[tokio::test]
async fn nobody_else_notices_long_calls() {
    undisturbed_by("spin").await;
}

#[tokio::test]
async fn nobody_else_notices_floods() {
    undisturbed_by("flood").await;
}

#[tokio::test]
async fn what_runs_long_runs_beside_its_shard() {
    let server = server();
    let mut client = Client::connect(&server).await;
    // Three pauses of the channel, and not of the plugin.
    for round in 0..3 {
        assert_eq!(provoke(&mut client, &format!("hostile:{round}"), "loop").await["code"], "plugin_failed");
    }
    let (beside, allowed) = (server.thread_time("plugin-aside"), 3 * Duration::from_millis(20));
    println!("{beside:?} beside the shard, of at most {allowed:?}");
    assert!(beside > allowed / 4, "{beside:?}");
    works_again(&mut client, "hostile:a").await;
}

#[tokio::test]
async fn memory_stays_bounded() {
    let mut server = server();
    let mut client = Client::connect(&server).await;
    client.publish("hostile:a", json!({ "do": "ok" })).await;
    let before = server.resident_kib();
    for round in 0..5 {
        for (n, what) in ["alloc", "huge", "recurse", "flood", "alloc", "huge"].into_iter().enumerate() {
            let answer = provoke(&mut client, &format!("hostile:{round}-{n}"), what).await;
            assert!(answer["type"] == "published" || answer["type"] == "error", "{answer}");
        }
        works_again(&mut client, "hostile:a").await;
    }
    let after = server.resident_kib();
    println!("resident: {before} KiB before, {after} KiB after");
    assert!(after < before + 400 * 1024, "{before} KiB before, {after} KiB after");
    server.assert_alive();
}

#[tokio::test]
async fn all_of_it_at_once_leaves_a_server_that_answers() {
    let mut server = server();
    let behaviours =
        ["loop", "alloc", "trap", "recurse", "huge", "self", "bounce", "flood", "spin", "logs", "bad-json"];
    let mut attackers = Vec::new();
    for what in behaviours {
        attackers.push(attack(Client::connect(&server).await, what.to_owned(), what));
    }
    let mut times = tokio::select! {
        times = round_trips(&server, 60) => times,
        _ = futures_util::future::join_all(attackers) => unreachable!("attackers do not end"),
    };
    times.sort();
    println!("three round trips while all of it goes on: most {:?}", times[times.len() - 1]);
    assert!(times[times.len() - 1] <= PATIENCE, "{:?}", times[times.len() - 1]);
    let mut client = Client::connect(&server).await;
    works_again(&mut client, "hostile:a").await;
    server.assert_alive();
}
