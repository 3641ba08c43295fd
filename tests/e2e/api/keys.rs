//! API keys and what they may do.

use serde_json::json;

use super::failure;
use crate::harness::http::Response;
use crate::harness::{Client, Server, cli, http};

struct Keys {
    server: Server,
    all: String,
    publish: String,
    read: String,
    manage: String,
}

/// A fresh key by the command, and the configuration's lines for it.
fn fresh(arguments: &[&str]) -> (String, String) {
    let said = cli::run(&[&["api-key"], arguments].concat());
    assert_eq!(said.code, Some(0), "{said:?}");
    let (key, lines) = said.stdout.split_once("\n\n").unwrap();
    (key.to_owned(), lines.to_owned())
}

/// A server with a key for each grant, from whom no address would be allowed.
fn keys() -> Keys {
    let mut config = "broadcast_allowed_hosts = ['10.1.2.3']\n[[channel]]\npattern = '*'\n".to_owned();
    let mut key = |arguments: &[&str]| {
        let (key, lines) = fresh(arguments);
        config += &lines;
        key
    };
    let all = key(&["all"]);
    let publish = key(&["pub", "--allow", "publish"]);
    let read = key(&["read", "--allow", "read"]);
    let manage = key(&["both", "--allow", "manage"]);
    Keys { server: Server::builder().config(&config).start(), all, publish, read, manage }
}

async fn with(server: &Server, key: &str, method: &str, path: &str, body: &str) -> Response {
    http::request(server, method, path, &[("Authorization", &format!("Bearer {key}"))], body).await
}

const PUBLISH: &str = r#"{"channel":"room","data":1}"#;
const DISCONNECT: &str = r#"{"user":"nobody"}"#;

#[tokio::test]
async fn with_a_key_from_anywhere_and_without_one_from_nowhere() {
    let Keys { server, all, .. } = keys();
    for (path, body) in [("/api/publish", PUBLISH), ("/api/disconnect", DISCONNECT)] {
        assert_eq!(with(&server, &all, "POST", path, body).await.status, 200, "{path}");
    }
    let truncated = &all[..all.len() - 1];
    for path in ["/api/info", "/api/channels", "/api/connections", "/api/plugins", "/api/openapi.json"] {
        assert_eq!(with(&server, &all, "GET", path, "").await.status, 200, "{path}");
        for header in [
            String::new(),
            "Bearer".into(),
            "Bearer ".into(),
            format!("Bearer {all}x"),
            format!("Bearer {truncated}"),
            format!("Basic {all}"),
            all.clone(),
        ] {
            let answer = http::request(&server, "GET", path, &[("Authorization", &header)], "").await;
            assert_eq!(failure(&answer).0, 401, "{path} with {header:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
        assert_eq!(failure(&http::get(&server, path).await).1, "unauthorized", "{path}");
    }
    // Not even which paths there are, nor is a body read.
    assert_eq!(http::get(&server, "/api/nothing").await.status, 401);
    assert_eq!(http::post(&server, "/api/publish", "{").await.status, 401);
    let lower = format!("bearer  {all}");
    let answer = http::request(&server, "GET", "/api/info", &[("authorization", &lower)], "").await;
    assert_eq!(answer.status, 200);
    let elsewhere = [("Origin", "https://evil.example"), ("Authorization", &*format!("Bearer {all}"))];
    assert_eq!(http::request(&server, "GET", "/api/info", &elsewhere, "").await.status, 403);
    assert_eq!(with(&server, &all, "POST", "/_broadcast", PUBLISH).await.status, 403, "it knows no keys");
}

#[tokio::test]
async fn a_key_does_what_it_is_allowed_and_nothing_else() {
    let Keys { server, publish, read, manage, .. } = keys();
    let manage_body = r#"{"user":"nobody","channel":"room","expires_at":1}"#;
    let calls = [
        ("POST", "/api/publish", PUBLISH, &publish),
        ("POST", "/api/broadcast", r#"{"channels":["room"],"data":1}"#, &publish),
        ("GET", "/api/channels", "", &read),
        ("GET", "/api/connections", "", &read),
        ("GET", "/api/connections/0000000000000000", "", &read),
        ("GET", "/api/plugins", "", &read),
        ("GET", "/api/info", "", &read),
        ("POST", "/api/subscribe", manage_body, &manage),
        ("POST", "/api/unsubscribe", manage_body, &manage),
        ("POST", "/api/disconnect", DISCONNECT, &manage),
        ("POST", "/api/refresh", manage_body, &manage),
    ];
    for (method, path, body, right) in calls {
        for key in [&publish, &read, &manage] {
            let answer = with(&server, key, method, path, body).await;
            if key == right {
                // What is wrong with the request is seen only by who may make it.
                assert!([200, 400, 404].contains(&answer.status), "{path}: {}", answer.body);
            } else {
                let (status, code, message) = failure(&answer);
                assert_eq!((status, &*code), (403, "forbidden"), "{path}: {message}");
                assert!(message.contains("`allow`"), "{message}");
            }
        }
    }
    for key in [&publish, &read, &manage] {
        assert_eq!(with(&server, key, "GET", "/api/openapi.json", "").await.status, 200);
    }
}

#[tokio::test]
async fn each_command_of_a_batch_needs_its_own_grant() {
    let Keys { server, publish, manage, read, all } = keys();
    let mut client = Client::connect(&server).await;
    client.subscribe("room").await;
    let batch = r#"{"commands":[{"disconnect":{"user":"nobody"}},{"publish":{"channel":"room","data":1}}]}"#;
    let done = async |key: &str| {
        let answer = with(&server, key, "POST", "/api/batch", batch).await.json();
        [0, 1].map(|n| answer["results"][n]["error"]["code"] != "forbidden")
    };
    assert_eq!(done(&publish).await, [false, true]);
    assert_eq!(done(&manage).await, [true, false]);
    assert_eq!(done(&read).await, [false, false]);
    assert_eq!(done(&all).await, [true, true]);
    assert_eq!((client.data().await, client.data().await), (json!(1), json!(1)));
}

#[test]
fn the_command_prints_a_fresh_key_each_time_and_its_hash() {
    let (one, lines) = fresh(&["back \"end\"", "--allow", "publish", "--allow", "read"]);
    let (two, _) = fresh(&["backend"]);
    assert!(one.starts_with("tg_") && one.len() == 46 && one != two, "{one}");
    assert!(!lines.contains(&one[3..]), "the key itself is in no configuration:\n{lines}");
    let config: toml::Table = lines.parse().unwrap();
    let key = &config["api_key"][0];
    assert_eq!(key["name"].as_str(), Some("back \"end\""));
    assert_eq!(key["allow"], toml::Value::from(vec!["publish", "read"]));
    assert_ne!(cli::run(&["api-key", ""]).code, Some(0));
    assert_ne!(cli::run(&["api-key", "x", "--allow", "all"]).code, Some(0));
}

#[test]
fn a_key_in_the_place_of_its_hash_is_refused_and_not_printed() {
    let (key, _) = fresh(&["backend"]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tidegate.toml");
    std::fs::write(&file, format!("api_key = [{{ name = 'a', sha256 = '{key}' }}]")).unwrap();
    let said = cli::run(&["config", "check", file.to_str().unwrap()]);
    assert_ne!(said.code, Some(0));
    assert!(said.stderr.contains("64 hexadecimal digits"), "{}", said.stderr);
}
