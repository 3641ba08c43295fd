//! `POST /api/batch`

use serde_json::{Value, json};

use super::{post, refused};
use crate::harness::{Client, Server, http};

#[tokio::test]
async fn commands_are_done_in_order_and_one_that_fails_stops_none() {
    let server = Server::with(&["test-auth", "chat"]);
    let mut ada = Client::with_token(&server, "ada").await;
    ada.subscribe("chat:a").await;
    let say = |text: &str| json!({ "publish": { "channel": "chat:a", "data": { "text": text } } });
    let commands = json!([
        say("one"),
        say(""),
        { "publish": { "channel": "chat:a" } },
        { "publish": { "chanel": "chat:a", "data": 1 } },
        say("two"),
        { "dance": {} },
        {},
        null,
        { "publish": { "channel": "a", "data": 1 }, "disconnect": { "user": "ada" } },
        { "subscribe": { "user": "ada", "channel": "room" } },
        { "broadcast": { "channels": ["room", "chat:a"], "data": { "text": "three" } } },
        { "unsubscribe": { "user": "ada", "channel": "room" } },
        { "publish": { "channel": "room", "data": "not heard" } },
        { "refresh": { "user": "nobody", "expires_at": 1 } },
        say("four"),
        { "disconnect": { "user": "ada" } },
        say("five"),
    ]);
    let answer = post(&server, "/api/batch", json!({ "commands": commands })).await;
    let results = answer["results"].as_array().unwrap();
    let brief: Vec<Value> = results
        .iter()
        .map(|result| match (&result["error"]["code"], &result["offset"]) {
            (Value::Null, Value::Null) => result.clone(),
            (Value::Null, offset) => offset.clone(),
            (code, _) => code.clone(),
        })
        .map(|mut result| {
            if let Some(results) = result.get_mut("results") {
                results.as_array_mut().unwrap().iter_mut().for_each(|one| *one = one["offset"].take());
            }
            result
        })
        .collect();
    let wanted = json!([
        1,
        "rejected",
        "invalid_params",
        "invalid_params",
        2,
        "invalid_params",
        "invalid_params",
        "invalid_params",
        "invalid_params",
        { "subscribed": 1 },
        { "results": [1, 3] },
        { "unsubscribed": 1 },
        2,
        { "refreshed": 0 },
        4,
        { "disconnected": 1 },
        5,
    ]);
    assert_eq!(Value::from(brief), wanted, "{answer:#}");
    assert!(results[3]["error"]["message"].as_str().unwrap().contains("`chanel`"), "{answer:#}");

    let mut heard = Vec::new();
    loop {
        match ada.next().await {
            crate::harness::client::Arrived::Closed(code, _) => {
                assert_eq!(code, 4004);
                break;
            }
            frame => heard.push(frame.json().unwrap()),
        }
    }
    let of =
        |channel: &str| -> Vec<Value> {
            let frames = heard.iter().filter(|frame| frame["channel"] == channel);
            frames
                .map(|frame| {
                    if frame["type"] == "data" {
                        frame["data"]["text"].clone()
                    } else {
                        frame["type"].clone()
                    }
                })
                .collect()
        };
    assert_eq!(of("room"), ["subscribed", "three", "unsubscribed"]);
    assert_eq!(of("chat:a"), ["one", "two", "three", "four"], "{heard:#?}");
}

#[tokio::test]
async fn what_is_done_after_a_message_does_not_overtake_it() {
    let server = Server::builder().plugins(&["test-auth"]).config("channel = [{ pattern = '*' }]").start();
    let mut ada = Client::with_token(&server, "ada").await;
    // Before that nobody of this name is there to be subscribed.
    assert_eq!(ada.user().await, "ada");
    for n in 0..40 {
        let commands: Vec<Value> = (0..25)
            .flat_map(|m| {
                let channel = format!("room{}", n * 25 + m);
                let place = json!({ "user": "ada", "channel": channel });
                [
                    json!({ "subscribe": place }),
                    json!({ "publish": { "channel": channel, "data": m } }),
                    json!({ "unsubscribe": place }),
                ]
            })
            .collect();
        post(&server, "/api/batch", json!({ "commands": commands })).await;
        // Each channel has its own order.
        let mut heard = vec![Vec::new(); 25];
        for _ in 0..3 * 25 {
            let frame = ada.next_json().await;
            let room: usize = frame["channel"].as_str().unwrap()["room".len()..].parse().unwrap();
            heard[room - n * 25].push(frame["type"].as_str().unwrap().to_owned());
        }
        for heard in heard {
            assert_eq!(heard, ["subscribed", "data", "unsubscribed"]);
        }
    }
}

#[tokio::test]
async fn a_thousand_messages_keep_their_order() {
    let server = Server::builder().config("[[channel]]\npattern = '*'\noffsets = true").start();
    let mut client = Client::connect(&server).await;
    client.subscribe("room").await;
    let publish = |n: usize| json!({ "publish": { "channel": "room", "data": n } });
    let commands: Vec<Value> = (0..1000).map(publish).collect();
    let answer = post(&server, "/api/batch", json!({ "commands": commands })).await;
    let offsets =
        answer["results"].as_array().unwrap().iter().map(|result| result["offset"].as_u64().unwrap());
    assert!(offsets.eq(1..=1000));
    for n in 0..1000 {
        assert_eq!(client.data().await, n);
    }
    let commands: Vec<Value> = (0..1001).map(publish).collect();
    let body = json!({ "commands": commands }).to_string();
    let (status, code, message) = refused(&server, "/api/batch", &body).await;
    assert_eq!((status, &*code), (400, "invalid_params"));
    assert!(message.contains("commands: 1001"), "{message}");
    assert_eq!(post(&server, "/api/batch", json!({ "commands": [] })).await, json!({ "results": [] }));
}

#[tokio::test]
async fn a_batch_is_bounded_and_so_is_each_message_in_it() {
    let config = "limits.message_bytes = 1000\n[[channel]]\npattern = '*'";
    let server = Server::builder().config(config).start();
    let publish = |bytes: usize| json!({ "publish": { "channel": "room", "text": "x".repeat(bytes) } });
    let answer = post(&server, "/api/batch", json!({ "commands": [publish(1000), publish(1001)] })).await;
    assert_eq!(
        (&answer["results"][0]["offset"], &answer["results"][1]["error"]["code"]),
        (&json!(1), &json!("too_large"))
    );
    // 16 messages and 512 KiB.
    let limit = 16 * 1000 + (512 << 10);
    let padded = |bytes: usize| format!(r#"{{"commands":[]}}{}"#, " ".repeat(bytes - 15));
    assert_eq!(http::post(&server, "/api/batch", &padded(limit)).await.status, 200);
    for bytes in [limit + 1, limit + 900_000] {
        let (status, code, message) = refused(&server, "/api/batch", &padded(bytes)).await;
        assert_eq!((status, &*code), (413, "too_large"));
        assert!(message.contains(&limit.to_string()), "{message}");
    }
}

#[tokio::test]
async fn a_batch_that_is_none_is_refused_whole() {
    let server = Server::with(&[]);
    for (body, code) in [
        ("{", "bad_json"),
        (r#"{"commands":[{"publish":{]}"#, "bad_json"),
        ("{}", "invalid_params"),
        ("[]", "invalid_params"),
        (r#"{"commands":{}}"#, "invalid_params"),
        (r#"{"commands":null}"#, "invalid_params"),
        (r#"{"commands":[],"parallel":true}"#, "invalid_params"),
    ] {
        let (status, got, _) = refused(&server, "/api/batch", body).await;
        assert_eq!((status, &*got), (400, code), "{body}");
    }
}
