//! Channels: one order for everybody, each message once, and who may publish.

use serde_json::{Value, json};

use crate::harness::{Client, Server};

const NUMBERED: &str = "
    [[channel]]
    pattern = '*'
    offsets = true
";

#[tokio::test]
async fn all_subscribers_see_one_order_on_however_many_shards() {
    const SUBSCRIBERS: usize = 12;
    const PUBLISHERS: usize = 6;
    const EACH: u64 = 50;
    let server = Server::builder().config(NUMBERED).shards(4).start();
    let mut subscribers = Vec::new();
    for _ in 0..SUBSCRIBERS {
        let mut client = Client::connect(&server).await;
        client.subscribe("room").await;
        subscribers.push(client);
    }
    let publishers = (0..PUBLISHERS).map(|publisher| {
        let server = &server;
        async move {
            let mut client = Client::connect(server).await;
            let mut offsets = Vec::new();
            for n in 0..EACH {
                offsets.push((client.publish("room", json!([publisher, n])).await, json!([publisher, n])));
            }
            offsets
        }
    });
    let mut published: Vec<(u64, Value)> = futures_util::future::join_all(publishers).await.concat();
    published.sort_by_key(|(offset, _)| *offset);
    let total = PUBLISHERS as u64 * EACH;
    assert!(published.iter().map(|(offset, _)| *offset).eq(1..=total), "every offset is named once");

    for subscriber in &mut subscribers {
        for (offset, data) in &published {
            let said = subscriber.expect("data").await;
            assert_eq!((&said["offset"], &said["data"]), (&json!(offset), data));
        }
        subscriber.ping().await;
        assert_eq!(subscriber.left_over(), []);
    }
    for publisher in 0..PUBLISHERS {
        let its: Vec<_> = published
            .iter()
            .filter(|(_, data)| data[0] == publisher)
            .map(|(_, data)| data[1].as_u64())
            .collect();
        assert!(its.iter().copied().eq((0..EACH).map(Some)), "a publisher's own order is kept");
    }
}

#[tokio::test]
async fn every_channel_has_an_order_of_its_own() {
    let server = Server::builder().config(NUMBERED).shards(4).start();
    let mut client = Client::connect(&server).await;
    for n in 0..40 {
        client.subscribe(&format!("room-{n}")).await;
    }
    for round in 1..=3 {
        for n in 0..40 {
            let channel = format!("room-{n}");
            assert_eq!(client.publish(&channel, json!(n)).await, round);
            let said = client.expect("data").await;
            assert_eq!((&said["channel"], &said["offset"]), (&json!(channel), &json!(round)));
        }
    }
}

#[tokio::test]
async fn requests_of_one_client_to_one_channel_take_effect_in_their_order() {
    let server = Server::builder().shards(4).start();
    let mut client = Client::connect(&server).await;
    for n in 0..50 {
        let channel = format!("room-{n}");
        // All at once: the first publish is too early, the last too late.
        for frame in [
            json!({ "type": "publish", "channel": channel, "data": "early" }),
            json!({ "type": "subscribe", "channel": channel }),
            json!({ "type": "publish", "channel": channel, "data": "in time" }),
            json!({ "type": "unsubscribe", "channel": channel }),
            json!({ "type": "publish", "channel": channel, "data": "late", "id": "end" }),
        ] {
            client.send(frame).await;
        }
        client.expect("published").await;
        let came: Vec<Value> = client.left_over().iter().filter_map(|arrived| arrived.json()).collect();
        let kinds: Vec<_> = came.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
        let data: Vec<_> =
            came.iter().filter(|frame| frame["type"] == "data").map(|frame| &frame["data"]).collect();
        assert!(kinds.first() == Some(&"subscribed") && kinds.contains(&"unsubscribed"), "{kinds:?}");
        assert!(data.iter().all(|data| **data == "in time"), "{data:?}");
    }
}

#[tokio::test]
async fn without_echo_the_publisher_does_not_hear_itself() {
    let server = Server::with(&[]);
    let (mut ada, mut bob) = (Client::connect(&server).await, Client::connect(&server).await);
    ada.subscribe("room").await;
    bob.subscribe("room").await;
    ada.ask(json!({ "type": "publish", "channel": "room", "data": 1, "echo": false })).await;
    ada.ask(json!({ "type": "publish", "channel": "room", "data": 2, "echo": true })).await;
    assert_eq!(ada.data().await, 2);
    assert_eq!((bob.data().await, bob.data().await), (json!(1), json!(2)));
}

#[tokio::test]
async fn subscribing_again_never_doubles() {
    let server = Server::with(&["chat"]);
    for channel in ["room", "chat:lobby"] {
        let mut client = Client::connect(&server).await;
        for _ in 0..5 {
            client.subscribe(channel).await;
        }
        for n in 0..3 {
            client.publish(channel, json!({ "text": n.to_string() })).await;
        }
        for n in 0..3 {
            assert_eq!(client.data().await["text"], n.to_string());
        }
        client.ping().await;
        assert_eq!(client.left_over(), []);
        client.unsubscribe(channel).await;
        client.publish(channel, json!({ "text": "gone" })).await;
        client.ping().await;
        assert_eq!(client.left_over(), [], "one unsubscribe undoes them all");
    }
}

#[tokio::test]
async fn after_an_unsubscribe_nothing_comes() {
    let server = Server::with(&["chat"]);
    for channel in ["room", "chat:lobby"] {
        let (mut ada, mut bob) = (Client::connect(&server).await, Client::connect(&server).await);
        ada.subscribe(channel).await;
        bob.subscribe(channel).await;
        ada.unsubscribe(channel).await;
        bob.publish(channel, json!({ "text": "1" })).await;
        ada.subscribe(channel).await;
        bob.publish(channel, json!({ "text": "2" })).await;
        assert_eq!(ada.data().await["text"], "2");
        assert_eq!(
            (bob.data().await["text"].take(), bob.data().await["text"].take()),
            (json!("1"), json!("2"))
        );
    }
}

#[tokio::test]
async fn an_unsubscribe_of_nothing_is_answered() {
    let server = Server::with(&["chat"]);
    let mut client = Client::connect(&server).await;
    client.unsubscribe("room").await;
    client.unsubscribe("chat:lobby").await;
    client.unsubscribe("chat:lobby").await;
}

#[tokio::test]
async fn who_leaves_frees_its_place_for_others() {
    let server = Server::with(&[]);
    let mut witness = Client::connect(&server).await;
    for n in 0..20 {
        let mut client = Client::connect(&server).await;
        client.subscribe("room").await;
        drop(client);
        witness.subscribe("room").await;
        witness.publish("room", json!(n)).await;
        assert_eq!(witness.data().await, n);
    }
    witness.ping().await;
    assert_eq!(witness.left_over(), []);
}

#[tokio::test]
async fn only_subscribers_publish_where_the_rule_says_so() {
    let config = "
        [[channel]]
        pattern = 'talk:*'
        publish = 'subscribers'
    ";
    let server = Server::builder().config(config).start();
    let mut client = Client::connect(&server).await;
    let denied = json!({
        "type": "error", "message": "User 'anonymous' not authorized for channel 'talk:1'.",
        "code": "permission_denied", "channel": "talk:1",
    });
    assert_eq!(client.try_publish("talk:1", json!(1)).await, denied);
    client.subscribe("talk:1").await;
    client.publish("talk:1", json!(1)).await;
    client.unsubscribe("talk:1").await;
    assert_eq!(client.try_publish("talk:1", json!(1)).await, denied);
}

#[tokio::test]
async fn only_the_server_publishes_where_the_rule_says_so() {
    let config = "
        [[channel]]
        pattern = '*'
        [[channel]]
        pattern = 'news'
        publish = 'server'
    ";
    let server = Server::builder().config(config).start();
    let mut client = Client::connect(&server).await;
    client.subscribe("news").await;
    assert_eq!(client.try_publish("news", json!(1)).await["code"], "permission_denied");
    let posted = crate::harness::http::post(&server, "/_broadcast", r#"{"channel":"news","data":2}"#).await;
    assert_eq!(posted.status, 200);
    assert_eq!(client.data().await, 2);
    client.publish("newsroom", json!(1)).await;
}
