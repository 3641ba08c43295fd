//! Who is let into private channels: by a signature, or by an auth plugin in its place.

use serde_json::json;

use super::{KEY, Pusher, config, publish, server, signed};
use crate::harness::guest::Guest;
use crate::harness::{Client, Server};

#[tokio::test]
async fn channel_data_is_signed_on_private_channels_too() {
    let server = server();
    let mut pusher = Pusher::connect(&server).await;
    let data = r#"{"user_id":1}"#;
    let without = signed(&[&pusher.socket_id, ":", "private-x"]);
    assert_eq!(pusher.refused("private-x", &without, Some(data)).await["type"], "AuthError");
    let with = signed(&[&pusher.socket_id, ":", "private-x", ":", data]);
    let answer = pusher.ask("private-x", &with, Some(data)).await;
    assert_eq!(answer["event"], "pusher_internal:subscription_succeeded");
}

#[tokio::test]
async fn what_is_not_signed_right_is_refused_and_the_connection_stays() {
    let server = server();
    let mut pusher = Pusher::connect(&server).await;
    let good = signed(&[&pusher.socket_id, ":", "private-x"]);
    let (_, hex) = good.split_once(':').unwrap();
    for auth in [
        "",
        KEY,
        hex,
        &format!("{KEY}:"),
        &format!("other:{hex}"),
        &format!("{KEY}:{}", hex.to_uppercase()),
        &format!("{KEY}:{}", &hex[1..]),
        &format!("{good}0"),
        &signed(&[&pusher.socket_id, ":", "private-y"]),
        &signed(&["1.1", ":", "private-x"]),
    ] {
        let why = pusher.refused("private-x", auth, None).await;
        assert_eq!((&why["type"], &why["status"]), (&json!("AuthError"), &json!(401)), "{auth}: {why}");
        assert!(!why.to_string().contains(hex) || auth.contains(hex), "{why}");
    }
    publish(&server, "private-x", "e", "1").await;
    pusher.silent().await;
    pusher.subscribe("private-x").await;
}

#[tokio::test]
async fn the_refusal_says_what_should_be_signed() {
    let server = server();
    let mut pusher = Pusher::connect(&server).await;
    let why = pusher.refused("private-x", "a:b", None).await;
    let words = format!(
        "Invalid signature: Expected HMAC SHA256 hex digest of {}:private-x, but got a:b",
        pusher.socket_id
    );
    assert_eq!(why["error"], words);
}

fn with_plugin(more: &str) -> Server {
    Server::builder().plugins(&["test-auth"]).config(&format!("{}{more}", config(""))).start()
}

#[tokio::test]
async fn an_auth_plugin_decides_where_there_is_no_signature() {
    let server = with_plugin("");
    let path = |token| format!("/app/{KEY}?protocol=7&token={token}");
    let mut ada = Pusher::at(&server, &path("ada")).await;
    let answer = ada.ask("private-x", "", None).await;
    assert_eq!(answer["event"], "pusher_internal:subscription_succeeded", "{answer}");
    // The plugin keeps it from everybody but `admin`; a right signature still counts.
    let mut anonymous = Pusher::connect(&server).await;
    assert_eq!(anonymous.refused("private-x", "", None).await["type"], "AuthError");
    anonymous.subscribe("private-x").await;
    // A wrong one is not made good by the plugin.
    let mut bob = Pusher::at(&server, &path("bob")).await;
    assert_eq!(bob.refused("private-x", "a:b", None).await["type"], "AuthError");
    // What stock clients can hand over: a token in place of the signature.
    let mut eve = Pusher::connect(&server).await;
    assert_eq!(eve.refused("private-x", "bearer:refuse", None).await["type"], "AuthError");
    let answer = eve.ask("private-x", "bearer:eve", None).await;
    assert_eq!(answer["event"], "pusher_internal:subscription_succeeded", "{answer}");
}

#[tokio::test]
async fn an_auth_plugin_names_the_member_and_nobody_else_does() {
    let server = with_plugin("");
    let mut ada = Pusher::at(&server, &format!("/app/{KEY}?protocol=7&token=ada")).await;
    let answer = ada.ask("presence-x", "", Some(r#"{"user_id":"eve"}"#)).await;
    assert_eq!(answer["data"], r#"{"presence":{"ids":["ada"],"hash":{"ada":{}},"count":1}}"#);
}

#[tokio::test]
async fn an_auth_plugin_is_asked_about_public_channels_that_have_a_rule() {
    let server =
        with_plugin("[[channel]]\npattern = 'ruled*'\n[[channel]]\npattern = 'known*'\nrequire_auth = true");
    let mut pusher = Pusher::connect(&server).await;
    pusher.subscribe("ruled-x").await;
    assert_eq!(pusher.refused("known-x", "", None).await["status"], 401, "nobody has said who it is");
    pusher.sign_in(json!({ "id": "ada" })).await;
    pusher.subscribe("known-x").await;
}

#[tokio::test]
async fn other_clients_get_into_private_channels_only_by_name() {
    let server = with_plugin("[[channel]]\npattern = '*'");
    let mut anonymous = Client::connect(&server).await;
    for channel in ["private-x", "private-encrypted-x", "presence-x", "#server-to-user-1"] {
        for kind in ["subscribe", "publish", "presence", "history"] {
            let answer = anonymous.ask(json!({ "type": kind, "channel": channel, "data": 1 })).await;
            assert_eq!(answer["code"], "permission_denied", "{answer}");
        }
    }
    anonymous.subscribe("public").await;
    // No application can name these.
    anonymous.subscribe("private-a:b").await;
    let mut ada = Client::with_token(&server, "ada").await;
    ada.subscribe("private-x").await;
    let answer = ada.ask(json!({ "type": "subscribe", "channel": "#server-to-user-ada" })).await;
    assert_eq!(answer["code"], "permission_denied", "{answer}");
}

/// What a signature has opened stays open: auth plugins have not been asked about it.
#[tokio::test]
async fn an_auth_plugins_new_version_judges_what_it_has_let_in() {
    let server = with_plugin("");
    let mut eve = Pusher::connect(&server).await;
    let answer = eve.ask("private-x", "bearer:eve", None).await;
    assert_eq!(answer["event"], "pusher_internal:subscription_succeeded", "{answer}");
    eve.subscribe("private-signed").await;
    let new = Guest::of(&["auth"])
        .with("(data (i32.const 3000) \"Not any more.\")")
        .answer("authorize", &[2, 3000, 13])
        .component();
    let unfinished = server.plugins_dir.join("new.tmp");
    std::fs::write(&unfinished, new).unwrap();
    std::fs::rename(unfinished, server.plugin("test-auth")).unwrap();
    let told = eve.next().await;
    assert_eq!(
        (&told["event"], &told["channel"]),
        (&json!("pusher:subscription_error"), &json!("private-x"))
    );
    publish(&server, "private-x", "e", "1").await;
    publish(&server, "private-signed", "e", "2").await;
    assert_eq!(eve.next().await["channel"], "private-signed");
}
