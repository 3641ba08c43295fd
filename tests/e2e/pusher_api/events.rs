//! `POST /apps/{id}/events` and `…/batch_events`.

use serde_json::{Value, json};

use crate::harness::pusher::{APP, App, builder, config};
use crate::harness::{Client, Server};

async fn subscribed(server: &Server, channels: &[&str]) -> Client {
    let mut client = Client::connect(server).await;
    for channel in channels {
        client.subscribe(channel).await;
    }
    client
}

/// The next event as a native client gets it: channel, event, data.
async fn event(client: &mut Client) -> (String, String, Value) {
    let mut said = client.expect("data").await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&said["channel"]), text(&said["event"]), said["data"].take())
}

fn said(channel: &str, event: &str, data: Value) -> (String, String, Value) {
    (channel.into(), event.into(), data)
}

#[tokio::test]
async fn an_event_reaches_the_channel_of_the_same_name() {
    let server = builder("").start();
    let mut client = subscribed(&server, &["a", "b"]).await;
    let body = json!({ "name": "App\\Events\\Shipped", "channels": ["a"], "data": "{\"id\": 7}" });
    assert_eq!(APP.post("/events", &body).done(&server).await, json!({}));
    assert_eq!(event(&mut client).await, said("a", "App\\Events\\Shipped", json!({ "id": 7 })));
    // The two shapes of SDKs.
    let body = json!({ "name": "e", "channel": "b", "data": "not json", "socket_id": null });
    assert_eq!(APP.post("/events", &body).done(&server).await, json!({}));
    assert_eq!(event(&mut client).await, said("b", "e", json!("not json")));
    let body = json!({ "name": "e", "channels": ["a", "b", "a"], "data": "1", "extra": true });
    assert_eq!(APP.post("/events", &body).done(&server).await, json!({}));
    let mut channels = [event(&mut client).await.0, event(&mut client).await.0];
    channels.sort();
    assert_eq!(channels, ["a", "b"]);
    client.ping().await;
    assert!(client.left_over().is_empty(), "a channel that is named twice has it once");
}

#[tokio::test]
async fn a_batch_is_published_in_its_order() {
    let server = builder("").start();
    let mut client = subscribed(&server, &["a"]).await;
    let batch: Vec<_> =
        (0..10).map(|n| json!({ "name": "e", "channel": "a", "data": n.to_string() })).collect();
    assert_eq!(APP.post("/batch_events", &json!({ "batch": batch })).done(&server).await, json!({}));
    for n in 0..10 {
        assert_eq!(event(&mut client).await, said("a", "e", json!(n)));
    }
    assert_eq!(APP.post("/batch_events", &json!({ "batch": [] })).done(&server).await, json!({}));
}

#[tokio::test]
async fn whoever_asks_is_told_how_many_there_are() {
    let server = builder("").start();
    let _clients = [subscribed(&server, &["a", "b"]).await, subscribed(&server, &["a"]).await];
    let body = json!({
        "name": "e", "channels": ["a", "b", "c", "presence-d"], "data": "1", "info": "subscription_count,user_count,x",
    });
    let answer = APP.post("/events", &body).done(&server).await;
    let channels = json!({
        "a": { "subscription_count": 2 }, "b": { "subscription_count": 1 }, "c": { "subscription_count": 0 },
        "presence-d": { "user_count": 0 },
    });
    assert_eq!(answer, json!({ "channels": channels }));
    let batch = json!({ "batch": [
        { "name": "e", "channel": "a", "data": "1" },
        { "name": "e", "channel": "b", "data": "1", "info": "subscription_count" },
        { "name": "e", "channel": "b", "data": "1", "info": "" },
    ] });
    let answer = APP.post("/batch_events", &batch).done(&server).await;
    assert_eq!(answer, json!({ "batch": [{}, { "subscription_count": 1 }, {}] }));
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_nothing_of_it_is_published() {
    let server = builder("").start();
    let mut client = subscribed(&server, &["a"]).await;
    let good = json!({ "name": "e", "channel": "a", "data": "no" });
    let with = |name: &str, value: Value| {
        let mut event = good.clone();
        event[name] = value;
        event
    };
    let without = |name: &str| {
        let mut event = good.clone();
        event.as_object_mut().unwrap().remove(name);
        event
    };
    let channels = |channels: Value| {
        let mut event = without("channel");
        event["channels"] = channels;
        event
    };
    let many: Vec<_> = (0..101).map(|n| format!("c{n}")).collect();
    for (body, status, words) in [
        (with("data", json!("x".repeat(10_241))), 413, "data: 10241 bytes are more than 10240"),
        (with("data", json!("ü".repeat(5_121))), 413, "data: 10242 bytes"),
        (with("data", json!({})), 400, "data: "),
        (without("data"), 400, "data"),
        (with("name", json!("x".repeat(201))), 400, "name: "),
        (with("name", json!("")), 400, "name: "),
        (without("name"), 400, "name"),
        (channels(json!(many)), 400, "channels: 101 are not 1 to 100"),
        (channels(json!([])), 400, "channels: 0 are"),
        (channels(json!(["a", 1])), 400, "channels[1]"),
        (without("channel"), 400, "channels and channel"),
        (with("channels", json!(["a"])), 400, "channels and channel"),
        (with("socket_id", json!("1")), 400, "socket_id: "),
        (with("socket_id", json!("1.x")), 400, "socket_id: "),
        (json!([]), 400, ""),
        (json!("text"), 400, ""),
    ] {
        let (got, message) = APP.post("/events", &body).refused(&server).await;
        assert!(got == status && message.contains(words), "{got} {message:?} for {words}");
    }
    for bad in ["", "a b", "a/b", "räume", "#a", "$a", "#server-to-user-", &"x".repeat(201)] {
        let (status, message) = APP.post("/events", &channels(json!(["a", bad]))).refused(&server).await;
        assert!(status == 400 && message.contains("channel"), "{status} {message:?} for {bad}");
        // What else may come before, it stays unpublished.
        let batch = json!({ "batch": [good, with("channel", json!(bad))] });
        let (status, message) = APP.post("/batch_events", &batch).refused(&server).await;
        assert!(status == 400 && message.starts_with("batch[1]."), "{status} {message:?} for {bad}");
    }
    let (status, message) =
        APP.post("/batch_events", &json!({ "batch": vec![good.clone(); 11] })).refused(&server).await;
    assert_eq!((status, &*message), (400, "batch: 11 events are more than 10"));
    let two = json!({ "batch": [channels(json!(["a", "b"]))] });
    assert_eq!(APP.post("/batch_events", &two).refused(&server).await.0, 400);
    for body in ["", "{", "{}x", "\u{feff}{}", "nul"] {
        let call = APP.call("POST", "/apps/3/events".into(), body);
        assert_eq!(call.refused(&server).await.0, 400, "{body}");
    }

    let most = with("data", json!("x".repeat(10_240)));
    APP.post("/events", &most).done(&server).await;
    let (_, _, data) = event(&mut client).await;
    assert_eq!(data.as_str().unwrap().len(), 10_240, "the first that comes, and it may be so large");
    let many: Vec<_> = (0..100).map(|n| format!("c{n}")).collect();
    APP.post("/events", &channels(json!(many))).done(&server).await;
    let escaped = with("data", json!("\u{1}".repeat(10_240)));
    APP.post("/events", &escaped).done(&server).await;
    client.ping().await;
}

#[tokio::test]
async fn a_body_past_all_bounds_is_refused_and_the_connection_told() {
    let server = builder("").start();
    let body = json!({ "name": "e", "channel": "a", "data": "x".repeat(400_000) });
    let (status, message) = APP.post("/events", &body).refused(&server).await;
    assert!(status == 413 && message.contains("The body exceeds"), "{status} {message}");
}

#[tokio::test]
async fn applications_keep_apart() {
    let other = App { id: "4", key: "other", secret: "s" };
    let more = "prefix = 'a.'\n[[pusher.app]]\nid = '4'\nkey = 'other'\nsecret = 's'\nprefix = 'b.'";
    let server = Server::builder().config(&config(more)).start();
    let mut client = subscribed(&server, &["a.room", "b.room"]).await;
    let body = json!({ "name": "e", "channels": ["room"], "data": "1", "info": "subscription_count" });
    let answer = APP.post("/events", &body).done(&server).await;
    assert_eq!(answer, json!({ "channels": { "room": { "subscription_count": 1 } } }));
    assert_eq!(event(&mut client).await.0, "a.room");
    other.post("/events", &body).done(&server).await;
    assert_eq!(event(&mut client).await.0, "b.room");
    let listed = other.get("/channels?info=subscription_count").done(&server).await;
    assert_eq!(listed, json!({ "channels": { "room": { "subscription_count": 1 } } }));
}

#[tokio::test]
async fn a_channels_own_rule_holds_for_it_too() {
    let rule = "[[channel]]\npattern = 'strict'\npayloads = ['json']";
    let server = Server::builder().config(&config(rule)).start();
    let body = |data: &str| json!({ "name": "e", "channels": ["strict", "a"], "data": data });
    APP.post("/events", &body("{}")).done(&server).await;
    let (status, message) = APP.post("/events", &body("text")).refused(&server).await;
    assert!(status == 400 && message.contains("takes json"), "{status} {message}");
}
