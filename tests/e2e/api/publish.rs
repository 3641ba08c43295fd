//! `POST /api/publish` and `POST /api/broadcast`.

use serde_json::json;

use super::{id, post, refused};
use crate::harness::{Client, Server, http};

#[tokio::test]
async fn a_message_reaches_the_subscribers_and_its_place_is_told() {
    let server = Server::builder().config("[[channel]]\npattern = '*'\noffsets = true").start();
    let mut client = Client::connect(&server).await;
    let epoch = client.subscribe("room").await["epoch"].clone();
    for n in 1..=3 {
        let answer = post(&server, "/api/publish", json!({ "channel": "room", "data": n })).await;
        assert_eq!(answer, json!({ "offset": n, "epoch": epoch }));
        let said = client.expect("data").await;
        assert_eq!(
            (&said["data"], &said["offset"], said.get("sender")),
            (&json!(n), &json!(n), None),
            "{said}"
        );
    }
}

#[tokio::test]
async fn every_kind_of_payload_arrives_as_it_is() {
    let server = Server::with(&[]);
    let mut client = Client::connect(&server).await;
    client.subscribe("room").await;
    let data = |data: &str| format!(r#"{{"type":"data","channel":"room","data":{data}}}"#);
    for (fields, frame) in [
        (r#""data":{"a" : 1.50, "b":"\u00fc"}"#, data(r#"{"a" : 1.50, "b":"\u00fc"}"#)),
        (r#""data":null"#, data("null")),
        (r#""data":12345678901234567890123"#, data("12345678901234567890123")),
        (r#""text":"say \"hi\"\n""#, data(r#""say \"hi\"\n""#)),
        (r#""text":"","data":null,"base64":null"#, data(r#""""#)),
    ] {
        let body = format!(r#"{{"channel":"room",{fields}}}"#);
        let answer = http::post(&server, "/api/publish", &body).await;
        assert_eq!(answer.status, 200, "{body}: {}", answer.body);
        assert_eq!(client.next_text().await, frame);
    }
    post(&server, "/api/publish", json!({ "channel": "room", "base64": "AP8=" })).await;
    assert_eq!(client.binary().await, b"\x04room\x00\xff");
}

#[tokio::test]
async fn an_event_and_a_sender_are_shown_and_null_is_left_out() {
    let server = Server::with(&["chat"]);
    let mut client = Client::connect(&server).await;
    client.subscribe("room").await;
    client.subscribe("chat:a").await;
    let message = json!({ "channel": "room", "data": 1, "event": "said", "sender": "ada" });
    post(&server, "/api/publish", message).await;
    let said = json!({ "type": "data", "channel": "room", "data": 1, "event": "said", "sender": "ada" });
    assert_eq!(client.next_json().await, said);
    let nothing = json!({
        "channel": "room", "data": 2, "event": null, "sender": null, "exclude": null, "text": null,
        "base64": null, "idempotency_key": null,
    });
    post(&server, "/api/publish", nothing).await;
    assert_eq!(client.next_json().await, json!({ "type": "data", "channel": "room", "data": 2 }));

    let message = json!({ "channel": "chat:a", "data": { "text": "hi" }, "sender": "ada" });
    post(&server, "/api/publish", message).await;
    assert_eq!(client.data().await["from"], "ada", "the channel's handler hears of the sender");
}

#[tokio::test]
async fn one_client_can_be_left_out() {
    let server = Server::with(&[]);
    let (mut ada, mut bob) = (Client::connect(&server).await, Client::connect(&server).await);
    let ada_id = id(&mut ada).await;
    ada.subscribe("room").await;
    bob.subscribe("room").await;
    post(&server, "/api/publish", json!({ "channel": "room", "data": 1, "exclude": ada_id })).await;
    post(&server, "/api/publish", json!({ "channel": "room", "data": 2, "exclude": "ffffffffffffffff" }))
        .await;
    assert_eq!((bob.data().await, bob.data().await), (json!(1), json!(2)));
    assert_eq!(ada.data().await, 2);
}

#[tokio::test]
async fn a_channels_handler_judges_and_says_why() {
    let server = Server::with(&["chat", "hostile"]);
    let (status, code, message) =
        refused(&server, "/api/publish", r#"{"channel":"chat:a","data":{"text":""}}"#).await;
    assert_eq!((status, &*code, &*message), (400, "rejected", "Say something: the text is empty."));
    let answer = http::post(&server, "/api/publish", r#"{"channel":"chat:a","data":{"text":""}}"#).await;
    assert!(answer.json()["error"]["reason_code"].is_u64(), "{}", answer.body);
    let trap = r#"{"channel":"hostile:a","data":{"do":"trap"}}"#;
    let (status, code, _) = refused(&server, "/api/publish", trap).await;
    assert_eq!((status, &*code), (503, "plugin_failed"));
}

#[tokio::test]
async fn what_cannot_be_published_is_refused_and_names_its_field() {
    let config = "limits.message_bytes = 1000\n[[channel]]\npattern = 'room'";
    let server = Server::builder().config(config).start();
    let large = |kind: &str, bytes| format!(r#"{{"channel":"room","{kind}":"{}"}}"#, "A".repeat(bytes));
    let long = "n".repeat(256);
    for (body, status, code, says) in [
        ("", 400, "bad_json", "not valid JSON"),
        ("{", 400, "bad_json", "not valid JSON"),
        (r#"{"channel":"room","data":1} x"#, 400, "bad_json", "not valid JSON"),
        ("\"x\"", 400, "invalid_params", "expected struct"),
        ("null", 400, "invalid_params", "expected struct"),
        ("{}", 400, "invalid_params", "`channel`"),
        (r#"{"channel":null,"data":1}"#, 400, "invalid_params", "channel: "),
        (r#"{"channel":5,"data":1}"#, 400, "invalid_params", "channel: "),
        (r#"{"channel":"room","chanel":"x","data":1}"#, 400, "invalid_params", "`chanel`"),
        (r#"{"channel":"room"}"#, 400, "invalid_params", "data, text and base64"),
        (r#"{"channel":"room","data":1,"text":"x"}"#, 400, "invalid_params", "data, text and base64"),
        (r#"{"channel":"room","base64":"&"}"#, 400, "invalid_params", "base64: "),
        (r#"{"channel":"room","data":1,"exclude":"me"}"#, 400, "invalid_params", "exclude: "),
        (r#"{"channel":"room","data":1,"sender":""}"#, 400, "invalid_params", "sender: "),
        (r#"{"channel":"room","data":1,"idempotency_key":""}"#, 400, "invalid_params", "idempotency_key: "),
        (&format!(r#"{{"channel":"room","data":1,"sender":"{long}"}}"#), 400, "invalid_params", "sender: "),
        (&format!(r#"{{"channel":"{long}","data":1}}"#), 400, "invalid_params", "channel: "),
        (r#"{"channel":"$sys","data":1}"#, 400, "invalid_params", "channel: "),
        (r#"{"channel":"nowhere","data":1}"#, 404, "channel_not_found", "'nowhere'"),
        (&large("text", 1001), 413, "too_large", "1000 bytes"),
        (&large("data", 999), 413, "too_large", "1000 bytes"),
        (&large("base64", 1336), 413, "too_large", "1000 bytes"),
        (&large("text", 20_000), 413, "too_large", "18384 bytes"),
        (&large("text", 900_000), 413, "too_large", "18384 bytes"),
    ] {
        let start: String = body.chars().take(80).collect();
        let (got, got_code, message) = refused(&server, "/api/publish", body).await;
        assert_eq!((got, &*got_code), (status, code), "{start}: {message}");
        assert!(message.contains(says), "{start}: {message}");
    }
    for body in [large("text", 1000), large("data", 998), large("base64", 1332)] {
        assert_eq!(http::post(&server, "/api/publish", &body).await.status, 200);
    }
}

#[tokio::test]
async fn a_broadcast_has_one_result_a_channel() {
    let server = Server::with(&["chat"]);
    let mut client = Client::connect(&server).await;
    let channels: Vec<String> = (0..500).map(|n| format!("room-{n}")).collect();
    for channel in &channels {
        client.subscribe(channel).await;
    }
    let mut wanted = channels.clone();
    wanted.insert(3, " bad".into());
    wanted.insert(5, "chat:a".into());
    let answer = post(&server, "/api/broadcast", json!({ "channels": wanted, "data": "all" })).await;
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 502);
    assert_eq!(results[3]["error"]["code"], "invalid_params");
    assert_eq!(results[5]["error"]["code"], "rejected");
    assert_eq!(results.iter().filter(|result| result["offset"] == 1).count(), 500);
    let mut heard: Vec<String> = Vec::new();
    for _ in &channels {
        let said = client.expect("data").await;
        assert_eq!(said["data"], "all");
        heard.push(said["channel"].as_str().unwrap().into());
    }
    heard.sort();
    let mut channels = channels;
    channels.sort();
    assert_eq!(heard, channels);
}

#[tokio::test]
async fn a_broadcast_goes_to_at_most_a_thousand() {
    let server = Server::with(&[]);
    let names = |n: usize| (0..n).map(|n| format!("room-{n}")).collect::<Vec<_>>();
    let answer = post(&server, "/api/broadcast", json!({ "channels": names(1000), "text": "x" })).await;
    assert_eq!(answer["results"].as_array().unwrap().len(), 1000);
    let body = json!({ "channels": names(1001), "text": "x" }).to_string();
    let (status, code, message) = refused(&server, "/api/broadcast", &body).await;
    assert_eq!((status, &*code), (400, "invalid_params"));
    assert!(message.contains("channels: 1001"), "{message}");
    assert_eq!(
        post(&server, "/api/broadcast", json!({ "channels": [], "text": "x" })).await["results"],
        json!([])
    );
    for (body, field) in [
        (r#"{"channels":["a",5],"data":1}"#, "channels[1]: "),
        (r#"{"channel":"a","data":1}"#, "`channel`"),
        (r#"{"channels":["a"]}"#, "data, text and base64"),
    ] {
        let (status, _, message) = refused(&server, "/api/broadcast", body).await;
        assert_eq!(status, 400, "{body}");
        assert!(message.contains(field), "{body}: {message}");
    }
}
