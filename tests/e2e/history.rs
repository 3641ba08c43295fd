//! What a channel keeps, for who asks, comes late or comes back.

use serde_json::{Value, json};

use crate::harness::{Client, Server};

/// Keeps five messages of `log:*`, and as many bytes as ten small ones have of `small:*`.
fn server() -> Server {
    let config = r#"
        [[channel]]
        pattern = "*"
        [[channel]]
        pattern = "log:*"
        history = { messages = 5 }
        [[channel]]
        pattern = "small:*"
        history = { messages = 1000, bytes = 2000 }
        [[channel]]
        pattern = "short:*"
        history = { messages = 100, ttl_secs = 1 }
    "#;
    Server::builder().config(config).start()
}

async fn say(client: &mut Client, channel: &str, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        client.publish(channel, json!(number)).await;
    }
}

fn place(epoch: &Value, offset: u64) -> Value {
    json!({ "epoch": epoch, "offset": offset })
}

/// The data of so many `data` frames, and their offsets.
async fn messages(client: &mut Client, count: usize) -> Vec<(u64, u64)> {
    let mut all = Vec::new();
    for _ in 0..count {
        let frame = client.expect("data").await;
        all.push((frame["data"].as_u64().unwrap(), frame["offset"].as_u64().unwrap()));
    }
    all
}

#[tokio::test]
async fn a_late_subscriber_gets_the_last_messages_it_asks_for() {
    let server = server();
    let mut ada = Client::connect(&server).await;
    say(&mut ada, "log:a", 1..=7).await;
    let mut bob = Client::connect(&server).await;
    let answer = bob.subscribe_with(json!({ "channel": "log:a", "history": 3 })).await;
    assert_eq!((&answer["offset"], &answer["recovered"]), (&json!(7), &Value::Null), "{answer}");
    ada.publish("log:a", json!(8)).await;
    assert_eq!(messages(&mut bob, 4).await, [(5, 5), (6, 6), (7, 7), (8, 8)]);

    let mut eve = Client::connect(&server).await;
    eve.subscribe_with(json!({ "channel": "log:a", "history": 100 })).await;
    assert_eq!(messages(&mut eve, 5).await, [(4, 4), (5, 5), (6, 6), (7, 7), (8, 8)]);
    eve.subscribe("log:b").await;
    eve.ping().await;
    assert_eq!(eve.left_over(), [], "nothing more");
}

#[tokio::test]
async fn who_comes_back_gets_what_it_missed_once_and_in_order() {
    let server = server();
    let mut ada = Client::connect(&server).await;
    let mut bob = Client::connect(&server).await;
    let epoch = bob.subscribe("log:a").await["epoch"].clone();
    say(&mut ada, "log:a", 1..=2).await;
    assert_eq!(messages(&mut bob, 2).await, [(1, 1), (2, 2)]);
    drop(bob);
    say(&mut ada, "log:a", 3..=5).await;

    let mut bob = Client::connect(&server).await;
    let again = json!({ "channel": "log:a", "recover": place(&epoch, 2) });
    let answer = bob.subscribe_with(again).await;
    assert_eq!((&answer["recovered"], &answer["epoch"]), (&json!(true), &epoch), "{answer}");
    assert_eq!(messages(&mut bob, 3).await, [(3, 3), (4, 4), (5, 5)]);
    let up_to_date = json!({ "channel": "log:a", "recover": place(&epoch, 5) });
    assert_eq!(bob.subscribe_with(up_to_date).await["recovered"], true);
    bob.ping().await;
    assert_eq!(bob.left_over(), []);
}

#[tokio::test]
async fn who_was_away_for_too_long_is_told_and_gets_what_is_kept() {
    let server = server();
    let mut ada = Client::connect(&server).await;
    let epoch = ada.subscribe("log:a").await["epoch"].clone();
    say(&mut ada, "log:a", 1..=9).await;
    messages(&mut ada, 9).await;
    let kept = [(5, 5), (6, 6), (7, 7), (8, 8), (9, 9)];
    for (what, recover) in [
        ("the ring no longer reaches back", place(&epoch, 3)),
        ("a foreign epoch", place(&json!("00000000deadbeef"), 9)),
        ("an epoch that is none", place(&json!("lately"), 9)),
        ("an offset from the future", place(&epoch, 10)),
        ("as far in the future as it goes", place(&epoch, u64::MAX)),
    ] {
        let mut bob = Client::connect(&server).await;
        let answer = bob.subscribe_with(json!({ "channel": "log:a", "recover": recover })).await;
        assert_eq!((&answer["recovered"], &answer["offset"]), (&json!(false), &json!(9)), "{what}: {answer}");
        assert_eq!(messages(&mut bob, 5).await, kept, "{what}");
        bob.ping().await;
        assert_eq!(bob.left_over(), [], "{what}");
    }
    let mut eve = Client::connect(&server).await;
    eve.subscribe_with(json!({ "channel": "log:a", "recover": place(&epoch, 4) })).await;
    assert_eq!(messages(&mut eve, 5).await, kept, "just far enough");
}

#[tokio::test]
async fn without_a_history_only_who_missed_nothing_is_recovered() {
    let server = server();
    let mut ada = Client::connect(&server).await;
    let answer = ada.subscribe_with(json!({ "channel": "plain", "recover": place(&json!("x"), 1) })).await;
    assert_eq!((&answer["recovered"], &answer["epoch"]), (&json!(false), &Value::Null), "{answer}");
}

#[tokio::test]
async fn a_place_that_is_none_is_refused() {
    let server = server();
    let mut ada = Client::connect(&server).await;
    for wrong in [
        json!({ "recover": 5 }),
        json!({ "recover": { "epoch": "a" } }),
        json!({ "recover": { "epoch": "a", "offset": -1 } }),
        json!({ "recover": { "epoch": 1, "offset": 1 } }),
        json!({ "history": -1 }),
        json!({ "history": "all" }),
        json!({ "presence": 1 }),
    ] {
        let mut frame = wrong.clone();
        frame["type"] = json!("subscribe");
        frame["channel"] = json!("log:a");
        let answer = ada.ask(frame).await;
        assert_eq!(answer["code"], "invalid_params", "{wrong}: {answer}");
        let key = wrong.as_object().unwrap().keys().next().unwrap().clone();
        assert!(answer["details"].as_str().unwrap().starts_with(&key), "{answer}");
    }
    let answer = ada.ask(json!({ "type": "history", "channel": "log:a", "limit": -5 })).await;
    assert_eq!(answer["code"], "invalid_params");
}

#[tokio::test]
async fn history_is_read_without_subscribing() {
    let server = server();
    let mut ada = Client::connect(&server).await;
    say(&mut ada, "log:a", 1..=7).await;
    let read = |more: Value| {
        let mut frame = json!({ "type": "history", "channel": "log:a" });
        frame.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        frame
    };
    let all = ada.ask(read(json!({}))).await;
    let numbers = |page: &Value| -> Vec<u64> {
        page["messages"].as_array().unwrap().iter().map(|m| m["data"].as_u64().unwrap()).collect()
    };
    assert_eq!(
        (&all["type"], &all["offset"], &all["complete"]),
        (&json!("history"), &json!(7), &json!(true))
    );
    assert_eq!(numbers(&all), [3, 4, 5, 6, 7]);
    let first = &all["messages"][0];
    assert_eq!((&first["offset"], &first["sender"]), (&json!(3), &json!(ada.user().await)));
    assert!(first["timestamp"].is_f64(), "{first}");

    assert_eq!(numbers(&ada.ask(read(json!({ "limit": 2 }))).await), [6, 7], "the last");
    let since = place(&all["epoch"], 4);
    let after = ada.ask(read(json!({ "since": since, "limit": 2 }))).await;
    assert_eq!((numbers(&after), &after["complete"]), (vec![5, 6], &json!(true)), "the next");
    let gone = ada.ask(read(json!({ "since": place(&all["epoch"], 1) }))).await;
    assert_eq!((numbers(&gone), &gone["complete"]), (vec![3, 4, 5, 6, 7], &json!(false)));
    let foreign = ada.ask(read(json!({ "since": place(&json!("x"), 6) }))).await;
    assert_eq!((numbers(&foreign).len(), &foreign["complete"]), (5, &json!(false)));
    let none = ada.ask(json!({ "type": "history", "channel": "plain" })).await;
    assert_eq!((&none["messages"], &none["offset"]), (&json!([]), &json!(0)));
}

#[tokio::test]
async fn a_history_is_bounded_in_bytes_and_in_time() {
    let server = server();
    let mut ada = Client::connect(&server).await;
    say(&mut ada, "small:a", 1..=100).await;
    let page = ada.ask(json!({ "type": "history", "channel": "small:a" })).await;
    assert_eq!(page["messages"].as_array().unwrap().len(), 10, "194 bytes each, but the last");

    say(&mut ada, "short:a", 1..=3).await;
    let read = json!({ "type": "history", "channel": "short:a" });
    assert_eq!(ada.ask(read.clone()).await["messages"].as_array().unwrap().len(), 3);
    crate::harness::wait::eventually("they are too old", async || {
        let page = ada.ask(read.clone()).await;
        (page["messages"] == json!([]) && page["offset"] == 3).then_some(())
    })
    .await;
}

#[tokio::test]
async fn bytes_in_a_history_stand_as_base64() {
    let server = server();
    let mut ada = Client::connect(&server).await;
    let frame = b"\x05log:a\x00\xff\x07";
    ada.send_binary(frame.to_vec()).await;
    let page = ada.ask(json!({ "type": "history", "channel": "log:a" })).await;
    assert_eq!((&page["messages"][0]["base64"], &page["messages"][0]["offset"]), (&json!("AP8H"), &json!(1)));
    let mut bob = Client::connect(&server).await;
    bob.subscribe_with(json!({ "channel": "log:a", "history": 1 })).await;
    assert_eq!(bob.binary().await, frame);
}

#[tokio::test]
async fn what_is_replayed_passes_the_subscribers_filter() {
    let config = "[[channel]]\npattern = \"*\"\nhistory = { messages = 100 }";
    let server = Server::builder().plugins(&["level-filter"]).config(config).start();
    let mut ada = Client::connect(&server).await;
    for round in 0..3 {
        for level in ["debug", "error"] {
            ada.publish("logs", json!({ "level": level, "round": round })).await;
        }
    }
    let mut bob = Client::connect(&server).await;
    let filter = json!({ "plugin": "level", "params": { "min": "error" } });
    bob.subscribe_with(json!({ "channel": "logs", "history": 5, "filter": filter })).await;
    ada.publish("logs", json!({ "level": "fatal", "round": 3 })).await;
    let mut rounds = Vec::new();
    for _ in 0..4 {
        rounds.push(bob.data().await["round"].as_u64().unwrap());
    }
    assert_eq!(rounds, [0, 1, 2, 3]);
    bob.ping().await;
    assert_eq!(bob.left_over(), []);
}

#[tokio::test]
async fn a_replay_is_larger_than_what_may_wait_for_a_slow_client() {
    let config = r#"
        [limits]
        outbox_bytes = 20000
        [[channel]]
        pattern = "*"
        history = { messages = 100000, bytes = 8000000 }
    "#;
    let server = Server::builder().config(config).start();
    let mut ada = Client::connect(&server).await;
    let text = "x".repeat(1000);
    for number in 0..2000 {
        ada.send(json!({ "type": "publish", "channel": "big", "data": { "n": number, "text": text } })).await;
    }
    ada.ask(json!({ "type": "history", "channel": "big", "limit": 0 })).await;
    let mut bob = Client::connect(&server).await;
    bob.subscribe_with(json!({ "channel": "big", "history": 2000 })).await;
    for number in 0..2000 {
        assert_eq!(bob.data().await["n"], number);
    }
    let page = bob.ask(json!({ "type": "history", "channel": "big" })).await;
    assert_eq!(page["messages"].as_array().unwrap().len(), 2000);
}
