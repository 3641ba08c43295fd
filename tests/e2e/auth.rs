//! Who is connecting: where a token may stand, what refuses it, how it ends.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::harness::{Client, Raw, Server, cli};

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

// === where the token stands ===

#[tokio::test]
async fn the_token_of_the_header_names_the_user() {
    let server = Server::with(&["test-auth"]);
    assert_eq!(Client::with_token(&server, "ada").await.user().await, "ada");
    let (mut lower, _) = Client::open(&server, "/ws", &[("authorization", "bearer ada")]).await;
    assert_eq!(lower.user().await, "ada");
}

#[tokio::test]
async fn the_token_of_the_query_names_the_user() {
    let server = Server::with(&["test-auth"]);
    let (mut client, _) = Client::open(&server, "/ws?x=1&token=ada%20l", &[]).await;
    assert_eq!(client.user().await, "ada l");
    let (mut at_root, _) = Client::open(&server, "/?token=bob", &[]).await;
    assert_eq!(at_root.user().await, "bob");
}

#[tokio::test]
async fn the_token_of_the_subprotocol_names_the_user() {
    let server = Server::with(&["test-auth"]);
    let header = "sec-websocket-protocol";
    let (mut client, response) = Client::open(&server, "/ws", &[(header, "bearer.ada")]).await;
    assert_eq!(response.headers()[header], "bearer.ada");
    assert_eq!(client.user().await, "ada");
    let (mut client, response) = Client::open(&server, "/ws", &[(header, "bearer.bob, tidegate")]).await;
    assert_eq!(
        response.headers()[header],
        "tidegate",
        "the token is not echoed where another name is offered"
    );
    assert_eq!(client.user().await, "bob");
}

#[tokio::test]
async fn the_header_comes_before_the_query_and_the_query_before_the_subprotocol() {
    let server = Server::with(&["test-auth"]);
    let protocol = ("sec-websocket-protocol", "bearer.third");
    let (mut client, _) = Client::open(&server, "/ws?token=second", &[protocol]).await;
    assert_eq!(client.user().await, "second");
    let header = ("authorization", "Bearer first");
    let (mut client, _) = Client::open(&server, "/ws?token=second", &[protocol, header]).await;
    assert_eq!(client.user().await, "first");
}

#[tokio::test]
async fn the_token_of_a_first_frame_names_the_user() {
    let server = Server::with(&["test-auth"]);
    let mut client = Client::connect(&server).await;
    let answer = client.ask(json!({ "type": "auth", "token": "ada" })).await;
    assert_eq!(answer, json!({ "type": "authenticated", "user": "ada" }));
    assert_eq!(client.user().await, "ada");
    client.ask(json!({ "type": "auth", "token": "bob" })).await;
    assert_eq!(client.user().await, "bob");
}

// === refused ===

#[tokio::test]
async fn a_refused_token_closes_with_the_reason() {
    let server = Server::with(&["test-auth"]);
    let refused = (4001, "Not you.".to_owned());
    assert_eq!(Client::with_token(&server, "refuse").await.closed().await, refused);

    let mut client = Client::connect(&server).await;
    client.subscribe("room").await;
    client.send(json!({ "type": "auth", "token": "refuse" })).await;
    assert_eq!(client.closed().await, refused);
    assert_eq!(client.left_over(), []);
}

#[tokio::test]
async fn an_auth_plugin_that_traps_or_loops_lets_nobody_in_and_holds_up_nobody() {
    let server = Server::builder().plugins(&["test-auth"]).shards(1).start();
    let mut witness = Client::with_token(&server, "ada").await;
    for token in ["loop", "trap"] {
        for _ in 0..3 {
            let mut client = Client::with_token(&server, token).await;
            client.send(json!({ "type": "subscribe", "channel": "room" })).await;
            let (code, reason) = client.closed().await;
            assert_eq!(code, 4001, "{token}: {reason}");
            assert!(!reason.is_empty(), "{token}");
            assert_eq!(client.left_over(), []);
            witness.ping().await;
            witness.publish("room", json!(1)).await;
        }
    }
    // After its failures the plugin is asked again at the latest when its back-off is over.
    crate::harness::wait::eventually_in(crate::harness::wait::LONG, "a token is taken again", async || {
        let mut client = Client::with_token(&server, "bob").await;
        client.send(json!({ "type": "ping" })).await;
        (client.next().await.json()? == json!({ "type": "pong" })).then_some(())
    })
    .await;
    assert_eq!(witness.user().await, "ada");
}

#[tokio::test]
async fn where_a_token_is_required_others_may_only_show_one() {
    let config = "
        limits.handshake_secs = 1
        [[channel]]
        pattern = '*'
        [plugins.token-auth.config]
        anonymous = false
    ";
    let server = Server::builder().plugins(&["token-auth"]).config(config).start();
    let refused = (4001, "A token is required.".to_owned());

    let mut impatient = Client::connect(&server).await;
    impatient.send(json!({ "type": "subscribe", "channel": "room" })).await;
    assert_eq!(impatient.closed().await, refused);

    let mut late = Client::connect(&server).await;
    let answer = late.ask(json!({ "type": "auth", "token": cli::token(&["ada"]) })).await;
    assert_eq!(answer, json!({ "type": "authenticated", "user": "ada" }));

    let mut silent = Client::connect(&server).await;
    assert_eq!(silent.closed().await, refused);
    // By now the time has passed for the other one too, but it has shown its token.
    assert_eq!(late.user().await, "ada");
}

// === anonymous ===

#[tokio::test]
async fn an_anonymous_client_is_its_client_id() {
    for plugins in [&[][..], &["test-auth"], &["token-auth"]] {
        let server = Server::with(plugins);
        let (mut one, mut two) = (Client::connect(&server).await, Client::connect(&server).await);
        let (one, two) = (one.user().await, two.user().await);
        assert_ne!(one, two);
        assert!(one.len() == 16 && one.bytes().all(|b| b.is_ascii_hexdigit()), "{one}");
    }
}

#[tokio::test]
async fn with_no_auth_plugin_any_token_is_anonymous() {
    let server = Server::with(&[]);
    let user = Client::with_token(&server, "ada").await.user().await;
    assert_eq!(user.len(), 16, "{user}");
}

// === expiry ===

#[tokio::test]
async fn a_token_that_ends_is_announced_and_then_closes() {
    let server = Server::with(&["test-auth"]);
    let end = now_ms() + 1_500;
    let mut client = Client::with_token(&server, &format!("short-{end}")).await;
    assert_eq!(client.next_json().await, json!({ "type": "expiring" }));
    client.ping().await;
    assert_eq!(client.closed().await, (4001, "The token has expired.".to_owned()));
    assert!(now_ms() >= end, "closed {} ms early", end - now_ms());
}

#[tokio::test]
async fn a_new_token_in_time_renews() {
    let server = Server::with(&["test-auth"]);
    let first = now_ms() + 1_500;
    let mut client = Client::with_token(&server, &format!("short-{first}")).await;
    client.expect("expiring").await;
    let second = first + 1_500;
    let answer = client.ask(json!({ "type": "auth", "token": format!("short-{second}") })).await;
    assert_eq!(answer, json!({ "type": "authenticated", "user": "short" }));
    client.expect("expiring").await;
    assert_eq!(client.closed().await.0, 4001);
    assert!(now_ms() >= second, "closed {} ms early", second - now_ms());
}

#[tokio::test]
async fn a_token_without_an_end_stops_the_clock() {
    let server = Server::with(&["test-auth"]);
    let end = now_ms() + 1_000;
    let token = format!("short-{end}");
    let mut renewed = Client::with_token(&server, &token).await;
    let mut other = Client::with_token(&server, &token).await;
    renewed.expect("expiring").await;
    renewed.ask(json!({ "type": "auth", "token": "ada" })).await;
    other.expect("expiring").await;
    assert_eq!(other.closed().await.0, 4001);
    renewed.ping().await;
    assert_eq!(renewed.user().await, "ada");
}

#[tokio::test]
async fn a_token_of_yesterday_is_refused_at_once() {
    let server = Server::with(&["test-auth"]);
    let mut client = Client::with_token(&server, &format!("short-{}", now_ms() - 86_400_000)).await;
    assert_eq!(client.closed().await, (4001, "The token has expired.".to_owned()));
    assert_eq!(client.left_over(), []);
}

// === what a user may do ===

#[tokio::test]
async fn the_plugin_says_who_may_subscribe_and_publish_where() {
    let server = Server::with(&["test-auth"]);
    let mut ada = Client::with_token(&server, "ada").await;
    let mut admin = Client::with_token(&server, "admin").await;
    let denied = |channel: &str| {
        json!({
            "type": "error", "message": format!("User 'ada' not authorized for channel '{channel}'."),
            "code": "permission_denied", "channel": channel,
        })
    };
    assert_eq!(ada.ask(json!({ "type": "subscribe", "channel": "private:a" })).await, denied("private:a"));
    assert_eq!(ada.try_publish("private:a", json!(1)).await, denied("private:a"));
    assert_eq!(
        ada.try_publish("private:a", json!(1)).await,
        denied("private:a"),
        "the kept answer is the same"
    );
    admin.subscribe("private:a").await;
    admin.publish("private:a", json!("secret")).await;
    assert_eq!(admin.data().await, "secret");

    ada.subscribe("readonly:a").await;
    assert_eq!(ada.try_publish("readonly:a", json!(1)).await, denied("readonly:a"));
    ada.send_binary(b"\x0areadonly:a...".to_vec()).await;
    assert_eq!(ada.next_json().await, denied("readonly:a"));

    let anonymous =
        Client::connect(&server).await.ask(json!({ "type": "subscribe", "channel": "private:a" })).await;
    assert_eq!(anonymous["message"], "User 'anonymous' not authorized for channel 'private:a'.");
}

#[tokio::test]
async fn a_new_token_is_asked_for_anew() {
    let server = Server::with(&["test-auth"]);
    let mut client = Client::with_token(&server, "ada").await;
    assert_eq!(client.try_publish("private:a", json!(1)).await["code"], "permission_denied");
    client.ask(json!({ "type": "auth", "token": "admin" })).await;
    client.publish("private:a", json!(1)).await;
    client.ask(json!({ "type": "auth", "token": "ada" })).await;
    assert_eq!(client.try_publish("private:a", json!(1)).await["code"], "permission_denied");
}

// === tokens of the example plugin ===

#[tokio::test]
async fn a_signed_token_names_its_user_and_limits_the_channels() {
    let server = Server::with(&["token-auth"]);
    let mut ada = Client::with_token(&server, &cli::token(&["ada"])).await;
    assert_eq!(ada.user().await, "ada");

    let token = cli::token(&["bob", "--channel", "room:*", "--channel", "news"]);
    let mut bob = Client::with_token(&server, &token).await;
    bob.subscribe("room:1").await;
    bob.subscribe("news").await;
    let denied = bob.ask(json!({ "type": "subscribe", "channel": "newsroom" })).await;
    assert_eq!(denied["message"], "User 'bob' not authorized for channel 'newsroom'.");
}

#[tokio::test]
async fn a_token_that_nobody_signed_is_refused() {
    let server = Server::with(&["token-auth"]);
    let token = cli::token(&["ada"]);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let other_secret = cli::token(&["ada", "--secret", "another"]);
    for (token, reason) in [
        ("nonsense", "The token is malformed."),
        (&*format!("{signed}x.{signature}"), "The token's signature does not match."),
        (&*other_secret, "The token's signature does not match."),
    ] {
        let closed = Client::with_token(&server, token).await.closed().await;
        assert_eq!(closed, (4001, reason.to_owned()), "{token}");
    }
}

#[tokio::test]
async fn a_refused_client_is_told_even_if_it_never_reads_first() {
    let server = Server::with(&["test-auth"]);
    let mut raw = Raw::tcp(&server).await;
    let handshake = crate::harness::raw::handshake().replace("GET /ws", "GET /ws?token=refuse");
    raw.write(handshake.as_bytes()).await;
    raw.send_json(json!({ "type": "publish", "channel": "room", "data": 1 })).await;
    assert!(raw.read_head().await.starts_with("HTTP/1.1 101"));
    assert_eq!(raw.closed().await, (4001, "Not you.".to_owned()));
}

// === several plugins ===

#[tokio::test]
async fn of_several_auth_plugins_the_first_refusal_decides_and_the_first_names_the_user() {
    // By name `test-auth` comes before `token-auth`: it takes any token for a name.
    let server = Server::with(&["test-auth", "token-auth"]);
    let token =
        cli::token(&["ada", "--channel", "room:*", "--channel", "private:*", "--channel", "who-am-i"]);
    let mut ada = Client::with_token(&server, &token).await;
    assert_eq!(ada.user().await, token, "the first that accepts names the user");
    ada.subscribe("room:1").await;
    for (channel, which) in [("news", "the second"), ("private:1", "the first")] {
        let denied = ada.ask(json!({ "type": "subscribe", "channel": channel })).await;
        assert_eq!(denied["code"], "permission_denied", "{which} does not allow it: {denied}");
    }

    let first = Client::with_token(&server, "refuse").await.closed().await;
    assert_eq!(first, (4001, "Not you.".to_owned()), "the first refuses");
    let second = Client::with_token(&server, "nonsense").await.closed().await;
    assert_eq!(second, (4001, "The token is malformed.".to_owned()), "the second refuses");
    let trapped = Client::with_token(&server, "trap").await.closed().await;
    assert_eq!(trapped.0, 4001, "one that fails refuses: {trapped:?}");
}

#[tokio::test]
async fn an_auth_plugin_that_comes_later_is_asked_about_those_who_are_there() {
    let server = Server::with(&["test-auth"]);
    let token = cli::token(&["ada", "--channel", "room:*"]);
    let mut ada = Client::with_token(&server, &token).await;
    let mut eve = Client::with_token(&server, "eve").await;
    ada.subscribe("news:1").await;
    eve.subscribe("news:1").await;

    std::fs::copy(crate::harness::plugins::path("token-auth"), server.plugin("token-auth")).unwrap();
    crate::harness::wait::eventually("the new plugin is asked", async || {
        let answer = eve.ask(json!({ "type": "subscribe", "channel": "room:1" })).await;
        (answer["code"] == "permission_denied").then_some(())
    })
    .await;
    ada.subscribe("room:1").await;
    let denied = ada.ask(json!({ "type": "subscribe", "channel": "news:2" })).await;
    assert_eq!(denied["code"], "permission_denied", "{denied}");
}
