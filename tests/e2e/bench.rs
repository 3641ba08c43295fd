//! `tidegate bench`: each scenario, small, against a real server; and that it sees it when a
//! server does not deliver as it should.

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::cli::{self, Said};
use crate::harness::{Server, plugins};

/// Runs a scenario against a server of its own.
fn bench(arguments: &str) -> Said {
    let examples = plugins::root().join("plugins/examples");
    let mut all: Vec<&str> = ["bench"].into_iter().chain(arguments.split(' ')).collect();
    all.extend(["--plugins", examples.to_str().unwrap()]);
    cli::run(&all)
}

/// Its figures, if it was exact.
fn figures(arguments: &str) -> Value {
    let said = bench(&format!("{arguments} --json"));
    assert_eq!((said.code, &*said.stderr), (Some(0), ""), "{said:?}");
    let report: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(report["scenario"], arguments.split(' ').next().unwrap());
    report["figures"].clone()
}

fn is_positive(figures: &Value, key: &str) {
    assert!(figures[key]["median"].as_f64().is_some_and(|figure| figure > 0.0), "{key} in {figures:#}");
}

#[test]
fn a_fan_out_is_measured_in_a_closed_and_in_an_open_loop() {
    for pace in ["--window 8 --messages 500", "--rate 2000 --messages 500", "--seconds 1"] {
        let figures = figures(&format!("fan-out --subscribers 20 {pace}"));
        let keys = ["deliveries_per_second", "published_per_second", "latency_p50_us", "latency_p99_us"];
        keys.iter().for_each(|key| is_positive(&figures, key));
        is_positive(&figures, "server_resident_bytes");
        assert!(figures["server_cpu_seconds_per_million"]["median"].is_number(), "{figures:#}");
    }
}

#[test]
fn a_fan_out_goes_by_as_many_channels_as_it_is_told() {
    // More than one client may be in by default; on two shards, channels keep no common order.
    for more in ["--subscribers 3 --channels 1500 --messages 3100", "--subscribers 2 --channels 7 --shards 2"]
    {
        is_positive(&figures(&format!("fan-out {more}")), "deliveries_per_second");
    }
}

/// More subscribers than a shard serves in one turn.
#[test]
fn large_audiences_get_each_message_once_and_in_order() {
    for load in [
        "fan-out --subscribers 200 --window 8 --messages 300",
        "fan-out --subscribers 300 --shards 2 --window 8 --messages 300",
        "rooms --rooms 3 --members 80 --messages 100",
    ] {
        is_positive(&figures(load), "deliveries_per_second");
    }
}

#[test]
fn rooms_and_many_publishers_are_measured() {
    is_positive(&figures("rooms --rooms 5 --members 4 --messages 1001"), "deliveries_per_second");
    is_positive(
        &figures("publish --publishers 7 --subscribers 2 --messages 1001 --shards 2"),
        "published_per_second",
    );
}

#[test]
fn connections_are_measured_with_and_without_a_channel() {
    for more in ["", " --channels 3"] {
        let figures = figures(&format!("connect --connections 200 --at-once 20{more}"));
        ["connections_per_second", "latency_max_us"].iter().for_each(|key| is_positive(&figures, key));
    }
}

#[test]
fn presence_and_recovery_are_measured() {
    is_positive(&figures("presence --members 5 --watchers 6 --messages 202"), "changes_per_second");
    let recovered = figures("recovery --clients 50 --missed 80 --live 500");
    is_positive(&recovered, "recoveries_per_second");
}

#[test]
fn filters_and_plugins_in_the_path_are_measured() {
    is_positive(&figures("filters --subscribers 30 --filters 10 --messages 500"), "deliveries_per_second");
    is_positive(&figures("filters --subscribers 30 --mixed --messages 500"), "deliveries_per_second");
    is_positive(&figures("plugin --subscribers 20 --messages 500"), "deliveries_per_second");
    let fixtures = plugins::root().join("tests/fixtures");
    let refused = ["bench", "plugin", "--plugin", "nothing", "--plugins", fixtures.to_str().unwrap()];
    let said = cli::run(&refused);
    assert!(said.code == Some(1) && said.stderr.contains("refuses a plugin: "), "{said:?}");
    let other = "plugin --plugin tic-tac-toe --subscribers 20 --messages 500";
    assert!(bench(other).stderr.contains("the server refuses"), "it takes no messages");
}

#[test]
fn slow_consumers_are_closed_and_cost_nobody_a_message() {
    // More than the outbox and what the system keeps for a socket that nobody reads.
    let figures = figures("slow --subscribers 10 --slow 3 --messages 500 --bytes 20000 --window 16");
    assert_eq!(figures["slow_closed"]["median"], 3.0, "{figures:#}");
}

#[test]
fn what_growth_and_parts_cost_is_told_by_one_command() {
    let mut command = std::process::Command::new(plugins::root().join("benches/curves/run"));
    command.arg("--quick").env("TIDEGATE", env!("CARGO_BIN_EXE_tidegate"));
    let said = command.output().unwrap();
    let (out, err) = (String::from_utf8(said.stdout).unwrap(), String::from_utf8(said.stderr).unwrap());
    assert!(said.status.success(), "{err}");
    for words in
        ["| without | with |", "idle connections", "(curves/subscribers.svg)", "(curves/channels.svg)"]
    {
        assert!(out.contains(words), "{words} in {out}");
    }
    assert!(!out.contains("NaN"), "{out}");
}

#[tokio::test]
async fn a_server_that_runs_is_measured_from_outside() {
    let server = Server::with(&[]);
    let (url, pid) = (server.url("/ws"), server.pid().to_string());
    let arguments = ["bench", "fan-out", "--subscribers", "5", "--messages", "200", "--runs", "3"];
    let said = cli::run(&[&arguments[..], &["--url", &url, "--pid", &pid]].concat());
    assert_eq!((said.code, &*said.stderr), (Some(0), ""), "{said:?}");
    assert!(said.stdout.starts_with("fan-out: 1 → 5, window 64, 200 messages of 100 bytes\n"), "{said:?}");
    for words in ["3 runs", "median", "deliveries/s", "latency p99.9", "server memory"] {
        assert!(said.stdout.contains(words), "{words} in {}", said.stdout);
    }
}

// === what it sees ===

/// How a server may go wrong.
#[derive(Clone, Copy)]
enum Flaw {
    None,
    Loses,
    Doubles,
    Swaps,
    Falls,
}

/// A server of one room that is exact but for the fifth message.
async fn flawed(flaw: Flaw) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (publish, _) = tokio::sync::broadcast::channel(1024);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, publish.clone(), flaw));
        }
    });
    format!("ws://{address}/ws")
}

async fn serve(stream: TcpStream, publish: tokio::sync::broadcast::Sender<String>, flaw: Flaw) {
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    let mut messages = publish.subscribe();
    let (mut subscribed, mut count, mut kept) = (false, 0, None);
    loop {
        let out = tokio::select! {
            Ok(text) = messages.recv(), if subscribed => {
                count += 1;
                match (flaw, count) {
                    (Flaw::Loses, 5) => continue,
                    (Flaw::Doubles, 5) => vec![text.clone(), text],
                    (Flaw::Swaps, 5) => { kept = Some(text); continue }
                    (Flaw::Falls, 5) => return,
                    _ => [Some(text), kept.take()].into_iter().flatten().collect(),
                }
            }
            frame = socket.next() => {
                let Some(Ok(Message::Text(text))) = frame else { return };
                let frame: Value = serde_json::from_str(&text).unwrap();
                if frame["type"] == "subscribe" {
                    subscribed = true;
                    vec![r#"{"type":"subscribed","channel":"it"}"#.to_owned()]
                } else {
                    let data = serde_json::json!({ "type": "data", "channel": "it", "data": frame["data"] });
                    let _ = publish.send(data.to_string());
                    continue;
                }
            }
        };
        for text in out {
            if socket.send(Message::text(text)).await.is_err() {
                return;
            }
        }
    }
}

async fn bench_flawed(flaw: Flaw) -> Said {
    let url = flawed(flaw).await;
    tokio::task::spawn_blocking(move || {
        let arguments = ["bench", "fan-out", "--subscribers", "2", "--messages", "20", "--window", "10"];
        cli::run(&[&arguments[..], &["--dialect", "plain", "--url", &url]].concat())
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn what_is_lost_doubled_out_of_order_or_cut_off_is_seen() {
    let exact = bench_flawed(Flaw::None).await;
    assert_eq!((exact.code, &*exact.stderr), (Some(0), ""));
    for (flaw, words) in [
        (Flaw::Loses, "message 6 came where 5 was due"),
        (Flaw::Doubles, "message 5 came after message 5"),
        (Flaw::Swaps, "message 6 came where 5 was due"),
        (Flaw::Falls, "the server ended connection"),
    ] {
        let said = bench_flawed(flaw).await;
        assert_eq!((said.code, &*said.stdout), (Some(1), ""), "{said:?}");
        assert!(said.stderr.starts_with("tidegate: ") && said.stderr.contains(words), "{words}: {said:?}");
    }
}

#[test]
fn what_it_cannot_measure_it_says() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = format!("bench fan-out --url ws://{free}/ws");
    for (arguments, words) in [
        (&*gone, "is the server running?"),
        ("bench fan-out --url http://127.0.0.1:1/", "does not begin with ws://"),
        ("bench fan-out --url ws://127.0.0.1:1/ --pid 4294967295", "no process 4294967295"),
        ("bench fan-out --channels 2 --dialect plain --url ws://127.0.0.1:1/", "--dialect native only"),
        ("bench presence --dialect plain --url ws://127.0.0.1:1/", "--dialect native only"),
        ("bench plugin --plugins /nowhere", "no chat.wasm in /nowhere"),
    ] {
        let said = cli::run(&arguments.split(' ').collect::<Vec<_>>());
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.stderr.contains(words), "{words}: {}", said.stderr);
    }
    let refused = cli::run(&["bench", "fan-out", "--window", "0"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
}
