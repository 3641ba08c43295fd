//! Timers that handlers set.

use serde_json::{Value, json};

use crate::harness::{Client, Server};

/// One that sees what the timers of `hostile:a` publish.
async fn client(server: &Server) -> Client {
    let mut client = Client::connect(server).await;
    client.subscribe("hostile:a").await;
    client
}

async fn ask_for(client: &mut Client, what: &str) {
    client.publish("hostile:a", json!({ "do": what })).await;
    assert_eq!(client.data().await["do"], what);
}

async fn rang(client: &mut Client) -> Value {
    client.data().await["rang"].clone()
}

#[tokio::test]
async fn a_timer_wakes_its_channel_once() {
    let server = Server::with(&["hostile"]);
    let mut client = client(&server).await;
    for what in ["timer", "timer-twice"] {
        ask_for(&mut client, what).await;
        assert_eq!(rang(&mut client).await, 1, "{what}");
    }
    ask_for(&mut client, "timer-cancelled").await;
    assert_eq!(rang(&mut client).await, 2);
    client.ping().await;
    assert_eq!(client.left_over(), []);
}

#[tokio::test]
async fn a_channel_has_sixty_four() {
    let server = Server::with(&["hostile"]);
    let mut client = client(&server).await;
    ask_for(&mut client, "timers").await;
    let mut ids = Vec::new();
    for _ in 0..64 {
        ids.push(rang(&mut client).await.as_u64().unwrap());
    }
    ids.sort_unstable();
    assert!(ids.iter().copied().eq(1..=64), "{ids:?}");
    server.wait_for_log("has 64 timers already").await;
    ask_for(&mut client, "timer").await;
    assert_eq!(rang(&mut client).await, 1, "there is room again");
}

#[tokio::test]
async fn one_that_traps_costs_the_instance_and_nothing_else() {
    let server = Server::with(&["hostile"]);
    let mut client = client(&server).await;
    ask_for(&mut client, "timer-trap").await;
    server.wait_for_log("a timer's call failed").await;
    ask_for(&mut client, "timer").await;
    assert_eq!(rang(&mut client).await, 1);
}
