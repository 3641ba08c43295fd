//! `/api/openapi.json`, and that what the server says is as it is described there.

use std::sync::OnceLock;

use boon::{Compiler, Draft, Schemas};
use serde_json::{Value, json};

use super::get;
use crate::harness::Server;
use crate::harness::http::{self, Response};

/// The document, from a server of its own: it is the same everywhere.
static DOCUMENT: OnceLock<Value> = OnceLock::new();

fn document() -> &'static Value {
    DOCUMENT.get_or_init(|| {
        // Some test's runtime is under way: the look is on a thread with one of its own.
        let look = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { http::get(&Server::with(&[]), "/api/openapi.json").await.json() })
        };
        std::thread::scope(|scope| scope.spawn(look).join().unwrap())
    })
}

/// What is wrong with a value, if it is not as one of the document's schemas has it.
fn mismatch(schema: &Value, value: &Value) -> Option<String> {
    const PLACE: &str = "memory:///schema.json";
    let mut schema = schema.clone();
    schema["components"] = document()["components"].clone();
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.set_default_draft(Draft::V2020_12);
    compiler.add_resource(PLACE, schema).unwrap();
    let index = compiler.compile(PLACE, &mut schemas).unwrap_or_else(|error| panic!("{error:#}"));
    schemas.validate(value, index).err().map(|error| format!("{error:#}"))
}

fn is(schema: &Value, answer: &Response) {
    if let Some(wrong) = mismatch(schema, &answer.json()) {
        panic!("{wrong} in {}", answer.body);
    }
}

/// An answer with status 200 is what the document says of its call.
pub fn conforms(method: &str, path: &str, answer: &Response) {
    let path = path.split('?').next().unwrap();
    let template = if path.starts_with("/api/connections/") { "/api/connections/{id}" } else { path };
    let operation = &document()["paths"][template][method.to_lowercase()];
    is(&operation["responses"]["200"]["content"]["application/json"]["schema"], answer);
}

pub fn is_failure(answer: &Response) {
    let schema = &document()["components"]["responses"]["Failure"]["content"]["application/json"]["schema"];
    is(schema, answer);
    assert!([400, 401, 403, 404, 405, 409, 413, 429, 503].contains(&answer.status), "{answer:?}");
}

#[tokio::test]
async fn every_described_call_is_there() {
    let server = Server::with(&["chat"]);
    let document = get(&server, "/api/openapi.json").await;
    let mut calls = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let path = path.replace("{id}", "0000000000000001").replace("{name}", "nobodys");
            let answer = http::request(&server, &method.to_uppercase(), &path, &[], "{}").await;
            assert_ne!(answer.status, 405, "{method} {path}");
            if answer.status == 404 {
                let missing = ["No client 0000000000000001 is connected.", "No plugin 'nobodys' is in use."];
                let message = answer.json()["error"]["message"].clone();
                assert!(missing.iter().any(|missing| message == *missing), "{method} {path}: {message}");
            }
            if answer.status == 200 {
                conforms(method, &path, &answer);
            } else {
                is_failure(&answer);
            }
            calls += 1;
        }
    }
    assert!(calls >= 13, "{calls}");
}

#[tokio::test]
async fn what_is_described_as_a_body_is_what_is_taken() {
    let body = |path: &str| {
        &document()["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    };
    let publish = body("/api/publish");
    for right in [
        json!({ "channel": "a", "data": { "any": [1, null] } }),
        json!({ "channel": "a", "data": null, "text": "t", "event": null, "sender": null, "exclude": null }),
    ] {
        assert_eq!(mismatch(publish, &right), None, "{right}");
    }
    for wrong in [json!({ "data": 1 }), json!({ "channel": 5 }), json!({ "channel": "a", "chanel": "a" })] {
        assert!(mismatch(publish, &wrong).is_some(), "{wrong}");
    }
    let batch = body("/api/batch");
    let right = json!({ "commands": [{ "publish": { "channel": "a", "data": 1 } }] });
    assert_eq!(mismatch(batch, &right), None);
    let wrong = json!({ "commands": [{ "publsh": { "channel": "a", "data": 1 } }] });
    assert!(mismatch(batch, &wrong).is_some());
}
