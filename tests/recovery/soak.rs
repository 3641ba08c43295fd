//! Clients that come, subscribe, join and die without a goodbye leave nothing behind.

use serde_json::json;

use crate::harness::{Client, Server, wait};

const CYCLES: usize = 10_000;
/// At a time.
const TOGETHER: usize = 50;
/// What an allocator may keep, and does not keep again for the next thousands.
const SLACK_KIB: u64 = 4 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_clients_that_die_leave_nothing_behind() {
    let config = r#"
        [[channel]]
        pattern = "*"
        history = { messages = 10 }
        presence = "auto"
    "#;
    let server = Server::builder().config(config).start();
    let mut watcher = Client::connect(&server).await;
    watcher.subscribe("hall").await;
    let mut warm = 0;
    for done in (0..CYCLES).step_by(TOGETHER) {
        let mut crowd = Vec::new();
        for number in 0..TOGETHER {
            let mut client = Client::connect(&server).await;
            client.send(json!({ "type": "subscribe", "channel": "hall", "history": 10 })).await;
            client
                .send(json!({ "type": "subscribe", "channel": format!("room:{number}"), "presence": true }))
                .await;
            client.send(json!({ "type": "join", "channel": "hall", "data": { "n": number } })).await;
            client.send(json!({ "type": "publish", "channel": "hall", "data": number })).await;
            crowd.push(client);
        }
        for client in &mut crowd {
            client.expect("joined").await;
        }
        drop(crowd);
        for _ in 0..TOGETHER {
            watcher.data().await;
        }
        if done == CYCLES * 3 / 10 {
            warm = settled(&server, &mut watcher).await;
        }
    }
    let after = settled(&server, &mut watcher).await;
    println!("{warm} KiB resident after {} cycles, {after} KiB after {CYCLES}", CYCLES * 3 / 10);
    assert!(after <= warm + SLACK_KIB, "{warm} KiB, then {after} KiB");
}

/// Resident memory in KiB, when only the watcher is left.
async fn settled(server: &Server, watcher: &mut Client) -> u64 {
    wait::eventually("everybody has gone", async || {
        let list = watcher.ask(json!({ "type": "presence", "channel": "hall" })).await;
        (list["count"] == 1).then_some(())
    })
    .await;
    server.resident_kib()
}
