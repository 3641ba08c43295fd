//! Before any call: the browser's origin, the address, the path, the method.

use serde_json::json;

use super::{failure, get, post};
use crate::harness::{Server, http};

const PATHS: [(&str, &str); 16] = [
    ("POST", "/api/publish"),
    ("POST", "/api/broadcast"),
    ("POST", "/api/batch"),
    ("POST", "/api/subscribe"),
    ("POST", "/api/unsubscribe"),
    ("POST", "/api/disconnect"),
    ("POST", "/api/refresh"),
    ("GET", "/api/channels"),
    ("GET", "/api/connections"),
    ("GET", "/api/connections/0000000000000001"),
    ("GET", "/api/plugins"),
    ("GET", "/api/info"),
    ("GET", "/api/openapi.json"),
    ("GET", "/api"),
    ("PUT", "/api/publish"),
    ("GET", "/api/nothing/of/this"),
];

#[tokio::test]
async fn a_page_of_another_site_is_refused_on_every_path() {
    let server = Server::with(&[]);
    for (method, path) in PATHS {
        for origin in ["https://evil.example", "null", "http://127.0.0.1:1", "evil", "file://"] {
            let answer = http::request(&server, method, path, &[("Origin", origin)], "{}").await;
            let (status, code, _) = failure(&answer);
            assert_eq!((status, &*code), (403, "forbidden"), "{method} {path} from {origin}");
        }
    }
    let own = format!("http://{}", server.address);
    assert_eq!(http::request(&server, "GET", "/api/info", &[("Origin", &own)], "").await.status, 200);
}

#[tokio::test]
async fn without_keys_only_allowed_addresses_get_in_on_every_path() {
    let config = "broadcast_allowed_hosts = ['10.1.2.3']\n[[channel]]\npattern = '*'";
    let server = Server::builder().config(config).start();
    for (method, path) in PATHS {
        let answer = http::request(&server, method, path, &[("Authorization", "Bearer x")], "{}").await;
        let (status, code, message) = failure(&answer);
        assert_eq!((status, &*code), (403, "forbidden"), "{method} {path}");
        assert!(message.contains("[[api_key]]"), "{message}");
    }
}

#[tokio::test]
async fn a_path_takes_its_methods_and_says_which() {
    let server = Server::with(&[]);
    for (method, path, allow) in [
        ("GET", "/api/publish", "POST"),
        ("DELETE", "/api/publish", "POST"),
        ("POST", "/api/channels", "GET"),
        ("PUT", "/api/connections/0000000000000001", "GET"),
        ("HEAD", "/api/info", "GET"),
        ("OPTIONS", "/api/batch", "POST"),
    ] {
        let answer = http::request(&server, method, path, &[], "{}").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allow)), "{method} {path}");
        if method != "HEAD" {
            assert_eq!(failure(&answer).1, "method_not_allowed");
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let server = Server::with(&[]);
    for path in
        ["/api", "/api/", "/api/x", "/api/publish/", "/api//publish", "/api/connections/", "/API/info"]
    {
        assert_eq!(http::get(&server, path).await.status, 404, "{path}");
    }
    assert_eq!(http::get(&server, "/apix").await.header("content-type"), Some("text/plain; charset=utf-8"));
}

#[tokio::test]
async fn a_parameter_that_nobody_knows_is_refused() {
    let server = Server::with(&[]);
    for (path, says) in [
        ("/api/info?x=1", "`x`"),
        ("/api/channels?prefx=a", "`prefx`"),
        ("/api/channels?limit=ten", "limit"),
        ("/api/channels?limit=0", "limit"),
        ("/api/channels?limit=1001", "limit"),
        ("/api/channels?limit=-1", "limit"),
        ("/api/channels?limit=1&limit=2", "limit"),
        ("/api/connections?after=x", "after"),
        ("/api/connections/x", "id"),
    ] {
        let (status, code, message) = failure(&http::get(&server, path).await);
        assert_eq!((status, &*code), (400, "invalid_params"), "{path}");
        assert!(message.contains(says), "{path}: {message}");
    }
}

#[tokio::test]
async fn the_server_tells_of_itself() {
    let server = Server::with(&["chat"]);
    let mut client = crate::harness::Client::connect(&server).await;
    client.subscribe("a").await;
    client.subscribe("b").await;
    for n in 0..5 {
        post(&server, "/api/publish", json!({ "channel": "a", "data": n })).await;
    }
    let info = get(&server, "/api/info").await;
    assert!(info["uptime"].as_f64().unwrap() >= 0.0);
    let counts =
        ["shards", "connections", "channels", "subscriptions", "published"].map(|n| info[n].as_u64());
    assert_eq!(counts, [2, 1, 2, 2, 5].map(Some), "{info}");
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(get(&server, "/api/plugins").await["plugins"][0]["name"], "chat");
}
