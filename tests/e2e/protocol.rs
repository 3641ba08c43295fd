//! The native protocol's frames and errors, word for word.

use serde_json::{Value, json};

use crate::harness::client::Arrived;
use crate::harness::{Client, Server};

/// Sends a frame as it stands; the very next frame.
async fn say(client: &mut Client, frame: &str) -> Value {
    client.send_text(frame).await;
    client.next_json().await
}

// === requests and their answers ===

#[tokio::test]
async fn every_answer_echoes_the_id_of_its_request() {
    let server = Server::with(&["tools", "chat"]);
    let mut client = Client::connect(&server).await;
    for (frame, answer) in [
        (
            r#"{"type":"subscribe","channel":"room","id":"a"}"#,
            json!({ "type": "subscribed", "channel": "room", "id": "a" }),
        ),
        (
            r#"{"type":"publish","channel":"elsewhere","data":1,"id":2}"#,
            json!({ "type": "published", "channel": "elsewhere", "offset": 1, "id": 2 }),
        ),
        (
            r#"{"type":"publish","channel":"elsewhere","data":1,"id":-3.5}"#,
            json!({ "type": "published", "channel": "elsewhere", "offset": 2, "id": -3.5 }),
        ),
        (
            r#"{"type":"unsubscribe","channel":"room","id":"\u00fc\n"}"#,
            json!({ "type": "unsubscribed", "channel": "room", "id": "ü\n" }),
        ),
        (
            r#"{"type":"action","channel":"echo","data":[1],"id":""}"#,
            json!({ "type": "action", "channel": "echo", "status": "completed", "data": [1], "id": "" }),
        ),
        (r#"{"type":"ping","id":0}"#, json!({ "type": "pong", "id": 0 })),
        (
            r#"{"type":"dance","id":7}"#,
            json!({ "type": "error", "message": "Unknown message type: dance.", "code": "unknown_type", "id": 7 }),
        ),
        (
            r#"{"id":8}"#,
            json!({ "type": "error", "message": "Message type is required.", "code": "type_required", "id": 8 }),
        ),
        (
            r#"{"type":"publish","channel":"chat:a","data":{"text":" "},"id":9}"#,
            json!({
                "type": "error", "message": "Say something: the text is empty.", "code": "rejected",
                "reason_code": 1, "channel": "chat:a", "id": 9,
            }),
        ),
    ] {
        assert_eq!(say(&mut client, frame).await, answer, "{frame}");
    }
}

#[tokio::test]
async fn without_an_id_answers_have_none_and_a_publish_is_not_answered() {
    let server = Server::with(&[]);
    let mut client = Client::connect(&server).await;
    assert_eq!(
        say(&mut client, r#"{"type":"subscribe","channel":"room"}"#).await,
        json!({ "type": "subscribed", "channel": "room" })
    );
    assert_eq!(say(&mut client, r#"{"type":"ping"}"#).await, json!({ "type": "pong" }));
    assert_eq!(say(&mut client, r#"{"type":"ping","id":null}"#).await, json!({ "type": "pong" }));
    assert_eq!(say(&mut client, r#"{"type":"ping","id":{"a":1}}"#).await, json!({ "type": "pong" }));
    client.send_text(r#"{"type":"publish","channel":"other","data":1}"#).await;
    let next = say(&mut client, r#"{"type":"publish","channel":"other","data":2,"id":1}"#).await;
    assert_eq!(next, json!({ "type": "published", "channel": "other", "offset": 2, "id": 1 }));
}

#[tokio::test]
async fn a_message_says_its_channel_data_event_and_sender() {
    let server = Server::with(&[]);
    let (mut ada, mut bob) = (Client::connect(&server).await, Client::connect(&server).await);
    let name = ada.user().await;
    bob.subscribe("room").await;
    ada.ask(json!({ "type": "publish", "channel": "room", "data": { "a": 1 }, "event": "said" })).await;
    assert_eq!(
        bob.next_json().await,
        json!({ "type": "data", "channel": "room", "data": { "a": 1 }, "event": "said", "sender": name })
    );
}

#[tokio::test]
async fn a_handled_channel_shows_epoch_offset_and_time() {
    let server = Server::with(&["chat"]);
    let mut client = Client::connect(&server).await;
    let name = client.user().await;
    let first = client.subscribe("chat:lobby").await;
    assert_eq!(first["offset"], 0);
    assert!(first["epoch"].as_str().is_some_and(|epoch| !epoch.is_empty()), "{first}");

    assert_eq!(client.publish("chat:lobby", json!({ "text": "  hi \n" })).await, 1);
    let said = client.expect("data").await;
    assert_eq!(said["data"], json!({ "text": "hi", "from": name }));
    assert_eq!(said["sender"], json!(name));
    assert_eq!(said["offset"], 1);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let age = now - said["timestamp"].as_f64().unwrap();
    assert!((-5.0..60.0).contains(&age), "{said}");

    let again = Client::connect(&server).await.subscribe("chat:lobby").await;
    assert_eq!((&again["epoch"], &again["offset"]), (&first["epoch"], &json!(1)));
}

#[tokio::test]
async fn an_auth_frame_names_the_user() {
    let server = Server::with(&["test-auth"]);
    let mut client = Client::connect(&server).await;
    let answer = say(&mut client, r#"{"type":"auth","token":"ada","id":"x"}"#).await;
    assert_eq!(answer, json!({ "type": "authenticated", "user": "ada", "id": "x" }));
    let answer = say(&mut client, r#"{"type":"auth","token":null}"#).await;
    assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!("invalid_params")), "{answer}");
}

// === data ===

#[tokio::test]
async fn data_is_passed_on_byte_for_byte() {
    let server = Server::with(&[]);
    let mut client = Client::connect(&server).await;
    client.subscribe("room").await;
    for data in [
        r#"{"a" : 1.50, "b":"\u00fc\/", "c":[ ],"a":2}"#,
        "123456789012345678901234567890.000",
        "1e400",
        r#""\ud83d\ude00 😀""#,
        r#"[1,	2 , {"type":"data"}]"#,
        "null",
        "true",
    ] {
        client.send_text(&format!(r#"{{"type":"publish","channel":"room","data":{data}}}"#)).await;
        let text = client.next_text().await;
        let start = format!(r#"{{"type":"data","channel":"room","data":{data}"#);
        assert!(text.starts_with(&start), "{text}");
        assert!(matches!(text.as_bytes()[start.len()], b',' | b'}'), "{text}");
    }
}

#[tokio::test]
async fn a_publish_without_data_is_null() {
    let server = Server::with(&[]);
    let mut client = Client::connect(&server).await;
    client.subscribe("room").await;
    client.send_text(r#"{"type":"publish","channel":"room"}"#).await;
    assert_eq!(client.next_json().await["data"], Value::Null);
}

#[tokio::test]
async fn null_is_a_field_left_out() {
    let server = Server::with(&["hostile"]);
    let mut client = Client::connect(&server).await;
    let nulls = r#""id":null,"data":null,"filter":null,"event":null,"echo":null,"token":null,"history":null,"recover":null"#;
    assert_eq!(
        say(&mut client, &format!(r#"{{"type":"subscribe","channel":"room",{nulls}}}"#)).await,
        json!({ "type": "subscribed", "channel": "room" })
    );
    let said = say(&mut client, &format!(r#"{{"type":"publish","channel":"room",{nulls}}}"#)).await;
    assert_eq!((&said["type"], said.get("event")), (&json!("data"), None), "echo is on: {said}");
    assert_eq!(say(&mut client, r#"{"type":null}"#).await["code"], "type_required");
    assert_eq!(say(&mut client, r#"{"type":"subscribe","channel":null}"#).await["code"], "channel_required");
    assert_eq!(say(&mut client, r#"{"type":"action","channel":null}"#).await["code"], "channel_required");
}

#[tokio::test]
async fn of_a_key_that_stands_twice_the_last_counts() {
    let server = Server::with(&[]);
    let mut client = Client::connect(&server).await;
    assert_eq!(
        say(&mut client, r#"{"type":"x","type":"ping","id":1,"id":2}"#).await,
        json!({ "type": "pong", "id": 2 })
    );
    assert_eq!(
        say(&mut client, r#"{"type":"subscribe","channel":"one","channel":"two"}"#).await,
        json!({ "type": "subscribed", "channel": "two" })
    );
    let said = say(&mut client, r#"{"data":1,"type":"publish","channel":"two","data":{"b":2}}"#).await;
    assert_eq!(said["data"], json!({ "b": 2 }));
    assert_eq!(say(&mut client, r#"{"type":"ping","type":null}"#).await["code"], "type_required");
}

#[tokio::test]
async fn unknown_fields_and_escapes_do_no_harm() {
    let server = Server::with(&[]);
    let mut client = Client::connect(&server).await;
    assert_eq!(
        say(&mut client, r#" {"more":[{"type":"x"}],"\u0074ype":"p\u0069ng","id":1} "#).await,
        json!({ "type": "pong", "id": 1 })
    );
    let name = r#"räume/"größe" \ 1"#;
    client.subscribe(name).await;
    client.publish(name, json!(1)).await;
    assert_eq!(client.expect("data").await["channel"], name);
}

// === binary frames ===

#[tokio::test]
async fn a_binary_frame_publishes_bytes() {
    let server = Server::with(&[]);
    let (mut ada, mut bob) = (Client::connect(&server).await, Client::connect(&server).await);
    bob.subscribe("raum").await;
    ada.subscribe("raum").await;
    for payload in [&b"\x00\xff{"[..], b"", &[7; 60_000]] {
        let frame = [b"\x04raum", payload].concat();
        ada.send_binary(frame.clone()).await;
        assert_eq!(bob.next().await, Arrived::Binary(frame.clone()));
        assert_eq!(ada.next().await, Arrived::Binary(frame));
    }
}

#[tokio::test]
async fn a_binary_frame_without_a_channel_is_refused() {
    let server = Server::with(&["chat"]);
    let mut client = Client::connect(&server).await;
    for (frame, code, channel) in [
        (&b""[..], "channel_required", Value::Null),
        (b"\x05abc", "channel_required", Value::Null),
        (b"\x02\xff\xfe..", "invalid_params", Value::Null),
        (b"\x02a\n..", "invalid_params", Value::Null),
        (b"\x06chat:a{\"text\":", "rejected", json!("chat:a")),
    ] {
        client.send_binary(frame.to_vec()).await;
        let answer = client.next_json().await;
        assert_eq!((&answer["code"], &answer["channel"]), (&json!(code), &channel), "{frame:?}: {answer}");
    }
    client.ping().await;
}

// === errors ===

const RULES: &str = r#"
    [limits]
    subscriptions = 2
    [[channel]]
    pattern = "open:*"
    [[channel]]
    pattern = "news"
    publish = "server"
"#;

#[tokio::test]
async fn every_error_has_its_message_and_its_code() {
    let server = Server::builder().plugins(&["hostile", "tools", "chat"]).config(RULES).start();
    let mut client = Client::connect(&server).await;
    for (frame, expected) in [
        ("", json!({ "message": "Message is not valid JSON.", "code": "bad_json" })),
        ("{", json!({ "message": "Message is not valid JSON.", "code": "bad_json" })),
        (r#"{"type":"ping"}}"#, json!({ "message": "Message is not valid JSON.", "code": "bad_json" })),
        (r#"{"type":"ping",}"#, json!({ "message": "Message is not valid JSON.", "code": "bad_json" })),
        ("{}", json!({ "message": "Message type is required.", "code": "type_required" })),
        ("[]", json!({ "message": "Message type is required.", "code": "type_required" })),
        (r#""ping""#, json!({ "message": "Message type is required.", "code": "type_required" })),
        (r#"{"type":"dance"}"#, json!({ "message": "Unknown message type: dance.", "code": "unknown_type" })),
        (r#"{"type":5}"#, json!({ "message": "Unknown message type: 5.", "code": "unknown_type" })),
        (r#"{"type":"subscribe"}"#, json!({ "message": "Channel is required.", "code": "channel_required" })),
        (r#"{"type":"publish"}"#, json!({ "message": "Channel is required.", "code": "channel_required" })),
        (
            r#"{"type":"unsubscribe"}"#,
            json!({ "message": "Channel is required.", "code": "channel_required" }),
        ),
        (r#"{"type":"action"}"#, json!({ "message": "Channel is required.", "code": "channel_required" })),
        (
            r#"{"type":"subscribe","channel":"nowhere"}"#,
            json!({ "message": "Channel 'nowhere' not found.", "code": "channel_not_found", "channel": "nowhere" }),
        ),
        (
            r#"{"type":"publish","channel":"open:","data":1}"#,
            json!({ "message": "Channel 'open:' not found.", "code": "channel_not_found", "channel": "open:" }),
        ),
        (
            r#"{"type":"action","channel":"nothing"}"#,
            json!({ "message": "Action 'nothing' not found.", "code": "action_not_found" }),
        ),
        (
            r#"{"type":"publish","channel":"news","data":1}"#,
            json!({
                "message": "User 'anonymous' not authorized for channel 'news'.",
                "code": "permission_denied", "channel": "news",
            }),
        ),
        (
            r#"{"type":"subscribe","channel":"hostile:a","data":{"deny":true}}"#,
            json!({ "message": "No entry.", "code": "rejected", "reason_code": 7, "channel": "hostile:a" }),
        ),
        (
            r#"{"type":"publish","channel":"chat:a","data":[]}"#,
            json!({
                "message": r#"A message looks like {"text":"hello"}."#,
                "code": "rejected", "reason_code": 3, "channel": "chat:a",
            }),
        ),
        (
            r#"{"type":"action","channel":"fail"}"#,
            json!({ "message": "It always fails.", "code": "rejected", "reason_code": 42 }),
        ),
        (
            r#"{"type":"publish","channel":"hostile:a","data":{"do":"trap"}}"#,
            json!({ "message": "Plugin 'hostile' failed.", "code": "plugin_failed", "channel": "hostile:a" }),
        ),
        (
            r#"{"type":"action","channel":"trap"}"#,
            json!({ "message": "Plugin 'tools' failed.", "code": "plugin_failed" }),
        ),
    ] {
        let mut expected = expected;
        expected["type"] = json!("error");
        assert_eq!(say(&mut client, frame).await, expected, "{frame}");
    }
}

#[tokio::test]
async fn a_name_that_is_none_is_explained() {
    let server = Server::with(&[]);
    let mut client = Client::connect(&server).await;
    let long = "a".repeat(256);
    for (name, why) in [
        ("", "empty"),
        (" a", "space"),
        ("a ", "space"),
        ("a\u{1}b", "control"),
        ("$sys", "server"),
        (&*long, "255"),
    ] {
        for kind in ["subscribe", "publish", "unsubscribe"] {
            let answer = client.ask(json!({ "type": kind, "channel": name })).await;
            assert_eq!(answer["code"], "invalid_params", "{kind} {name:?}: {answer}");
            assert_eq!(answer["message"], format!("Invalid parameters for action '{name}'"));
            assert!(
                answer["details"].as_str().is_some_and(|d| d.contains("channel") && d.contains(why)),
                "{answer}"
            );
        }
    }
    for odd in [json!(5), json!(["a"]), json!({ "a": 1 }), json!(false)] {
        let answer = client.ask(json!({ "type": "subscribe", "channel": odd })).await;
        assert_eq!(answer["code"], "invalid_params", "{odd}");
    }
    client.subscribe(&"a".repeat(255)).await;
    client.subscribe(&"ü".repeat(127)).await;
}

#[tokio::test]
async fn a_word_is_echoed_but_not_at_any_length() {
    let server = Server::with(&[]);
    let mut client = Client::connect(&server).await;
    let answer = client.ask(json!({ "type": "x".repeat(50_000) })).await;
    assert_eq!(answer["code"], "unknown_type");
    assert!(answer["message"].as_str().unwrap().len() < 1000);
}

#[tokio::test]
async fn too_large_a_message_is_refused_and_the_connection_stays() {
    let server = Server::with(&[]);
    let mut client = Client::connect(&server).await;
    let fits = |total: usize| {
        let empty = r#"{"type":"publish","channel":"a","id":1,"data":""}"#.len();
        format!(r#"{{"type":"publish","channel":"a","id":1,"data":"{}"}}"#, "x".repeat(total - empty))
    };
    assert_eq!(say(&mut client, &fits(65_536)).await["type"], "published");
    let refused = json!({ "type": "error", "message": "Message exceeds 65536 bytes.", "code": "too_large" });
    assert_eq!(say(&mut client, &fits(65_537)).await, refused);
    assert_eq!(say(&mut client, &fits(16 * 65_536)).await, refused);
    client.send_binary([&b"\x01a"[..], &[0; 65_536]].concat()).await;
    assert_eq!(client.next_json().await, refused);
    client.ping().await;
}

#[tokio::test]
async fn past_its_limit_a_client_gets_no_more_subscriptions() {
    let server = Server::builder().config(RULES).start();
    let mut client = Client::connect(&server).await;
    client.subscribe("open:1").await;
    client.subscribe("open:2").await;
    let third = json!({ "type": "subscribe", "channel": "open:3" });
    assert_eq!(
        client.ask(third.clone()).await,
        json!({
            "type": "error", "message": "At most 2 subscriptions of one client are allowed.",
            "code": "limit_exceeded", "channel": "open:3",
        })
    );
    client.subscribe("open:2").await;
    client.unsubscribe("open:1").await;
    assert_eq!(client.ask(third).await["type"], "subscribed");
}

#[tokio::test]
async fn nesting_as_deep_as_a_message_allows_breaks_nothing() {
    let server = Server::with(&["chat"]);
    let mut client = Client::connect(&server).await;
    let deep = "[".repeat(30_000) + &"]".repeat(30_000);
    let answer =
        say(&mut client, &format!(r#"{{"type":"publish","channel":"chat:a","id":1,"data":{deep}}}"#)).await;
    assert_eq!(answer["type"], "error");
    client.ping().await;
    client.publish("chat:a", json!({ "text": "hi" })).await;
}
