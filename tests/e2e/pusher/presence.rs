//! Who is in a presence channel.

use serde_json::{Value, json};

use super::{Pusher, config, server, signed};
use crate::harness::{Client, Server};

fn listed(answer: &Value) -> Vec<String> {
    let presence = &answer["presence"];
    let ids: Vec<String> =
        presence["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().into()).collect();
    assert_eq!(presence["count"], ids.len());
    assert!(ids.iter().all(|id| presence["hash"].as_object().unwrap().contains_key(id)), "{presence}");
    assert_eq!(presence["hash"].as_object().unwrap().len(), ids.len());
    ids
}

#[tokio::test]
async fn members_hear_of_each_other_by_user_and_not_by_connection() {
    let server = server();
    let mut ada = Pusher::connect(&server).await;
    let answer = ada.join("presence-x", json!({ "user_id": "1", "user_info": { "name": "Ada" } })).await;
    assert_eq!(
        answer,
        json!({ "presence": { "ids": ["1"], "hash": { "1": { "name": "Ada" } }, "count": 1 } })
    );

    // The number is the same user as the text.
    let mut tabs = [Pusher::connect(&server).await, Pusher::connect(&server).await];
    let [first, second] = &mut tabs;
    let bob = json!({ "user_id": 10, "user_info": { "name": "Bob" } });
    assert_eq!(listed(&first.join("presence-x", bob).await), ["1", "10"]);
    assert_eq!(
        ada.next_data("pusher_internal:member_added").await,
        json!({ "user_id": "10", "user_info": { "name": "Bob" } })
    );
    let answer =
        second.join("presence-x", json!({ "user_id": "10", "user_info": { "name": "Robert" } })).await;
    assert_eq!(answer["presence"]["hash"]["10"]["name"], "Bob", "the first connection has said it");
    ada.silent().await;
    first.silent().await;

    first.unsubscribe("presence-x").await;
    first.silent().await;
    ada.silent().await;
    let [_, second] = tabs;
    second.gone().await;
    assert_eq!(ada.next_data("pusher_internal:member_removed").await, json!({ "user_id": "10" }));
    ada.silent().await;
}

#[tokio::test]
async fn a_member_without_info_has_its_place_in_the_list() {
    let server = server();
    let mut watcher = Pusher::connect(&server).await;
    watcher.join("presence-x", json!({ "user_id": "w" })).await;
    for (user, info, shown) in [
        ("a", None, json!({})),
        ("b", Some(Value::Null), json!(null)),
        ("c", Some(json!("text")), json!("text")),
        ("d", Some(json!({ "user_id": "z" })), json!({ "user_id": "z" })),
    ] {
        let mut pusher = Pusher::connect(&server).await;
        let mut data = json!({ "user_id": user });
        if let Some(info) = info {
            data["user_info"] = info;
        }
        let answer = pusher.join("presence-x", data).await;
        assert_eq!(listed(&answer), [user, "w"]);
        // JSON null is the field left out.
        let shown = if user == "b" { json!({}) } else { shown };
        assert_eq!(answer["presence"]["hash"][user], shown);
        let told = watcher.next_data("pusher_internal:member_added").await;
        assert_eq!(told, json!({ "user_id": user, "user_info": shown }));
        pusher.gone().await;
        watcher.next_data("pusher_internal:member_removed").await;
    }
}

#[tokio::test]
async fn who_is_nobody_is_refused() {
    let server = server();
    let mut pusher = Pusher::connect(&server).await;
    for data in ["", "no JSON", "[]", "{}", r#"{"user_id":null}"#, r#"{"user_id":""}"#, r#"{"user_id":{}}"#] {
        let auth = signed(&[&pusher.socket_id, ":", "presence-x", ":", data]);
        assert_eq!(pusher.refused("presence-x", &auth, Some(data)).await["status"], 400, "{data}");
    }
    let auth = signed(&[&pusher.socket_id, ":", "presence-x"]);
    assert_eq!(pusher.refused("presence-x", &auth, None).await["status"], 400, "no channel_data");
    let unsigned = pusher.refused("presence-x", &auth, Some(r#"{"user_id":"1"}"#)).await;
    assert_eq!(unsigned["status"], 401);
}

#[tokio::test]
async fn a_channel_and_its_members_have_limits() {
    let limits = "limits = { presence_members = 2, member_bytes = 64 }";
    let server = Server::builder().config(&config(limits)).start();
    let mut members = Vec::new();
    for user in ["1", "2"] {
        let mut pusher = Pusher::connect(&server).await;
        pusher.join("presence-x", json!({ "user_id": user })).await;
        members.push(pusher);
    }
    let mut third = Pusher::connect(&server).await;
    let data = r#"{"user_id":"3"}"#;
    let auth = signed(&[&third.socket_id, ":", "presence-x", ":", data]);
    assert_eq!(third.refused("presence-x", &auth, Some(data)).await["type"], "LimitReached");
    let mut again = Pusher::connect(&server).await;
    again.join("presence-x", json!({ "user_id": "2" })).await;
    third.join("presence-y", json!({ "user_id": "3" })).await;
    let (large, long) = ("x".repeat(64), "x".repeat(129));
    for data in [json!({ "user_id": "1", "user_info": large }), json!({ "user_id": long })] {
        let data = data.to_string();
        let auth = signed(&[&again.socket_id, ":", "presence-z", ":", &data]);
        assert_eq!(again.refused("presence-z", &auth, Some(&data)).await["status"], 400);
    }
}

#[tokio::test]
async fn a_signed_in_user_needs_no_channel_data() {
    let server = server();
    let mut pusher = Pusher::connect(&server).await;
    pusher.sign_in(json!({ "id": "ada", "user_info": { "name": "Ada" } })).await;
    let auth = signed(&[&pusher.socket_id, ":", "presence-x"]);
    let answer = pusher.ask("presence-x", &auth, None).await;
    let data: Value = serde_json::from_str(answer["data"].as_str().unwrap()).unwrap();
    assert_eq!(data["presence"]["hash"], json!({ "ada": { "name": "Ada" } }));
}

#[tokio::test]
async fn other_clients_are_members_of_the_same_channel() {
    let server = Server::builder().plugins(&["test-auth"]).config(&config("")).start();
    let mut native = Client::with_token(&server, "ada").await;
    native.subscribe_with(json!({ "channel": "presence-x", "presence": true })).await;
    let mut pusher = Pusher::connect(&server).await;
    pusher.join("presence-x", json!({ "user_id": "bob", "user_info": { "colour": "red" } })).await;
    let told = native.expect("join").await;
    assert_eq!((&told["member"]["user_id"], &told["member"]["colour"]), (&json!("bob"), &json!("red")));
    native.ask(json!({ "type": "join", "channel": "presence-x", "data": { "colour": "blue" } })).await;
    assert_eq!(
        pusher.next_data("pusher_internal:member_added").await,
        json!({ "user_id": "ada", "user_info": { "colour": "blue" } })
    );
    // The protocol has no word for a member that says something else of itself.
    native.ask(json!({ "type": "join", "channel": "presence-x", "data": { "colour": "green" } })).await;
    pusher.silent().await;
    native.ask(json!({ "type": "leave", "channel": "presence-x" })).await;
    assert_eq!(pusher.next_data("pusher_internal:member_removed").await, json!({ "user_id": "ada" }));
    assert_eq!(native.expect("leave").await["member"]["user_id"], "ada");
    pusher.gone().await;
    assert_eq!(native.expect("leave").await["member"]["user_id"], "bob");
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_member_no_more() {
    let server = server();
    let mut ada = Pusher::connect(&server).await;
    ada.join("presence-x", json!({ "user_id": "1" })).await;
    let mut bob = Pusher::connect(&server).await;
    bob.join("presence-x", json!({ "user_id": "2" })).await;
    ada.next_data("pusher_internal:member_added").await;
    drop(bob);
    assert_eq!(ada.next_data("pusher_internal:member_removed").await, json!({ "user_id": "2" }));
}
