//! What a connection that does nothing costs.

use crate::harness::raw::PING;
use crate::harness::{Raw, Server};

const CROWD: usize = 400;
/// Four, and what an allocator rounds up to.
const MOST_KIB: f64 = 5.5;

/// Clients whom the server has answered.
async fn crowd(server: &Server, size: usize) -> Vec<Raw> {
    let mut crowd = Vec::new();
    for _ in 0..size {
        let mut one = Raw::open(server).await;
        one.send(PING, b"").await;
        one.next().await;
        crowd.push(one);
    }
    crowd
}

#[tokio::test]
async fn an_idle_connection_costs_a_few_kibibytes() {
    let server = Server::with(&[]);
    // What the server keeps of its own accord is there after the first.
    let _first = crowd(&server, CROWD / 4).await;
    let before = server.resident_kib();
    let _all = crowd(&server, CROWD).await;
    let each = (server.resident_kib() - before) as f64 / CROWD as f64;
    println!("{each:.1} KiB for each of {CROWD}");
    assert!(each <= MOST_KIB, "{each:.1} KiB each");
}
