//! Members of channels and groups, by plugins.

use serde_json::{Value, json};

use super::{apply, client, say, server, user};
use crate::harness::{Client, Server, http, wait};

async fn members(client: &mut Client, channel: &str) -> Vec<Value> {
    let answer = client.ask(json!({ "type": "presence", "channel": channel })).await;
    let mut members = answer["members"].as_array().unwrap_or_else(|| panic!("{answer}")).clone();
    members.iter_mut().for_each(|member| drop(member.as_object_mut().unwrap().remove("joined_at")));
    members
}

async fn until_members(client: &mut Client, channel: &str, wanted: Vec<Value>) {
    wait::eventually("these members", async || (members(client, channel).await == wanted).then_some(()))
        .await;
}

#[tokio::test]
async fn a_client_joins_and_leaves_without_having_subscribed() {
    let server = server(4);
    let (mut ada, ada_id) = user(&server, "ada").await;
    let (mut watcher, _) = client(&server).await;
    watcher.subscribe_with(json!({ "channel": "room", "presence": true })).await;
    let join = |data: Value| json!([{ "join": { "client": ada_id, "channel": "room", "data": data } }]);
    apply(&mut watcher, join(json!({ "mood": "fine" }))).await;
    assert_eq!(watcher.expect("join").await["member"]["mood"], "fine");
    say(&mut watcher, "effects:x", join(json!({ "mood": "better" }))).await;
    until_members(&mut watcher, "room", vec![json!({ "user_id": "ada", "mood": "better" })]).await;
    let leave = json!([{ "leave": { "client": ada_id, "channel": "room" } }]);
    apply(&mut watcher, leave).await;
    assert_eq!(watcher.expect("leave").await["member"]["user_id"], "ada");
    until_members(&mut watcher, "room", vec![]).await;
    ada.ping().await;
    assert_eq!(ada.left_over(), [], "it has asked for nothing and is told nothing");
}

#[tokio::test]
async fn who_was_let_join_leaves_with_its_connection() {
    let server = server(2);
    let (mut ada, ada_id) = user(&server, "ada").await;
    let (mut watcher, _) = client(&server).await;
    apply(&mut watcher, json!([{ "join": { "client": ada_id, "channel": "room" } }])).await;
    until_members(&mut watcher, "room", vec![json!({ "user_id": "ada" })]).await;
    ada.ping().await;
    drop(ada);
    until_members(&mut watcher, "room", vec![]).await;
}

#[tokio::test]
async fn where_there_is_no_presence_nobody_joins() {
    let server = server(2);
    let (mut a, a_id) = client(&server).await;
    apply(&mut a, json!([{ "join": { "client": a_id, "channel": "off:x" } }])).await;
    server.wait_for_log("presence is not kept in this channel").await;
    a.ping().await;
}

async fn group(server: &Server, name: &str) -> Value {
    http::get(server, &format!("/api/groups/{name}")).await.json()["channels"].clone()
}

#[tokio::test]
async fn a_channel_is_put_into_a_group_and_taken_out() {
    let server = server(4);
    let (mut a, _) = client(&server).await;
    let add = |channel: &str| json!({ "group_add": { "group": "team", "channel": channel } });
    let discard = |channel: &str| json!({ "group_discard": { "group": "team", "channel": channel } });
    apply(&mut a, json!([add("one"), add("two"), add("one"), discard("three")])).await;
    let is = async |wanted: Value| {
        wait::eventually("the group's channels", async || {
            (group(&server, "team").await == wanted).then_some(())
        })
        .await;
    };
    is(json!(["one", "two"])).await;
    say(&mut a, "effects:x", json!([discard("one"), discard("one"), add("zoo")])).await;
    is(json!(["two", "zoo"])).await;
}
