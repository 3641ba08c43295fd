//! Who is in a channel.

use serde_json::{Value, json};

use crate::harness::{Client, Server, wait};

fn server() -> Server {
    let config = r#"
        [[channel]]
        pattern = "*"
        [[channel]]
        pattern = "auto:*"
        presence = "auto"
        [[channel]]
        pattern = "off:*"
        presence = "off"
        [[channel]]
        pattern = "quiet:*"
        join_leave = false
    "#;
    Server::builder().plugins(&["test-auth"]).config(config).start()
}

async fn user(server: &Server, name: &str) -> Client {
    Client::with_token(server, name).await
}

async fn join(client: &mut Client, channel: &str, metadata: Value) {
    let answer = client.ask(json!({ "type": "join", "channel": channel, "data": metadata })).await;
    assert_eq!(answer, json!({ "type": "joined", "channel": channel }));
}

async fn leave(client: &mut Client, channel: &str) {
    let answer = client.ask(json!({ "type": "leave", "channel": channel })).await;
    assert_eq!(answer, json!({ "type": "left", "channel": channel }));
}

/// The list, as another client sees it; `joined_at` is checked and taken away.
async fn members(client: &mut Client, channel: &str) -> Vec<Value> {
    let answer = client.ask(json!({ "type": "presence", "channel": channel })).await;
    assert_eq!((&answer["type"], &answer["channel"]), (&json!("presence"), &json!(channel)), "{answer}");
    let members = plain(&answer["members"]);
    assert_eq!(answer["count"], members.len());
    members
}

fn plain(members: &Value) -> Vec<Value> {
    let mut members = members.as_array().unwrap().clone();
    for member in &mut members {
        let at = member.as_object_mut().unwrap().remove("joined_at").unwrap();
        assert!(at.as_f64().unwrap() > 1.7e9, "{at}");
    }
    members
}

async fn event(client: &mut Client, kind: &str) -> Value {
    let mut frame = client.expect(kind).await;
    frame["member"].as_object_mut().unwrap().remove("joined_at").unwrap();
    frame["member"].take()
}

#[tokio::test]
async fn members_are_listed_with_what_they_say_of_themselves() {
    let server = server();
    let (mut ada, mut bob) = (user(&server, "ada").await, user(&server, "bob").await);
    assert_eq!(members(&mut ada, "room").await, [] as [Value; 0]);
    join(&mut bob, "room", json!({ "colour": "red", "nested": { "a": [1] } })).await;
    join(&mut ada, "room", Value::Null).await;
    let red = json!({ "user_id": "bob", "colour": "red", "nested": { "a": [1] } });
    assert_eq!(members(&mut ada, "room").await, [json!({ "user_id": "ada" }), red]);

    let before = ada.ask(json!({ "type": "presence", "channel": "room" })).await;
    join(&mut bob, "room", json!({ "colour": "blue" })).await;
    let after = ada.ask(json!({ "type": "presence", "channel": "room" })).await;
    assert_eq!(after["members"][1]["colour"], "blue");
    assert_eq!(after["members"][1]["joined_at"], before["members"][1]["joined_at"], "since the first time");

    leave(&mut bob, "room").await;
    leave(&mut bob, "room").await;
    assert_eq!(members(&mut ada, "room").await, [json!({ "user_id": "ada" })]);
}

#[tokio::test]
async fn who_asks_hears_of_it_in_order_with_messages() {
    let server = server();
    let (mut ada, mut bob) = (user(&server, "ada").await, user(&server, "bob").await);
    join(&mut bob, "room", json!({ "n": 1 })).await;
    let mut deaf = user(&server, "deaf").await;
    deaf.subscribe("room").await;
    let answer = ada.subscribe_with(json!({ "channel": "room", "presence": true })).await;
    assert_eq!(plain(&answer["members"]), [json!({ "user_id": "bob", "n": 1 })]);

    bob.publish("room", json!("before")).await;
    join(&mut bob, "room", json!({ "n": 2 })).await;
    bob.publish("room", json!("between")).await;
    leave(&mut bob, "room").await;
    bob.publish("room", json!("after")).await;
    let mut story = Vec::new();
    for _ in 0..5 {
        let frame = ada.next_json().await;
        story.push(match frame["type"].as_str().unwrap() {
            "data" => frame["data"].as_str().unwrap().to_owned(),
            kind => format!("{kind} {} {}", frame["member"]["user_id"], frame["member"]["n"]),
        });
    }
    assert_eq!(story, ["before", "join \"bob\" 2", "between", "leave \"bob\" 2", "after"]);
    for said in ["before", "between", "after"] {
        assert_eq!(deaf.next_json().await["data"], said, "only messages");
    }
}

#[tokio::test]
async fn a_user_with_several_connections_is_one_member_until_the_last_ends() {
    let server = server();
    let mut ada = user(&server, "ada").await;
    ada.subscribe_with(json!({ "channel": "room", "presence": true })).await;
    let mut bobs = [user(&server, "bob").await, user(&server, "bob").await, user(&server, "bob").await];
    for bob in &mut bobs {
        join(bob, "room", Value::Null).await;
    }
    assert_eq!(event(&mut ada, "join").await, json!({ "user_id": "bob" }));
    assert_eq!(members(&mut ada, "room").await.len(), 1);
    let [first, mut second, third] = bobs;
    drop(first);
    leave(&mut second, "room").await;
    ada.ping().await;
    assert_eq!(ada.left_over(), [], "he is still there");
    drop(third);
    assert_eq!(event(&mut ada, "leave").await, json!({ "user_id": "bob" }));
    assert_eq!(members(&mut ada, "room").await.len(), 0);
}

#[tokio::test]
async fn in_automatic_channels_subscribers_are_members() {
    let server = server();
    let (mut ada, mut bob) = (user(&server, "ada").await, user(&server, "bob").await);
    let answer = ada.subscribe_with(json!({ "channel": "auto:a", "presence": true })).await;
    assert_eq!(plain(&answer["members"]), [json!({ "user_id": "ada" })], "it is one of them itself");
    bob.subscribe("auto:a").await;
    assert_eq!(event(&mut ada, "join").await, json!({ "user_id": "bob" }));
    join(&mut bob, "auto:a", json!({ "n": 1 })).await;
    assert_eq!(event(&mut ada, "join").await, json!({ "user_id": "bob", "n": 1 }));
    bob.subscribe("auto:a").await;
    ada.ping().await;
    assert_eq!(ada.left_over(), [], "subscribing again changes nothing");
    bob.unsubscribe("auto:a").await;
    assert_eq!(event(&mut ada, "leave").await, json!({ "user_id": "bob", "n": 1 }));
    bob.subscribe("auto:a").await;
    assert_eq!(event(&mut ada, "join").await, json!({ "user_id": "bob" }));
    drop(bob);
    assert_eq!(event(&mut ada, "leave").await, json!({ "user_id": "bob" }));
}

#[tokio::test]
async fn presence_can_be_off_or_quiet() {
    let server = server();
    let (mut ada, mut bob) = (user(&server, "ada").await, user(&server, "bob").await);
    for kind in ["join", "presence"] {
        let answer = ada.ask(json!({ "type": kind, "channel": "off:a" })).await;
        assert_eq!(answer["code"], "invalid_params", "{answer}");
    }
    ada.subscribe_with(json!({ "channel": "quiet:a", "presence": true })).await;
    join(&mut bob, "quiet:a", Value::Null).await;
    assert_eq!(members(&mut ada, "quiet:a").await.len(), 1);
    assert_eq!(ada.left_over(), [], "nobody is told");
}

#[tokio::test]
async fn a_filter_does_not_judge_who_comes_and_goes() {
    let server = Server::with(&["test-auth", "level-filter"]);
    let (mut ada, mut bob) = (user(&server, "ada").await, user(&server, "bob").await);
    let filter = json!({ "plugin": "level", "params": { "min": "error" } });
    ada.subscribe_with(json!({ "channel": "logs", "presence": true, "filter": filter })).await;
    bob.publish("logs", json!({ "level": "debug" })).await;
    bob.publish("logs", json!({ "level": "fatal" })).await;
    join(&mut bob, "logs", Value::Null).await;
    assert_eq!(ada.next_json().await["data"]["level"], "fatal");
    assert_eq!(ada.next_json().await["type"], "join", "after what was said before");
}

#[tokio::test]
async fn metadata_is_a_small_object_without_the_servers_fields() {
    let server = server();
    let mut ada = user(&server, "ada").await;
    for (wrong, says) in [
        (json!([1]), "not an object"),
        (json!("x"), "not an object"),
        (json!({ "user_id": "eve" }), "data.user_id"),
        (json!({ "joined_at": 0 }), "data.joined_at"),
        (json!({ "big": "x".repeat(5000) }), "4096 bytes"),
    ] {
        let answer = ada.ask(json!({ "type": "join", "channel": "room", "data": wrong })).await;
        assert_eq!(answer["code"], "invalid_params", "{answer}");
        assert!(answer["details"].as_str().unwrap().contains(says), "{answer}");
    }
    let escaped = r#"{"type":"join","channel":"room","data":{"user\u005fid":"eve"},"id":77}"#;
    ada.send_text(escaped).await;
    assert_eq!(ada.expect("error").await["id"], 77);
    assert_eq!(members(&mut ada, "room").await.len(), 0);
}

#[tokio::test]
async fn only_who_may_subscribe_joins_or_looks() {
    let server = server();
    let mut ada = user(&server, "ada").await;
    for kind in ["join", "presence", "history"] {
        let answer = ada.ask(json!({ "type": kind, "channel": "private:a" })).await;
        assert_eq!(answer["code"], "permission_denied", "{answer}");
    }
}

#[tokio::test]
async fn a_client_joins_as_many_channels_as_it_may_subscribe_to() {
    let config = "[limits]\nsubscriptions = 3\n[[channel]]\npattern = \"*\"";
    let server = Server::builder().config(config).start();
    let mut ada = Client::connect(&server).await;
    for number in 0..3 {
        join(&mut ada, &format!("room:{number}"), Value::Null).await;
    }
    let answer = ada.ask(json!({ "type": "join", "channel": "room:3" })).await;
    assert_eq!(answer["code"], "limit_exceeded", "{answer}");
    join(&mut ada, "room:1", json!({ "again": true })).await;
    leave(&mut ada, "room:0").await;
    join(&mut ada, "room:3", Value::Null).await;
}

#[tokio::test]
async fn a_crowd_comes_and_goes() {
    let server = server();
    let mut watcher = user(&server, "watcher").await;
    let mut crowd = Vec::new();
    for number in 0..500 {
        let mut one = user(&server, &format!("user-{number:03}")).await;
        one.send(json!({ "type": "join", "channel": "hall", "data": { "n": number } })).await;
        crowd.push(one);
    }
    for one in &mut crowd {
        one.expect("joined").await;
    }
    let list = members(&mut watcher, "hall").await;
    assert_eq!(list.len(), 500);
    assert_eq!((&list[0]["n"], &list[499]["n"]), (&json!(0), &json!(499)));
    drop(crowd);
    wait::eventually("everybody has left", async || {
        members(&mut watcher, "hall").await.is_empty().then_some(())
    })
    .await;
}
