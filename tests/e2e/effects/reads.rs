//! What plugins read of the server, whichever shard knows it.

use serde_json::{Value, json};

use super::{apply, client, server, user};
use crate::harness::{Client, Server};

async fn read(client: &mut Client, read: Value) -> Value {
    let answer = client.ask(json!({ "type": "action", "channel": "read", "data": read })).await;
    assert_eq!(answer["status"], "completed", "{answer}");
    answer["data"].clone()
}

#[tokio::test]
async fn presence_of_channels_on_any_shard() {
    let server = server(4);
    let (mut caller, _) = client(&server).await;
    for n in 0..8 {
        let channel = format!("room:{n}");
        assert_eq!(read(&mut caller, json!({ "members": channel })).await, json!([]));
        let mut connections = Vec::new();
        for name in ["ada", "bob", "ada"] {
            let (mut client, _) = user(&server, name).await;
            let join = json!({ "type": "join", "channel": channel, "data": { "seat": n } });
            assert_eq!(client.ask(join).await["type"], "joined");
            connections.push(client);
        }
        let seat = json!({ "seat": n }).to_string();
        let members = read(&mut caller, json!({ "members": channel })).await;
        assert_eq!(members, json!([["ada", seat, 2], ["bob", seat, 1]]));
        assert_eq!(read(&mut caller, json!({ "count": channel })).await, 2);
    }
}

#[tokio::test]
async fn who_has_worked_long_reads_as_well() {
    let server = server(4);
    let (mut caller, _) = client(&server).await;
    let (mut ada, _) = user(&server, "ada").await;
    for n in 0..8 {
        let channel = format!("room:{n}");
        assert_eq!(ada.ask(json!({ "type": "join", "channel": channel })).await["type"], "joined");
        assert_eq!(read(&mut caller, json!({ "count_late": channel })).await, 1);
    }
}

#[tokio::test]
async fn history_of_channels_on_any_shard() {
    let server = server(4);
    let (mut caller, _) = client(&server).await;
    for n in 0..8 {
        let channel = format!("kept:{n}");
        assert_eq!(read(&mut caller, json!({ "last": [channel, 10] })).await, json!([]));
        for word in ["a", "b", "c"] {
            caller.publish(&channel, json!(word)).await;
        }
        let word = |offset: u64, word: &str| json!([offset, json!(word).to_string()]);
        let last = read(&mut caller, json!({ "last": [channel, 2] })).await;
        assert_eq!(last, json!([word(2, "b"), word(3, "c")]));
        let since = read(&mut caller, json!({ "since": [channel, 1, 1] })).await;
        assert_eq!(since, json!([word(2, "b")]));
        assert_eq!(read(&mut caller, json!({ "since": [channel, 3, 10] })).await, json!([]));
        assert_eq!(read(&mut caller, json!({ "since": [channel, u64::MAX, 10] })).await, json!([]));
    }
    assert_eq!(read(&mut caller, json!({ "last": ["numbered:x", 10] })).await, json!([]));
}

#[tokio::test]
async fn a_page_of_history_has_bounds() {
    let config = "channel = [{ pattern = '*', history = { messages = 1000, bytes = 4000000 } }]";
    let server = Server::builder().plugins(&["effects"]).config(config).start();
    let (mut caller, _) = client(&server).await;
    for _ in 0..300 {
        caller.send(json!({ "type": "publish", "channel": "many", "data": 1 })).await;
    }
    for _ in 0..40 {
        let big = "x".repeat(60_000);
        caller.send(json!({ "type": "publish", "channel": "big", "data": big })).await;
    }
    caller.publish("many", json!(1)).await;
    caller.publish("big", json!(1)).await;
    let count = |page: Value| page.as_array().unwrap().len();
    assert_eq!(count(read(&mut caller, json!({ "last": ["many", 5000] })).await), 256);
    assert_eq!(count(read(&mut caller, json!({ "since": ["many", 0, 5000] })).await), 256);
    // Seventeen of them and the last, which is short, are 1 MiB. An answer of 64 KiB has no room for them.
    let page =
        caller.ask(json!({ "type": "action", "channel": "read", "data": { "last": ["big", 50] } })).await;
    assert_eq!(page["code"], "plugin_failed", "{page}");
    assert_eq!(count(read(&mut caller, json!({ "last": ["big", 1] })).await), 1);
}

#[tokio::test]
async fn groups_on_any_shard() {
    let server = server(4);
    let (mut caller, _) = client(&server).await;
    for n in 0..8 {
        let group = format!("team:{n}");
        assert_eq!(read(&mut caller, json!({ "channels": group })).await, json!([]));
        let add = |channel: &str| json!({ "group_add": { "group": group, "channel": channel } });
        apply(&mut caller, json!([add("b"), add("a")])).await;
        assert_eq!(read(&mut caller, json!({ "channels": group })).await, json!(["a", "b"]));
    }
}

#[tokio::test]
async fn a_handler_sees_in_its_own_channel_all_that_came_before() {
    let config = "channel = [{ pattern = '*' }, { pattern = 'effects:*', history = { messages = 1000 } }]";
    let server = Server::builder().plugins(&["effects"]).config(config).shards(2).start();
    let (mut witness, _) = client(&server).await;
    witness.subscribe("witness").await;
    let mut publishers = Vec::new();
    for n in 0..4 {
        publishers.push((format!("effects:{n}"), client(&server).await.0));
    }
    for n in 1..=50_u64 {
        for (channel, publisher) in &mut publishers {
            let message = json!({ "n": n, "read": { "last": [channel, 1] } });
            publisher.send(json!({ "type": "publish", "channel": channel, "data": message })).await;
        }
    }
    let mut seen = std::collections::BTreeMap::<String, Vec<u64>>::new();
    for _ in 0..200 {
        let page = witness.data().await;
        let Some(last) = page.as_array().and_then(|page| page.first()) else { continue };
        let message: Value = serde_json::from_str(last[1].as_str().unwrap()).unwrap();
        let channel = message["read"]["last"][0].as_str().unwrap().to_owned();
        assert_eq!(last[0], message["n"]);
        seen.entry(channel).or_default().push(last[0].as_u64().unwrap());
    }
    assert_eq!(seen.len(), 4);
    for (channel, offsets) in seen {
        assert!(offsets.iter().copied().eq(1..50), "{channel}: {offsets:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_says_why() {
    let server = server(2);
    let (mut caller, _) = client(&server).await;
    let said = read(&mut caller, json!({ "count": " x" })).await;
    assert!(said.as_str().unwrap().starts_with("The name that the plugin reads by "), "{said}");
    assert_eq!(read(&mut caller, json!({ "counts": ["x", 64] })).await, 0);
    let said = read(&mut caller, json!({ "counts": ["x", 65] })).await;
    assert!(said.as_str().unwrap().contains("may read 64 times"), "{said}");
    assert_eq!(read(&mut caller, json!({ "counts": ["x", 64] })).await, 0, "of each call");
    let filter = json!({ "plugin": "effects", "params": { "count": "x" } });
    let answer = caller.ask(json!({ "type": "subscribe", "channel": "x", "filter": filter })).await;
    assert!(answer["details"].as_str().unwrap().contains("filters do not read"), "{answer}");
}

#[tokio::test]
async fn who_reads_holds_up_nobody() {
    let server = server(1);
    let (mut caller, _) = client(&server).await;
    let mut readers = Vec::new();
    for n in 0..8 {
        let (mut reader, _) = client(&server).await;
        reader.subscribe(&format!("effects:{n}")).await;
        readers.push(reader);
    }
    // Every handler reads all the time, of every other one's channel.
    for round in 0..20 {
        for n in 0..8 {
            let message =
                json!({ "round": round, "read": { "counts": [format!("effects:{}", (n + 1) % 8), 64] } });
            say_plainly(&mut caller, &format!("effects:{n}"), message).await;
        }
        caller.ping().await;
    }
    for reader in &mut readers {
        for round in 0..20 {
            assert_eq!(reader.data().await["round"], round);
        }
    }
}

async fn say_plainly(client: &mut Client, channel: &str, data: Value) {
    client.send(json!({ "type": "publish", "channel": channel, "data": data })).await;
}
