//! One publisher, many subscribers, a window of messages in flight: deliveries a second and
//! the server's CPU a delivery. `--peer bun` measures Bun's topics beside it, run by run.
//!
//! cargo bench --bench fanout -- [--subscribers N] [--window W] [--messages M] [--runs R]
//!                               [--shards S] [--peer bun] [--history] [--pusher]
//!
//! Without `--shards` the server has one, as Bun has one thread: the client needs the other
//! core of a machine with two. `--history` measures a channel that keeps its last thousand
//! messages and who is there beside one that does not, run by run; `--pusher` subscribers in the
//! Pusher Channels protocol beside native ones.

mod client;
mod server;

use std::time::Instant;

use client::Speaking;
use server::{Kept, Server};

struct Plan {
    subscribers: usize,
    window: usize,
    messages: usize,
    runs: usize,
    shards: usize,
    peer: bool,
    history: bool,
    pusher: bool,
}

struct Figures {
    per_second: f64,
    /// Seconds of the server's CPU per million deliveries.
    server_cpu: f64,
}

fn main() {
    let plan = Plan::from_arguments();
    println!(
        "1 → {}, window {}, {} messages of 100 bytes, {} shards, {} runs",
        plan.subscribers, plan.window, plan.messages, plan.shards, plan.runs
    );
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    let mut kept = Vec::new();
    let mut pusher = Vec::new();
    for run in 1..=plan.runs {
        ours.push(measure(&Server::tidegate(plan.shards, Kept::Nothing), &plan, Speaking::Native));
        print(&format!("tidegate {run}"), &ours[run - 1..]);
        if plan.history {
            kept.push(measure(&Server::tidegate(plan.shards, Kept::History), &plan, Speaking::Present));
            print(&format!("history  {run}"), &kept[run - 1..]);
        }
        if plan.pusher {
            let server = Server::tidegate(plan.shards, Kept::Nothing);
            pusher.push(measure(&server, &plan, Speaking::Pusher));
            print(&format!("pusher   {run}"), &pusher[run - 1..]);
        }
        if plan.peer {
            theirs.push(measure(&Server::bun(), &plan, Speaking::Native));
            print(&format!("bun      {run}"), &theirs[run - 1..]);
        }
    }
    print("tidegate median", &ours);
    if plan.history {
        print("history  median", &kept);
        ratio("with history and presence", &kept, &ours);
    }
    if plan.pusher {
        print("pusher   median", &pusher);
        ratio("in the Pusher protocol", &pusher, &ours);
    }
    if plan.peer {
        print("bun      median", &theirs);
        ratio("beside Bun", &ours, &theirs);
    }
}

fn ratio(label: &str, one: &[Figures], other: &[Figures]) {
    let of = |of: fn(&Figures) -> f64| median(one, of) / median(other, of);
    println!(
        "{label}: {:.2}× the deliveries/s, {:.2}× the server CPU a delivery",
        of(|f| f.per_second),
        of(|f| f.server_cpu)
    );
}

fn measure(server: &Server, plan: &Plan, speaking: Speaking) -> Figures {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let local = tokio::task::LocalSet::new();
    let (seconds, cpu) = local.block_on(&runtime, async {
        let mut load = client::connect(server.port, plan.subscribers, speaking).await;
        // A tenth as a warm-up.
        load.run(plan.messages / 10, plan.window).await;
        let (cpu, began) = (server.cpu_seconds(), Instant::now());
        load.run(plan.messages, plan.window).await;
        (began.elapsed().as_secs_f64(), server.cpu_seconds() - cpu)
    });
    let deliveries = (plan.messages * plan.subscribers) as f64;
    Figures { per_second: deliveries / seconds, server_cpu: cpu / deliveries * 1e6 }
}

fn median(figures: &[Figures], of: fn(&Figures) -> f64) -> f64 {
    let mut all: Vec<f64> = figures.iter().map(of).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn print(label: &str, figures: &[Figures]) {
    println!(
        "{label:>16}: {:.2} million deliveries/s, {:.3} s server CPU per million",
        median(figures, |f| f.per_second) / 1e6,
        median(figures, |f| f.server_cpu)
    );
}

impl Plan {
    fn from_arguments() -> Self {
        let mut plan = Self {
            subscribers: 1000,
            window: 64,
            messages: 20_000,
            runs: 5,
            shards: 1,
            peer: false,
            history: false,
            pusher: false,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut number =
                || arguments.next().and_then(|n| n.parse().ok()).expect("a number after the option");
            match argument.as_str() {
                "--subscribers" => plan.subscribers = number(),
                "--window" => plan.window = number(),
                "--messages" => plan.messages = number(),
                "--runs" => plan.runs = number(),
                "--shards" => plan.shards = number(),
                "--peer" => plan.peer = arguments.next().as_deref() == Some("bun"),
                "--history" => plan.history = true,
                "--pusher" => plan.pusher = true,
                "--bench" => {}
                other => panic!("unknown option {other}"),
            }
        }
        plan
    }
}
