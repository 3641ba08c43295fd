//! What the HTTP API tells of channels, and the paths that it has.

use serde_json::{Value, json};

use crate::harness::pusher::{APP, builder};
use crate::harness::{Client, Server, eventually, http};

async fn with_users() -> (Server, Vec<Client>) {
    let server = builder("").plugins(&["test-auth"]).start();
    let mut clients = Vec::new();
    for user in ["ada", "ada", "bob"] {
        let mut client = Client::with_token(&server, user).await;
        client.subscribe("presence-room").await;
        client.ask(json!({ "type": "join", "channel": "presence-room" })).await;
        clients.push(client);
    }
    clients[0].subscribe("a").await;
    (server, clients)
}

async fn get(server: &Server, path: &str) -> Value {
    APP.get(path).done(server).await
}

#[tokio::test]
async fn channels_are_listed_that_have_subscribers() {
    let (server, mut clients) = with_users().await;
    APP.post("/events", &json!({ "name": "e", "channel": "nobody-here", "data": "1" })).done(&server).await;
    let channels = json!({ "channels": { "a": {}, "presence-room": {} } });
    assert_eq!(get(&server, "/channels").await, channels);
    let channels = json!({ "channels": { "presence-room": { "user_count": 2 } } });
    assert_eq!(get(&server, "/channels?filter_by_prefix=presence-&info=user_count").await, channels);
    let channels = json!({ "channels": { "a": { "subscription_count": 1 }, "presence-room": {} } });
    assert_eq!(get(&server, "/channels?info=subscription_count").await, channels);
    assert_eq!(get(&server, "/channels?filter_by_prefix=x").await, json!({ "channels": {} }), "an object");
    clients[0].unsubscribe("a").await;
    assert_eq!(get(&server, "/channels?filter_by_prefix=a").await, json!({ "channels": {} }));
    for query in ["info=user_count", "info=user_count&filter_by_prefix=private-"] {
        let (status, message) = APP.get(&format!("/channels?{query}")).refused(&server).await;
        assert!(status == 400 && message.contains("presence-"), "{query}: {message}");
    }
}

#[tokio::test]
async fn a_channel_is_occupied_or_not() {
    let (server, clients) = with_users().await;
    assert_eq!(get(&server, "/channels/presence-room").await, json!({ "occupied": true }));
    let both = get(&server, "/channels/presence-room?info=user_count,subscription_count").await;
    assert_eq!(both, json!({ "occupied": true, "user_count": 2 }));
    let counted = json!({ "occupied": true, "subscription_count": 1 });
    assert_eq!(get(&server, "/channels/a?info=subscription_count").await, counted);
    assert_eq!(get(&server, "/channels/b?info=subscription_count").await, json!({ "occupied": false }));
    let (status, message) = APP.get("/channels/a?info=user_count").refused(&server).await;
    assert!(status == 400 && message.contains("presence"), "{message}");
    for bad in ["a%20b", "%24own", &"x".repeat(201), ""] {
        assert_eq!(APP.get(&format!("/channels/{bad}")).refused(&server).await.0, 400, "{bad}");
    }
    drop(clients);
    let gone = async || (get(&server, "/channels/a").await == json!({ "occupied": false })).then_some(());
    eventually("nobody is there", gone).await;
}

#[tokio::test]
async fn users_of_a_presence_channel_are_listed() {
    let (server, _clients) = with_users().await;
    let users = json!({ "users": [{ "id": "ada" }, { "id": "bob" }] });
    assert_eq!(get(&server, "/channels/presence-room/users").await, users);
    assert_eq!(get(&server, "/channels/presence-other/users").await, json!({ "users": [] }));
    let (status, message) = APP.get("/channels/a/users").refused(&server).await;
    assert!(status == 400 && message.contains("presence"), "{message}");
    let looked_at = http::get(&server, "/api/channels?prefix=presence-other").await.json();
    assert_eq!(looked_at["channels"], json!([]), "a look makes no channel");
}

#[tokio::test]
async fn other_paths_and_methods_have_an_answer_too() {
    let server = builder("").start();
    for (method, path, status) in [
        ("GET", "/apps/3", 404),
        ("GET", "/apps/3/nothing", 404),
        ("GET", "/apps/3/events", 405),
        ("POST", "/apps/3/channels", 405),
        ("GET", "/users/ada/terminate_connections", 405),
    ] {
        let answer = http::request(&server, method, path, &[], "").await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("allow").is_some(), status == 405);
    }
    let server = Server::with(&[]);
    let answer = APP.get("/channels").send(&server).await;
    assert_eq!((answer.status, &*answer.body), (404, "There is nothing here.\n"), "no app, no API");
}
