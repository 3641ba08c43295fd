//! What a connection that does nothing costs.

use serde_json::json;

use crate::harness::raw::PING;
use crate::harness::{Client, Raw, Server};

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

#[tokio::test]
async fn nobody_waits_while_the_table_of_descriptors_grows() {
    let server = Server::with(&[]);
    let (room, limit) = (server.descriptor_room(), server.descriptor_limit());
    assert!(room >= limit.min(1 << 17), "room for {room} of {limit}");
}

const ACTORS: usize = 1000;
/// Of the whole server with so many channels that a plugin in Rust handles.
const MOST_WITH_ACTORS_KIB: u64 = 150 * 1024;

#[tokio::test]
async fn a_thousand_actors_of_a_plugin_in_rust_stay_within_150_mb() {
    let server = Server::with(&["chat"]);
    let mut client = Client::connect(&server).await;
    let before = server.resident_kib();
    for n in 0..ACTORS {
        client.publish(&format!("chat:{n}"), json!({ "text": "hello" })).await;
    }
    let after = server.resident_kib();
    println!(
        "{before} KiB, then {after} KiB with {ACTORS} actors: {} KiB each",
        (after - before) / ACTORS as u64
    );
    assert!(after <= MOST_WITH_ACTORS_KIB, "{before} KiB, then {after} KiB");
}
