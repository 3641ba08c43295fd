//! How a handler that behaves fares beside each hostile component that fails, on one shard.
//!
//! cargo bench --workspace --bench neighbours [-- WORD]
//!
//! With a word: beside those that have it in their name. All of them take some ten minutes. The first row
//! is a neighbour that behaves and is as busy: what is above it is the others' fault.

#[path = "../tests/hostile/corpus/mod.rs"]
#[allow(dead_code, unused_imports, reason = "its rows are tests, which this is not")]
mod corpus;
#[path = "../tests/harness/mod.rs"]
mod harness;

use std::time::{Duration, Instant};

use serde_json::json;

use corpus::stories::{entry_that, install, witnesses};
use corpus::{Cue, Story, answers, calls, handles};
use harness::{Client, Server};

const FOR: Duration = Duration::from_millis(1500);

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
async fn attack(server: &Server, cue: Cue, fresh: bool) {
    let mut client = Client::connect(server).await;
    for round in 0_u64.. {
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

fn p(times: &[Duration], percent: usize) -> f64 {
    times.get(times.len() * percent / 100).or(times.last()).map_or(f64::NAN, |t| t.as_secs_f64() * 1e6)
}

async fn measured(component: &[u8], cue: Cue, fresh: bool) -> (Vec<Duration>, Vec<Duration>) {
    let server = witnesses();
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:lobby").await;
    install(&server, component);
    entry_that(&server, |entry| entry["state"] == "active").await;
    round_trips(&mut client, Instant::now() + FOR / 5).await;
    let quiet = round_trips(&mut client, Instant::now() + FOR).await;
    let beside = tokio::select! {
        times = round_trips(&mut client, Instant::now() + FOR) => times,
        () = attack(&server, cue, fresh) => unreachable!("an attack has no end"),
    };
    (quiet, beside)
}

async fn row(name: &str, component: &[u8], cue: Cue) {
    let (quiet, beside) = measured(component, cue, false).await;
    let (_, fresh) = measured(component, cue, true).await;
    let [quiet, beside, fresh] =
        [quiet, beside, fresh].map(|times| format!("{:.0} | {:.0}", p(&times, 50), p(&times, 99)));
    println!("| {name} | {quiet} | {beside} | {fresh} |");
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let word = std::env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    println!("| component | quiet p50 | p99 | beside it p50 | p99 | beside it on new channels p50 | p99 |");
    println!("|---|---|---|---|---|---|---|");
    // What a neighbour costs that does nothing wrong: it has its share of the shard, and of this program.
    let pass = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/pass.wasm");
    row("*passes everything*", &std::fs::read(pass).expect("a built component"), Cue::Publish).await;
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
