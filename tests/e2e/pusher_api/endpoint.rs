//! `/broadcasting/auth` and its like: clients are let in without an endpoint of the application's.

use serde_json::{Value, json};

use crate::harness::http::{self, Response};
use crate::harness::pusher::{APP, builder, config};
use crate::harness::{Server, sign};
use crate::pusher::Pusher;

const ON: &str = "auth_endpoint = true\nauth_origins = ['https://app.example', 'http://localhost:8080']";

async fn post(server: &Server, path: &str, token: Option<&str>, body: &str) -> Response {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
    headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    http::request(server, "POST", path, &headers, body).await
}

async fn ask(server: &Server, token: Option<&str>, socket_id: &str, channel: &str) -> Response {
    let body = format!("socket_id={socket_id}&channel_name={channel}");
    post(server, "/broadcasting/auth", token, &body).await
}

fn refusal(answer: &Response) -> (u16, String) {
    crate::harness::pusher::refused(answer)
}

/// What a client was given, as it shows it.
fn shown(answer: &Response) -> (String, Option<String>) {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let mut answer = answer.json();
    let data = answer["channel_data"].take();
    (answer["auth"].as_str().unwrap().to_owned(), data.as_str().map(str::to_owned))
}

#[tokio::test]
async fn a_plugin_decides_by_the_channel() {
    // The plugin lets only `admin` into what begins with `private:`.
    let server = builder(&format!("{ON}\nprefix = 'private:'")).plugins(&["test-auth"]).start();
    let mut client = Pusher::connect(&server).await;
    let socket_id = client.socket_id.clone();
    let (status, message) = refusal(&ask(&server, Some("ada"), &socket_id, "private-order.7").await);
    assert!(status == 403 && message.contains("'ada'"), "{message}");
    let (status, message) = refusal(&ask(&server, Some("refuse"), &socket_id, "private-order.7").await);
    assert_eq!((status, &*message), (403, "Not you."));
    let (auth, data) = shown(&ask(&server, Some("admin"), &socket_id, "private-order.7").await);
    assert_eq!(data, None);
    let answer = client.ask("private-order.7", &auth, None).await;
    assert_eq!(answer["event"], "pusher_internal:subscription_succeeded", "{answer}");
    assert_eq!(client.refused("private-order.8", &auth, None).await["status"], 401, "for one channel alone");
}

#[tokio::test]
async fn a_token_decides_where_no_plugin_is_loaded() {
    let jwt = "[jwt]\nsecret = 'the secret of the tests, long enough'";
    let server = builder(&format!("{ON}\n{jwt}")).start();
    let claims = json!({ "sub": "ada", "channels": ["private-order.{id}", "presence-*"] }).to_string();
    let token = sign::hs256(b"the secret of the tests, long enough", r#"{"alg":"HS256"}"#, &claims);
    let mut client = Pusher::connect(&server).await;
    let socket_id = client.socket_id.clone();
    let (auth, _) = shown(&ask(&server, Some(&token), &socket_id, "private-order.7").await);
    let answer = client.ask("private-order.7", &auth, None).await;
    assert_eq!(answer["event"], "pusher_internal:subscription_succeeded", "{answer}");
    for channel in ["private-order.7.items", "private-other"] {
        assert_eq!(refusal(&ask(&server, Some(&token), &socket_id, channel).await).0, 403);
    }
    let bad = format!("{token}x");
    for token in [None, Some("nonsense"), Some(&*bad)] {
        assert_eq!(refusal(&ask(&server, token, &socket_id, "private-order.7").await).0, 403);
    }
    let (auth, data) = shown(&ask(&server, Some(&token), &socket_id, "presence-room").await);
    let data = data.unwrap();
    let member: Value = serde_json::from_str(&data).unwrap();
    assert_eq!(member, json!({ "user_id": "ada", "user_info": { "id": "ada" } }));
    let answer = client.ask("presence-room", &auth, Some(&data)).await;
    assert_eq!(answer["event"], "pusher_internal:subscription_succeeded", "{answer}");
    let users = APP.get("/channels/presence-room/users").done(&server).await;
    assert_eq!(users, json!({ "users": [{ "id": "ada" }] }));
}

#[tokio::test]
async fn a_user_is_signed_in() {
    let server = builder(ON).plugins(&["test-auth"]).start();
    let mut client = Pusher::connect(&server).await;
    let body = format!("socket_id={}", client.socket_id);
    for path in ["/pusher/user-auth", "/broadcasting/user-auth"] {
        let answer = post(&server, path, Some("ada"), &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let answer = answer.json();
        let data: Value = serde_json::from_str(answer["user_data"].as_str().unwrap()).unwrap();
        assert_eq!(data, json!({ "id": "ada", "user_info": { "id": "ada" } }));
        client.send("pusher:signin", answer.clone()).await;
        client.next_data("pusher:signin_success").await;
    }
    assert_eq!(refusal(&post(&server, "/broadcasting/user-auth", None, &body).await).0, 403);
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let server = builder(ON).plugins(&["test-auth"]).start();
    for (channel, status, words) in [
        ("public", 403, "signature"),
        ("%23server-to-user-ada", 403, "signature"),
        ("private-encrypted-x", 403, "endpoint of the application's own"),
        ("private-%20", 400, "channel_name"),
        ("", 400, "channel_name"),
    ] {
        let (got, message) = refusal(&ask(&server, Some("ada"), "1.2", channel).await);
        assert!(got == status && message.contains(words), "{channel}: {got} {message}");
    }
    for (body, words) in [
        ("", "socket_id"),
        ("socket_id=1.2", "channel_name"),
        ("channel_name=private-x", "socket_id"),
        ("socket_id=x&channel_name=private-x", "socket_id"),
    ] {
        let (got, message) = refusal(&post(&server, "/pusher/auth", Some("ada"), body).await);
        assert!(got == 400 && message.contains(words), "{body}: {got} {message}");
    }
    assert_eq!(refusal(&ask(&server, None, "1.2", "private-x").await).0, 403, "anonymous");
    let long = "x".repeat(129);
    assert_eq!(refusal(&ask(&server, Some(&long), "1.2", "presence-x").await).0, 403);
    assert_eq!(refusal(&post(&server, "/pusher/auth", None, &"x".repeat(20_000)).await).0, 413);
    assert_eq!(http::get(&server, "/broadcasting/auth").await.status, 405);
}

#[tokio::test]
async fn with_nobody_to_ask_nobody_is_let_in() {
    let server = builder(ON).start();
    let (status, message) = refusal(&ask(&server, Some("ada"), "1.2", "private-x").await);
    assert!(status == 403 && message.contains("[jwt]"), "{message}");
    let server = builder("").plugins(&["test-auth"]).start();
    assert_eq!(ask(&server, Some("ada"), "1.2", "private-x").await.status, 404, "it is an option");
}

#[tokio::test]
async fn of_several_apps_the_query_names_one() {
    let more = "auth_endpoint = true\nprefix = 'a.'\n[[pusher.app]]\nid = '4'\nkey = 'other'\nsecret = 's'\n\
                prefix = 'b.'\nauth_endpoint = true";
    let server = Server::builder().config(&config(more)).plugins(&["test-auth"]).start();
    let body = "socket_id=1.2&channel_name=private-x";
    for (query, key) in [(format!("?app={}", APP.key), APP.key), ("?app=other".into(), "other")] {
        let (auth, _) = shown(&post(&server, &format!("/broadcasting/auth{query}"), Some("ada"), body).await);
        assert!(auth.starts_with(&format!("{key}:")), "{auth}");
    }
    assert_eq!(refusal(&post(&server, "/broadcasting/auth", Some("ada"), body).await).0, 400);
    assert_eq!(refusal(&post(&server, "/broadcasting/auth?app=x", Some("ada"), body).await).0, 404);
}

#[tokio::test]
async fn pages_of_these_origins_may_ask() {
    let server = builder(ON).plugins(&["test-auth"]).start();
    let from = async |method: &str, origin: &str| {
        let headers = [("origin", origin), ("authorization", "Bearer ada")];
        let body = if method == "POST" { "socket_id=1.2&channel_name=private-x" } else { "" };
        http::request(&server, method, "/broadcasting/auth", &headers, body).await
    };
    for origin in ["https://app.example", "http://localhost:8080"] {
        let preflight = from("OPTIONS", origin).await;
        assert_eq!(preflight.status, 204);
        for (name, words) in [
            ("access-control-allow-origin", origin),
            ("access-control-allow-headers", "authorization"),
            ("access-control-allow-methods", "POST"),
        ] {
            assert!(preflight.header(name).unwrap().contains(words), "{preflight:?}");
        }
        let answer = from("POST", origin).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some(origin)));
        assert_eq!(answer.header("vary"), Some("origin"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
    for origin in ["https://evil.example", "https://app.example.evil", "null"] {
        for method in ["OPTIONS", "POST"] {
            assert_eq!(from(method, origin).await.header("access-control-allow-origin"), None, "{origin}");
        }
    }
}
