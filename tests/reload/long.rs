//! Reloads in a row under load, and what is left of them: nothing. Fifty of them; as many as
//! `TIDEGATE_RELOADS` says where somebody has the time for more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde_json::json;

use crate::harness::{Client, Server, plugins, wait};
use crate::{entry, saver};

const CLIENTS: usize = 20;
const ROOMS: usize = 5;
/// What the allocator may make of the same work done again, in KiB.
const MORE_KIB: u64 = 16 * 1024;
/// Descriptors for connections that a test's own requests leave for a moment.
const MORE_FILES: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_in_a_row_under_load_leave_nothing_behind_and_lose_nothing() {
    let reloads = std::env::var("TIDEGATE_RELOADS").map_or(50, |count| count.parse().unwrap());
    let server = Arc::new(Server::with(&["chat"]));
    let (over, said) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let talkers: Vec<_> =
        (0..CLIENTS).map(|n| tokio::spawn(talk(n, server.clone(), over.clone(), said.clone()))).collect();

    let versions = [plugins::bytes("chat"), plugins::bytes("chat-v2")];
    let path = server.plugin("chat");
    // Everything that is made once has been made by then.
    let settled = reloads / 5;
    let mut before = (0, 0);
    for made in 1..=reloads {
        let last = generation(&server).await;
        saver::by_rename(&path, &versions[made % 2]);
        wait::eventually("the swap", async || (generation(&server).await > last).then_some(())).await;
        // Each version is at work before the next one comes.
        let heard = said.load(Relaxed);
        wait::eventually("messages", async || (said.load(Relaxed) > heard + 20).then_some(())).await;
        if made == settled {
            before = (server.resident_kib(), server.open_files());
        }
    }
    let after = (server.resident_kib(), server.open_files());
    over.store(true, Relaxed);
    let mut messages = 0;
    for talker in talkers {
        messages += talker.await.unwrap();
    }
    println!(
        "{reloads} reloads, {messages} messages: {} KiB and {} descriptors after {settled}, {} KiB and {} at the end",
        before.0, before.1, after.0, after.1
    );
    assert!(after.0 < before.0 + MORE_KIB, "{} KiB, then {} KiB", before.0, after.0);
    assert!(after.1 <= before.1 + MORE_FILES, "{} descriptors, then {}", before.1, after.1);
    let complaints = |line: &&String| line.contains("WARN") || line.contains("ERROR");
    assert_eq!(server.log().iter().find(complaints), None);
}

async fn generation(server: &Server) -> u64 {
    let report = server.report().await;
    entry(&report, "chat").unwrap()["loaded"]["generation"].as_u64().unwrap()
}

/// Publishes to a room and reads it, until it is over; how many of its own messages it got, each
/// once, in order, and acknowledged.
async fn talk(n: usize, server: Arc<Server>, over: Arc<AtomicBool>, said: Arc<AtomicU64>) -> u64 {
    let channel = format!("chat:room-{}", n % ROOMS);
    let mut client = Client::connect(&server).await;
    let mut last = client.subscribe(&channel).await["offset"].as_u64().unwrap();
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    let mut mine = 0;
    while !over.load(Relaxed) {
        pace.tick().await;
        mine += 1;
        let text = format!("{n}-{mine}");
        let acknowledged = client.publish(&channel, json!({ "text": text })).await;
        loop {
            let frame = client.expect("data").await;
            let offset = frame["offset"].as_u64().unwrap();
            assert_eq!(offset, last + 1, "each once and in order: {frame}");
            last = offset;
            if offset == acknowledged {
                assert_eq!(frame["data"]["text"], text, "at the place that was named");
                break;
            }
        }
        said.fetch_add(1, Relaxed);
    }
    mine
}
