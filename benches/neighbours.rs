//! How a handler that behaves fares beside each hostile component that fails, on one shard.
//!
//! cargo bench --workspace --bench neighbours [-- WORD]
//!
//! With a word: beside those that have it in their name. All of them take some ten minutes. The first row
//! is a neighbour that behaves and is as busy: what is above it is the others' fault.
//!
//! On a virtual machine, rounds from which the host has taken a processor are made again: one message in a
//! hundred meets that even when all is quiet, so that a p99 would tell of the host. The last column says
//! how many of the rounds were without, where some could not be had.

#[path = "../tests/hostile/corpus/mod.rs"]
#[allow(dead_code, unused_imports, reason = "its rows are tests, which this is not")]
mod corpus;
#[path = "../tests/harness/mod.rs"]
mod harness;

use std::time::{Duration, Instant};

use serde_json::json;

use corpus::stories::{entry_that, install, witnesses};
use corpus::{Cue, Story, answers, calls, handles};
use harness::guest::Guest;
use harness::{Client, Server};

/// By turns without and beside the component: what this machine does besides comes and goes.
const ROUNDS: usize = 9;
const FOR: Duration = Duration::from_millis(250);
/// Turns, until as many rounds of each kind as there should be had the processors to themselves.
const ATTEMPTS: usize = 40;

/// A message to `chat` and its delivery, again and again.
async fn round_trips(client: &mut Client, until: Instant) -> Vec<Duration> {
    let mut times = Vec::new();
    while Instant::now() < until {
        let began = Instant::now();
        client.try_publish("chat:lobby", json!({ "text": "hi" })).await;
        client.data().await;
        times.push(began.elapsed());
    }
    times.sort();
    times
}

/// The same bad thing without a pause: on one channel, or on one that has not failed yet each time,
/// so that no back-off protects anybody.
async fn attack(server: &Server, cue: Cue, fresh: bool, begin: u64) {
    let mut client = Client::connect(server).await;
    for round in begin.. {
        let channel = if fresh { format!("bad:{round}") } else { "bad:room".to_owned() };
        let answer = match cue {
            Cue::Publish => client.try_publish(&channel, json!(1)).await,
            Cue::Act => client.ask(json!({ "type": "action", "channel": "act" })).await,
            Cue::Filter | Cue::Judge => {
                let params = json!({ "n": if fresh { round } else { 0 } });
                let filter = json!({ "plugin": "bad", "params": params });
                let room = "judged";
                client.ask(json!({ "type": "subscribe", "channel": room, "filter": filter })).await;
                client.try_publish(room, json!(1)).await
            }
            _ => {
                client.ask(json!({ "type": "subscribe", "channel": channel })).await;
                client.ask(json!({ "type": "unsubscribe", "channel": channel })).await
            }
        };
        assert!(answer["type"].is_string(), "{answer}");
    }
}

/// What virtual processors would have run and did not, as another machine had theirs: in hundredths of a
/// second, of all of them together (proc_stat(5), `steal`).
fn stolen() -> u64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let of_all = stat.lines().next().and_then(|line| line.split_whitespace().nth(8)?.parse().ok());
    of_all.unwrap_or_default()
}

/// A server with the component in it, and somebody who minds its own business there.
struct Scene {
    server: Server,
    client: Client,
    begun: u64,
    /// Of each round that nothing was stolen of, in microseconds: p50 and p99.
    times: Vec<[f64; 2]>,
    /// Of the others.
    disturbed: Vec<[f64; 2]>,
}

impl Scene {
    async fn new(component: &[u8]) -> Self {
        let server = witnesses();
        let mut client = Client::connect(&server).await;
        client.subscribe("chat:lobby").await;
        install(&server, component);
        entry_that(&server, |entry| entry["state"] == "active").await;
        round_trips(&mut client, Instant::now() + FOR).await;
        Self { server, client, begun: 0, times: Vec::new(), disturbed: Vec::new() }
    }

    /// With how the component is called meanwhile, and whether on a new channel each time.
    async fn round(&mut self, attacked: Option<(Cue, bool)>) {
        if self.times.len() == ROUNDS {
            return;
        }
        let stolen_before = stolen();
        self.begun += 1;
        let times = round_trips(&mut self.client, Instant::now() + FOR);
        let times = match attacked {
            None => times.await,
            Some((cue, fresh)) => {
                // More than it can make in a round.
                let begin = self.begun * 1_000_000;
                tokio::select! {
                    times = times => times,
                    () = attack(&self.server, cue, fresh, begin) => unreachable!("an attack has no end"),
                }
            }
        };
        let p = |percent| times.get(times.len() * percent / 100).or(times.last());
        let times = [50, 99].map(|percent| p(percent).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6));
        let kind = if stolen() == stolen_before { &mut self.times } else { &mut self.disturbed };
        kind.push(times);
    }

    /// The medians of the rounds; of those disturbed only where there are no others.
    fn median(&self, of: usize) -> f64 {
        let rounds = if self.times.is_empty() { &self.disturbed } else { &self.times };
        let mut times: Vec<f64> = rounds.iter().map(|times| times[of]).collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }
}

async fn row(name: &str, component: &[u8], cue: Cue) {
    let mut quiet = Scene::new(component).await;
    let mut beside = Scene::new(component).await;
    let mut fresh = Scene::new(component).await;
    for _ in 0..ATTEMPTS {
        quiet.round(None).await;
        beside.round(Some((cue, false))).await;
        fresh.round(Some((cue, true))).await;
    }
    let calm = [&quiet, &beside, &fresh].map(|scene| scene.times.len());
    let calm = if calm == [ROUNDS; 3] { String::new() } else { format!("{calm:?} of {ROUNDS}") };
    let ratio = |scene: &Scene| scene.median(1) / quiet.median(1);
    let (of_beside, of_fresh) = (ratio(&beside), ratio(&fresh));
    let [quiet, beside, fresh] =
        [&quiet, &beside, &fresh].map(|scene| format!("{:.0} | {:.0}", scene.median(0), scene.median(1)));
    println!("| {name} | {quiet} | {beside} | {of_beside:.2}× | {fresh} | {of_fresh:.2}× | {calm} |");
}

/// The most that a component gets out of being called without a stack of its own.
fn quick_and_then_a_loop() -> Guest {
    Guest::of(&["channel-handler"]).with("(global $calls (mut i32) (i32.const 0))").body(
        "on-publish",
        "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
         (if (i32.gt_u (global.get $calls) (i32.const 1000)) (then (loop $l (br $l))))
         (i32.const 1024)",
    )
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let word = std::env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    println!(
        "| component | quiet p50 | p99 | beside it p50 | p99 | | beside it on new channels p50 | p99 | | calm |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    // What a neighbour costs that does nothing wrong: it has its share of the shard, and of this program.
    let pass = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/pass.wasm");
    row("*passes everything*", &std::fs::read(pass).expect("a built component"), Cue::Publish).await;
    row("quick a thousand times and then a loop", &quick_and_then_a_loop().component(), Cue::Publish).await;
    let all = [calls::all(), answers::all(), handles::all()].concat();
    for case in all.iter().filter(|case| case.name.contains(&word)) {
        let Story::Fails(cue, ..) = case.story else { continue };
        // Who is shut out has no neighbours.
        if matches!(cue, Cue::Connect | Cue::Authorize | Cue::Reload) {
            continue;
        }
        row(&case.name.replace('_', " "), &case.guest.component(), cue).await;
    }
}
