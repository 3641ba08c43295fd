//! Many sockets are written by one call where the system has io_uring, and none is served differently for it.

use serde_json::json;

use crate::harness::{Client, Raw, Server};

const READERS: usize = 12;
const TEXT_BYTES: usize = 60_000;

const CONFIG: &str = "
    limits.outbox_bytes = 262144
    [[channel]]
    pattern = 'x'
";

fn holds_a_ring(server: &Server) -> bool {
    let files = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    let leads_to = |file: std::io::Result<std::fs::DirEntry>| std::fs::read_link(file.ok()?.path()).ok();
    files.filter_map(leads_to).any(|target| target.to_string_lossy().contains("io_uring"))
}

/// Readers that keep up, and one that reads nothing.
async fn everybody_gets_everything(server: &Server) {
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut reader = Client::connect(server).await;
        reader.subscribe("x").await;
        readers.push(reader);
    }
    let mut stopped = Raw::narrow(server).await;
    stopped.send_json(json!({ "type": "subscribe", "channel": "x" })).await;
    assert_eq!(stopped.next().await.json()["type"], "subscribed");
    let mut publisher = Client::connect(server).await;
    let mut n = 0;
    while server.logged(&["slow consumer"]).is_empty() {
        n += 1;
        assert!(n <= 400, "the slow one is still there");
        let text = format!("{n}{}", "x".repeat(TEXT_BYTES));
        publisher.send(json!({ "type": "publish", "channel": "x", "data": text })).await;
        for reader in &mut readers {
            assert_eq!(reader.expect("data").await["data"], text);
        }
    }
    publisher.send(json!({ "type": "publish", "channel": "x", "data": "after it" })).await;
    for reader in &mut readers {
        assert_eq!(reader.expect("data").await["data"], "after it");
    }
}

#[tokio::test]
async fn by_one_call_everybody_gets_everything() {
    let server = Server::builder().config(CONFIG).shards(1).start();
    everybody_gets_everything(&server).await;
    let said = server.logged(&["no io_uring here"]).len();
    assert_eq!(said, usize::from(!holds_a_ring(&server)));
}

#[tokio::test]
async fn without_io_uring_everybody_gets_everything() {
    let server = Server::builder().config(CONFIG).shards(1).env("TIDEGATE_IO_URING", "false").start();
    everybody_gets_everything(&server).await;
    assert!(!holds_a_ring(&server) && server.logged(&["io_uring"]).is_empty());
}
