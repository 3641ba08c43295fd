//! A version that fails in many places is not called any more, or gives way to the one before.

use serde_json::json;

use crate::harness::{Client, Server, http, plugins, wait};
use crate::{another, entry_that, is_let_in, saver};

const PLACES: usize = 6;

/// Three messages in each of some channels that the plugin traps on.
async fn poison(client: &mut Client, channels: std::ops::Range<usize>) {
    for n in channels {
        let channel = format!("hostile:{n}");
        for _ in 0..3 {
            let answer = client.try_publish(&channel, json!({ "do": "trap" })).await;
            if answer["type"] != "error" {
                return;
            }
            assert_eq!(answer["code"], "plugin_failed", "{answer}");
        }
    }
}

#[tokio::test]
async fn a_plugin_that_fails_everywhere_is_put_into_quarantine() {
    let server = Server::with(&["hostile"]);
    let mut client = Client::connect(&server).await;
    poison(&mut client, 0..PLACES).await;
    let entry = entry_that(&server, "hostile", "is in quarantine", |e| e["state"] == "quarantined").await;
    let why = entry["quarantine"]["why"].as_str().unwrap();
    assert!(why.contains("calls failed within a minute"), "{why}");
    server.wait_for_log("in quarantine").await;
    assert_eq!(server.logged(&["ERROR", "in quarantine"]).len(), 1);
    let answer = client.try_publish("hostile:new", json!({ "do": "ok" })).await;
    assert_eq!(answer["code"], "plugin_failed", "a new channel too");

    let answer = http::post(&server, "/api/plugins/hostile/resume", "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    client.publish("hostile:new", json!({ "do": "ok" })).await;

    poison(&mut client, 10..10 + PLACES).await;
    entry_that(&server, "hostile", "is there again", |e| e["state"] == "quarantined").await;
    saver::by_rename(&server.plugin("hostile"), &another("hostile", 1));
    entry_that(&server, "hostile", "has a new file", |e| e["state"] == "active").await;
    client.publish("hostile:new", json!({ "do": "ok" })).await;
}

/// Good calls beside which one that is ended says little.
const GOOD: usize = 200;

#[tokio::test]
async fn a_version_that_pauses_as_a_whole_again_and_again_is_put_into_quarantine() {
    let server = Server::with(&["hostile"]);
    let mut client = Client::connect(&server).await;
    // The first failure begins to count; 16 that are ended in 16 channels pause the version, and none of them.
    client.try_publish("hostile:0", json!({ "do": "loop" })).await;
    for _ in 0..GOOD {
        client.publish("hostile:good", json!({ "do": "ok" })).await;
    }
    let mut n = 0;
    let quarantined = async || {
        n += 1;
        client.try_publish(&format!("hostile:{n}"), json!({ "do": "loop" })).await;
        let report = server.report().await;
        let entry = crate::entry(&report, "hostile")?;
        (entry["state"] == "quarantined").then(|| entry.clone())
    };
    let entry = wait::eventually_in(wait::LONG, "the quarantine", quarantined).await;
    let why = entry["quarantine"]["why"].as_str().unwrap();
    assert!(why.contains("paused as a whole 5 times in a row"), "{why}");
    let pauses = server.logged(&["it pauses as a whole for"]);
    let times = ["1000 ms", "2000 ms", "4000 ms", "8000 ms", "16000 ms"];
    assert_eq!(pauses.len(), times.len(), "{pauses:?}");
    assert!(pauses.iter().zip(times).all(|(line, time)| line.contains(time)), "{pauses:?}");
    let metrics = http::get(&server, "/metrics").await.body;
    assert!(metrics.contains("tidegate_plugin_quarantined{plugin=\"hostile\"} 1"), "{metrics}");
    assert_eq!(http::post(&server, "/api/plugins/hostile/resume", "").await.status, 200);
    client.publish("hostile:good", json!({ "do": "ok" })).await;
}

#[tokio::test]
async fn one_channel_that_fails_is_not_its_plugins_fault() {
    let server = Server::with(&["hostile"]);
    let mut client = Client::connect(&server).await;
    for _ in 0..50 {
        client.try_publish("hostile:bad", json!({ "do": "trap" })).await;
    }
    client.publish("hostile:good", json!({ "do": "ok" })).await;
    assert_eq!(entry_that(&server, "hostile", "is there", |_| true).await["state"], "active");
}

#[tokio::test]
async fn a_young_version_that_fails_everywhere_gives_way_to_the_one_before() {
    let server = Server::with(&[]);
    saver::by_rename(&server.plugin("hostile"), &plugins::bytes("pass"));
    crate::loaded(&server, "hostile").await;
    let mut client = Client::connect(&server).await;
    client.publish("hostile:0", json!({ "do": "trap" })).await;
    saver::by_rename(&server.plugin("hostile"), &plugins::bytes("hostile"));
    entry_that(&server, "hostile", "is swapped", |e| !e["swap"].is_null()).await;
    poison(&mut client, 0..PLACES).await;
    let entry = entry_that(&server, "hostile", "is rolled back", |e| e["state"] == "rolled_back").await;
    assert_eq!(entry["loaded"]["generation"], 1);
    assert!(entry["quarantine"].is_null());
    for n in 0..PLACES {
        client.publish(&format!("hostile:{n}"), json!({ "do": "trap" })).await;
    }
}

#[tokio::test]
async fn a_quarantined_auth_plugin_lets_nobody_in_until_its_file_changes() {
    let server = Server::with(&["test-auth"]);
    assert!(is_let_in(&server, "ada").await);
    let quarantined = async || {
        assert!(!is_let_in(&server, "trap").await);
        let report = server.report().await;
        (crate::entry(&report, "test-auth")?["state"] == "quarantined").then_some(())
    };
    wait::eventually_in(wait::LONG, "the quarantine", quarantined).await;
    for _ in 0..8 {
        assert!(!is_let_in(&server, "ada").await, "on every shard");
    }
    saver::by_rename(&server.plugin("test-auth"), &another("test-auth", 1));
    entry_that(&server, "test-auth", "has a new file", |e| e["state"] == "active").await;
    assert!(is_let_in(&server, "ada").await);
}
