//! A publisher that asks hears what became of its message.

use serde_json::{Value, json};

use crate::harness::{Client, Server};

async fn publish(client: &mut Client, fields: Value) -> [u64; 3] {
    let mut frame = json!({ "type": "publish", "channel": "logs", "receipt": true });
    frame.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let answer = client.ask(frame).await;
    assert_eq!(answer["type"], "published", "{answer}");
    assert!(answer["offset"].is_u64(), "{answer}");
    ["delivered", "filtered", "excluded"].map(|count| answer[count].as_u64().unwrap())
}

#[tokio::test]
async fn a_receipt_counts_subscribers_of_every_shard() {
    let server = Server::with(&["level-filter"]);
    let mut ada = Client::connect(&server).await;
    let error = json!({ "level": "error" });
    let debug = json!({ "level": "debug" });
    assert_eq!(publish(&mut ada, json!({ "data": error })).await, [0, 0, 0], "nobody is there");

    let mut others = Vec::new();
    for _ in 0..10 {
        let mut plain = Client::connect(&server).await;
        plain.subscribe("logs").await;
        let mut picky = Client::connect(&server).await;
        let filter = json!({ "plugin": "level", "params": { "min": "warn" } });
        picky.subscribe_with(json!({ "channel": "logs", "filter": filter })).await;
        others.extend([plain, picky]);
    }
    ada.subscribe("logs").await;
    assert_eq!(publish(&mut ada, json!({ "data": error })).await, [21, 0, 0]);
    assert_eq!(publish(&mut ada, json!({ "data": debug })).await, [11, 10, 0]);
    assert_eq!(publish(&mut ada, json!({ "data": debug, "echo": false })).await, [10, 10, 1]);
    assert_eq!(publish(&mut ada, json!({ "data": "x".repeat(10_000) })).await, [11, 10, 0]);
    for client in &mut others[..1] {
        for offset in [error.clone(), debug.clone(), debug.clone()] {
            assert_eq!(client.data().await, offset);
        }
    }

    let without = ada.ask(json!({ "type": "publish", "channel": "logs", "data": 1 })).await;
    assert_eq!(without.get("delivered"), None, "only who asks: {without}");
}

#[tokio::test]
async fn a_counted_message_keeps_its_place_among_others() {
    let server = Server::with(&[]);
    let mut ada = Client::connect(&server).await;
    let mut bob = Client::connect(&server).await;
    bob.subscribe("logs").await;
    for number in 0..300 {
        let receipt = number % 3 == 0;
        let frame = json!({ "type": "publish", "channel": "logs", "data": number, "receipt": receipt });
        if number % 50 == 0 {
            ada.ask(frame).await;
        } else {
            ada.send(frame).await;
        }
    }
    for number in 0..300 {
        assert_eq!(bob.data().await, number);
    }
}
