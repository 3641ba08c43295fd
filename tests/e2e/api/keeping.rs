//! What channels keep, who is in them, and groups of them.

use serde_json::{Value, json};

use super::{get, openapi, post, refused};
use crate::harness::{Client, Server, http};

fn server() -> Server {
    let config = "[[channel]]\npattern = \"*\"\n[[channel]]\npattern = \"log:*\"\nhistory = { messages = 3 }";
    Server::builder().config(config).start()
}

/// The answer to another method that is done.
async fn call(server: &Server, method: &str, path: &str) -> Value {
    let answer = http::request(server, method, path, &[], "").await;
    assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
    openapi::conforms(method, path, &answer);
    answer.json()
}

#[tokio::test]
async fn a_history_is_read_and_cleared() {
    let server = server();
    for n in 1..=4 {
        post(&server, "/api/publish", json!({ "channel": "log:a/b", "data": { "n": n }, "sender": "ada" }))
            .await;
    }
    post(&server, "/api/publish", json!({ "channel": "log:a/b", "base64": "AP8=", "event": "bytes" })).await;
    let path = "/api/channels/log%3Aa%2Fb/history";
    let all = get(&server, path).await;
    assert_eq!((&all["offset"], &all["complete"]), (&json!(5), &json!(true)), "{all}");
    let offsets: Vec<u64> =
        all["messages"].as_array().unwrap().iter().map(|m| m["offset"].as_u64().unwrap()).collect();
    assert_eq!(offsets, [3, 4, 5]);
    let (first, last) = (&all["messages"][0], &all["messages"][2]);
    assert_eq!((&first["data"], &first["sender"]), (&json!({ "n": 3 }), &json!("ada")));
    assert_eq!((&last["base64"], &last["event"]), (&json!("AP8="), &json!("bytes")));

    let since = format!("{path}?since={}:3&limit=1", all["epoch"].as_str().unwrap());
    assert_eq!(get(&server, &since).await["messages"][0]["offset"], 4);
    assert_eq!(get(&server, &format!("{path}?since=old:3")).await["complete"], false);
    assert_eq!(http::get(&server, &format!("{path}?since=3")).await.status, 400);
    assert_eq!(http::get(&server, &format!("{path}?limit=-1")).await.status, 400);

    assert_eq!(call(&server, "DELETE", path).await["offset"], 5, "the offsets go on");
    assert_eq!(get(&server, path).await["messages"], json!([]));
}

#[tokio::test]
async fn members_are_listed_and_sent_away() {
    let server = server();
    let mut ada = Client::connect(&server).await;
    ada.subscribe_with(json!({ "channel": "room", "presence": true })).await;
    ada.ask(json!({ "type": "join", "channel": "room", "data": { "colour": "red" } })).await;
    ada.expect("join").await;
    let list = get(&server, "/api/channels/room/presence").await;
    assert_eq!((&list["count"], &list["members"][0]["colour"]), (&json!(1), &json!("red")), "{list}");
    assert_eq!(call(&server, "DELETE", "/api/channels/room/presence").await, json!({ "left": 1 }));
    assert_eq!(ada.expect("leave").await["member"]["colour"], "red");
    assert_eq!(get(&server, "/api/channels/room/presence").await["count"], 0);
}

#[tokio::test]
async fn a_group_takes_one_publish_to_each_of_its_channels() {
    let server = server();
    for channel in ["team:b", "team:a", "team:a"] {
        let changed = call(&server, "PUT", &format!("/api/groups/all/{channel}")).await;
        assert!(changed["changed"].is_boolean());
    }
    assert_eq!(get(&server, "/api/groups/all").await["channels"], json!(["team:a", "team:b"]));
    let mut both = Client::connect(&server).await;
    both.subscribe("team:a").await;
    both.subscribe("team:b").await;
    let said = post(&server, "/api/groups/all/publish", json!({ "data": "hi", "receipt": true })).await;
    assert_eq!(said["channels"], json!(["team:a", "team:b"]));
    for result in said["results"].as_array().unwrap() {
        assert_eq!((&result["offset"], &result["delivered"]), (&json!(1), &json!(1)), "{said}");
    }
    let mut heard = [both.expect("data").await, both.expect("data").await];
    heard.sort_by_key(|frame| frame["channel"].to_string());
    assert_eq!(heard.map(|frame| frame["channel"].clone()), [json!("team:a"), json!("team:b")]);

    call(&server, "DELETE", "/api/groups/all/team:b").await;
    assert_eq!(call(&server, "DELETE", "/api/groups/all/team:b").await, json!({ "changed": false }));
    let said = post(&server, "/api/groups/all/publish", json!({ "data": "again" })).await;
    assert_eq!(said["channels"], json!(["team:a"]));
    let nobody = post(&server, "/api/groups/none/publish", json!({ "data": 1 })).await;
    assert_eq!(nobody, json!({ "channels": [], "results": [] }));
    assert_eq!(refused(&server, "/api/groups/all/publish", "{}").await.0, 400);
    assert_eq!(http::request(&server, "PUT", "/api/groups/all/%24x", &[], "").await.status, 400);
}
