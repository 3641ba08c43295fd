//! What others hear, and what plugins have to do with it.

use serde_json::{Value, json};

use super::{client_of, connect, numbers, post, present, server, token, with_queue};
use crate::harness::http;
use crate::harness::sign::SECRET;
use crate::harness::{Client, Events, Server, eventually};

/// A subscriber of each way in, of whom the first is left out; all but that one hear `heard`.
struct Others {
    left_out: Client,
    native: Client,
    bridge: Client,
    events: Events,
}

impl Others {
    async fn of(server: &Server, channel: &str) -> Self {
        let (mut left_out, mut native) = (Client::connect(server).await, Client::connect(server).await);
        left_out.subscribe(channel).await;
        native.subscribe(channel).await;
        let bridge = Client::open(server, &format!("/ws/{channel}"), &[]).await.0;
        let events = Events::open(server, &format!("/sse?channel={channel}")).await;
        // The bridge says nothing of its subscription.
        eventually("all subscriptions", async || {
            let list = http::get(server, "/api/channels").await.json();
            let channels = list["channels"].as_array().unwrap();
            let found = channels.iter().find(|one| one["name"] == channel)?;
            (found["subscribers"] == 4).then_some(())
        })
        .await;
        Self { left_out, native, bridge, events }
    }

    async fn hear(&mut self, heard: Value) {
        assert_eq!(self.native.data().await, heard);
        assert_eq!(self.bridge.next_json().await, heard);
        assert_eq!(self.events.said().await.1, heard.to_string());
        self.left_out.ping().await;
        assert_eq!(self.left_out.left_over(), []);
    }
}

#[tokio::test]
async fn all_but_the_publisher_hear_what_is_not_for_it() {
    let server = Server::with(&["tools"]);
    let mut others = Others::of(&server, "room").await;
    let one = json!({ "type": "publish", "channel": "room", "data": 1, "echo": false });
    others.left_out.ask(one).await;
    others.hear(json!(1)).await;

    let mut visitor = Client::connect(&server).await;
    let id = visitor.user().await;
    post(&server, "/api/publish", json!({ "channel": "room", "data": 2, "exclude": id })).await;
    assert_eq!(others.left_out.data().await, 2, "it is another that is left out");
    others.hear(json!(2)).await;
    let id = others.left_out.user().await;
    post(&server, "/api/publish", json!({ "channel": "room", "data": 3, "exclude": id })).await;
    others.hear(json!(3)).await;
    let body = json!({ "channels": ["room"], "data": 4, "exclude": id });
    post(&server, "/api/broadcast", body).await;
    others.hear(json!(4)).await;

    let said = json!({ "channel": "room", "text": "hi", "others": true });
    others.left_out.ask(json!({ "type": "action", "channel": "send_message", "data": said })).await;
    others.hear(json!({ "text": "hi" })).await;
}

#[tokio::test]
async fn bridges_and_streams_are_left_out_too() {
    let server = server("");
    for (user, path) in [("ada", "/ws/room"), ("bob", "/sse?channel=room")] {
        let bearer = format!("Bearer {}", token(user));
        let headers = [("authorization", bearer.as_str())];
        let say = async |data: Value, exclude: &str| {
            let body = json!({ "channel": "room", "data": data, "exclude": exclude, "receipt": true });
            post(&server, "/api/publish", body).await
        };
        if user == "ada" {
            let (mut bridge, _) = Client::open(&server, path, &headers).await;
            bridge.send_text("0").await;
            assert_eq!(bridge.next_text().await, "0");
            let id = client_of(&server, user).await;
            assert_eq!(say(json!(1), &id).await["excluded"], 1);
            say(json!(2), "ffffffffffffffff").await;
            assert_eq!(bridge.next_text().await, "2");
        } else {
            let mut events = Events::with(&server, path, &headers).await;
            let id = client_of(&server, user).await;
            assert_eq!(say(json!(1), &id).await["excluded"], 1);
            say(json!(2), "ffffffffffffffff").await;
            assert_eq!(events.said().await.1, "2");
        }
    }
}

#[tokio::test]
async fn a_users_other_connections_can_be_told_what_one_did() {
    let server = with_queue("");
    let mut phone = present(&server, "ada").await;
    let id = client_of(&server, "ada").await;
    let mut laptop = present(&server, "ada").await;
    let read = json!({ "channel": "$user:ada", "data": "read", "exclude": id, "receipt": true });
    let answer = post(&server, "/api/publish", read.clone()).await;
    assert_eq!((&answer["delivered"], &answer["excluded"]), (&json!(1), &json!(1)));
    assert_eq!(laptop.data().await, "read");
    laptop.unsubscribe("$user:ada").await;
    let answer = post(&server, "/api/publish", read).await;
    let fate = (&answer["delivered"], &answer["excluded"], answer.get("queued"));
    assert_eq!(fate, (&json!(0), &json!(1), None), "it is there, and is not to have it");
    phone.ping().await;
    assert_eq!(phone.left_over(), []);
    laptop.subscribe("$user:ada").await;
    assert_eq!(numbers(&mut laptop, 0).await, [0; 0]);
}

#[tokio::test]
async fn plugins_reach_a_user_through_its_channel() {
    let config = format!("[[channel]]\npattern = '*'\n[users.queue]\n[jwt]\nsecret = '{SECRET}'");
    let server = Server::builder().plugins(&["tools"]).config(&config).start();
    let mut bob = connect(&server, "bob").await;
    let said = json!({ "channel": "$user:ada", "text": "hi" });
    let answer = bob.ask(json!({ "type": "action", "channel": "send_message", "data": said })).await;
    assert_eq!(answer["status"], "completed");
    let mut ada = present(&server, "ada").await;
    assert_eq!(ada.data().await, json!({ "text": "hi" }));
}
