//! What no honest client sends: an error each, and nothing is left of it.

use serde_json::{Value, json};

use crate::harness::http::get;
use crate::harness::{Client, Server};

fn server(config: &str) -> Server {
    let rules = "
        [[channel]]
        pattern = '*'
        history = { messages = 10 }
    ";
    Server::builder().config(&format!("{config}{rules}")).shards(2).start()
}

/// Still there, and its server too.
async fn is_well(client: &mut Client, server: &Server) {
    client.ping().await;
    assert_eq!(get(server, "/healthz").await.status, 200);
}

#[tokio::test]
async fn places_that_never_were_recover_nothing_and_break_nothing() {
    let server = server("");
    let mut client = Client::connect(&server).await;
    client.publish("room", json!(1)).await;
    let subscribed = client.ask(json!({ "type": "subscribe", "channel": "room" })).await;
    let epoch = subscribed["epoch"].clone();
    for (epoch, offset) in [
        (epoch.clone(), json!(2)),
        (epoch.clone(), json!(u64::MAX)),
        (json!("ffffffffffffffff"), json!(1)),
        (json!("never one of ours"), json!(0)),
        (json!(""), json!(1)),
        (json!("x".repeat(10_000)), json!(1)),
    ] {
        let recover = json!({ "epoch": epoch, "offset": offset });
        let frame = json!({ "type": "subscribe", "channel": "room", "recover": recover });
        let answer = client.ask(frame).await;
        assert_eq!(answer["recovered"], false, "{recover}: {answer}");
        assert_eq!(client.data().await, json!(1), "what is kept");
        let since = json!({ "type": "history", "channel": "room", "since": recover });
        let answer = client.ask(since).await;
        assert_eq!((&answer["type"], &answer["complete"]), (&json!("history"), &json!(false)), "{answer}");
    }
    is_well(&mut client, &server).await;
}

#[tokio::test]
async fn numbers_that_are_none_are_refused_by_name() {
    let server = server("");
    let mut client = Client::connect(&server).await;
    for (field, value) in [
        ("limit", json!(-1)),
        ("limit", json!(1.5)),
        ("limit", json!(1e300)),
        ("limit", json!("10")),
        ("since", json!({ "epoch": "a", "offset": -1 })),
        ("since", json!({ "epoch": "a", "offset": 1e300 })),
        ("since", json!({ "offset": 1 })),
        ("since", json!([1])),
    ] {
        let mut frame = json!({ "type": "history", "channel": "room" });
        frame[field] = value.clone();
        let answer = client.ask(frame).await;
        assert_eq!(answer["code"], "invalid_params", "{field} = {value}: {answer}");
        assert!(answer["details"].as_str().unwrap().starts_with(field), "{answer}");
    }
    // As many digits as there are: too large for any number.
    let digits = "9".repeat(400);
    client.send_text(&format!(r#"{{"type":"history","channel":"room","limit":{digits},"id":7}}"#)).await;
    assert_eq!(client.expect("error").await["id"], 7);
    for query in ["limit=-1", "limit=1e9", "since=1", "since=a:-1", "since=a:99999999999999999999999"] {
        let answer = get(&server, &format!("/api/channels/room/history?{query}")).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.body);
    }
    is_well(&mut client, &server).await;
}

#[tokio::test]
async fn a_megabyte_of_metadata_is_refused_and_forgotten() {
    let server = server("");
    let mut client = Client::connect(&server).await;
    let metadata = json!({ "all of it": "x".repeat(1_000_000) });
    let frame = json!({ "type": "join", "channel": "room", "data": metadata });
    client.send(frame).await;
    assert_eq!(client.expect("error").await["code"], "too_large");
    let presence = client.ask(json!({ "type": "presence", "channel": "room" })).await;
    assert_eq!((&presence["count"], &presence["members"]), (&json!(0), &json!([])));
    is_well(&mut client, &server).await;
}

#[tokio::test]
async fn names_with_control_characters_are_refused_wherever_a_name_stands() {
    let server = server("");
    let mut client = Client::connect(&server).await;
    for name in ["a\u{0}b", "a\nb", "\u{7f}", "a\u{9c}", "\u{1b}[2J", "", " a", "a ", &"x".repeat(256)] {
        for kind in ["subscribe", "unsubscribe", "publish", "join", "leave", "presence", "history"] {
            let answer = client.ask(json!({ "type": kind, "channel": name, "data": {} })).await;
            let code = answer["code"].as_str().unwrap_or_default();
            assert!(matches!(code, "invalid_params" | "channel_required"), "{kind} {name:?}: {answer}");
        }
        let percent: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let answer = get(&server, &format!("/api/channels/{percent}/presence")).await;
        assert!(matches!(answer.status, 400 | 404), "{name:?}: {}", answer.body);
    }
    assert_eq!(get(&server, "/api/channels").await.json()["channels"], json!([]));
    is_well(&mut client, &server).await;
}

/// Joins so many channels without waiting, and counts the codes of what is refused.
async fn join_many(client: &mut Client, joins: usize) -> (usize, Vec<Value>) {
    for number in 0..joins {
        client.send(json!({ "type": "join", "channel": format!("room:{number}") })).await;
    }
    let (mut joined, mut refused) = (0, Vec::new());
    for _ in 0..joins {
        let answer = client.next_json().await;
        if answer["type"] == "joined" { joined += 1 } else { refused.push(answer) }
    }
    (joined, refused)
}

#[tokio::test]
async fn who_joins_too_often_is_refused_and_leaves_nothing() {
    let rate = "limits.connection.rate = { messages_per_sec = 0.01, burst_secs = 2000 }";
    let server = server(rate);
    let mut client = Client::connect(&server).await;
    let (joined, refused) = join_many(&mut client, 1000).await;
    assert_eq!(joined, 20);
    for answer in refused {
        assert_eq!(answer["code"], "rate_limited", "{answer}");
        assert!(answer["retry_after"].as_f64().unwrap() > 0.0, "{answer}");
    }
    drop(client);
    gone(&server).await;
}

#[tokio::test]
async fn without_a_rate_a_client_joins_as_many_channels_as_it_may_have() {
    let server = server("limits.subscriptions = 50");
    let mut client = Client::connect(&server).await;
    let (joined, refused) = join_many(&mut client, 1000).await;
    assert_eq!((joined, refused.len()), (50, 950));
    assert!(refused.iter().all(|answer| answer["code"] == "limit_exceeded"), "{refused:?}");
    drop(client);
    gone(&server).await;
}

/// Nobody is anywhere.
async fn gone(server: &Server) {
    let members = async |room: usize| {
        let path = format!("/api/channels/room:{room}/presence");
        get(server, &path).await.json()["count"].as_u64().unwrap()
    };
    crate::harness::eventually("nobody is left", async || {
        let left = members(0).await + members(7).await + members(19).await;
        (left == 0).then_some(())
    })
    .await;
}
