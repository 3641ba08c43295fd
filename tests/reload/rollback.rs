//! Back to the version before, by order, and versions that are pinned.

use serde_json::json;

use crate::harness::{Client, Server, cli, http, plugins};
use crate::{another, entry_that, loaded, saver, swaps, version_served};

async fn roll_back(server: &Server, name: &str) -> http::Response {
    http::post(server, &format!("/api/plugins/{name}/rollback"), "").await
}

fn tidegate(server: &Server, call: &str, name: &str) -> cli::Said {
    cli::run(&["plugin", call, name, "--url", &server.url("/ws")])
}

#[tokio::test]
async fn a_rollback_is_instant_and_twice_is_as_before() {
    let server = Server::with(&["chat"]);
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:room").await;
    assert_eq!(version_served(&mut client).await, 1);
    let answer = roll_back(&server, "chat").await;
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (409, Some("conflict")));
    assert_eq!(roll_back(&server, "nobody").await.status, 404);

    saver::by_rename(&server.plugin("chat"), &plugins::bytes("chat-v2"));
    entry_that(&server, "chat", "is swapped", |entry| entry["previous"]["generation"] == 1).await;
    assert_eq!(version_served(&mut client).await, 2);
    let answer = roll_back(&server, "chat").await;
    assert_eq!((answer.status, &answer.json()["generation"]), (200, &json!(1)), "{answer:?}");
    assert_eq!(version_served(&mut client).await, 1, "it is in use when the answer comes");
    let entry = entry_that(&server, "chat", "is rolled back", |entry| entry["state"] == "rolled_back").await;
    assert_eq!(entry["rolled_back"]["generation"], 2);
    assert_eq!(entry["previous"]["generation"], 2);
    server.wait_for_log("rolled back: by order").await;
    assert_eq!(server.logged(&["WARN", "rolled back: by order"]).len(), 1);

    // Its file is not loaded again for being written again.
    saver::in_place(&server.plugin("chat"), &plugins::bytes("chat-v2"));
    saver::by_rename(&server.plugin("tools"), &plugins::bytes("tools"));
    loaded(&server, "tools").await;
    assert_eq!(version_served(&mut client).await, 1);

    let said = tidegate(&server, "rollback", "chat");
    assert!(said.code == Some(0) && said.stdout.contains("\"generation\": 2"), "{said:?}");
    assert_eq!(version_served(&mut client).await, 2);
    assert_eq!(roll_back(&server, "chat").await.status, 200);
    assert_eq!(version_served(&mut client).await, 1);
    saver::by_rename(&server.plugin("chat"), &another("chat-v2", 1));
    // It is in use a moment before it is told what it is in the place of.
    let entry = entry_that(&server, "chat", "has a new file", |entry| {
        entry["state"] == "active" && entry["previous"]["generation"] == 1
    })
    .await;
    assert!(entry["rolled_back"].is_null(), "{entry:#}");
    assert_eq!(version_served(&mut client).await, 2);
    assert_eq!(client.left_over(), []);
}

#[tokio::test]
async fn the_command_says_why_not() {
    let server = Server::with(&["chat"]);
    for (call, name, says) in [
        ("rollback", "chat", "no earlier version in memory"),
        ("rollback", "nobody", "No plugin 'nobody' is in use."),
        ("resume", "chat", "not in quarantine"),
    ] {
        let said = tidegate(&server, call, name);
        assert!(said.code == Some(1) && said.stderr.contains(says), "{said:?}");
    }
}

#[tokio::test]
async fn a_version_that_goes_back_begins_anew_where_it_does_not_take_the_state() {
    let config = "[[channel]]\npattern = '*'\n[plugins.game]\nchannels = ['tic-tac-toe:*']";
    let server = Server::builder().config(config).start();
    saver::by_rename(&server.plugin("game"), &plugins::bytes("pass"));
    loaded(&server, "game").await;
    let mut players = [Client::connect(&server).await, Client::connect(&server).await];
    saver::by_rename(&server.plugin("game"), &plugins::bytes("tic-tac-toe"));
    entry_that(&server, "game", "is swapped", |entry| !entry["swap"].is_null()).await;
    for player in &mut players {
        player.subscribe("tic-tac-toe:1").await;
    }
    players[0].publish("tic-tac-toe:1", json!({ "cell": 0 })).await;
    for player in &mut players {
        assert_eq!(player.data().await["board"], "x........");
    }
    assert_eq!(roll_back(&server, "game").await.status, 200);
    // The old one passes everything, and takes over no state.
    players[1].publish("tic-tac-toe:1", json!("hi")).await;
    assert_eq!(players[0].data().await, "hi");
    let line = server.wait_for_log("takes over no state").await;
    assert!(line.contains("begins anew"), "{line}");
}

#[tokio::test]
async fn a_pinned_plugin_takes_one_file_only() {
    let hash = |bytes: &[u8]| {
        use sha2::Digest;
        sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let (good, other) = (plugins::bytes("chat"), plugins::bytes("chat-v2"));
    let config =
        format!("[[channel]]\npattern = '*'\n[plugins.chat]\npin = '{}'", hash(&good).to_uppercase());
    let server = Server::builder().plugins(&["chat"]).config(&config).start();
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:room").await;
    assert_eq!(version_served(&mut client).await, 1);
    saver::by_rename(&server.plugin("chat"), &other);
    let entry = entry_that(&server, "chat", "is refused", |entry| !entry["error"].is_null()).await;
    assert_eq!(entry["state"], "active_newer_refused");
    let message = entry["error"]["message"].as_str().unwrap();
    for words in [&hash(&good), &hash(&other), "pin"] {
        assert!(message.contains(words), "{words}: {message}");
    }
    assert_eq!(version_served(&mut client).await, 1);
    saver::by_rename(&server.plugin("chat"), &good);
    entry_that(&server, "chat", "is mended", |entry| entry["error"].is_null()).await;
    assert_eq!(swaps(&server, "chat"), 0);
}
