//! The committed components and freshly rebuilt ones behave the same: who has no wasm
//! toolchain runs what the sources say.

#[path = "../harness/mod.rs"]
mod harness;

use std::path::Path;
use std::process::Command;

use serde_json::json;

use harness::{Client, Server, cli, plugins};

#[tokio::test]
async fn the_committed_examples_do_what_they_say() {
    scenario(&plugins::root().join("plugins/examples")).await;
}

#[tokio::test]
async fn rebuilt_examples_do_the_same() {
    let built = tempfile::tempdir().unwrap();
    let script = plugins::root().join("scripts/build-plugins");
    let output = Command::new(script).arg("--out").arg(built.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    scenario(built.path()).await;
}

/// The three examples together, as their READMEs have them.
async fn scenario(folder: &Path) {
    let server = Server::builder().plugins_from(folder, &["chat", "token-auth", "level-filter"]).start();
    let report = server.report().await.to_string();
    for name in ["chat", "token-auth", "level-filter"] {
        assert!(report.contains(name), "{report}");
    }

    let mut ada = Client::with_token(&server, &cli::token(&["ada"])).await;
    let mut bob = Client::with_token(&server, &cli::token(&["bob", "--channel", "chat:*"])).await;
    bob.subscribe("chat:lobby").await;
    ada.publish("chat:lobby", json!({ "text": "  hello \n" })).await;
    let said = bob.expect("data").await;
    assert_eq!((&said["data"], &said["sender"]), (&json!({ "text": "hello", "from": "ada" }), &json!("ada")));
    for (data, code) in [
        (json!({ "text": " " }), 1),
        (json!({ "text": "ü".repeat(501) }), 2),
        (json!({ "text": 5 }), 3),
        (json!("hello"), 3),
    ] {
        let answer = ada.try_publish("chat:lobby", data).await;
        assert_eq!((&answer["code"], &answer["reason_code"]), (&json!("rejected"), &json!(code)), "{answer}");
    }
    ada.publish("chat:lobby", json!({ "text": "ü".repeat(500) })).await;

    let denied = bob.ask(json!({ "type": "subscribe", "channel": "logs" })).await;
    assert_eq!(denied["message"], "User 'bob' not authorized for channel 'logs'.");
    let closed = Client::with_token(&server, "nonsense").await.closed().await;
    assert_eq!(closed, (4001, "The token is malformed.".to_owned()));
    let anonymous = Client::connect(&server).await.user().await;
    assert_eq!(anonymous.len(), 16, "{anonymous}");

    let filter = json!({ "plugin": "level", "params": { "min": "warn" } });
    ada.subscribe_with(json!({ "channel": "logs", "filter": filter })).await;
    for level in ["info", "warn", "debug", "fatal"] {
        ada.publish("logs", json!({ "level": level })).await;
    }
    assert_eq!(
        (ada.data().await, ada.data().await),
        (json!({ "level": "warn" }), json!({ "level": "fatal" }))
    );
    ada.ping().await;
    assert_eq!(ada.left_over(), []);
}
