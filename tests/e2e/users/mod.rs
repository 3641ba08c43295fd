//! Users' own channels, messages to one client or user, and what waits for a user to come.

mod channel;
mod direct;
mod others;
mod waiting;

use serde_json::{Value, json};

use crate::harness::http::{self, Response};
use crate::harness::sign::{self, SECRET};
use crate::harness::{Client, Server};

/// Tokens name the users; every channel is open.
fn server(more: &str) -> Server {
    start("", more)
}

fn start(top: &str, more: &str) -> Server {
    let config = format!("{top}\n[[channel]]\npattern = '*'\n{more}\n[jwt]\nsecret = '{SECRET}'\n");
    Server::builder().config(&config).shards(3).start()
}

fn token(user: &str) -> String {
    sign::HS256.sign(json!({ "sub": user }))
}

async fn connect(server: &Server, user: &str) -> Client {
    Client::with_token(server, &token(user)).await
}

/// One that subscribes to its user's channel.
async fn present(server: &Server, user: &str) -> Client {
    let mut client = connect(server, user).await;
    client.subscribe(&format!("$user:{user}")).await;
    client
}

async fn post(server: &Server, path: &str, body: Value) -> Value {
    let answer = http::post(server, path, &body.to_string()).await;
    assert_eq!(answer.status, 200, "{path} {body}: {}", answer.body);
    answer.json()
}

async fn send(server: &Server, body: Value) -> Value {
    post(server, "/api/send", body).await
}

fn code(answer: &Response) -> (u16, String) {
    let code = answer.json()["error"]["code"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned();
    (answer.status, code)
}

async fn refused(server: &Server, path: &str, body: Value) -> (u16, String) {
    code(&http::post(server, path, &body.to_string()).await)
}

fn denied(user: &str, channel: &str) -> Value {
    let message = format!("User '{user}' not authorized for channel '{channel}'.");
    json!({ "type": "error", "message": message, "code": "permission_denied", "channel": channel })
}

/// The data of so many messages, which are all that came.
async fn numbers(client: &mut Client, count: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        numbers.push(client.data().await.as_u64().unwrap());
    }
    client.ping().await;
    assert_eq!(client.left_over(), []);
    numbers
}

/// The id of a user's only connection.
async fn client_of(server: &Server, user: &str) -> String {
    let list = http::get(server, &format!("/api/connections?user={user}")).await.json();
    list["connections"][0]["client"].as_str().unwrap().to_owned()
}

fn server_with_rule(rule: &str) -> Server {
    server(&format!("[[channel]]\npattern = '$user:*'\n{rule}"))
}

const QUEUE: &str = "[users.queue]";

fn with_queue(settings: &str) -> Server {
    server(&format!("{QUEUE}\n{settings}"))
}
