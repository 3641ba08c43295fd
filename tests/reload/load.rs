//! Two hundred clients talk while the plugin of their channels is replaced again and again.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::harness::client::Arrived;
use crate::harness::{Client, Server, eventually, plugins};
use crate::{entry, saver, swaps};

const CLIENTS: usize = 200;
const ROOMS: usize = 10;
const LOAD: Duration = Duration::from_secs(3);
const SWAPS: usize = 6;
/// Between two messages of one client: what makes it a load and not a race.
const PACE: Duration = Duration::from_millis(80);

/// What the clients share.
struct Stage {
    /// Everyone and the test itself.
    together: Barrier,
    over: AtomicBool,
    /// Messages seen of each version.
    seen: [AtomicU64; 2],
}

/// What one client has to show at the end.
struct Seen {
    room: usize,
    /// Offset by id of what it published.
    acknowledged: HashMap<u64, u64>,
    since: u64,
    /// Offset, version and text of what it got, in the order in which it came.
    got: Vec<(u64, u64, String)>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_under_load_is_invisible() {
    let server = Arc::new(Server::with(&["chat"]));
    let stage = Arc::new(Stage {
        together: Barrier::new(CLIENTS + 1),
        over: AtomicBool::new(false),
        seen: [AtomicU64::new(0), AtomicU64::new(0)],
    });
    let clients: Vec<_> =
        (0..CLIENTS).map(|n| tokio::spawn(talk(n, server.clone(), stage.clone()))).collect();
    stage.together.wait().await;

    let began = Instant::now();
    let made = swap_again_and_again(&server, &stage, began).await;
    stage.over.store(true, Relaxed);
    println!("{made} swaps in {:?}", began.elapsed());

    // All have their acknowledgements: the last message of each room is known to be the last.
    stage.together.wait().await;
    let mut ender = Client::connect(&server).await;
    for room in 0..ROOMS {
        ender.publish(&channel(room), json!({ "text": "end" })).await;
    }
    let seen: Vec<Seen> = join_all(clients).await.into_iter().map(|client| client.unwrap()).collect();
    check(&seen);
    assert_eq!(swaps(&server, "chat"), made, "every swap is logged, and once");
    let complaints = |line: &&String| line.contains("WARN") || line.contains("ERROR");
    let log = server.log();
    assert_eq!(log.iter().filter(complaints).collect::<Vec<_>>(), Vec::<&String>::new());
}

fn channel(room: usize) -> String {
    format!("chat:room-{room}")
}

async fn swap_again_and_again(server: &Server, stage: &Stage, began: Instant) -> usize {
    let (v1, v2) = (plugins::bytes("chat"), plugins::bytes("chat-v2"));
    let path = server.plugin("chat");
    let mut made = 0;
    while made < SWAPS || began.elapsed() < LOAD {
        let version = if made % 2 == 0 { 2 } else { 1 };
        let bytes = if version == 2 { &v2 } else { &v1 };
        // Each way in both directions.
        match made / 2 % 2 {
            0 => saver::by_rename(&path, bytes),
            _ => saver::in_place(&path, bytes),
        }
        made += 1;
        let counter = &stage.seen[version - 1];
        let before = counter.load(Relaxed);
        eventually("the new version's messages", async || {
            (counter.load(Relaxed) > before + 1000).then_some(())
        })
        .await;
        // One shard may have it while the other has not: the line comes after both.
        eventually("the swap's line in the log", async || (swaps(server, "chat") == made).then_some(()))
            .await;
        let report = server.report().await;
        let swap = &entry(&report, "chat").unwrap()["swap"];
        for field in ["from_version", "to_version", "from_generation", "to_generation", "took_ms"] {
            assert!(!swap[field].is_null(), "{field} in {swap}");
        }
        assert!(swap["from_generation"].as_u64() < swap["to_generation"].as_u64(), "{swap}");
        assert!(swap["took_ms"].as_f64().unwrap() > 0.0, "{swap}");
    }
    let line = server.logged(&["swapped"]).pop().unwrap();
    assert!(line.contains("from=") && line.contains("to=") && line.contains("took_ms="), "{line}");
    made
}

async fn talk(n: usize, server: Arc<Server>, stage: Arc<Stage>) -> Seen {
    let room = n % ROOMS;
    let channel = channel(room);
    let mut client = Client::connect(&server).await;
    let since = client.subscribe(&channel).await["offset"].as_u64().unwrap();
    let mut seen = Seen { room, acknowledged: HashMap::new(), since, got: Vec::new() };
    stage.together.wait().await;

    let mut pace = tokio::time::interval(PACE);
    let mut number = n as u64 * 1_000_000;
    while !stage.over.load(Relaxed) {
        pace.tick().await;
        number += 1;
        client
            .send(json!({
                "type": "publish", "channel": channel, "data": { "text": number.to_string() }, "id": number,
            }))
            .await;
        while !seen.acknowledged.contains_key(&number) {
            take(client.next().await, &mut seen, &stage);
        }
    }
    stage.together.wait().await;
    while seen.got.last().is_none_or(|(_, _, text)| text != "end") {
        take(client.next().await, &mut seen, &stage);
    }
    client.ping().await;
    assert_eq!(client.left_over(), []);
    seen
}

fn take(arrived: Arrived, seen: &mut Seen, stage: &Stage) {
    let frame = arrived.json().unwrap_or_else(|| panic!("{arrived:?} in the middle of it"));
    match frame["type"].as_str() {
        Some("published") => {
            let (id, offset) = (frame["id"].as_u64().unwrap(), frame["offset"].as_u64().unwrap());
            assert_eq!(seen.acknowledged.insert(id, offset), None, "{id} is answered twice");
        }
        Some("data") => {
            let data = frame["data"].as_object().unwrap();
            assert!(data["from"].is_string(), "{frame}");
            let version = match (data.len(), data.get("v")) {
                (2, None) => 1,
                (3, Some(Value::Number(version))) if version.as_u64() == Some(2) => 2,
                _ => panic!("neither version says {frame}"),
            };
            stage.seen[version as usize - 1].fetch_add(1, Relaxed);
            let text = data["text"].as_str().unwrap().to_owned();
            seen.got.push((frame["offset"].as_u64().unwrap(), version, text));
        }
        _ => panic!("{frame}"),
    }
}

fn check(all: &[Seen]) {
    for room in 0..ROOMS {
        let members: Vec<&Seen> = all.iter().filter(|seen| seen.room == room).collect();
        let last = members[0].got.last().unwrap().0;
        let mut texts = HashMap::new();
        for seen in &members {
            let offsets = seen.got.iter().map(|(offset, ..)| *offset);
            assert!(offsets.eq(seen.since + 1..=last), "each offset once, in order, in room {room}");
            for (offset, version, text) in &seen.got {
                let first = texts.entry(*offset).or_insert((*version, text));
                assert_eq!((*version, text), *first, "everyone in room {room} sees the same at {offset}");
            }
        }
        let mut acknowledged = 0;
        for seen in &members {
            for (id, offset) in &seen.acknowledged {
                assert_eq!(texts[offset].1, &id.to_string(), "at the offset that `published` named");
                acknowledged += 1;
            }
        }
        // And the one that ended it.
        assert_eq!(acknowledged + 1, last, "every message of room {room} was acknowledged");
    }
    let versions =
        |wanted: u64| all.iter().flat_map(|seen| &seen.got).filter(|(_, v, _)| *v == wanted).count();
    println!("{} messages of version 1, {} of version 2", versions(1), versions(2));
    assert!(versions(1) > 0 && versions(2) > 0);
}
