//! The built-in verifier of tokens, where no auth plugin is loaded.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::harness::sign::{self, SECRET};
use crate::harness::{Client, Server, cli, eventually, plugins, server::Builder};

/// Every channel open, and this in `[jwt]`; `KEYS` is the folder of keys.
pub fn builder(jwt: &str) -> Builder {
    let jwt = jwt.replace("KEYS", &sign::folder().display().to_string()).replace("SECRET", SECRET);
    Server::builder().config(&format!("[[channel]]\npattern = '*'\n[jwt]\n{jwt}\n"))
}

pub fn server(jwt: &str) -> Server {
    builder(jwt).start()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

pub async fn refusal(server: &Server, token: &str) -> String {
    let (code, reason) = Client::with_token(server, token).await.closed().await;
    assert_eq!(code, 4001, "{reason}");
    reason
}

pub async fn user(server: &Server, token: &str) -> String {
    Client::with_token(server, token).await.user().await
}

// === where the token stands ===

#[tokio::test]
async fn a_signed_token_names_the_user_wherever_it_stands() {
    let server = server("secret = 'SECRET'");
    let token = sign::HS256.sign(json!({ "sub": "ada" }));
    assert_eq!(user(&server, &token).await, "ada");
    let (mut client, _) = Client::open(&server, &format!("/ws?token={token}"), &[]).await;
    assert_eq!(client.user().await, "ada");
    let protocols = format!("tidegate, bearer.{token}");
    let (mut client, _) = Client::open(&server, "/ws", &[("sec-websocket-protocol", &protocols)]).await;
    assert_eq!(client.user().await, "ada");

    let mut client = Client::connect(&server).await;
    assert_eq!(client.user().await.len(), 16, "anonymous until it shows one");
    let answer = client.ask(json!({ "type": "auth", "token": token })).await;
    assert_eq!(answer, json!({ "type": "authenticated", "user": "ada" }));
    assert_eq!(client.user().await, "ada");
}

#[tokio::test]
async fn every_kind_of_key_verifies() {
    for (source, key) in [
        ("secret_file = 'KEYS/../e2e/main.rs'", None),
        ("public_key_file = 'KEYS/rsa.pub.pem'", Some(sign::RSA)),
        ("public_key_file = 'KEYS/p256.pub.pem'", Some(sign::P256)),
        ("public_key_file = 'KEYS/ed25519.pub.pem'", Some(sign::ED25519)),
        ("jwks_file = 'KEYS/jwks.json'", Some(sign::ED25519_2)),
    ] {
        let server = server(source);
        let claims = json!({ "sub": "ada" });
        let token = match key {
            Some(key) => key.sign(claims),
            // Any file is a secret.
            None => {
                let text = std::fs::read(sign::folder().join("../e2e/main.rs")).unwrap();
                sign::hs256(text.trim_ascii_end(), r#"{"alg":"HS256"}"#, &claims.to_string())
            }
        };
        assert_eq!(user(&server, &token).await, "ada", "{source}");
    }
}

#[tokio::test]
async fn a_token_of_the_command_line_is_taken() {
    let server = builder("").env("TIDEGATE_JWT__SECRET", "tidegate-development-secret").start();
    let token = cli::token(&["ada", "--channel", "room:*", "--channel", "who-am-i", "--expires-in", "3600"]);
    let mut ada = Client::with_token(&server, &token).await;
    assert_eq!(ada.user().await, "ada");
    ada.subscribe("room:1").await;
    let denied = ada.ask(json!({ "type": "subscribe", "channel": "news" })).await;
    assert_eq!(denied["message"], "User 'ada' not authorized for channel 'news'.");
    assert_eq!(
        refusal(&server, &cli::token(&["ada", "--secret", "another"])).await,
        "The token's signature does not match."
    );
}

// === refused ===

#[tokio::test]
async fn a_token_that_is_not_good_closes_with_the_reason() {
    let server = server("public_key_file = 'KEYS/rsa.pub.pem'\nissuer = 'me'\naudience = 'us'");
    let good = json!({ "sub": "ada", "iss": "me", "aud": ["us"] });
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        sign::RSA.sign(claims)
    };
    assert_eq!(user(&server, &sign::RSA.sign(good.clone())).await, "ada");
    let pem = std::fs::read(sign::folder().join("rsa.pub.pem")).unwrap();
    for (token, reason) in [
        ("nonsense".into(), "The token is malformed."),
        (sign::HS256.sign(good.clone()), "The token's algorithm must be RS256."),
        (sign::hs256(&pem, r#"{"alg":"HS256"}"#, &good.to_string()), "The token's algorithm must be RS256."),
        (sign::unsigned(r#"{"alg":"none"}"#, &good.to_string()), "The token's algorithm must be RS256."),
        (with("exp", json!(now() - 60.0)), "The token has expired."),
        (with("nbf", json!(now() + 60.0)), "The token is not valid yet."),
        (with("iss", json!("you")), "The token is from another issuer."),
        (with("aud", json!("them")), "The token is for another audience."),
        (with("sub", json!(null)), "The token has no 'sub'."),
        (with("channels", json!(null)), "The token's 'channels' is not a list of channel patterns."),
    ] {
        assert_eq!(refusal(&server, &token).await, reason, "{token}");
    }
}

#[tokio::test]
async fn a_token_that_is_too_long_is_not_read() {
    let server = server("secret = 'SECRET'");
    let of = |bytes: usize| sign::HS256.sign(json!({ "sub": "ada", "x": "x".repeat(bytes) }));
    let mut client = Client::connect(&server).await;
    client.send(json!({ "type": "auth", "token": of(75_000) })).await;
    assert_eq!(client.expect("error").await["code"], "too_large", "100 KB are too large a message");
    client.send(json!({ "type": "auth", "token": of(30_000) })).await;
    assert_eq!(client.closed().await, (4001, "The token is too long.".into()));
}

#[tokio::test]
async fn where_a_token_is_required_others_may_only_show_one() {
    let server = server("secret = 'SECRET'\nrequired = true");
    let refused = (4001, "A token is required.".to_owned());
    let mut impatient = Client::connect(&server).await;
    impatient.send(json!({ "type": "subscribe", "channel": "room" })).await;
    assert_eq!(impatient.closed().await, refused);
    let mut late = Client::connect(&server).await;
    late.ask(json!({ "type": "auth", "token": sign::HS256.sign(json!({ "sub": "ada" })) })).await;
    assert_eq!(late.user().await, "ada");
}

// === expiry ===

#[tokio::test]
async fn a_token_that_ends_is_announced_and_then_closes() {
    let server = server("secret = 'SECRET'\nleeway_secs = 0");
    let end = now() + 1.5;
    let mut client =
        Client::with_token(&server, &sign::HS256.sign(json!({ "sub": "ada", "exp": end }))).await;
    client.expect("expiring").await;
    client.ping().await;
    assert_eq!(client.closed().await, (4001, "The token has expired.".to_owned()));
    assert!(now() >= end - 0.001, "closed {} s early", end - now());
}

#[tokio::test]
async fn a_new_token_renews_a_live_connection_with_its_own_rights() {
    let server = server("secret = 'SECRET'\nleeway_secs = 0");
    let of = |exp: f64, channels: Value| {
        sign::HS256.sign(json!({ "sub": "ada", "exp": exp, "channels": channels }))
    };
    let first = now() + 1.5;
    let mut renewed = Client::with_token(&server, &of(first, json!(["room:*"]))).await;
    let mut other = Client::with_token(&server, &of(first, json!(["room:*"]))).await;
    renewed.subscribe("room:1").await;
    renewed.expect("expiring").await;
    let answer = renewed.ask(json!({ "type": "auth", "token": of(now() + 3600.0, json!(["news"])) })).await;
    assert_eq!(answer, json!({ "type": "authenticated", "user": "ada" }));
    other.expect("expiring").await;
    assert_eq!(other.closed().await.0, 4001);
    // The first token's end has passed for this one too.
    renewed.publish("news", json!(1)).await;
    assert_eq!(renewed.try_publish("room:1", json!(1)).await["code"], "permission_denied");

    renewed.send(json!({ "type": "auth", "token": "nonsense" })).await;
    assert_eq!(renewed.closed().await, (4001, "The token is malformed.".to_owned()));
}

// === what a token allows ===

#[tokio::test]
async fn a_token_says_where_its_user_may_subscribe_and_publish() {
    let server = server("secret = 'SECRET'");
    let token = |claims: Value| sign::HS256.sign(claims);
    let limited = json!({ "sub": "ada", "channels": ["room:*", "news"], "publish": ["room:*"] });
    let mut ada = Client::with_token(&server, &token(limited)).await;
    let denied = |channel: &str| {
        json!({
            "type": "error", "message": format!("User 'ada' not authorized for channel '{channel}'."),
            "code": "permission_denied", "channel": channel,
        })
    };
    ada.subscribe("room:1").await;
    ada.publish("room:1", json!(1)).await;
    ada.subscribe("news").await;
    assert_eq!(ada.try_publish("news", json!(1)).await, denied("news"));
    assert_eq!(ada.try_publish("news", json!(1)).await, denied("news"), "a second time too");
    assert_eq!(ada.ask(json!({ "type": "subscribe", "channel": "newsroom" })).await, denied("newsroom"));
    assert_eq!(ada.try_publish("newsroom", json!(1)).await, denied("newsroom"));
    ada.send_binary(b"\x04news...".to_vec()).await;
    assert_eq!(ada.expect("error").await, denied("news"));

    let mut nobody = Client::with_token(&server, &token(json!({ "sub": "bob", "channels": [] }))).await;
    let answer = nobody.ask(json!({ "type": "subscribe", "channel": "room:1" })).await;
    assert_eq!(answer["code"], "permission_denied");
}

// === beside plugins ===

#[tokio::test]
async fn an_auth_plugin_comes_before_the_verifier() {
    let server = builder("secret = 'SECRET'\nrequired = true").plugins(&["test-auth"]).start();
    server.wait_for_log("[jwt] is not used while an auth plugin is loaded: test-auth").await;
    assert_eq!(user(&server, "ada").await, "ada", "any token is a name to the plugin");
    assert_eq!(Client::connect(&server).await.user().await.len(), 16, "and it takes those without one");
}

#[tokio::test]
async fn who_decides_may_change_on_a_live_connection() {
    let server = server("secret = 'SECRET'\nleeway_secs = 0");
    let token = sign::HS256.sign(json!({ "sub": "ada", "channels": ["room:*", "private:*", "who-am-i"] }));
    let mut ada = Client::with_token(&server, &token).await;
    let mut anonymous = Client::connect(&server).await;
    assert_eq!(ada.user().await, "ada");
    ada.subscribe("private:1").await;

    // To the plugin the whole token is the name, and it keeps all but `admin` out there.
    std::fs::copy(plugins::path("test-auth"), server.plugin("test-auth")).unwrap();
    eventually("the plugin is asked", async || {
        (ada.try_publish("private:1", json!(1)).await["code"] == "permission_denied").then_some(())
    })
    .await;
    ada.publish("elsewhere", json!(1)).await;
    let mut eve = Client::with_token(&server, "eve").await;
    assert_eq!(eve.user().await, "eve");

    // Without it the verifier decides again, about those whom it never saw too.
    std::fs::remove_file(server.plugin("test-auth")).unwrap();
    eventually("the verifier is asked", async || {
        (ada.try_publish("elsewhere", json!(1)).await["code"] == "permission_denied").then_some(())
    })
    .await;
    ada.publish("private:1", json!(1)).await;
    assert_eq!(ada.user().await, "ada");
    anonymous.publish("elsewhere", json!(1)).await;
    assert_eq!(eve.try_publish("elsewhere", json!(1)).await["code"], "permission_denied");
}

// === configuration ===

#[tokio::test]
async fn a_wrong_configuration_names_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tidegate.toml");
    for (jwt, words) in [
        ("", &["[jwt]", "exactly one"][..]),
        ("secret = 'x'\njwks_url = 'https://x/'", &["[jwt]", "several are set"]),
        ("secret = 'x'\nsecrets = 'y'", &["secrets", "line 3"]),
        ("secret = 'x'\nalgorithms = ['none']", &["algorithms", "none"]),
        ("secret = 'x'\nleeway_secs = 86400", &["jwt.leeway_secs", "600"]),
        ("jwks_url = 'http://id.example/keys'", &["jwt.jwks_url", "https"]),
        ("secret_file = '/nowhere/secret'", &["jwt.secret_file", "/nowhere/secret"]),
        ("public_key_file = 'KEYS/p384.pub.pem'", &["jwt.public_key_file", "p384.pub.pem", "P-256"]),
        ("public_key_file = 'KEYS/rsa.pub.pem'\nalgorithms = ['EdDSA']", &["jwt.algorithms", "RS256"]),
        ("jwks_file = 'KEYS/README.md'", &["jwt.jwks_file", "README.md", "JSON Web Key Set"]),
    ] {
        let jwt = jwt.replace("KEYS", &sign::folder().display().to_string());
        std::fs::write(&file, format!("[jwt]\n{jwt}\n")).unwrap();
        let path = file.to_str().unwrap();
        for arguments in [&["config", "check", path][..], &["--config", path, "--listen", "127.0.0.1:0"]] {
            let said = cli::run(arguments);
            assert_eq!(said.code, Some(1), "{jwt}: {said:?}");
            for word in words {
                assert!(said.stderr.contains(word), "`{word}` for {jwt}: {}", said.stderr);
            }
        }
    }
    std::fs::write(&file, "[jwt]\nsecret = 'x'\n").unwrap();
    assert_eq!(cli::run(&["config", "check", file.to_str().unwrap()]).code, Some(0));
    let said = cli::run_with(&["config", "check"], &[("TIDEGATE_JWT__REQUIRED", "maybe")]);
    assert!(said.code == Some(1) && said.stderr.contains("TIDEGATE_JWT__REQUIRED"), "{said:?}");
    // Unquoted it is a number.
    let said = cli::run_with(&["config", "check"], &[("TIDEGATE_JWT__SECRET", "1234567890")]);
    assert!(said.code == Some(1) && said.stderr.contains("TIDEGATE_JWT__SECRET"), "{said:?}");
    assert!(said.stderr.contains("in quotes") && !said.stderr.contains("1234567890"), "{said:?}");
}
