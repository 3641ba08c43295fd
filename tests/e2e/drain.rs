//! The server's own end.

use serde_json::json;

use crate::harness::{Client, Server};

#[tokio::test]
async fn on_sigterm_every_client_is_told_and_the_exit_is_clean() {
    let mut server = Server::builder().shards(4).start();
    let mut clients = Vec::new();
    for n in 0..20 {
        let mut client = Client::connect(&server).await;
        client.subscribe("room").await;
        clients.push((n, client));
    }
    clients[0].1.publish("room", json!("last words")).await;
    server.terminate();
    for (n, client) in &mut clients {
        assert_eq!(client.data().await, "last words", "client {n}");
        let (code, reason) = client.closed().await;
        assert_eq!(code, 1001, "client {n}");
        assert!(reason.contains("retry_after"), "{reason}");
    }
    let status = server.ended().await;
    assert_eq!(status.code(), Some(0), "{status}: {:?}", server.log());
    assert_eq!(server.logged(&["going away"]).len(), 1);
    assert!(Client::try_open(&server, "/ws", &[]).await.is_err());
}

#[tokio::test]
async fn an_idle_server_ends_at_once() {
    let mut server = Server::with(&["chat"]);
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_client_that_does_not_listen_does_not_hold_the_server_back() {
    let mut server = Server::with(&[]);
    let _deaf = crate::harness::Raw::open(&server).await;
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0));
}
