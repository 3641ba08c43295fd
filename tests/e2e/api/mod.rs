//! The server API: every call, every error, and the document that describes them.

mod batch;
mod ingress;
mod keeping;
mod keys;
mod lists;
mod openapi;
mod orders;
mod publish;
mod repeats;

use serde_json::Value;

use crate::harness::http::{self, Response};
use crate::harness::{Client, Server};

/// The answer to a POST that is done.
async fn post(server: &Server, path: &str, body: Value) -> Value {
    let answer = http::post(server, path, &body.to_string()).await;
    assert_eq!(answer.status, 200, "{path} {body}: {}", answer.body);
    openapi::conforms("POST", path, &answer);
    answer.json()
}

/// The answer to a GET that is done.
async fn get(server: &Server, path: &str) -> Value {
    let answer = http::get(server, path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    openapi::conforms("GET", path, &answer);
    answer.json()
}

/// Status, code and message of a POST that is refused.
async fn refused(server: &Server, path: &str, body: &str) -> (u16, String, String) {
    failure(&http::post(server, path, body).await)
}

/// Status, code and message of an error, which is as the document has it.
fn failure(answer: &Response) -> (u16, String, String) {
    openapi::is_failure(answer);
    let error = answer.json()["error"].take();
    let text = |name: &str| error[name].as_str().unwrap().to_owned();
    (answer.status, text("code"), text("message"))
}

/// The client's own id, as a handler-less channel shows it.
async fn id(client: &mut Client) -> String {
    client.user().await
}
