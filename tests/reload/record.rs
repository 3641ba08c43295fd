//! A plugin's calls, recorded from a running server and made again of another version.

use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::harness::cli::{self, Said};
use crate::harness::{Client, Server, http, plugins};
use crate::is_let_in;

/// `tidegate plugin record` of so many calls; it has begun when this returns.
async fn record(server: &Server, name: &str, calls: u32) -> JoinHandle<Said> {
    let (url, name, calls) = (server.url("/ws"), name.to_owned(), calls.to_string());
    let before = server.logged(&["its calls are recorded"]).len();
    let recording = tokio::task::spawn_blocking(move || {
        cli::run(&["plugin", "record", &name, "--url", &url, "--calls", &calls, "--secs", "60"])
    });
    let begun = async || (server.logged(&["its calls are recorded"]).len() > before).then_some(());
    crate::wait::eventually("the recording", begun).await;
    recording
}

struct Recording {
    file: PathBuf,
    lines: Vec<Value>,
    _dir: tempfile::TempDir,
}

async fn recorded(recording: JoinHandle<Said>) -> Recording {
    let said = recording.await.unwrap();
    assert_eq!(said.code, Some(0), "{said:?}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("calls.jsonl");
    std::fs::write(&file, &said.stdout).unwrap();
    let lines = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    Recording { file, lines, _dir: dir }
}

impl Recording {
    fn replay(&self, component: &str) -> Said {
        let component = plugins::path(component);
        let (file, component) = (self.file.to_str().unwrap(), component.to_str().unwrap());
        cli::run(&["plugin", "replay", file, "--component", component])
    }
}

#[tokio::test]
async fn a_replay_shows_every_decision_that_differs() {
    let server = Server::with(&["chat"]);
    let mut client = Client::connect(&server).await;
    let recording = record(&server, "chat", 4).await;
    client.subscribe("chat:room").await;
    client.publish("chat:room", json!({ "text": " hi " })).await;
    let refused = client.try_publish("chat:room", json!({ "text": "" })).await;
    assert_eq!(refused["reason_code"], 1);
    client.publish("chat:room", json!({ "text": "there" })).await;
    let recording = recorded(recording).await;
    assert_eq!(recording.lines[0]["recorded"]["plugin"], "chat");
    assert_eq!(recording.lines[0]["recorded"]["missed"], 0);
    let functions: Vec<_> = recording.lines[1..].iter().map(|line| line["function"].as_str()).collect();
    assert_eq!(functions, [Some("subscribe"), Some("publish"), Some("publish"), Some("publish")]);
    let call = &recording.lines[2];
    assert_eq!(call["call"]["data"], json!({ "text": " hi " }));
    assert_eq!(call["said"]["verdict"]["replace"]["data"]["text"], "hi");

    let same = recording.replay("chat");
    assert_eq!((same.code, same.stdout.trim()), (Some(0), "4 calls: 4 the same, 0 differ"));
    let other = recording.replay("chat-v2");
    assert_eq!(other.code, Some(1), "{other:?}");
    assert!(other.stdout.ends_with("4 calls: 2 the same, 2 differ\n"), "{other:?}");
    for words in ["line 3: publish", "was {", "now {", "\"v\":2"] {
        assert!(other.stdout.contains(words), "{words}: {other:?}");
    }
    assert!(!other.stdout.contains("line 4"), "the refusal is the same");
    client.publish("chat:room", json!({ "text": "unheard" })).await;
}

#[tokio::test]
async fn a_recording_begins_with_the_state_that_its_channels_had() {
    let server = Server::with(&["tic-tac-toe"]);
    let mut players = [Client::connect(&server).await, Client::connect(&server).await];
    for player in &mut players {
        player.subscribe("tic-tac-toe:1").await;
    }
    players[0].publish("tic-tac-toe:1", json!({ "cell": 4 })).await;
    let recording = record(&server, "tic-tac-toe", 2).await;
    players[1].publish("tic-tac-toe:1", json!({ "cell": 0 })).await;
    players[0].publish("tic-tac-toe:1", json!({ "cell": 8 })).await;
    let recording = recorded(recording).await;
    assert!(!recording.lines[1]["call"]["snapshot"].is_null(), "{:#?}", recording.lines);
    assert!(recording.lines[2]["call"]["snapshot"].is_null());
    let said = recording.replay("tic-tac-toe");
    assert_eq!(said.code, Some(0), "{said:?}");
    let said = recording.replay("pass");
    assert_eq!(said.code, Some(1), "{said:?}");
}

#[tokio::test]
async fn failures_actions_auth_and_filters_are_recorded_too() {
    let server = Server::builder().plugins(&["hostile", "tools", "test-auth", "hostile-filter"]).start();
    let mut client = Client::with_token(&server, "ada").await;

    let recording = record(&server, "hostile", 2).await;
    client.try_publish("hostile:a", json!({ "do": "trap" })).await;
    client.publish("hostile:a", json!({ "do": "ok" })).await;
    let recording = recorded(recording).await;
    assert_eq!(recording.lines[1]["failed"]["class"], "panic");
    assert_eq!(recording.replay("hostile").code, Some(0));
    let said = recording.replay("pass");
    assert!(said.code == Some(1) && said.stdout.contains("was {\"failed\":\"panic\"}"), "{said:?}");

    let recording = record(&server, "tools", 1).await;
    client.ask(json!({ "type": "action", "channel": "echo", "data": [1, "x"] })).await;
    let recording = recorded(recording).await;
    assert_eq!(recording.lines[1]["call"]["data"], json!([1, "x"]));
    assert_eq!(recording.replay("tools").code, Some(0));

    let recording = record(&server, "test-auth", 2).await;
    assert!(is_let_in(&server, "bob").await);
    let recording = recorded(recording).await;
    let functions: Vec<_> = recording.lines[1..].iter().map(|line| line["function"].as_str()).collect();
    assert_eq!(functions, [Some("authenticate"), Some("authorize")]);
    assert_eq!(recording.replay("test-auth").code, Some(0));
    let said = recording.replay("token-auth");
    assert!(said.code == Some(1) && said.stdout.contains("\"user\":\"bob\""), "{said:?}");

    let recording = record(&server, "hostile-filter", 1).await;
    let filter = json!({ "plugin": "hostile-filter", "params": { "contains": "x" } });
    client.subscribe_with(json!({ "channel": "room", "filter": filter })).await;
    client.publish("room", json!("xy")).await;
    let recording = recorded(recording).await;
    assert_eq!(recording.lines[1]["said"], json!({ "passes": [true] }));
    assert_eq!(recording.replay("hostile-filter").code, Some(0));
}

#[tokio::test]
async fn a_recording_is_bounded_and_a_bad_one_is_named() {
    let server = Server::with(&["chat"]);
    for body in [r#"{"calls":0}"#, r#"{"calls":10001}"#, r#"{"secs":0}"#, r#"{"secs":301}"#] {
        assert_eq!(http::post(&server, "/api/plugins/chat/record", body).await.status, 400, "{body}");
    }
    assert_eq!(http::post(&server, "/api/plugins/nobody/record", "{}").await.status, 404);
    let answer = http::post(&server, "/api/plugins/chat/record", r#"{"secs":1}"#).await;
    assert_eq!(answer.json()["calls"], json!([]), "{answer:?}");

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bad.jsonl");
    let component = plugins::path("chat");
    for (text, says) in [
        ("nonsense", "line 1: it is no recorded call"),
        (r#"{"function":"shout","call":{},"said":1}"#, "there is no function `shout`"),
        (r#"{"function":"timer","call":{"channel":"a","id":1}}"#, "either `said` or `failed`"),
    ] {
        std::fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        let said = cli::run(&["plugin", "replay", file, "--component", component.to_str().unwrap()]);
        assert!(said.code == Some(1) && said.stderr.contains(says), "{said:?}");
    }
}
