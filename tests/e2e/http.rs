//! The HTTP side of the one port.

use serde_json::{Value, json};

use crate::harness::http::{self, get, post};
use crate::harness::{Client, Server};

#[tokio::test]
async fn a_broadcast_reaches_the_subscribers_without_a_sender() {
    let server = Server::with(&["chat"]);
    let mut client = Client::connect(&server).await;
    client.subscribe("room").await;
    client.subscribe("chat:lobby").await;
    let posted = post(&server, "/_broadcast", r#"{"channel":"room","data":{"a":1}}"#).await;
    assert_eq!((posted.status, posted.json()), (200, json!({ "status": "success" })));
    assert_eq!(posted.header("content-type"), Some("application/json"));
    assert_eq!(client.next_json().await, json!({ "type": "data", "channel": "room", "data": { "a": 1 } }));
    post(&server, "/_broadcast", r#"{"channel":"chat:lobby","data":{"text":"hi"},"event":"said"}"#).await;
    let said = client.expect("data").await;
    assert_eq!((&said["data"]["from"], &said["event"]), (&json!("server"), &json!("said")), "{said}");
}

#[tokio::test]
async fn a_broadcast_that_fails_says_why() {
    let config = "
        limits.message_bytes = 1000
        [[channel]]
        pattern = 'room'
    ";
    let server = Server::builder().plugins(&["chat", "hostile"]).config(config).start();
    let large = format!(r#"{{"channel":"room","data":"{}"}}"#, "x".repeat(1000));
    let huge = format!(r#"{{"channel":"room","data":"{}"}}"#, "x".repeat(100_000));
    for (body, status, message) in [
        ("", 400, "Message is not valid JSON."),
        ("{", 400, "Message is not valid JSON."),
        ("[]", 400, "Message is not valid JSON."),
        (r#"{"data":1}"#, 400, "Channel is required."),
        (r#"{"channel":null,"data":1}"#, 400, "Channel is required."),
        (r#"{"channel":"nowhere","data":1}"#, 404, "Channel 'nowhere' not found."),
        (r#"{"channel":"chat:a","data":{"text":""}}"#, 400, "Say something: the text is empty."),
        (r#"{"channel":"hostile:a","data":{"do":"trap"}}"#, 503, "Plugin 'hostile' failed."),
        (&large, 413, "Message exceeds 1000 bytes."),
        (&huge, 413, "Message exceeds 1000 bytes."),
    ] {
        let answer = post(&server, "/_broadcast", body).await;
        let start: String = body.chars().take(80).collect();
        assert_eq!((answer.status, answer.json()), (status, json!({ "error": message })), "{start}");
    }
    for name in [" room", "$sys", ""] {
        let answer = post(&server, "/_broadcast", &json!({ "channel": name, "data": 1 }).to_string()).await;
        assert_eq!(answer.status, 400, "{name:?}");
        assert!(answer.json()["error"].is_string());
    }
}

#[tokio::test]
async fn a_broadcast_reads_json_as_every_other_frame_is_read() {
    let server = Server::with(&[]);
    let mut client = Client::connect(&server).await;
    client.subscribe("room").await;
    for (body, data) in [
        (r#"{"channel":"room"}"#, "null"),
        (r#"{"channel":"room","data":null,"event":null,"more":[1]}"#, "null"),
        (r#"{"channel":"room","data":{"a" : 1.50}}"#, r#"{"a" : 1.50}"#),
        (r#"{"channel":"x","data":1,"channel":"room","data":2}"#, "2"),
    ] {
        let answer = post(&server, "/_broadcast", body).await;
        assert_eq!(answer.status, 200, "{body}: {}", answer.body);
        assert_eq!(client.next_text().await, format!(r#"{{"type":"data","channel":"room","data":{data}}}"#));
    }
}

#[tokio::test]
async fn a_page_of_another_site_can_neither_broadcast_nor_look() {
    let server = Server::with(&["chat"]);
    let body = r#"{"channel":"room","data":1}"#;
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1", "evil", "file://"] {
        let answer = http::request(&server, "POST", "/_broadcast", &[("Origin", origin)], body).await;
        let error = json!({ "error": "Broadcast endpoint can only be accessed locally." });
        assert_eq!((answer.status, answer.json()), (403, error), "{origin}");
        let answer = http::request(&server, "GET", "/api/plugins", &[("Origin", origin)], "").await;
        assert_eq!(answer.status, 403, "{origin}");
    }
    let own = format!("http://{}", server.address);
    assert_eq!(http::request(&server, "POST", "/_broadcast", &[("Origin", &own)], body).await.status, 200);
    assert_eq!(http::request(&server, "GET", "/api/plugins", &[("Origin", &own)], "").await.status, 200);
}

#[tokio::test]
async fn an_address_that_is_not_allowed_is_refused() {
    let config = "
        broadcast_allowed_hosts = ['10.1.2.3']
        [[channel]]
        pattern = '*'
    ";
    let server = Server::builder().config(config).start();
    let answer = post(&server, "/_broadcast", r#"{"channel":"room","data":1}"#).await;
    let error = json!({ "error": "Broadcast endpoint can only be accessed locally." });
    assert_eq!((answer.status, answer.json()), (403, error));
    assert_eq!(get(&server, "/api/plugins").await.status, 403);
    assert_eq!(get(&server, "/healthz").await.status, 200);
}

#[tokio::test]
async fn the_plugins_are_listed() {
    let server = Server::with(&["chat", "token-auth", "level-filter", "tools"]);
    let report = server.report().await.to_string();
    for name in ["chat", "token-auth", "level-filter", "tools"] {
        assert!(report.contains(&format!(r#""{name}""#)), "{report}");
    }
    assert!(report.contains("A chat that checks and signs messages."), "{report}");
    assert!(report.contains("chat:*"), "{report}");
}

#[tokio::test]
async fn the_server_is_healthy() {
    let server = Server::with(&[]);
    for path in ["/healthz", "/readyz"] {
        let answer = get(&server, path).await;
        assert_eq!((answer.status, &*answer.body), (200, "ok\n"), "{path}");
    }
}

#[tokio::test]
async fn the_page_is_at_the_root() {
    let server = Server::with(&[]);
    let answer = get(&server, "/").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(answer.body.to_lowercase().contains("<!doctype html>"), "{}", answer.body);
}

#[tokio::test]
async fn the_pages_client_is_beside_it() {
    let server = Server::with(&[]);
    let page = get(&server, "/").await.body;
    assert!(page.contains("\"./console/tidegate.js\""), "{page}");
    let answer = get(&server, "/console/tidegate.js").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/javascript; charset=utf-8")));
    assert!(answer.body.contains("export{"), "{}", answer.body);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let server = Server::with(&[]);
    for path in ["/nothing", "/ws/", "/sse/x", "/dialect/", "/api/", "/_broadcast/", "/%00", "//"] {
        assert_eq!(get(&server, path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_websockets_path_asked_without_upgrade_says_so() {
    let server = Server::with(&[]);
    let answer = get(&server, "/ws").await;
    assert_eq!((answer.status, answer.header("upgrade")), (426, Some("websocket")));
}

#[tokio::test]
async fn a_path_takes_only_its_methods() {
    let server = Server::with(&[]);
    for (method, path) in [
        ("GET", "/_broadcast"),
        ("POST", "/api/plugins"),
        ("DELETE", "/healthz"),
        ("PUT", "/"),
        ("POST", "/ws"),
        ("POST", "/console/tidegate.js"),
    ] {
        assert_eq!(http::request(&server, method, path, &[], "").await.status, 405, "{method} {path}");
    }
}

#[tokio::test]
async fn an_error_of_the_server_api_is_json() {
    let server = Server::with(&[]);
    let answer =
        http::request(&server, "GET", "/api/plugins", &[("Origin", "https://evil.example")], "").await;
    assert!(matches!(answer.json(), Value::Object(_)), "{answer:?}");
}
