//! New versions that get a share first: promoted when they are as good, taken back when worse.

use serde_json::{Value, json};

use crate::harness::{Client, Server, plugins, wait};
use crate::{another, entry_that, is_let_in, loaded, saver, swaps};

const ROOMS: usize = 40;

fn server(plugin: &str, settings: &str) -> Server {
    let config = format!("[[channel]]\npattern = '*'\n[plugins.{plugin}]\n{settings}");
    Server::builder().plugins(&[plugin]).config(&config).start()
}

/// Which version of the chat each room has: true for the second.
async fn versions(client: &mut Client) -> Vec<bool> {
    let mut second = Vec::new();
    for room in 0..ROOMS {
        client.publish(&format!("chat:{room}"), json!({ "text": "hi" })).await;
        second.push(client.data().await["v"] == 2);
    }
    second
}

async fn in_all_rooms(server: &Server) -> Client {
    let mut client = Client::connect(server).await;
    for room in 0..ROOMS {
        client.subscribe(&format!("chat:{room}")).await;
    }
    client
}

async fn is_on_trial(server: &Server, name: &str) -> Value {
    entry_that(server, name, "is on trial", |entry| !entry["canary"].is_null()).await
}

#[tokio::test]
async fn a_new_version_gets_its_share_of_channels_and_keeps_them() {
    let server = server("chat", "canary_share = 40\ncanary_secs = 3600");
    let mut client = in_all_rooms(&server).await;
    assert_eq!(versions(&mut client).await, [false; ROOMS]);
    saver::by_rename(&server.plugin("chat"), &plugins::bytes("chat-v2"));
    let entry = is_on_trial(&server, "chat").await;
    assert_eq!(entry["state"], "active");
    assert_eq!(entry["canary"]["share"], 40);
    assert_eq!(entry["loaded"]["generation"], 1, "the one in use is still the first");
    let first = versions(&mut client).await;
    let share = first.iter().filter(|second| **second).count();
    assert!((4..=32).contains(&share), "{share} of {ROOMS} rooms at 40 %");
    assert_eq!(versions(&mut client).await, first, "a room stays with its version");
    let entry = is_on_trial(&server, "chat").await;
    assert_eq!(entry["canary"]["calls"].as_u64(), Some(2 * share as u64), "{entry:#}");
    assert_eq!(entry["canary"]["stable_calls"].as_u64(), Some(2 * (ROOMS - share) as u64));
    assert_eq!(entry["canary"]["failed"], 0);
    assert_eq!(swaps(&server, "chat"), 0);

    saver::by_rename(&server.plugin("chat"), &plugins::bytes("chat"));
    entry_that(&server, "chat", "is itself again", |entry| entry["canary"].is_null()).await;
    assert_eq!(versions(&mut client).await, [false; ROOMS], "the old file ends the trial");
    assert_eq!(client.left_over(), []);
}

#[tokio::test]
async fn a_version_that_is_as_good_is_promoted_when_its_time_is_over() {
    let server = server("chat", "canary_share = 10\ncanary_secs = 1");
    let mut client = in_all_rooms(&server).await;
    saver::by_rename(&server.plugin("chat"), &plugins::bytes("chat-v2"));
    server.wait_for_log("on trial").await;
    let entry = entry_that(&server, "chat", "is promoted", |entry| !entry["swap"].is_null()).await;
    assert!(entry["canary"].is_null() && entry["loaded"]["generation"] == 2, "{entry:#}");
    assert_eq!(entry["previous"]["generation"], 1);
    assert_eq!(versions(&mut client).await, [true; ROOMS]);
    server.wait_for_log("promoted").await;
}

#[tokio::test]
async fn a_version_that_fails_more_is_taken_back_until_its_file_changes() {
    let config = "[[channel]]\npattern = '*'\n[plugins.pass]\ncanary_share = 50\ncanary_secs = 3600";
    let server = Server::builder().plugins(&["pass"]).config(config).start();
    let mut client = Client::connect(&server).await;
    let rooms: Vec<String> = (0..ROOMS).map(|n| format!("pass:{n}")).collect();
    for room in &rooms {
        client.subscribe(room).await;
    }
    saver::by_rename(&server.plugin("pass"), &plugins::bytes("hostile"));
    is_on_trial(&server, "pass").await;
    // One that the old version passes on, and that the new one stumbles over.
    let mut failed = 0;
    for room in &rooms {
        if client.try_publish(room, json!({ "do": "trap" })).await["code"] == "plugin_failed" {
            failed += 1;
        } else {
            client.data().await;
        }
    }
    assert!(failed >= 3, "{failed}");
    let entry = entry_that(&server, "pass", "is taken back", |entry| entry["canary"].is_null()).await;
    assert_eq!(entry["state"], "rolled_back");
    assert_eq!(entry["loaded"]["generation"], 1);
    let why = entry["rolled_back"]["why"].as_str().unwrap();
    assert!(why.contains("calls failed, 0 of"), "{why}");
    let line = server.wait_for_log("taken back").await;
    assert!(line.contains("WARN") && line.contains("version in use"), "{line}");
    for room in &rooms {
        client.publish(room, json!({ "do": "trap" })).await;
        assert_eq!(client.data().await["do"], "trap", "{room}");
    }

    // The same file again is not loaded; what comes after it has been looked at, so it has.
    saver::in_place(&server.plugin("pass"), &plugins::bytes("hostile"));
    saver::by_rename(&server.plugin("tools"), &plugins::bytes("tools"));
    loaded(&server, "tools").await;
    assert_eq!(server.logged(&["on trial"]).len(), 1);
    saver::in_place(&server.plugin("pass"), &another("hostile", 1));
    let entry = is_on_trial(&server, "pass").await;
    assert!(entry["rolled_back"].is_null(), "{entry:#}");
}

#[tokio::test]
async fn a_client_is_asked_of_one_version_as_long_as_it_shows_the_same_token() {
    let server = server("test-auth", "canary_share = 50\ncanary_secs = 3600");
    // It takes other tokens: so it shows who is asked.
    saver::by_rename(&server.plugin("test-auth"), &plugins::bytes("token-auth"));
    is_on_trial(&server, "test-auth").await;
    let mut let_in = Vec::new();
    for _ in 0..2 {
        let mut round = Vec::new();
        for n in 0..20 {
            round.push(is_let_in(&server, &format!("user{n}")).await);
        }
        let_in.push(round);
    }
    let share = let_in[0].iter().filter(|is| **is).count();
    assert!((2..=18).contains(&share), "{share} of 20 at 50 %");
    assert_eq!(let_in[0], let_in[1]);
}

#[tokio::test]
async fn what_a_filter_on_trial_fails_by_is_judged_by_the_version_in_use() {
    let server = server("hostile-filter", "canary_share = 50\ncanary_secs = 3600\ncanary_errors = 1000000");
    let mut client = Client::connect(&server).await;
    let filter = json!({ "plugin": "hostile-filter", "params": { "contains": "x" } });
    client.subscribe_with(json!({ "channel": "room", "filter": filter })).await;
    // It refuses these parameters.
    saver::by_rename(&server.plugin("hostile-filter"), &plugins::bytes("level-filter"));
    is_on_trial(&server, "hostile-filter").await;
    for n in 0..40 {
        client.publish("room", json!(format!("y{n}"))).await;
        client.publish("room", json!(format!("x{n}"))).await;
        assert_eq!(client.data().await, format!("x{n}"));
    }
    let entry = is_on_trial(&server, "hostile-filter").await;
    assert!(entry["canary"]["failed"].as_u64().unwrap() > 0, "{entry:#}");
}

#[tokio::test]
async fn a_trial_is_ended_by_a_rollback() {
    let server = server("chat", "canary_share = 50\ncanary_secs = 3600");
    let mut client = in_all_rooms(&server).await;
    saver::by_rename(&server.plugin("chat"), &plugins::bytes("chat-v2"));
    is_on_trial(&server, "chat").await;
    let answer = crate::harness::http::post(&server, "/api/plugins/chat/rollback", "").await;
    assert_eq!((answer.status, &answer.json()["generation"]), (200, &json!(1)), "{answer:?}");
    let entry = entry_that(&server, "chat", "is back", |entry| entry["state"] == "rolled_back").await;
    assert_eq!(entry["rolled_back"]["why"], "by order");
    assert_eq!(versions(&mut client).await, [false; ROOMS]);
    wait::eventually("both are told", async || {
        (server.logged(&["on trial"]).len() + server.logged(&["taken back"]).len() == 2).then_some(())
    })
    .await;
}
