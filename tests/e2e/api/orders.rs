//! What is done to clients: subscribe, unsubscribe, disconnect, refresh.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{get, id, post, refused};
use crate::harness::{Client, Server};

async fn users(server: &Server, user: &str, count: usize) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = Client::with_token(server, user).await;
        client.ping().await;
        clients.push(client);
    }
    clients
}

/// Both shards have some of them: the kernel spreads connections by their ports.
async fn users_everywhere(server: &Server, user: &str) -> Vec<Client> {
    let mut clients = users(server, user, 4).await;
    loop {
        let page = get(server, &format!("/api/connections?user={user}&limit=1000")).await;
        let shards: std::collections::BTreeSet<String> = page["connections"]
            .as_array()
            .unwrap()
            .iter()
            .map(|connection| connection["client"].as_str().unwrap()[3..5].to_owned())
            .collect();
        if shards.len() == 2 {
            return clients;
        }
        assert!(clients.len() < 60, "all on one shard");
        clients.extend(users(server, user, 1).await);
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

#[tokio::test]
async fn a_user_is_disconnected_wherever_it_is_connected_and_nobody_else() {
    let server = Server::with(&["test-auth"]);
    let mut ada = users_everywhere(&server, "ada").await;
    let mut bob = users(&server, "bob", 2).await;
    let answer = post(&server, "/api/disconnect", json!({ "user": "ada" })).await;
    assert_eq!(answer, json!({ "disconnected": ada.len() }));
    for client in &mut ada {
        assert_eq!(client.closed().await, (4004, "Disconnected by the server.".to_owned()));
    }
    for client in &mut bob {
        client.ping().await;
    }
    assert_eq!(
        post(&server, "/api/disconnect", json!({ "user": "ada" })).await,
        json!({ "disconnected": 0 })
    );
}

#[tokio::test]
async fn one_client_is_disconnected_with_a_code_and_a_reason() {
    let server = Server::with(&[]);
    let (mut one, mut other) = (Client::connect(&server).await, Client::connect(&server).await);
    let its = id(&mut one).await;
    let order = json!({ "client": its, "code": 4321, "reason": "ünd tschüss" });
    assert_eq!(post(&server, "/api/disconnect", order.clone()).await, json!({ "disconnected": 1 }));
    assert_eq!(one.closed().await, (4321, "ünd tschüss".to_owned()));
    other.ping().await;
    for nobody in ["0000000000000000", "ffffffffffffffff", "0004200000000001"] {
        let order = json!({ "client": nobody });
        assert_eq!(post(&server, "/api/disconnect", order).await, json!({ "disconnected": 0 }));
    }
    other.ping().await;
}

#[tokio::test]
async fn a_client_that_is_subscribed_by_the_server_receives_until_it_is_unsubscribed() {
    let server = Server::with(&["test-auth", "chat"]);
    let mut ada = users_everywhere(&server, "ada").await;
    let mut bob = Client::with_token(&server, "bob").await;
    bob.subscribe("chat:a").await;
    let order = json!({ "user": "ada", "channel": "chat:a" });
    assert_eq!(post(&server, "/api/subscribe", order.clone()).await, json!({ "subscribed": ada.len() }));
    for client in &mut ada {
        let said = client.next_json().await;
        assert_eq!((&said["type"], &said["channel"]), (&json!("subscribed"), &json!("chat:a")), "{said}");
        assert!(said["epoch"].is_string() && said.get("id").is_none(), "{said}");
    }
    bob.publish("chat:a", json!({ "text": "hi" })).await;
    for client in &mut ada {
        assert_eq!(client.data().await["text"], "hi");
    }
    // A client that has left itself is not counted.
    ada[0].unsubscribe("chat:a").await;
    let left = ada.len() - 1;
    assert_eq!(post(&server, "/api/unsubscribe", order.clone()).await, json!({ "unsubscribed": left }));
    for client in &mut ada[1..] {
        assert_eq!(client.next_json().await, json!({ "type": "unsubscribed", "channel": "chat:a" }));
    }
    bob.publish("chat:a", json!({ "text": "still there?" })).await;
    for client in &mut ada {
        client.ping().await;
        assert_eq!(client.left_over(), []);
    }
    assert_eq!(post(&server, "/api/unsubscribe", order).await, json!({ "unsubscribed": 0 }));
    let channels = get(&server, "/api/channels?prefix=chat:a").await;
    assert_eq!(channels["channels"][0]["subscribers"], 1, "the home has counted right");
}

#[tokio::test]
async fn a_subscription_that_is_still_under_way_is_ended_once_it_is_there() {
    let config = "[[channel]]\npattern = '*'\n[plugins.hostile]\ncall_ms = 5000";
    let server = Server::builder().plugins(&["hostile"]).config(config).start();
    let mut client = Client::connect(&server).await;
    let its = id(&mut client).await;
    for _ in 0..5 {
        client.send(json!({ "type": "publish", "channel": "hostile:a", "data": { "do": "spin" } })).await;
    }
    // The handler has some 40 ms to do before it comes to this.
    client.send(json!({ "type": "subscribe", "channel": "hostile:a" })).await;
    client.ping().await;
    let order = json!({ "client": its, "channel": "hostile:a" });
    assert_eq!(post(&server, "/api/unsubscribe", order).await, json!({ "unsubscribed": 1 }));
    assert_eq!(client.next_json().await["type"], "subscribed");
    assert_eq!(client.next_json().await["type"], "unsubscribed");
}

#[tokio::test]
async fn subscribing_again_delivers_once() {
    let server = Server::with(&["test-auth"]);
    let mut ada = Client::with_token(&server, "ada").await;
    ada.subscribe("room").await;
    let order = json!({ "user": "ada", "channel": "room" });
    for _ in 0..3 {
        assert_eq!(post(&server, "/api/subscribe", order.clone()).await, json!({ "subscribed": 1 }));
        ada.expect("subscribed").await;
    }
    post(&server, "/api/publish", json!({ "channel": "room", "data": 1 })).await;
    post(&server, "/api/publish", json!({ "channel": "room", "data": 2 })).await;
    assert_eq!((ada.data().await, ada.data().await), (json!(1), json!(2)));
    assert_eq!(get(&server, "/api/channels").await["channels"][0]["subscribers"], 1);
}

#[tokio::test]
async fn the_channels_handler_judges_and_auth_plugins_are_not_asked() {
    let server = Server::with(&["test-auth", "hostile"]);
    let mut ada = Client::with_token(&server, "ada").await;
    // Answered, she is ada.
    ada.ping().await;
    let order = json!({ "user": "ada", "channel": "private:a" });
    assert_eq!(post(&server, "/api/subscribe", order).await, json!({ "subscribed": 1 }));
    assert_eq!(ada.expect("subscribed").await["channel"], "private:a");

    let order = r#"{"user":"ada","channel":"hostile:refuse-open"}"#;
    let (status, code, _) = refused(&server, "/api/subscribe", order).await;
    assert_eq!((status, &*code), (503, "plugin_failed"));
    assert_eq!(ada.expect("error").await["code"], "plugin_failed", "the client is told too");
}

#[tokio::test]
async fn a_channel_that_is_not_there_and_one_too_many_are_refused() {
    let config = "limits.subscriptions = 2\n[[channel]]\npattern = 'room*'";
    let server = Server::builder().plugins(&["test-auth"]).config(config).start();
    let mut ada = Client::with_token(&server, "ada").await;
    let mut also_ada = Client::with_token(&server, "ada").await;
    also_ada.ping().await;
    ada.ping().await;
    let nowhere = r#"{"user":"ada","channel":"nowhere"}"#;
    let (status, code, _) = refused(&server, "/api/subscribe", nowhere).await;
    assert_eq!((status, &*code), (404, "channel_not_found"));
    ada.expect("error").await;
    ada.subscribe("room1").await;
    ada.subscribe("room2").await;
    let answer = post(&server, "/api/subscribe", json!({ "user": "ada", "channel": "room3" })).await;
    assert_eq!(answer["subscribed"], 1);
    assert_eq!(answer["refused"][0]["error"]["code"], "limit_exceeded");
    assert_eq!(answer["refused"][0]["client"].as_str().unwrap().len(), 16);
    assert_eq!(also_ada.expect("subscribed").await["channel"], "room3");
    let one = answer["refused"][0]["client"].clone();
    let order = json!({ "client": one, "channel": "room3" }).to_string();
    let (status, code, _) = refused(&server, "/api/subscribe", &order).await;
    assert_eq!((status, &*code), (429, "limit_exceeded"));
}

#[tokio::test]
async fn an_identity_gets_a_new_end() {
    let server = Server::with(&["test-auth"]);
    let end = ((now() + 1.5) * 1000.0) as u64;
    let token = format!("short-{end}");
    let (mut longer, mut as_it_was) =
        (Client::with_token(&server, &token).await, Client::with_token(&server, &token).await);
    // Both are warned at once; one of them is given more time.
    longer.expect("expiring").await;
    as_it_was.expect("expiring").await;
    let client = id(&mut longer).await;
    assert_eq!(client, "short");
    let connections = get(&server, "/api/connections?user=short").await;
    let first = connections["connections"][0]["client"].as_str().unwrap().to_owned();
    // Which of the two it is, the channels of the other tell.
    longer.subscribe("mine").await;
    let has_mine = get(&server, &format!("/api/connections/{first}")).await["channels"] == json!(["mine"]);
    let which =
        if has_mine { first } else { connections["connections"][1]["client"].as_str().unwrap().to_owned() };
    let order = json!({ "client": which, "expires_at": now() + 3600.0 });
    assert_eq!(post(&server, "/api/refresh", order).await, json!({ "refreshed": 1 }));
    assert_eq!(as_it_was.closed().await.0, 4001);
    longer.ping().await;

    // The other way: an end for one that had none, a token's renewal takes it away again.
    let mut ada = Client::with_token(&server, "ada").await;
    ada.ping().await;
    let order = json!({ "user": "ada", "expires_at": now() + 5.0 });
    assert_eq!(post(&server, "/api/refresh", order).await, json!({ "refreshed": 1 }));
    ada.expect("expiring").await;
    ada.ask(json!({ "type": "auth", "token": "ada" })).await;
    let order = json!({ "user": "ada", "expires_at": 0 });
    assert_eq!(post(&server, "/api/refresh", order).await, json!({ "refreshed": 1 }));
    assert_eq!(ada.closed().await, (4001, "The token has expired.".to_owned()));
}

#[tokio::test]
async fn an_order_names_exactly_one_and_only_what_it_may() {
    let server = Server::with(&[]);
    let (both, one) = (json!({ "client": "0000000000000001", "user": "ada" }), json!({ "user": "ada" }));
    let with = |fields: &Value, more: Value| {
        let mut all = fields.clone();
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all.to_string()
    };
    let channel = json!({ "channel": "room" });
    let long = "x".repeat(124);
    for (path, body, says) in [
        ("subscribe", with(&both, channel.clone()), "one of client and user"),
        ("unsubscribe", with(&both, channel.clone()), "one of client and user"),
        ("subscribe", channel.to_string(), "one of client and user"),
        ("subscribe", with(&one, json!({ "client": null })), "`channel`"),
        ("subscribe", with(&one, json!({ "channel": "" })), "channel: "),
        ("subscribe", with(&one, json!({ "channel": "a", "data": 1 })), "`data`"),
        ("disconnect", "{}".into(), "one of client and user"),
        ("disconnect", with(&both, json!({})), "one of client and user"),
        ("disconnect", json!({ "client": "1" }).to_string(), "client: "),
        ("disconnect", with(&one, json!({ "code": 999 })), "code: "),
        ("disconnect", with(&one, json!({ "code": 1006 })), "code: "),
        ("disconnect", with(&one, json!({ "code": 5000 })), "code: "),
        ("disconnect", with(&one, json!({ "code": 70000 })), "code: "),
        ("disconnect", with(&one, json!({ "code": "4004" })), "code: "),
        ("disconnect", with(&one, json!({ "reason": long })), "reason: "),
        ("disconnect", with(&one, json!({ "reson": "x" })), "`reson`"),
        ("refresh", one.to_string(), "`expires_at`"),
        ("refresh", with(&one, json!({ "expires_at": -1 })), "expires_at: "),
        ("refresh", with(&one, json!({ "expires_at": 1e20 })), "expires_at: "),
        ("refresh", with(&one, json!({ "expires_at": "soon" })), "expires_at: "),
    ] {
        let (status, code, message) = refused(&server, &format!("/api/{path}"), &body).await;
        assert_eq!((status, &*code), (400, "invalid_params"), "{path} {body}");
        assert!(message.contains(says), "{path} {body}: {message}");
    }
}
