//! Messages to some, to nobody now, to one client and to a user.

use serde_json::{Value, json};

use super::{apply, client, heard, say, server, user};
use crate::harness::guest::Guest;
use crate::harness::{Client, Server};

fn only(channel: &str, clients: &[&String], data: Value) -> Value {
    json!({ "publish": { "channel": channel, "only": clients, "data": data } })
}

fn all(channel: &str, data: Value) -> Value {
    json!({ "publish": { "channel": channel, "data": data } })
}

#[tokio::test]
async fn others_leaves_one_out_and_only_leaves_all_out_but_some() {
    let server = server(2);
    let (mut a, a_id) = client(&server).await;
    let (mut b, b_id) = client(&server).await;
    let (mut absent, absent_id) = client(&server).await;
    for reader in [&mut a, &mut b] {
        reader.subscribe("numbered:x").await;
    }
    let others = json!({ "publish": { "channel": "numbered:x", "others": a_id, "data": "not a" } });
    let effects = json!([
        all("numbered:x", json!("all")),
        others,
        only("numbered:x", &[&a_id, &absent_id], json!("a")),
        only("numbered:x", &[&b_id, &b_id, &a_id], json!("both")),
        only("numbered:x", &[], json!("none")),
        all("numbered:x", json!("end")),
    ]);
    apply(&mut absent, effects).await;
    for (reader, wanted) in [
        (
            &mut a,
            vec![(json!("all"), Some(1)), (json!("a"), None), (json!("both"), None), (json!("end"), Some(3))],
        ),
        (
            &mut b,
            vec![
                (json!("all"), Some(1)),
                (json!("not a"), Some(2)),
                (json!("both"), None),
                (json!("end"), Some(3)),
            ],
        ),
    ] {
        let mut came = Vec::new();
        while came.last() != Some(&(json!("end"), Some(3))) {
            let said = reader.expect("data").await;
            came.push((said["data"].clone(), said["offset"].as_u64()));
        }
        assert_eq!(came, wanted);
    }
    absent.ping().await;
    assert_eq!(absent.left_over(), [], "it has not subscribed");
}

#[tokio::test]
async fn what_is_for_some_keeps_its_place_between_what_is_for_all() {
    let server = server(4);
    let (mut a, a_id) = client(&server).await;
    let (mut b, b_id) = client(&server).await;
    let (mut reader, _) = client(&server).await;
    let (mut sender, _) = client(&server).await;
    for reader in [&mut a, &mut b, &mut reader] {
        reader.subscribe("effects:room").await;
    }
    // Without waiting for answers, so that many come in one turn.
    for n in 0..200 {
        let effects = json!([only("effects:room", &[if n % 2 == 0 { &a_id } else { &b_id }], json!(n))]);
        let data = json!({ "n": n, "effects": effects });
        sender.send(json!({ "type": "publish", "channel": "effects:room", "data": data })).await;
    }
    sender.publish("effects:room", json!("end")).await;
    for (reader, mine) in [(&mut a, 0), (&mut b, 1), (&mut reader, 2)] {
        for n in 0..200 {
            let said = reader.expect("data").await;
            assert_eq!((&said["data"]["n"], &said["offset"]), (&json!(n), &json!(n + 1)), "{said}");
            if n % 2 == mine {
                let said = reader.expect("data").await;
                assert_eq!((&said["data"], said.get("offset")), (&json!(n), None), "{said}");
            }
        }
        assert_eq!(reader.data().await, "end");
    }
}

#[tokio::test]
async fn what_is_for_some_passes_their_filters_in_its_place() {
    let server = server(2);
    let (mut a, a_id) = client(&server).await;
    let (mut sender, _) = client(&server).await;
    let filter = json!({ "plugin": "level", "params": { "min": "error" } });
    a.subscribe_with(json!({ "channel": "kept:logs", "filter": filter })).await;
    let line = |level: &str, n: u64| all("kept:logs", json!({ "level": level, "n": n }));
    for _ in 0..20 {
        let effects = json!([
            line("error", 1),
            only("kept:logs", &[&a_id], json!({ "level": "debug", "n": 2 })),
            line("debug", 3),
            line("error", 4),
        ]);
        apply(&mut sender, effects).await;
        // And with nothing else in its turn.
        apply(&mut sender, json!([only("kept:logs", &[&a_id], json!({ "level": "debug", "n": 5 }))])).await;
    }
    for _ in 0..20 {
        for n in [1, 2, 4, 5] {
            assert_eq!(a.data().await["n"], n);
        }
    }
}

#[tokio::test]
async fn what_is_for_some_passes_another_channels_handler() {
    let server = server(2);
    let (mut a, a_id) = client(&server).await;
    let (mut sender, _) = client(&server).await;
    a.subscribe("effects:two").await;
    a.subscribe("plain").await;
    // What the handler of the other channel is told has effects of its own, and is dropped.
    let told = json!({ "drop": true, "effects": [all("plain", json!("it was asked"))] });
    say(&mut sender, "effects:one", json!([only("effects:two", &[&a_id], told)])).await;
    let said = a.expect("data").await;
    assert_eq!((&said["channel"], &said["data"]), (&json!("plain"), &json!("it was asked")));
    // To its own channel a handler speaks past itself.
    let told = json!({ "drop": true });
    say(&mut sender, "effects:two", json!([only("effects:two", &[&a_id], told.clone())])).await;
    assert!(a.data().await["effects"].is_array());
    assert_eq!(a.data().await, told);
}

#[tokio::test]
async fn what_is_persisted_is_there_for_those_who_come_back_or_ask() {
    let server = server(2);
    let (mut live, _) = client(&server).await;
    let (mut sender, _) = client(&server).await;
    let place = live.subscribe("kept:x").await;
    let persist = |n: u64| json!({ "persist": { "channel": "kept:x", "data": n } });
    let effects = json!([all("kept:x", json!(1)), persist(2), persist(3), all("kept:x", json!(4))]);
    apply(&mut sender, effects).await;
    for (data, offset) in [(1, 1), (4, 4)] {
        let said = live.expect("data").await;
        assert_eq!((&said["data"], &said["offset"]), (&json!(data), &json!(offset)));
    }
    let history = live.ask(json!({ "type": "history", "channel": "kept:x" })).await;
    let kept: Vec<_> = history["messages"].as_array().unwrap().iter().map(|m| m["data"].clone()).collect();
    assert_eq!(kept, [1, 2, 3, 4]);
    assert_eq!(history["offset"], 4);

    let (mut late, _) = client(&server).await;
    let recover = json!({ "epoch": place["epoch"], "offset": 1 });
    let answer = late.subscribe_with(json!({ "channel": "kept:x", "recover": recover })).await;
    assert_eq!((&answer["recovered"], &answer["offset"]), (&json!(true), &json!(4)));
    for n in 2..=4 {
        let said = late.expect("data").await;
        assert_eq!((&said["data"], &said["offset"]), (&json!(n), &json!(n)));
    }
    live.ping().await;
    assert_eq!(heard(&mut live, "kept:x"), []);
}

#[tokio::test]
async fn where_nothing_is_kept_nothing_is_persisted() {
    let server = server(2);
    let (mut live, _) = client(&server).await;
    live.subscribe("numbered:x").await;
    let persist = json!({ "persist": { "channel": "numbered:x", "data": 1 } });
    apply(&mut live, json!([persist, all("numbered:x", json!(2))])).await;
    let said = live.expect("data").await;
    assert_eq!((&said["data"], &said["offset"]), (&json!(2), &json!(1)));
    server.wait_for_log("the channel has no history").await;
}

#[tokio::test]
async fn a_message_to_a_user_reaches_its_connections_or_waits() {
    let server = server(4);
    let (mut sender, _) = client(&server).await;
    let mut connections = Vec::new();
    for _ in 0..2 {
        let (mut ada, _) = user(&server, "ada").await;
        ada.subscribe("$user:ada").await;
        connections.push(ada);
    }
    let send = |user: &str, data: &str| json!([{ "send": { "user": user, "data": data } }]);
    apply(&mut sender, send("ada", "hello")).await;
    say(&mut sender, "effects:x", send("ada", "and again")).await;
    for ada in &mut connections {
        for wanted in ["hello", "and again"] {
            let said = ada.expect("data").await;
            assert_eq!((&said["channel"], &said["data"]), (&json!("$user:ada"), &json!(wanted)));
        }
    }
    apply(&mut sender, send("bob", "while you were away")).await;
    let (mut bob, _) = user(&server, "bob").await;
    bob.subscribe("$user:bob").await;
    assert_eq!(bob.data().await, "while you were away");
}

#[tokio::test]
async fn a_message_for_some_in_a_users_channel_does_not_wait() {
    let server = server(2);
    let (mut sender, _) = client(&server).await;
    let (mut ada, ada_id) = user(&server, "ada").await;
    apply(&mut sender, json!([only("$user:ada", &[&ada_id], json!("nobody is there"))])).await;
    ada.subscribe("$user:ada").await;
    apply(&mut sender, json!([only("$user:ada", &[&ada_id], json!("now"))])).await;
    assert_eq!(ada.data().await, "now");
}

#[tokio::test]
async fn one_effect_that_breaks_the_contract_spoils_all() {
    let server = server(2);
    let (mut reader, _) = client(&server).await;
    let (mut sender, sender_id) = client(&server).await;
    reader.subscribe("plain").await;
    let bad = [
        json!({ "raw": { "channel": "plain", "kind": "json", "payload": "{not json" } }),
        json!({ "publish": { "channel": " bad", "data": 1 } }),
        json!({ "send": { "user": "", "data": 1 } }),
        json!({ "join": { "client": sender_id, "channel": "x", "data": [1] } }),
        json!({ "join": { "client": sender_id, "channel": "x", "data": { "user_id": 1 } } }),
        json!({ "group_add": { "group": "", "channel": "x" } }),
        json!({ "publish": { "channel": "plain", "data": 1, "only": vec![&sender_id; 1025] } }),
    ];
    for (n, bad) in bad.into_iter().enumerate() {
        let effects = json!([all("plain", json!(1)), bad]);
        let call = json!({ "type": "action", "channel": "apply", "data": { "effects": effects } });
        let mut fresh = Client::connect(&server).await;
        let answer = fresh.ask(call).await;
        assert_eq!(answer["code"], "plugin_failed", "{answer}");
        // After three failures a shard's instance rests for a while.
        let answer = sender.try_publish(&format!("effects:{n}"), json!({ "effects": effects })).await;
        assert_eq!(answer["code"], "plugin_failed", "{answer}");
    }
    reader.ping().await;
    assert_eq!(reader.left_over(), []);
    sender.ping().await;
}

/// Refuses what has an event. What has none it follows by `1` to the channel `x`, with an event that is
/// there and empty.
fn wants_no_event() -> Guest {
    Guest::of(&["channel-handler"])
        .with("(data (i32.const 3000) \"x1\")")
        .words(3008, &[3, 7, 0, 0, 0, 0])
        .words(3040, &[0, 0, 0, 0, 3072, 1])
        .words(3072, &[0, 0, 3000, 1, 1, 0, 0, 0, 3001, 1, 0, 0, 0, 0])
        // Parameter 5: is there an event?
        .body("on-publish", "(select (i32.const 3008) (i32.const 3040) (local.get 5))")
}

#[tokio::test]
async fn an_empty_event_is_none_on_its_way_in_and_out() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("events.wasm"), wants_no_event().component()).unwrap();
    let server = Server::builder().plugins_from(folder.path(), &["events"]).shards(1).start();
    let mut client = Client::connect(&server).await;
    client.subscribe("x").await;
    let publish = json!({ "type": "publish", "channel": "events:room", "data": 0 });
    assert_eq!(client.ask(publish.clone()).await["type"], "published");
    for (event, answer) in [("", "published"), ("said", "error")] {
        let mut publish = publish.clone();
        publish["event"] = json!(event);
        assert_eq!(client.ask(publish).await["type"], answer, "`{event}`");
    }
    for _ in 0..2 {
        let said = client.expect("data").await;
        assert_eq!((&said["data"], said.get("event")), (&json!(1), None), "{said}");
    }
    client.ping().await;
    assert_eq!(client.left_over(), []);
}
