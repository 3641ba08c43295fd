//! With `state_dir` what plugins have outlives the server: one that was asked to end, and no other.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::server::Builder;
use crate::harness::{Client, Server, cli, http, wait};
use crate::state::MOVES;
use crate::{another, entry_that, saver};

const PLUGIN: &str = "tic-tac-toe";
const GAMES: usize = 6;
const CENTRE: (u64, &str) = (4, "....x....");

fn builder(state: &Path, shards: usize) -> Builder {
    Server::builder().shards(shards).env("TIDEGATE_STATE_DIR", state.to_str().unwrap())
}

fn games(state: &Path, shards: usize, settings: &str) -> Server {
    let config =
        format!("[[channel]]\npattern = '*'\ndefault_response = true\n[plugins.{PLUGIN}]\n{settings}");
    builder(state, shards).plugins(&[PLUGIN, "test-auth"]).config(&config).start()
}

async fn end(mut server: Server) -> Vec<String> {
    server.terminate();
    let status = server.ended().await;
    assert_eq!(status.code(), Some(0), "{status}: {:?}", server.log());
    server.log()
}

fn complaints(log: &[String]) -> Vec<&String> {
    log.iter().filter(|line| line.contains("WARN") || line.contains("ERROR")).collect()
}

fn channel(n: usize) -> String {
    format!("{PLUGIN}:{n}")
}

/// What a game is, as its handler tells a newcomer.
async fn board(server: &Server, n: usize) -> Value {
    let mut client = Client::with_token(server, "eve").await;
    client.subscribe(&channel(n)).await;
    client.data().await
}

/// Both players are gone when this returns, so that the server can end at once.
async fn play(server: &Server, n: usize, moves: &[(u64, &str)]) {
    let mut players = [Client::with_token(server, "ada").await, Client::with_token(server, "bob").await];
    for (turn, (cell, _)) in moves.iter().enumerate() {
        players[turn % 2].publish(&channel(n), json!({ "cell": cell })).await;
    }
}

/// What a server has left that was asked to end after the first move of one game.
async fn begun() -> TempDir {
    let state = TempDir::new().unwrap();
    let server = games(state.path(), 2, "");
    play(&server, 1, &[CENTRE]).await;
    end(server).await;
    state
}

#[tokio::test]
async fn games_go_on_over_restarts_in_the_middle_of_play() {
    let state = TempDir::new().unwrap();
    // One game a shard has a store of its own; the others share one. All but the first are asleep by then.
    let settings = "stores = 1\nhibernate_after_secs = 1";
    // The same channels are at home on other shards each time.
    let mut shards = [2, 1, 4].into_iter().cycle();
    let mut server = games(state.path(), shards.next().unwrap(), settings);
    for (turn, (cell, expected)) in MOVES.into_iter().enumerate() {
        let mut player = Client::with_token(&server, ["ada", "bob"][turn % 2]).await;
        for n in 0..GAMES {
            player.publish(&channel(n), json!({ "cell": cell })).await;
        }
        drop(player);
        if [0, 3, 4, 7].contains(&turn) {
            let log = end(server).await;
            assert_eq!(complaints(&log), Vec::<&String>::new());
            let said = format!("channels={GAMES} stores=0");
            assert!(log.iter().any(|line| line.contains("saved in") && line.contains(&said)), "{log:?}");
            server = games(state.path(), shards.next().unwrap(), settings);
        }
        assert_eq!(board(&server, turn % GAMES).await["board"], expected);
    }
    for n in 0..GAMES {
        let over = board(&server, n).await;
        assert_eq!((&over["result"], &over["x"], &over["o"]), (&json!("draw"), &json!("ada"), &json!("bob")));
    }
    assert_eq!(complaints(&end(server).await), Vec::<&String>::new());
}

#[tokio::test]
async fn a_channel_that_sleeps_is_saved_as_it_is() {
    let state = TempDir::new().unwrap();
    let settings = "hibernate_after_secs = 1";
    let config =
        format!("[[channel]]\npattern = '*'\ndefault_response = true\n[plugins.{PLUGIN}]\n{settings}");
    let server = builder(state.path(), 1)
        .plugins(&[PLUGIN, "test-auth"])
        .config(&config)
        .env("TIDEGATE_LOG", "tidegate=debug")
        .start();
    play(&server, 1, &[CENTRE]).await;
    server.wait_for_log("hibernates").await;
    end(server).await;
    let server = games(state.path(), 2, settings);
    // Twice: it has not been asked for anything meanwhile.
    end(server).await;
    let server = games(state.path(), 2, settings);
    assert_eq!(board(&server, 1).await["board"], CENTRE.1);
}

#[tokio::test]
async fn timers_go_on_and_ring_late_rather_than_not() {
    let state = TempDir::new().unwrap();
    for (turn_secs, begins) in [(6, 0), (1, 2)] {
        let settings = format!("config.turn_secs = {turn_secs}");
        let server = games(state.path(), 2, &settings);
        for n in begins..begins + 2 {
            play(&server, n, &[CENTRE]).await;
        }
        let due = Instant::now() + Duration::from_secs(turn_secs);
        end(server).await;
        assert!(Instant::now() < due, "it is the next server in which they ring");
        if turn_secs == 1 {
            // While there is none.
            tokio::time::sleep_until(due.into()).await;
        }
        let server = games(state.path(), 3, &settings);
        for n in begins..begins + 2 {
            let lost =
                async || (board(&server, n).await["result"] == "x wins: o took too long").then_some(());
            wait::eventually("the timer", lost).await;
        }
        assert_eq!(complaints(&end(server).await), Vec::<&String>::new());
    }
}

#[tokio::test]
async fn a_version_that_refuses_the_state_begins_anew_and_says_why() {
    let state = begun().await;
    // It takes over no state, and passes everything.
    let server = builder(state.path(), 2).plugin_as(&[PLUGIN], "pass").start();
    let mut client = Client::connect(&server).await;
    client.subscribe(&channel(1)).await;
    client.publish(&channel(1), json!("anything")).await;
    assert_eq!(client.data().await, "anything", "not even the first message is refused");
    let line = server.wait_for_log("takes over no state").await;
    for words in ["tic-tac-toe:1, which begins anew", "snapshot"] {
        assert!(line.contains(words), "{words}: {line}");
    }
    let refused = |entry: &Value| entry["loaded"]["failures"]["snapshot_refused"] == 1;
    entry_that(&server, PLUGIN, "has refused a snapshot", refused).await;
}

#[tokio::test]
async fn another_version_goes_on_from_it() {
    let state = begun().await;
    let newer = TempDir::new().unwrap();
    fs::write(newer.path().join(format!("{PLUGIN}.wasm")), another(PLUGIN, 1)).unwrap();
    let config = "[[channel]]\npattern = '*'\ndefault_response = true";
    let server = builder(state.path(), 2)
        .plugins(&["test-auth"])
        .plugins_from(newer.path(), &[PLUGIN])
        .config(config)
        .start();
    assert_eq!(board(&server, 1).await["board"], CENTRE.1);
}

#[tokio::test]
async fn a_crash_brings_nothing_back() {
    let state = begun().await;
    let server = games(state.path(), 2, "");
    assert_eq!(board(&server, 1).await["board"], CENTRE.1);
    // SIGKILL.
    drop(server);
    let server = games(state.path(), 2, "");
    assert_eq!(board(&server, 1).await["board"], ".........", "not what was there before the crash either");
    assert!(state.path().join("state.taken").exists(), "for people");
}

#[tokio::test]
async fn a_file_that_was_changed_is_refused_by_name() {
    let state = begun().await;
    let file = state.path().join("state");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let server = games(state.path(), 2, "");
    let line = server.wait_for_log("what was saved is refused").await;
    assert!(line.contains("checksum") && line.contains("/state.refused"), "{line}");
    assert_eq!(board(&server, 1).await["board"], ".........");
}

#[tokio::test]
async fn a_folder_is_one_servers() {
    let state = TempDir::new().unwrap();
    let dir = state.path().to_str().unwrap();
    let server = games(state.path(), 1, "");
    // Where it would not get far.
    let address = server.address.to_string();
    let said = cli::run_with(&["serve", "--listen", &address], &[("TIDEGATE_STATE_DIR", dir)]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stderr.contains(&format!("another server uses state_dir = {dir}")), "{said:?}");
}

#[tokio::test]
async fn what_cannot_be_saved_is_said_and_the_exit_is_not_clean() {
    let state = TempDir::new().unwrap();
    let mut server = games(state.path(), 1, "");
    // In the place of the file.
    fs::create_dir(state.path().join("state")).unwrap();
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(1));
    server.wait_for_log("cannot save the state in").await;
}

#[tokio::test]
async fn channels_whose_plugin_is_gone_are_counted() {
    let state = TempDir::new().unwrap();
    let server = games(state.path(), 1, "");
    for n in 0..3 {
        play(&server, n, &[CENTRE]).await;
    }
    end(server).await;
    let server = builder(state.path(), 1).plugins(&["chat"]).start();
    let line = server.wait_for_log("3 of its channels begin anew").await;
    assert!(line.contains("plugin=tic-tac-toe") && line.contains("WARN"), "{line}");
    // Nobody uses them, and nobody counts them.
    let metrics = http::get(&server, "/metrics").await.body;
    assert!(metrics.contains("\ntidegate_channels 3\n"), "until they are forgotten: {metrics}");
}

#[tokio::test]
async fn what_nobody_comes_back_to_is_forgotten_in_its_time() {
    let state = TempDir::new().unwrap();
    let start = || {
        let config = "[[channel]]\npattern = '*'\ndefault_response = true\nexpire_after_secs = 1";
        builder(state.path(), 1).plugins(&[PLUGIN, "test-auth"]).config(config).start()
    };
    let server = start();
    // It is over, so that no timer runs.
    play(&server, 1, &MOVES).await;
    end(server).await;
    let server = start();
    server.wait_for_log("goes on from what was saved").await;
    let gone = async || {
        let metrics = http::get(&server, "/metrics").await.body;
        metrics.contains("\ntidegate_channels 0\n").then_some(())
    };
    wait::eventually("it is forgotten", gone).await;
    assert_eq!(board(&server, 1).await["board"], ".........");
}

async fn ask(client: &mut Client, action: &str, data: Value) -> Value {
    let answer = client.ask(json!({ "type": "action", "channel": action, "data": data })).await;
    assert_eq!(answer["status"], "completed", "{answer}");
    answer["data"].clone()
}

#[tokio::test]
async fn what_a_plugin_keeps_by_key_is_there_again() {
    let state = TempDir::new().unwrap();
    let server = builder(state.path(), 2).plugins(&["keeper"]).start();
    let mut client = Client::connect(&server).await;
    ask(&mut client, "increment", json!({ "key": "n", "by": 41 })).await;
    ask(&mut client, "set", json!({ "key": "long", "value": "a", "ttl_ms": 3_600_000 })).await;
    ask(&mut client, "set", json!({ "key": "short", "value": "a", "ttl_ms": 1 })).await;
    end(server).await;
    let server = builder(state.path(), 1).plugins(&["keeper"]).start();
    let mut client = Client::connect(&server).await;
    assert_eq!(ask(&mut client, "increment", json!({ "key": "n", "by": 1 })).await, 42);
    assert_eq!(ask(&mut client, "get", json!({ "key": "long" })).await, "a");
    assert_eq!(ask(&mut client, "get", json!({ "key": "short" })).await, Value::Null);
}

fn gracious(state: &Path, secs: u32) -> Server {
    let config = format!("plugins.effects.leave_grace_secs = {secs}\nchannel = [{{ pattern = '*' }}]");
    builder(state, 2).plugins(&["effects", "test-auth"]).config(&config).start()
}

#[tokio::test]
async fn who_comes_back_to_the_next_server_was_not_gone() {
    let state = TempDir::new().unwrap();
    let server = gracious(state.path(), 3600);
    for user in ["ada", "bob"] {
        Client::with_token(&server, user).await.subscribe("effects:x").await;
    }
    let log = end(server).await;
    assert!(!log.iter().any(|line| line.contains("has left")), "{log:?}");

    let server = gracious(state.path(), 2);
    let mut ada = Client::with_token(&server, "ada").await;
    ada.subscribe("effects:x").await;
    server.wait_for_log("bob has left: disconnected").await;
    assert!(server.logged(&["ada has left"]).is_empty());
    end(server).await;
    // Who was told of once is not told of again.
    let server = gracious(state.path(), 1);
    server.wait_for_log("ada has left: disconnected").await;
    assert!(server.logged(&["bob has left"]).is_empty());
}

#[tokio::test]
async fn departures_that_nobody_could_be_told_of_are_told_by_the_next_server() {
    let state = TempDir::new().unwrap();
    let start = || builder(state.path(), 2).plugins(&["effects", "test-auth"]).start();
    let server = start();
    let mut ada = Client::with_token(&server, "ada").await;
    ada.subscribe("effects:x").await;
    let mut trapper = Client::with_token(&server, "trapper").await;
    for n in 0..6 {
        let channel = format!("effects:{n}");
        trapper.subscribe(&channel).await;
        trapper.unsubscribe(&channel).await;
    }
    entry_that(&server, "effects", "is in quarantine", |entry| entry["state"] == "quarantined").await;
    drop(ada);
    end(server).await;
    let server = start();
    server.wait_for_log("ada has left: disconnected").await;
}

#[tokio::test]
async fn what_a_handler_fails_to_save_is_counted_and_costs_the_others_nothing() {
    let state = TempDir::new().unwrap();
    let server = builder(state.path(), 1).plugins(&["hostile", PLUGIN, "test-auth"]).start();
    let mut client = Client::connect(&server).await;
    for (channel, what) in [("hostile:much", "save-too-much"), ("hostile:trap", "save-trap")] {
        client.publish(channel, json!({ "do": what })).await;
    }
    drop(client);
    play(&server, 1, &[CENTRE]).await;
    let log = end(server).await;
    let said = |words: &[&str]| log.iter().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(said(&["WARN", "2 channels begin anew: their handlers have failed to save them"]), "{log:?}");
    assert!(
        said(&["saving hostile:trap", "panicked"]) && said(&["saving hostile:much", "1048577"]),
        "{log:?}"
    );
    let server = games(state.path(), 1, "");
    assert_eq!(board(&server, 1).await["board"], CENTRE.1);
}

#[tokio::test]
async fn channels_beyond_the_limit_are_counted() {
    let state = TempDir::new().unwrap();
    let server = games(state.path(), 1, "");
    for n in 0..3 {
        play(&server, n, &[CENTRE]).await;
    }
    end(server).await;
    let config = "limits.channels = 2\nchannel = [{ pattern = '*' }]";
    let server = builder(state.path(), 1).plugins(&[PLUGIN]).config(config).start();
    server.wait_for_log("1 channels begin anew: limits.channels allows no more here").await;
}

#[tokio::test]
async fn who_listens_is_not_shown_a_state_that_was_refused() {
    let state = begun().await;
    let server = builder(state.path(), 1).plugin_as(&[PLUGIN], "pass").start();
    let beside = server.plugins_dir.join(format!("{PLUGIN}.shadow.wasm"));
    saver::by_rename(&beside, &another("pass", 1));
    entry_that(&server, PLUGIN, "has a shadow", |entry| !entry["shadow"].is_null()).await;
    let mut client = Client::connect(&server).await;
    for _ in 0..2 {
        client.publish(&channel(1), json!("anything")).await;
    }
    let compared = |entry: &Value| entry["shadow"]["same"] == 2;
    let entry = entry_that(&server, PLUGIN, "does the same", compared).await;
    assert_eq!((&entry["shadow"]["differ"], &entry["shadow"]["missed"]), (&json!(0), &json!(0)), "{entry}");
}
