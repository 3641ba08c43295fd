//! What a channel's handler hears of those who are no subscribers any more.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{apply, client, known, server, user};
use crate::harness::{Client, Server, http, wait};

/// Hears what the handler says when somebody leaves.
async fn witness(server: &Server) -> Client {
    let mut witness = Client::connect(server).await;
    witness.subscribe("witness").await;
    witness
}

fn gone(user: &str, why: &str) -> Value {
    json!({ "user": user, "why": why })
}

#[tokio::test]
async fn each_cause_is_told_apart() {
    let server = server(4);
    let mut witness = witness(&server).await;
    let mut clients = std::collections::BTreeMap::new();
    for name in ["left", "closed", "dropped", "kicked", "unsubscribed", "api", "disconnected", "refused"] {
        let (mut client, id) = user(&server, name).await;
        client.subscribe("effects:x").await;
        clients.insert(name, (client, id));
    }
    let (mut caller, _) = client(&server).await;
    let mut take = |name: &str| clients.remove(name).unwrap();

    take("left").0.unsubscribe("effects:x").await;
    assert_eq!(witness.data().await, gone("left", "left"));
    let (mut closed, _) = take("closed");
    closed.send_message(Message::Close(None)).await;
    closed.closed().await;
    drop(closed);
    assert_eq!(witness.data().await, gone("closed", "disconnected"));
    drop(take("dropped"));
    assert_eq!(witness.data().await, gone("dropped", "disconnected"));
    let (mut kicked, id) = take("kicked");
    apply(&mut caller, json!([{ "kick": { "client": id } }])).await;
    assert_eq!(kicked.closed().await.0, 4003);
    drop(kicked);
    assert_eq!(witness.data().await, gone("kicked", "removed"));
    let (_unsubscribed, id) = take("unsubscribed");
    apply(&mut caller, json!([{ "unsubscribe": { "client": id, "channel": "effects:x" } }])).await;
    assert_eq!(witness.data().await, gone("unsubscribed", "removed"));
    let _api = take("api");
    let body = json!({ "user": "api", "channel": "effects:x" }).to_string();
    assert_eq!(http::post(&server, "/api/unsubscribe", &body).await.status, 200);
    assert_eq!(witness.data().await, gone("api", "removed"));
    let (mut disconnected, _) = take("disconnected");
    let body = json!({ "user": "disconnected" }).to_string();
    assert_eq!(http::post(&server, "/api/disconnect", &body).await.status, 200);
    assert_eq!(disconnected.closed().await.0, 4004);
    drop(disconnected);
    assert_eq!(witness.data().await, gone("disconnected", "removed"));
    let (mut refused, _) = take("refused");
    refused.send(json!({ "type": "auth", "token": "refuse" })).await;
    assert_eq!(refused.closed().await.0, 4001);
    drop(refused);
    assert_eq!(witness.data().await, gone("refused", "removed"));
    let soon = std::time::SystemTime::now() + std::time::Duration::from_secs(4);
    let soon = soon.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let (mut short, _) = user(&server, &format!("short-{soon}")).await;
    short.subscribe("effects:x").await;
    assert_eq!(short.closed().await.0, 4001);
    drop(short);
    assert_eq!(witness.data().await, gone("short", "expired"));
}

#[tokio::test]
async fn one_that_traps_hears_again_on_a_fresh_instance() {
    let server = server(2);
    let mut witness = witness(&server).await;
    let (mut ada, _) = user(&server, "ada").await;
    let (mut bob, _) = user(&server, "bob").await;
    ada.subscribe("effects:x").await;
    bob.subscribe("effects:x").await;
    bob.publish("effects:x", json!({ "trap_leave": true })).await;
    drop(ada);
    assert_eq!(witness.data().await, gone("ada", "disconnected"));
    bob.unsubscribe("effects:x").await;
    assert_eq!(witness.data().await, gone("bob", "left"));
    let (mut eve, _) = user(&server, "eve").await;
    eve.subscribe("effects:x").await;
}

#[tokio::test]
async fn one_that_always_traps_is_given_up_and_holds_up_nobody_for_long() {
    let server = server(2);
    let mut witness = witness(&server).await;
    let (mut trap, _) = user(&server, "trapper").await;
    let (mut bob, _) = user(&server, "bob").await;
    trap.subscribe("effects:x").await;
    bob.subscribe("effects:x").await;
    trap.unsubscribe("effects:x").await;
    drop(bob);
    server.wait_for_log("the handler has not heard that a client has left").await;
    assert_eq!(witness.data().await, gone("bob", "disconnected"));
    assert_eq!(server.logged(&["the plugin failed", "effects:x"]).len(), 3);
}

fn gracious(secs: u32) -> Server {
    let config = format!("plugins.effects.leave_grace_secs = {secs}\nchannel = [{{ pattern = '*' }}]");
    Server::builder().plugins(&["effects", "test-auth"]).config(&config).shards(4).start()
}

#[tokio::test]
async fn who_comes_back_in_time_was_not_gone() {
    let server = gracious(3600);
    let mut witness = witness(&server).await;
    for _ in 0..3 {
        let (mut ada, _) = user(&server, "ada").await;
        ada.subscribe("effects:x").await;
        drop(ada);
    }
    let (mut ada, _) = user(&server, "ada").await;
    ada.subscribe("effects:x").await;
    let (mut bob, id) = user(&server, "bob").await;
    bob.subscribe("effects:x").await;
    // It was sent away: there is nothing to wait for.
    apply(&mut ada, json!([{ "kick": { "client": id } }])).await;
    assert_eq!(witness.data().await, gone("bob", "removed"));
    ada.unsubscribe("effects:x").await;
    assert_eq!(witness.data().await, gone("ada", "left"));
    let (mut anonymous, id) = client(&server).await;
    anonymous.subscribe("effects:x").await;
    drop(anonymous);
    assert_eq!(witness.data().await, gone(&id, "disconnected"), "nobody can come back as it");
}

#[tokio::test]
async fn who_does_not_come_back_is_gone_when_the_grace_is_over() {
    let server = gracious(1);
    let mut witness = witness(&server).await;
    let (mut ada, _) = user(&server, "ada").await;
    ada.subscribe("effects:x").await;
    drop(ada);
    let (mut ada, _) = user(&server, "ada").await;
    // Elsewhere, and where she is not let in.
    ada.subscribe("effects:y").await;
    let denied = json!({ "type": "subscribe", "channel": "effects:x", "data": { "deny": true } });
    assert_eq!(ada.ask(denied).await["code"], "rejected");
    assert_eq!(witness.data().await, gone("ada", "disconnected"));
}

#[tokio::test]
async fn at_the_servers_end_every_handler_hears_of_everyone() {
    for grace in ["", "plugins.effects.leave_grace_secs = 3600\n"] {
        let config = format!("{grace}channel = [{{ pattern = '*' }}]");
        let mut server =
            Server::builder().plugins(&["effects", "test-auth"]).config(&config).shards(4).start();
        let mut clients = Vec::new();
        for n in 0..20 {
            let (mut client, _) = known(Client::with_token(&server, &format!("user-{n}")).await).await;
            client.subscribe(&format!("effects:{}", n % 7)).await;
            clients.push(client);
        }
        // One is gone before, and would have time to come back.
        drop(clients.pop());
        server.terminate();
        for client in &mut clients {
            assert_eq!(client.closed().await.0, 1001);
        }
        drop(clients);
        server.ended().await;
        for n in 0..20 {
            let heard = server.logged(&[&format!("user-{n} has left: disconnected")]);
            assert_eq!(heard.len(), 1, "user-{n}");
        }
    }
}

#[tokio::test]
async fn a_reload_in_between_loses_no_departure() {
    let server = server(2);
    let mut witness = witness(&server).await;
    let mut clients = Vec::new();
    for n in 0..40 {
        let (mut client, _) = user(&server, &format!("user-{n}")).await;
        client.subscribe(&format!("effects:{}", n % 5)).await;
        clients.push(client);
    }
    let file = std::fs::read(server.plugin("effects")).unwrap();
    for (n, client) in clients.into_iter().enumerate() {
        if n % 10 == 0 {
            // Another file of the same code: a custom section more.
            let section = [&file[..], &[0, 3, 1, b'n', n as u8]].concat();
            std::fs::write(server.plugin("effects"), section).unwrap();
        }
        drop(client);
    }
    wait::eventually("a reload", async || (!server.logged(&["swapped"]).is_empty()).then_some(())).await;
    let mut heard = std::collections::BTreeSet::new();
    while heard.len() < 40 {
        heard.insert(witness.data().await["user"].as_str().unwrap().to_owned());
    }
}
