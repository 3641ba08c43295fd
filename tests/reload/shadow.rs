//! A version in the shadow of the one in use: called as that is, and never heard.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::{Client, Server, http, plugins, wait};
use crate::{another, entry_that, is_let_in, loaded, saver};

fn shadow(server: &Server, name: &str) -> PathBuf {
    server.plugins_dir.join(format!("{name}.shadow.wasm"))
}

async fn follows(server: &Server, name: &str) -> Value {
    entry_that(server, name, "has a shadow", |entry| !entry["shadow"].is_null()).await
}

/// Until so many calls are compared; those that gave the same, those that did not, and those that were missed.
async fn compared(server: &Server, name: &str, calls: u64) -> (u64, u64, u64) {
    let of = |entry: &Value, what: &str| entry["shadow"][what].as_u64().unwrap_or(0);
    let all = |entry: &Value| ["same", "differ", "missed"].map(|what| of(entry, what));
    let done = |entry: &Value| all(entry).iter().sum::<u64>() >= calls;
    let entry = entry_that(server, name, "has compared", done).await;
    all(&entry).into()
}

async fn why_ignored(server: &Server, says: &str) -> String {
    let ignored = |report: &Value| {
        let why = report["ignored"][0]["message"].as_str()?;
        why.contains(says).then(|| why.to_owned())
    };
    server.wait_for_report(wait::LONG, &format!("`{says}` of what is ignored"), ignored).await
}

#[tokio::test]
async fn a_shadow_is_compared_and_never_heard() {
    let server = Server::builder().plugins(&["chat"]).env("TIDEGATE_LOG", "tidegate=debug").start();
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:room").await;
    saver::by_rename(&shadow(&server, "chat"), &plugins::bytes("chat-v2"));
    let entry = follows(&server, "chat").await;
    assert_eq!(entry["loaded"]["generation"], 1);
    assert_eq!(entry["shadow"]["version"], "2.0.0");
    for _ in 0..3 {
        client.publish("chat:room", json!({ "text": "hi" })).await;
        assert_eq!(client.data().await.as_object().unwrap().len(), 2, "as the version in use says it");
    }
    let refused = client.try_publish("chat:room", json!({ "text": "" })).await;
    assert_eq!(refused["reason_code"], 1);
    assert_eq!(compared(&server, "chat", 4).await, (1, 3, 0));
    let last = &follows(&server, "chat").await["shadow"]["last"];
    let difference = json!({
        "function": "publish", "channel": "chat:room", "places": ["/verdict/replace/data/v"],
    });
    assert_eq!(*last, difference);
    let metrics = http::get(&server, "/metrics").await.body;
    let line = "tidegate_plugin_shadow_calls_total{plugin=\"chat\",outcome=\"differ\"} 3";
    assert!(metrics.contains(line), "{metrics}");
    let told = server.logged(&["differs at /verdict/replace/data/v"]);
    assert_eq!(told.len(), 2, "the first and the second: {told:?}");
    assert!(told[0].contains("INFO") && !told[0].contains("hi"), "{told:?}");
    assert_eq!(server.logged(&["DEBUG", "the version in the shadow differs", "now=", "hi"]).len(), 2);
    assert_eq!(client.left_over(), []);

    std::fs::remove_file(shadow(&server, "chat")).unwrap();
    entry_that(&server, "chat", "has none", |entry| entry["shadow"].is_null()).await;
    client.publish("chat:room", json!({ "text": "hi" })).await;
    let line = server.wait_for_log("no longer in the shadow").await;
    assert!(line.contains("same=1 differ=3 missed=0"), "{line}");
}

/// Two players of one game of tic-tac-toe.
struct Game {
    players: [Client; 2],
    moves: usize,
}

const GAME: &str = "tic-tac-toe:1";

impl Game {
    async fn begin(server: &Server) -> Self {
        let mut players = [Client::connect(server).await, Client::connect(server).await];
        for player in &mut players {
            player.subscribe(GAME).await;
        }
        Self { players, moves: 0 }
    }

    async fn play(&mut self, cell: u64) {
        self.players[self.moves % 2].publish(GAME, json!({ "cell": cell })).await;
        self.moves += 1;
    }
}

#[tokio::test]
async fn a_shadow_goes_on_from_the_channels_state_and_over_reloads() {
    let server = Server::with(&["tic-tac-toe"]);
    let mut game = Game::begin(&server).await;
    game.play(4).await;
    saver::by_rename(&shadow(&server, "tic-tac-toe"), &another("tic-tac-toe", 1));
    follows(&server, "tic-tac-toe").await;
    game.play(0).await;
    assert_eq!(compared(&server, "tic-tac-toe", 1).await, (1, 0, 0));
    saver::by_rename(&server.plugin("tic-tac-toe"), &another("tic-tac-toe", 2));
    entry_that(&server, "tic-tac-toe", "is swapped", |entry| !entry["swap"].is_null()).await;
    game.play(8).await;
    assert_eq!(compared(&server, "tic-tac-toe", 2).await, (2, 0, 0));

    saver::by_rename(&shadow(&server, "tic-tac-toe"), &plugins::bytes("pass"));
    let is_pass = |entry: &Value| entry["shadow"]["same"] == 0;
    entry_that(&server, "tic-tac-toe", "has another shadow", is_pass).await;
    game.play(1).await;
    game.play(2).await;
    assert_eq!(compared(&server, "tic-tac-toe", 2).await, (0, 1, 1), "it refuses the state, once");
}

/// As many channels as are followed at a time.
const FOLLOWED: u64 = 256;

#[tokio::test]
async fn channels_that_are_gone_make_room_for_others() {
    let config = "[[channel]]\npattern = '*'\ndefault_response = true\nexpire_after_secs = 1";
    let server = Server::builder().plugins(&["greeter"]).config(config).start();
    saver::by_rename(&shadow(&server, "greeter"), &another("greeter", 1));
    follows(&server, "greeter").await;
    let mut client = Client::connect(&server).await;
    let kept = |n: u64| format!("greeter:{n}");
    for n in 0..=FOLLOWED {
        client.subscribe(&kept(n)).await;
        assert_eq!(client.data().await["greeted"], 1);
    }
    assert_eq!(compared(&server, "greeter", FOLLOWED + 1).await, (FOLLOWED, 0, 1));
    client.unsubscribe(&kept(0)).await;
    client.unsubscribe(&kept(FOLLOWED)).await;
    let gone = async || {
        let listed = http::get(&server, "/api/channels?limit=1000").await.body;
        let is_there = |n| listed.contains(&format!("\"{}\"", kept(n)));
        (!is_there(0) && !is_there(FOLLOWED)).then_some(())
    };
    wait::eventually_in(wait::LONG, "two channels' end", gone).await;
    let (same, differ, missed) = compared(&server, "greeter", FOLLOWED + 3).await;
    assert_eq!((same, differ, missed), (FOLLOWED + 1, 0, 2), "one that left was followed");
    client.subscribe(&kept(FOLLOWED)).await;
    assert_eq!(client.data().await["greeted"], 1, "it was forgotten");
    assert_eq!(compared(&server, "greeter", FOLLOWED + 4).await, (FOLLOWED + 2, 0, 2));
}

#[tokio::test]
async fn a_shadow_that_traps_harms_nobody() {
    let server = Server::builder().plugin_as(&["hostile"], "pass").start();
    saver::by_rename(&shadow(&server, "hostile"), &plugins::bytes("hostile"));
    follows(&server, "hostile").await;
    let mut client = Client::connect(&server).await;
    client.subscribe("hostile:a").await;
    for what in ["trap", "loop", "alloc", "ok"] {
        client.publish("hostile:a", json!({ "do": what })).await;
        assert_eq!(client.data().await["do"], what);
    }
    assert_eq!(compared(&server, "hostile", 5).await, (2, 3, 0));
    let entry = follows(&server, "hostile").await;
    assert_eq!(entry["state"], "active");
    assert_eq!(entry["loaded"]["failures"], json!({}));
    assert_eq!(entry["shadow"]["last"]["places"], json!(["/effects", "/verdict", "/failed"]));
    assert!(entry["calls"]["on-publish"]["failures"].as_object().unwrap().is_empty(), "{entry:#}");
}

#[tokio::test]
async fn a_shadow_that_cannot_be_called_is_named() {
    let server = Server::with(&["chat"]);
    let path = shadow(&server, "chat");
    saver::by_rename(&path, &plugins::bytes("nothing"));
    why_ignored(&server, "nothing to call").await;
    saver::by_rename(&path, b"\0asm");
    why_ignored(&server, "cut off").await;
    let entry = follows_none(&server).await;
    assert_eq!((&entry["state"], &entry["error"]), (&json!("active"), &Value::Null));
    saver::slowly(&path, &plugins::bytes("chat-v2")).await;
    follows(&server, "chat").await;
    assert_eq!(server.report().await["ignored"], json!([]));
    saver::by_rename(&path, &plugins::bytes("nothing"));
    why_ignored(&server, "nothing to call").await;
    follows_none(&server).await;
    std::fs::remove_file(&path).unwrap();
    let none = |report: &Value| (report["ignored"] == json!([])).then_some(());
    server.wait_for_report(wait::LONG, "nothing is ignored", none).await;
}

async fn follows_none(server: &Server) -> Value {
    entry_that(server, "chat", "has no shadow", |entry| entry["shadow"].is_null()).await
}

#[tokio::test]
async fn a_shadow_waits_for_its_plugin_and_outlives_it() {
    let server = Server::builder().plugin_as(&["chat.shadow"], "chat-v2").start();
    let why = why_ignored(&server, "no plugin `chat`").await;
    assert!(why.contains("not called"), "{why}");
    let mut client = Client::connect(&server).await;
    for calls in [1, 2] {
        saver::by_rename(&server.plugin("chat"), &plugins::bytes("chat"));
        entry_that(&server, "chat", "is there", |entry| entry["state"] == "active").await;
        follows(&server, "chat").await;
        assert_eq!(server.report().await["ignored"], json!([]));
        client.publish("chat:room", json!({ "text": "hi" })).await;
        assert_eq!(compared(&server, "chat", calls).await, (0, calls, 0));
        std::fs::remove_file(server.plugin("chat")).unwrap();
        entry_that(&server, "chat", "is retired", |entry| entry["state"] == "retired").await;
    }
}

#[tokio::test]
async fn a_shadow_is_neither_pinned_nor_on_trial_and_ends_neither() {
    let pin = wait_for_sha256("chat").await;
    let config = format!(
        "[[channel]]\npattern = '*'\n[plugins.chat]\npin = '{pin}'\n\
         [plugins.pass]\ncanary_share = 50\ncanary_secs = 3600"
    );
    let server = Server::builder().plugins(&["chat", "pass"]).config(&config).start();
    saver::by_rename(&shadow(&server, "chat"), &plugins::bytes("chat-v2"));
    let entry = follows(&server, "chat").await;
    assert!(entry["error"].is_null() && entry["loaded"]["sha256"] == pin, "{entry:#}");
    saver::by_rename(&server.plugin("pass"), &another("pass", 1));
    let trial = entry_that(&server, "pass", "is on trial", |entry| !entry["canary"].is_null()).await;
    saver::by_rename(&shadow(&server, "pass"), &another("pass", 2));
    let entry = follows(&server, "pass").await;
    assert_eq!(entry["canary"]["generation"], trial["canary"]["generation"]);
    assert!(entry["rolled_back"].is_null() && entry["loaded"]["generation"] == trial["loaded"]["generation"]);
    // By the one in use or by the one on trial: the shadow follows both.
    let mut client = Client::connect(&server).await;
    for room in 0..10 {
        client.publish(&format!("pass:{room}"), json!(room)).await;
    }
    assert_eq!(compared(&server, "pass", 10).await, (10, 0, 0));
}

async fn wait_for_sha256(name: &str) -> String {
    let server = Server::with(&[name]);
    loaded(&server, name).await;
    let entry = entry_that(&server, name, "is there", |entry| entry["state"] == "active").await;
    entry["loaded"]["sha256"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn auth_actions_and_filters_are_compared_too() {
    let server = Server::with(&["tools", "test-auth", "hostile-filter"]);
    let mut client = Client::with_token(&server, "ada").await;
    for (name, like) in [("tools", "tools"), ("test-auth", "test-auth"), ("hostile-filter", "hostile-filter")]
    {
        saver::by_rename(&shadow(&server, name), &another(like, 1));
        follows(&server, name).await;
    }
    client.ask(json!({ "type": "action", "channel": "echo", "data": [1, "x"] })).await;
    client.ask(json!({ "type": "action", "channel": "fail", "data": null })).await;
    client.ask(json!({ "type": "action", "channel": "trap", "data": null })).await;
    assert_eq!(compared(&server, "tools", 3).await, (3, 0, 0));
    assert!(is_let_in(&server, "bob").await);
    assert_eq!(compared(&server, "test-auth", 2).await, (2, 0, 0));
    let filter = json!({ "plugin": "hostile-filter", "params": { "contains": "x" } });
    client.subscribe_with(json!({ "channel": "room", "filter": filter })).await;
    client.publish("room", json!("xy")).await;
    client.publish("room", json!("y")).await;
    let (same, differ, missed) = compared(&server, "hostile-filter", 1).await;
    assert!(same > 0 && (differ, missed) == (0, 0), "{same} {differ} {missed}");

    // Others that say otherwise are not asked.
    saver::by_rename(&shadow(&server, "test-auth"), &plugins::bytes("token-auth"));
    let is_other = |entry: &Value| entry["shadow"]["same"] == 0;
    entry_that(&server, "test-auth", "has another shadow", is_other).await;
    assert!(is_let_in(&server, "bob").await);
    let (_, differ, _) = compared(&server, "test-auth", 1).await;
    assert!(differ > 0);
    saver::by_rename(&shadow(&server, "hostile-filter"), &plugins::bytes("level-filter"));
    entry_that(&server, "hostile-filter", "has another shadow", is_other).await;
    client.publish("room", json!("xyz")).await;
    assert_eq!(compared(&server, "hostile-filter", 1).await, (0, 1, 0));
}

#[tokio::test]
async fn a_shadow_has_its_plugins_settings_as_they_are() {
    let config = |mark: &str| {
        format!(
            "[[channel]]\npattern = '*'\n[plugins.link]\nchannels = ['room']\n[plugins.link.config]\nmark = '{mark}'\n"
        )
    };
    let server = Server::builder().plugins(&["link"]).config(&config("a")).start();
    saver::by_rename(&shadow(&server, "link"), &another("link", 1));
    follows(&server, "link").await;
    let mut client = Client::connect(&server).await;
    client.publish("room", json!("x")).await;
    assert_eq!(compared(&server, "link", 1).await, (1, 0, 0));
    std::fs::write(server.config_file(), config("b")).unwrap();
    server.hang_up();
    let is_new = |entry: &Value| !entry["swap"].is_null() && entry["shadow"]["same"] == 0;
    entry_that(&server, "link", "is of the new settings", is_new).await;
    client.publish("room", json!("x")).await;
    assert_eq!(compared(&server, "link", 1).await, (1, 0, 0));
}

#[tokio::test]
async fn a_shadow_that_does_not_keep_up_misses_calls_and_begins_anew() {
    const CALLS: u64 = 1200;
    let server = Server::builder().plugin_as(&["hostile"], "pass").start();
    saver::by_rename(&shadow(&server, "hostile"), &plugins::bytes("hostile"));
    follows(&server, "hostile").await;
    let mut client = Client::connect(&server).await;
    client.publish("hostile:a", json!({ "do": "ok" })).await;
    assert_eq!(compared(&server, "hostile", 1).await, (1, 0, 0));
    for _ in 0..CALLS {
        client.publish("hostile:a", json!({ "do": "loop" })).await;
    }
    let (same, differ, missed) = compared(&server, "hostile", CALLS + 1).await;
    assert_eq!(same + differ + missed, CALLS + 1);
    assert!(missed > CALLS / 2, "{missed}");
    let again = async || {
        client.publish("hostile:a", json!({ "do": "ok" })).await;
        let report = server.report().await;
        (crate::entry(&report, "hostile")?["shadow"]["same"].as_u64()? > 1).then_some(())
    };
    wait::eventually_in(wait::LONG, "it is called again", again).await;
}
