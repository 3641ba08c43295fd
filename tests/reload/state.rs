//! What a channel has saved outlives its plugin's version, and its own sleep.

use serde_json::{Value, json};

use crate::harness::{Client, Server, plugins, wait};
use crate::{another, entry_that, saver, swaps};

const PLUGIN: &str = "tic-tac-toe";

async fn reload(server: &Server, bytes: &[u8]) {
    let before = swaps(server, PLUGIN);
    saver::by_rename(&server.plugin(PLUGIN), bytes);
    let swapped = async || (swaps(server, PLUGIN) == before + 1).then_some(());
    wait::eventually("the swap", swapped).await;
}

/// Two players of one game, and what both saw last.
struct Game {
    channel: String,
    players: [Client; 2],
    moves: u64,
    epoch: Value,
}

impl Game {
    async fn begin(server: &Server, n: usize) -> Self {
        let channel = format!("{PLUGIN}:{n}");
        let mut players = [Client::connect(server).await, Client::connect(server).await];
        let mut epoch = Value::Null;
        for player in &mut players {
            epoch = player.subscribe(&channel).await["epoch"].clone();
        }
        Self { channel, players, moves: 0, epoch }
    }

    /// Whose turn it is moves; all see the same, in its place.
    async fn play(&mut self, cell: u64) -> Value {
        let mover = &mut self.players[self.moves as usize % 2];
        self.moves += 1;
        assert_eq!(mover.publish(&self.channel, json!({ "cell": cell })).await, self.moves);
        self.seen().await
    }

    async fn seen(&mut self) -> Value {
        let mut seen = Vec::new();
        for player in &mut self.players {
            seen.push(player.expect("data").await["data"].clone());
        }
        assert_eq!(seen[0], seen[1]);
        seen.remove(0)
    }

    /// Nobody has been sent anything else, and the channel is the one that it was.
    async fn end(mut self) {
        for player in &mut self.players {
            player.ping().await;
            assert_eq!(player.left_over(), []);
            assert_eq!(player.subscribe(&self.channel).await["epoch"], self.epoch);
        }
    }
}

/// Nine moves to a draw, and the board after each.
pub const MOVES: [(u64, &str); 9] = [
    (0, "x........"),
    (1, "xo......."),
    (2, "xox......"),
    (4, "xox.o...."),
    (3, "xoxxo...."),
    (5, "xoxxoo..."),
    (7, "xoxxoo.x."),
    (6, "xoxxooox."),
    (8, "xoxxoooxx"),
];

#[tokio::test]
async fn games_go_on_over_ten_reloads_in_the_middle_of_play() {
    // One game a shard has a store of its own; the others share one.
    let config = format!("[[channel]]\npattern = '*'\n[plugins.{PLUGIN}]\nstores = 1");
    let server = Server::builder().plugins(&[PLUGIN]).config(&config).shards(2).start();
    let mut games = Vec::new();
    for n in 0..6 {
        games.push(Game::begin(&server, n).await);
    }
    let mut reloads = 0;
    for (turn, (cell, board)) in MOVES.into_iter().enumerate() {
        for game in &mut games {
            let seen = game.play(cell).await;
            assert_eq!(seen["board"], board, "{}", game.channel);
            assert_eq!(seen["result"].as_str(), (turn == 8).then_some("draw"));
        }
        // Twice in a row too, and before the last move.
        for _ in 0..if turn == 4 || turn == 7 { 2 } else { u8::from(turn < 8) } {
            reloads += 1;
            reload(&server, &another(PLUGIN, reloads)).await;
        }
    }
    assert_eq!(reloads, 10);
    for game in games {
        game.end().await;
    }
    let complaints = |line: &&String| line.contains("WARN") || line.contains("ERROR");
    assert_eq!(server.log().iter().filter(complaints).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[tokio::test]
async fn a_version_that_refuses_the_state_does_not_get_the_channel() {
    let server = Server::with(&[PLUGIN]);
    let mut game = Game::begin(&server, 1).await;
    game.play(0).await;
    // It takes over no state, and passes everything.
    reload(&server, &plugins::bytes("pass")).await;
    assert_eq!(game.play(1).await["board"], "xo.......", "the old one goes on");
    let line = server.wait_for_log("takes over no state").await;
    for words in ["tic-tac-toe:1", "version 1.0.0 (generation 1), which keeps it", "snapshot"] {
        assert!(line.contains(words), "{words}: {line}");
    }
    let refused = |entry: &Value| entry["loaded"]["failures"]["snapshot_refused"] == 1;
    entry_that(&server, PLUGIN, "has refused a snapshot", refused).await;

    let mut other = Client::connect(&server).await;
    other.subscribe("tic-tac-toe:2").await;
    other.publish("tic-tac-toe:2", json!("anything")).await;
    assert_eq!(other.data().await, "anything", "a new channel is the new version's");

    reload(&server, &another(PLUGIN, 1)).await;
    assert_eq!(game.play(2).await["board"], "xox......", "the next version has it all");
    let answer = other.try_publish("tic-tac-toe:2", json!("anything")).await;
    assert_eq!(answer["reason_code"], 3, "{answer}");
    game.end().await;
}

#[tokio::test]
async fn what_cannot_be_saved_stays_or_begins_anew() {
    let server = Server::builder().plugins(&["greeter", "hostile"]).shards(1).start();
    let mut client = Client::connect(&server).await;
    let again = |name: &'static str, n: u8| {
        saver::by_rename(&server.plugin(name), &another(name, n));
        let swapped = format!("plugin={name} ");
        let server = &server;
        async move {
            let done = async || (server.logged(&["swapped", &swapped]).len() == usize::from(n)).then_some(());
            wait::eventually("the swap", done).await;
        }
    };
    for (channel, what) in [("hostile:much", "save-too-much"), ("hostile:trap", "save-trap")] {
        client.subscribe(channel).await;
        client.publish(channel, json!({ "do": what })).await;
        client.data().await;
    }
    again("hostile", 1).await;
    for channel in ["hostile:much", "hostile:trap"] {
        client.publish(channel, json!({ "do": "ok" })).await;
        assert_eq!(client.data().await["do"], "ok");
    }
    let line = server.wait_for_log("saving hostile:trap").await;
    assert!(line.contains("panicked"), "{line}");
    let line = server.wait_for_log("taking over hostile:much").await;
    assert!(line.contains("1048577 bytes") && line.contains("generation"), "{line}");
}

#[tokio::test]
async fn an_idle_channel_sleeps_and_wakes_where_it_was() {
    let config = format!(
        "[[channel]]\npattern = '*'\ndefault_response = true
         [plugins.{PLUGIN}]\nhibernate_after_secs = 1
         [plugins.greeter]\nhibernate_after_secs = 1"
    );
    let server = Server::builder()
        .plugins(&[PLUGIN, "greeter"])
        .config(&config)
        .env("TIDEGATE_LOG", "tidegate=debug")
        .shards(1)
        .start();
    let mut greeted = Client::connect(&server).await;
    greeted.subscribe("greeter:a").await;
    assert_eq!(greeted.data().await["greeted"], 1);
    let mut game = Game::begin(&server, 1).await;
    for player in &mut game.players {
        assert_eq!(player.data().await["board"], ".........");
    }
    let sleeps = async |count: usize| {
        let slept = async || (server.logged(&["hibernates", "tic-tac-toe:1"]).len() == count).then_some(());
        wait::eventually("it sleeps", slept).await;
    };
    game.play(4).await;
    sleeps(1).await;
    assert_eq!(game.play(0).await["board"], "o...x....", "its sockets have stayed");
    sleeps(2).await;
    reload(&server, &another(PLUGIN, 1)).await;
    reload(&server, &another(PLUGIN, 2)).await;
    assert_eq!(game.play(8).await["board"], "o...x...x", "it may be reloaded in its sleep");
    sleeps(3).await;
    reload(&server, &plugins::bytes("pass")).await;
    server.wait_for_log("takes over no state").await;
    assert_eq!(game.play(1).await["board"], "oo..x...x", "a refusal leaves it asleep");

    greeted.subscribe("greeter:a").await;
    assert_eq!(greeted.data().await["greeted"], 2, "what saves nothing does not sleep");
}

#[tokio::test]
async fn a_timer_goes_on_over_a_reload_and_wakes_a_channel_that_sleeps() {
    let config = format!(
        "[[channel]]\npattern = '*'
         [plugins.{PLUGIN}]\nhibernate_after_secs = 1\nconfig.turn_secs = 4"
    );
    let server = Server::builder()
        .plugins(&[PLUGIN])
        .config(&config)
        .env("TIDEGATE_LOG", "tidegate=debug")
        .shards(2)
        .start();
    let mut game = Game::begin(&server, 1).await;
    game.play(4).await;
    reload(&server, &another(PLUGIN, 1)).await;
    server.wait_for_log("hibernates").await;
    assert_eq!(game.seen().await["result"], "x wins: o took too long");
}
