//! Messages to one client or user.

use serde_json::json;

use super::{client_of, code, connect, post, present, refused, send, server, token};
use crate::harness::client::Arrived;
use crate::harness::http;
use crate::harness::{Client, Events, eventually};

#[tokio::test]
async fn a_message_to_a_user_reaches_all_its_connections_on_every_shard() {
    let server = server("");
    let mut phones = Vec::new();
    for _ in 0..9 {
        phones.push(present(&server, "ada").await);
    }
    let mut bystander = connect(&server, "ada").await;
    let bearer = format!("Bearer {}", token("ada"));
    let headers = [("authorization", bearer.as_str())];
    let (mut bridge, _) = Client::open(&server, "/ws/$user:ada", &headers).await;
    let mut events = Events::with(&server, "/sse?channel=$user:ada", &headers).await;
    eventually("the bridge's subscription", async || {
        let sent = send(&server, json!({ "user": "ada", "data": "knock" })).await;
        (sent == json!({ "delivered": 11 })).then_some(())
    })
    .await;
    let say = [
        (json!({ "data": { "a": 1 } }), r#"{"a":1}"#),
        (json!({ "text": "hi", "event": "greeting" }), "hi"),
        (json!({ "base64": "AP8=" }), ""),
    ];
    for (content, text) in say {
        let mut body = content;
        body["user"] = json!("ada");
        assert_eq!(send(&server, body).await, json!({ "delivered": 11 }));
        if text.is_empty() {
            continue;
        }
        loop {
            let came = bridge.next_text().await;
            if came != "\"knock\"" {
                assert_eq!(came, text);
                break;
            }
        }
        loop {
            let (_, data) = events.said().await;
            if data != "\"knock\"" {
                assert_eq!(data, text);
                break;
            }
        }
    }
    assert_eq!(bridge.next().await, Arrived::Binary(vec![0, 255]));
    for phone in &mut phones {
        assert_eq!(phone.binary().await, b"\x09$user:ada\x00\xff");
        let said: Vec<_> = phone.left_over().into_iter().filter_map(|frame| frame.json()).collect();
        let said: Vec<_> = said.iter().filter(|frame| frame["data"] != "knock").collect();
        let first = json!({ "type": "data", "channel": "$user:ada", "data": { "a": 1 } });
        let second = json!({ "type": "data", "channel": "$user:ada", "data": "hi", "event": "greeting" });
        assert_eq!(said, [&first, &second]);
    }
    bystander.ping().await;
    assert_eq!(bystander.left_over(), [], "it has not asked for them");
}

#[tokio::test]
async fn a_message_to_a_client_reaches_it_alone_on_whatever_shard() {
    let server = server("");
    let mut clients = Vec::new();
    for _ in 0..9 {
        let mut client = Client::connect(&server).await;
        let id = client.user().await;
        clients.push((client, id));
    }
    for (_, id) in &clients {
        assert_eq!(send(&server, json!({ "client": id, "data": id })).await, json!({ "delivered": 1 }));
    }
    for (client, id) in &mut clients {
        let said = client.next_json().await;
        assert_eq!(said, json!({ "type": "data", "channel": "$client", "data": id }));
        client.ping().await;
        assert_eq!(client.left_over(), []);
    }
    let (client, id) = &mut clients[0];
    send(&server, json!({ "client": id, "text": "hi", "event": "greeting" })).await;
    let said = client.next_json().await;
    assert_eq!(said, json!({ "type": "data", "channel": "$client", "data": "hi", "event": "greeting" }));
    send(&server, json!({ "client": id, "base64": "AP8=" })).await;
    assert_eq!(client.binary().await, b"\x07$client\x00\xff");
}

#[tokio::test]
async fn dialects_without_channels_get_the_bare_message() {
    let server = server("");
    let bearer = format!("Bearer {}", token("ada"));
    let headers = [("authorization", bearer.as_str())];
    let (mut bridge, _) = Client::open(&server, "/ws/room", &headers).await;
    bridge.send_text("here").await;
    assert_eq!(bridge.next_text().await, "here");
    send(&server, json!({ "client": client_of(&server, "ada").await, "data": [1] })).await;
    assert_eq!(bridge.next_text().await, "[1]");

    let bearer = format!("Bearer {}", token("bob"));
    let mut events = Events::with(&server, "/sse?channel=room", &[("authorization", &bearer)]).await;
    let body = json!({ "client": client_of(&server, "bob").await, "data": [1], "event": "said" });
    send(&server, body).await;
    assert_eq!(events.said().await, ("said".into(), "[1]".into()));
}

#[tokio::test]
async fn who_is_gone_or_cannot_be_is_said() {
    let server = server("");
    let mut client = Client::connect(&server).await;
    let id = client.user().await;
    send(&server, json!({ "client": id, "data": 1 })).await;
    drop(client);
    eventually("the client's end", async || {
        let answer = http::post(&server, "/api/send", &json!({ "client": id, "data": 1 }).to_string()).await;
        (answer.status == 404).then(|| assert_eq!(code(&answer).1, "not_found"))
    })
    .await;
    let long = "a".repeat(250);
    for (body, status, why) in [
        (json!({ "client": "ffffffffffffffff", "data": 1 }), 404, "not_found"),
        (json!({ "client": "0000000000000000", "data": 1 }), 404, "not_found"),
        (json!({ "client": "ada", "data": 1 }), 400, "invalid_params"),
        (json!({ "client": id, "user": "ada", "data": 1 }), 400, "invalid_params"),
        (json!({ "data": 1 }), 400, "invalid_params"),
        (json!({ "user": "ada" }), 400, "invalid_params"),
        (json!({ "user": "", "data": 1 }), 400, "invalid_params"),
        (json!({ "user": long, "data": 1 }), 400, "invalid_params"),
        (json!({ "user": "a\nb", "data": 1 }), 400, "invalid_params"),
        (json!({ "user": "ada", "data": 1, "text": "a" }), 400, "invalid_params"),
        (json!({ "user": "ada", "data": 1, "channel": "a" }), 400, "invalid_params"),
        (json!({ "user": "ada", "text": "a".repeat(70_000) }), 413, "too_large"),
    ] {
        assert_eq!(refused(&server, "/api/send", body.clone()).await, (status, why.into()), "{body}");
    }
    let mut commands = vec![json!({ "send": { "client": id, "data": 1 } })];
    commands.push(json!({ "send": { "user": "ada", "data": 1 } }));
    let results = post(&server, "/api/batch", json!({ "commands": commands })).await;
    assert_eq!(results["results"][0]["error"]["code"], "not_found");
    assert_eq!(results["results"][1], json!({ "delivered": 0 }));
}
