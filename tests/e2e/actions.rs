//! Calls to a plugin's actions.

use serde_json::{Value, json};

use crate::harness::{Client, Server, wait};

fn action(name: &str, data: Value) -> Value {
    json!({ "type": "action", "channel": name, "data": data })
}

#[tokio::test]
async fn an_action_answers_with_its_data() {
    let server = Server::with(&["tools"]);
    let mut client = Client::connect(&server).await;
    for data in [json!({ "a": [1, 2.5, "ü"] }), json!("x"), json!(0), Value::Null] {
        let answer = client.ask(action("echo", data.clone())).await;
        assert_eq!(
            answer,
            json!({ "type": "action", "channel": "echo", "status": "completed", "data": data })
        );
    }
    let answer = client.ask(json!({ "type": "action", "channel": "echo" })).await;
    assert_eq!(answer["data"], Value::Null, "no data is null");
}

#[tokio::test]
async fn an_action_publishes_through_the_channels_own_handler() {
    let server = Server::with(&["tools", "chat"]);
    let (mut reader, mut caller) = (Client::connect(&server).await, Client::connect(&server).await);
    reader.subscribe("chat:lobby").await;
    reader.subscribe("plain").await;
    let to = |channel: &str| action("send_message", json!({ "channel": channel, "text": " hi " }));
    let answer = caller.ask(to("chat:lobby")).await;
    assert_eq!(
        (&answer["status"], &answer["data"]),
        (&json!("completed"), &json!({ "sent": true })),
        "{answer}"
    );
    let said = reader.expect("data").await;
    assert_eq!(
        (&said["data"], said.get("sender")),
        (&json!({ "text": "hi", "from": "server" }), None),
        "{said}"
    );
    caller.ask(to("plain")).await;
    assert_eq!(
        reader.next_json().await,
        json!({ "type": "data", "channel": "plain", "data": { "text": " hi " } })
    );
}

#[tokio::test]
async fn an_action_that_refuses_says_why() {
    let server = Server::with(&["tools"]);
    let mut client = Client::connect(&server).await;
    assert_eq!(
        client.ask(action("fail", json!(1))).await,
        json!({ "type": "error", "message": "It always fails.", "code": "rejected", "reason_code": 42 })
    );
    let answer = client.ask(action("send_message", json!("nothing like it"))).await;
    assert_eq!((&answer["code"], &answer["reason_code"]), (&json!("rejected"), &json!(0)), "{answer}");
}

#[tokio::test]
async fn an_action_that_traps_fails_alone_and_is_there_again() {
    let server = Server::with(&["tools"]);
    let mut client = Client::connect(&server).await;
    let failed = json!({ "type": "error", "message": "Plugin 'tools' failed.", "code": "plugin_failed" });
    for _ in 0..5 {
        assert_eq!(client.ask(action("trap", Value::Null)).await, failed);
        wait::eventually_in(wait::LONG, "the action works again", async || {
            let answer = client.ask(action("echo", json!("again"))).await;
            assert!(answer["status"] == "completed" || answer == failed, "{answer}");
            (answer["data"] == "again").then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn an_action_that_nobody_offers_is_not_found() {
    let server = Server::with(&["tools"]);
    let mut client = Client::connect(&server).await;
    let not_found = |name: &str| json!({ "type": "error", "message": format!("Action '{name}' not found."), "code": "action_not_found" });
    for name in ["ech", "echo2", "Echo", "", "tools"] {
        assert_eq!(client.ask(action(name, Value::Null)).await, not_found(name));
    }
    let answer = client.ask(json!({ "type": "action", "channel": 5 })).await;
    assert_eq!(answer["code"], "invalid_params");
}
