//! `/ws/{channel}`: one socket, one channel, no envelope.

use serde_json::json;

use crate::harness::client::Arrived;
use crate::harness::raw;
use crate::harness::{Client, Raw, Server, http};

async fn bridge(server: &Server, path: &str) -> Client {
    Client::open(server, path, &[]).await.0
}

async fn bridge_as(server: &Server, path: &str, token: &str) -> Client {
    Client::open(server, path, &[("authorization", &format!("Bearer {token}"))]).await.0
}

/// One that has subscribed: it gets its own message back.
async fn settled(server: &Server, path: &str) -> Client {
    let mut client = bridge(server, path).await;
    client.send_text("here").await;
    assert_eq!(client.next_text().await, "here", "no frame comes before the first message");
    client
}

// === messages ===

#[tokio::test]
async fn what_is_sent_comes_to_everybody_as_it_was_sent() {
    let server = Server::with(&[]);
    let mut other = settled(&server, "/ws/room").await;
    let mut one = bridge(&server, "/ws/room").await;
    for text in ["hello", r#" {"a" : 1.50} "#, "5", "\"quoted\"", "{\"a\":1} and more", "ü\n\r\n", ""] {
        one.send_text(text).await;
        assert_eq!(one.next_text().await, text);
        assert_eq!(other.next_text().await, text);
    }
    other.send_binary(vec![0, 255, 10]).await;
    assert_eq!(one.next().await, Arrived::Binary(vec![0, 255, 10]));
    assert_eq!(other.next().await, Arrived::Binary(vec![0, 255, 10]));
}

#[tokio::test]
async fn json_is_json_for_native_clients_and_text_is_a_string() {
    let server = Server::with(&[]);
    let mut native = Client::connect(&server).await;
    native.subscribe("room").await;
    let mut client = bridge(&server, "/ws/room").await;
    client.send_text(r#"{"a":1}"#).await;
    assert_eq!(native.data().await, json!({ "a": 1 }));
    client.send_text("{\"a\":").await;
    assert_eq!(native.data().await, json!("{\"a\":"));
}

#[tokio::test]
async fn handlers_see_the_json() {
    let server = Server::with(&["chat", "test-auth"]);
    let mut client = bridge_as(&server, "/ws/chat:lobby", "ada").await;
    client.send_text(r#"{"text":" hi "}"#).await;
    assert_eq!(client.next_text().await, r#"{"text":"hi","from":"ada"}"#);
}

#[tokio::test]
async fn the_path_is_the_channels_name_percent_decoded() {
    let server = Server::with(&[]);
    let mut native = Client::connect(&server).await;
    for (path, channel) in [
        ("/ws/a%20b", "a b"),
        ("/ws/a+b?x=1", "a+b"),
        ("/ws/chat/lobby", "chat/lobby"),
        ("/ws/r%C3%A4ume%2F1", "räume/1"),
    ] {
        native.subscribe(channel).await;
        let mut client = bridge(&server, path).await;
        client.send_text("1").await;
        assert_eq!(native.expect("data").await["channel"], channel);
        assert_eq!(client.next_text().await, "1");
    }
}

#[tokio::test]
async fn a_bridge_is_a_subscriber_from_its_first_message_on() {
    let config = "
        [[channel]]
        pattern = 'room'
        publish = 'subscribers'
    ";
    let server = Server::builder().config(config).start();
    for _ in 0..10 {
        let mut raw = Raw::tcp(&server).await;
        let handshake = raw::handshake().replace("GET /ws ", "GET /ws/room ").into_bytes();
        // Together with the handshake: it is there before the subscription is.
        raw.write(&[handshake, raw::frame(raw::FIN | raw::TEXT, b"first")].concat()).await;
        assert!(raw.read_head().await.starts_with("HTTP/1.1 101 "));
        assert_eq!(raw.next().await.text(), "first");
    }
}

// === refusals ===

#[tokio::test]
async fn a_subscription_that_is_refused_closes() {
    let config = "
        [[channel]]
        pattern = 'room'
        [[channel]]
        pattern = 'private:*'
    ";
    let server = Server::builder().plugins(&["test-auth"]).config(config).start();
    let gone = (4004, "Channel 'nowhere' not found.".to_owned());
    assert_eq!(bridge(&server, "/ws/nowhere").await.closed().await, gone);
    let denied = (4003, "User 'ada' not authorized for channel 'private:a'.".to_owned());
    assert_eq!(bridge_as(&server, "/ws/private:a", "ada").await.closed().await, denied);
    let refused = (4001, "Not you.".to_owned());
    assert_eq!(bridge(&server, "/ws/room?token=refuse").await.closed().await, refused);
    let mut own = bridge(&server, "/ws/private:a?token=admin").await;
    own.send_text("mine").await;
    assert_eq!(own.next_text().await, "mine");
}

#[tokio::test]
async fn a_client_that_may_never_publish_is_told_by_a_close() {
    let config = "
        [[channel]]
        pattern = '*'
        [[channel]]
        pattern = 'news'
        publish = 'server'
    ";
    let server = Server::builder().plugins(&["test-auth"]).config(config).start();
    for channel in ["news", "readonly:a"] {
        let mut client = bridge_as(&server, &format!("/ws/{channel}"), "ada").await;
        client.send_text("hello").await;
        let reason = format!("User 'ada' not authorized for channel '{channel}'.");
        assert_eq!(client.closed().await, (4003, reason));
        assert_eq!(client.left_over(), []);
    }
}

#[tokio::test]
async fn a_message_that_is_refused_is_dropped_and_nothing_else() {
    let server = Server::with(&["chat"]);
    let mut client = bridge(&server, "/ws/chat:lobby").await;
    client.send_text(r#"{"text":"  "}"#).await;
    client.send_text("no chat message").await;
    client.send_text(r#"{"text":"hi"}"#).await;
    assert_eq!(client.next_json().await["text"], "hi");
}

#[tokio::test]
async fn too_large_a_message_closes_with_1009() {
    let config = "
        limits.message_bytes = 1000
        [[channel]]
        pattern = '*'
    ";
    let server = Server::builder().config(config).start();
    let mut client = settled(&server, "/ws/room").await;
    client.send_text(&"x".repeat(1001)).await;
    assert_eq!(client.closed().await, (1009, "Message exceeds 1000 bytes.".to_owned()));
}

#[tokio::test]
async fn a_channel_whose_plugin_goes_closes_its_bridges() {
    let server = Server::with(&["chat"]);
    let mut client = bridge(&server, "/ws/chat:lobby").await;
    client.send_text(r#"{"text":"hi"}"#).await;
    assert_eq!(client.next_json().await["text"], "hi");
    std::fs::remove_file(server.plugin("chat")).unwrap();
    let closed = tokio::time::timeout(crate::harness::wait::LONG, async {
        loop {
            if let Arrived::Closed(code, reason) = client.next_patiently().await {
                return (code, reason);
            }
        }
    });
    assert_eq!(closed.await.unwrap(), (4004, "Channel 'chat:lobby' not found.".to_owned()));
}

#[tokio::test]
async fn a_path_or_query_that_cannot_be_is_refused_before_the_upgrade() {
    let server = Server::with(&[]);
    for (path, words) in [
        ("/ws/%24sys", "begins with `$`"),
        ("/ws/%0A", "control character"),
        ("/ws/%ff", "percent-encoded"),
        ("/ws/room?history=all", "history: is not a number"),
        ("/ws/room?user=", "user: is not a name"),
    ] {
        let answer = http::get(&server, path).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.body.contains(words), "{path}: {}", answer.body);
        assert!(Client::try_open(&server, path, &[]).await.is_err(), "{path}");
    }
    let answer = http::get(&server, "/ws/room").await;
    assert_eq!((answer.status, answer.header("upgrade")), (426, Some("websocket")));
    assert_eq!(http::post(&server, "/ws/room", "").await.status, 405);
}

// === names ===

#[tokio::test]
async fn an_anonymous_client_names_itself_only_where_it_may() {
    for allowed in [false, true] {
        let config = format!(
            "
            [bridge]
            anonymous_names = {allowed}
            [[channel]]
            pattern = '*'
            "
        );
        let server = Server::builder().plugins(&["test-auth"]).config(&config).start();
        let mut native = Client::connect(&server).await;
        native.subscribe("room").await;
        let mut sender = async |mut client: Client| {
            client.send_text("1").await;
            native.expect("data").await["sender"].as_str().unwrap().to_owned()
        };
        let named = sender(bridge(&server, "/ws/room?user=grace%20h").await).await;
        assert_eq!(named == "grace h", allowed, "{named}");
        let known = sender(bridge_as(&server, "/ws/room?user=grace", "ada").await).await;
        assert_eq!(known, "ada", "who has a name keeps it");
        // Its own name for itself gives it no rights.
        let mut private = bridge(&server, "/ws/private:a?user=admin").await;
        assert_eq!(private.closed().await.0, 4003);
    }
}

#[tokio::test]
async fn a_bridge_is_a_websocket_like_any_other() {
    let server = Server::with(&[]);
    let mut raw = Raw::tcp(&server).await;
    raw.write(raw::handshake().replace("GET /ws ", "GET /ws/room ").as_bytes()).await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 101 "));
    raw.send(raw::PING, b"there?").await;
    assert_eq!(raw.next().await.payload, b"there?");
}

#[tokio::test]
async fn a_name_of_its_own_is_not_the_user_that_the_servers_api_means() {
    let config = "bridge.anonymous_names = true\n[[channel]]\npattern = '*'";
    let server = Server::builder().plugins(&["test-auth"]).config(config).start();
    let mut impostor = bridge(&server, "/ws/room?user=ada").await;
    impostor.send_text("here").await;
    assert_eq!(impostor.next_text().await, "here");
    let mut ada = bridge_as(&server, "/ws/room", "ada").await;
    ada.send_text("me too").await;
    assert_eq!(ada.next_text().await, "me too");
    for (call, order, answer) in [
        ("subscribe", json!({ "user": "ada", "channel": "secrets" }), json!({ "subscribed": 1 })),
        ("disconnect", json!({ "user": "ada" }), json!({ "disconnected": 1 })),
    ] {
        let answered = http::post(&server, &format!("/api/{call}"), &order.to_string()).await;
        assert_eq!((answered.status, answered.json()), (200, answer), "{call}");
    }
    assert_eq!(ada.closed().await.0, 4004);
}
