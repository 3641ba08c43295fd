use serde_json::json;

use super::Examples;
use super::harness::{Client, Server, cli, sign};

const DEVELOPMENT: &[u8] = b"tidegate-development-secret";
const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

async fn refusal(server: &Server, token: &str) -> String {
    let (code, reason) = Client::with_token(server, token).await.closed().await;
    assert_eq!(code, 4001, "{reason}");
    reason
}

/// Who a token names, what it allows, and what is wrong with it.
pub async fn scenario(examples: &Examples) {
    let rules = "[[channel]]\npattern = \"inbox.{user}\"\n[[channel]]\npattern = \"*\"\n";
    let server = examples.server().config(rules).start();
    let signed = |claims: &str| sign::hs256(DEVELOPMENT, HS256, claims);
    let anonymous = Client::connect(&server).await.user().await;
    assert_eq!(anonymous.len(), 16, "{anonymous}");
    // Longer than a block of the hash, and not ASCII.
    let name = "Ада Лавлейс, ".repeat(10);
    let named = signed(&json!({ "sub": name, "exp": 4_102_444_800_u64 }).to_string());
    assert_eq!(Client::with_token(&server, &named).await.user().await, name);
    let fraction = signed(r#"{"sub":"ada","exp":4102444800.5,"channels":null}"#);
    assert_eq!(Client::with_token(&server, &fraction).await.user().await, "ada");

    let some = signed(r#"{"sub":"bob","channels":["chat:*","news","inbox.*"]}"#);
    let mut bob = Client::with_token(&server, &some).await;
    for channel in ["chat:lobby", "news", "inbox.bob"] {
        bob.subscribe(channel).await;
    }
    for channel in ["logs", "newsroom", "chat", "inbox.ada"] {
        let denied = bob.ask(json!({ "type": "subscribe", "channel": channel })).await;
        assert_eq!(denied["message"], format!("User 'bob' not authorized for channel '{channel}'."));
        assert_eq!(bob.try_publish(channel, json!({ "text": "x" })).await["code"], "permission_denied");
    }
    let mut nowhere = Client::with_token(&server, &signed(r#"{"sub":"eve","channels":[]}"#)).await;
    let denied = nowhere.ask(json!({ "type": "subscribe", "channel": "news" })).await;
    assert_eq!(denied["code"], "permission_denied");

    let good = signed(r#"{"sub":"ada"}"#);
    let (unsigned, signature) = good.rsplit_once('.').unwrap();
    let malformed = "The token is malformed.";
    let mismatch = "The token's signature does not match.";
    let algorithm = "The token's algorithm must be HS256.";
    let nobody = "The token has no 'sub'.";
    for (token, reason) in [
        ("nonsense".to_owned(), malformed),
        (format!("{good}.more"), malformed),
        (format!("{unsigned}.{signature}="), malformed),
        (format!("{unsigned}.{}", &signature[2..]), malformed),
        (format!("{unsigned}."), mismatch),
        (sign::hs256(b"another", HS256, r#"{"sub":"ada"}"#), mismatch),
        (
            format!("{}.{signature}", sign::unsigned(HS256, r#"{"sub":"eve"}"#).trim_end_matches('.')),
            mismatch,
        ),
        (sign::unsigned(r#"{"alg":"none"}"#, r#"{"sub":"ada"}"#), algorithm),
        (sign::hs256(DEVELOPMENT, r#"{"alg":"HS512"}"#, r#"{"sub":"ada"}"#), algorithm),
        (sign::hs256(DEVELOPMENT, "HS256", r#"{"sub":"ada"}"#), malformed),
        (signed(r#"{"name":"ada"}"#), nobody),
        (signed(r#"{"sub":""}"#), nobody),
        (signed(r#"{"sub":7}"#), malformed),
        (signed(r#"{"sub":"ada","exp":"soon"}"#), malformed),
        (signed(r#"{"sub":"ada","channels":["chat:*",7]}"#), malformed),
        (signed("[]"), malformed),
    ] {
        assert_eq!(refusal(&server, &token).await, reason, "{token}");
    }
    for past in ["1700000000", "1.5", "-1"] {
        let token = signed(&format!(r#"{{"sub":"ada","exp":{past}}}"#));
        let (code, reason) = Client::with_token(&server, &token).await.closed().await;
        assert_eq!(code, 4001, "{reason}");
    }
}

/// `secret` and `anonymous`.
pub async fn settings(examples: &Examples) {
    let table = |settings: &str| {
        format!("[plugins.{}.config]\n{settings}\n[[channel]]\npattern = \"*\"\n", examples.auth)
    };
    let secret = "x".repeat(100);
    let config = table(&format!("secret = \"{secret}\"\nanonymous = false"));
    let server = examples.server().config(&config).start();
    let token = sign::hs256(secret.as_bytes(), HS256, r#"{"sub":"ada"}"#);
    assert_eq!(Client::with_token(&server, &token).await.user().await, "ada");
    let development = cli::token(&["ada"]);
    assert_eq!(refusal(&server, &development).await, "The token's signature does not match.");
    // Who shows no token may still send one.
    let mut late = Client::connect(&server).await;
    let answer = late.ask(json!({ "type": "auth", "token": token })).await;
    assert_ne!(answer["type"], "error", "{answer}");
    assert_eq!(late.user().await, "ada");

    let server = examples.server().config(&table("secret = ''")).start();
    assert_eq!(refusal(&server, &development).await, "The server cannot check tokens.");
    let server = examples.server().start();
    Client::with_token(&server, &development).await.ping().await;
    server.wait_for_log("The setting `secret` is missing").await;
}
