//! Whatever is sent, the answer is one of the protocol's, and the connection stays.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::{Pusher, publish, server};
use crate::harness::client::Arrived;

#[tokio::test]
async fn what_is_no_frame_of_the_protocol_is_answered() {
    let server = server();
    let mut pusher = Pusher::connect(&server).await;
    for (frame, words) in [
        ("hello", "Invalid JSON"),
        ("{", "Invalid JSON"),
        ("", "Invalid JSON"),
        ("[1]", "`event`"),
        ("null", "`event`"),
        ("{}", "`event`"),
        (r#"{"event":null}"#, "`event`"),
        (r#"{"event":{}}"#, "`event`"),
        (r#"{"event":"news","channel":"x","data":1}"#, "Unknown event 'news'"),
        (r#"{"event":"pusher:subscribe"}"#, "data is not a text"),
        (r#"{"event":"pusher:subscribe","data":null}"#, "data"),
        (r#"{"event":"pusher:subscribe","data":[]}"#, "data"),
        (r#"{"event":"pusher:subscribe","data":"{"}"#, "data"),
        (r#"{"event":"pusher:subscribe","data":{"channel":null}}"#, "data.channel"),
        (r#"{"event":"pusher:subscribe","data":{"channel":7}}"#, "data.channel"),
        (r#"{"event":"pusher:unsubscribe","data":{}}"#, "data.channel"),
        (r#"{"event":"pusher:signin","data":{"user_data":"{}"}}"#, "data.auth"),
        (r#"{"event":"client-e","data":1}"#, "channel"),
    ] {
        pusher.client.send_text(frame).await;
        let (code, message) = pusher.error().await;
        assert!(code.is_none() && message.contains(words), "{frame}: {message}");
    }
    pusher.client.send_message(Message::binary(&b"x"[..])).await;
    assert!(pusher.error().await.1.contains("Binary"));
    let large = format!(r#"{{"event":"client-e","data":"{}"}}"#, "x".repeat(70_000));
    pusher.client.send_text(&large).await;
    assert!(pusher.error().await.1.contains("65536 bytes"));
    pusher.silent().await;
}

#[tokio::test]
async fn names_that_no_channel_has_are_refused_by_their_name() {
    let server = server();
    let mut pusher = Pusher::connect(&server).await;
    let long = "x".repeat(201);
    for name in ["", "a b", "a:b", "a/b", "räume", "#x", "$online:1", "private-a b", "presence-#x", &long] {
        let why = pusher.refused(name, "", None).await;
        assert_eq!((&why["type"], &why["status"]), (&json!("BadRequest"), &json!(400)), "{name}: {why}");
    }
    for name in ["x", &"x".repeat(200), "A-Z_=@,.;09"] {
        pusher.subscribe(name).await;
    }
}

#[tokio::test]
async fn a_frame_too_large_to_read_ends_it() {
    let server = server();
    let mut pusher = Pusher::connect(&server).await;
    pusher.client.send_text(&"x".repeat(2 << 20)).await;
    assert!(matches!(pusher.client.next().await, Arrived::Closed(1009, _)));
}

#[tokio::test]
async fn unknown_fields_are_passed_over() {
    let server = server();
    let mut pusher = Pusher::connect(&server).await;
    let frame =
        r#"{"event":"pusher:subscribe","x":1,"data":{"channel":"y","channel":"x","auth":null,"more":[]}}"#;
    pusher.client.send_text(frame).await;
    assert_eq!(pusher.next().await["channel"], "x");
    publish(&server, "x", "e", "1").await;
    assert_eq!(pusher.next().await["event"], "e");
}
