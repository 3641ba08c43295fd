//! Whose the channel is, and who gets there.

use serde_json::json;

use super::{client_of, connect, denied, post, present, refused, send, server, server_with_rule, token};
use crate::harness::http;
use crate::harness::sign;
use crate::harness::{Client, Server};

#[tokio::test]
async fn a_users_channel_is_for_that_user_alone() {
    let server = server("");
    let mut ada = connect(&server, "ada").await;
    let mut bob = connect(&server, "bob").await;
    let subscribed = ada.subscribe("$user:ada").await;
    assert_eq!(subscribed, json!({ "type": "subscribed", "channel": "$user:ada" }));
    for kind in ["subscribe", "presence", "history", "join"] {
        let answer = bob.ask(json!({ "type": kind, "channel": "$user:ada" })).await;
        assert_eq!(answer, denied("bob", "$user:ada"), "{kind}");
    }
    let mut nobody = Client::connect(&server).await;
    let answer = nobody.ask(json!({ "type": "subscribe", "channel": "$user:ada" })).await;
    assert_eq!(answer, denied("anonymous", "$user:ada"));

    let bearer = format!("Bearer {}", token("bob"));
    let (mut bridge, _) = Client::open(&server, "/ws/$user:ada", &[("authorization", &bearer)]).await;
    assert_eq!(bridge.closed().await.0, 4003);
    let path = format!("/sse?channel=$user:ada&token={}", token("bob"));
    assert_eq!(http::get(&server, &path).await.status, 403);
    let order = json!({ "user": "bob", "channel": "$user:ada" });
    assert_eq!(refused(&server, "/api/subscribe", order).await, (403, "permission_denied".into()));

    assert_eq!(send(&server, json!({ "user": "ada", "data": 1 })).await, json!({ "delivered": 1 }));
    let said = ada.next_json().await;
    assert_eq!(said, json!({ "type": "data", "channel": "$user:ada", "data": 1 }));
    for client in [&mut bob, &mut nobody] {
        client.ping().await;
        assert_eq!(client.left_over(), []);
    }
}

#[tokio::test]
async fn a_tokens_lists_of_channels_do_not_take_a_user_its_own() {
    let server = server("");
    let token = sign::HS256.sign(json!({ "sub": "ada", "channels": [] }));
    let mut ada = Client::with_token(&server, &token).await;
    ada.subscribe("$user:ada").await;
    let answer = ada.ask(json!({ "type": "subscribe", "channel": "room" })).await;
    assert_eq!(answer["code"], "permission_denied");
    let token = sign::HS256.sign(json!({ "sub": "bob", "channels": ["*", "$user:*"] }));
    let mut bob = Client::with_token(&server, &token).await;
    let answer = bob.ask(json!({ "type": "subscribe", "channel": "$user:ada" })).await;
    assert_eq!(answer, denied("bob", "$user:ada"), "nor give it to another");
}

#[tokio::test]
async fn an_anonymous_clients_user_is_its_id() {
    let server = Server::with(&[]);
    let (mut one, mut other) = (Client::connect(&server).await, Client::connect(&server).await);
    let (id, others) = (one.user().await, other.user().await);
    one.subscribe(&format!("$user:{id}")).await;
    let answer = one.ask(json!({ "type": "subscribe", "channel": format!("$user:{others}") })).await;
    assert_eq!(answer["code"], "permission_denied");
    assert_eq!(send(&server, json!({ "user": id, "data": 1 })).await["delivered"], 1);
    assert_eq!(one.data().await, 1);
    let require = server_with_rule("require_auth = true");
    let mut nobody = Client::connect(&require).await;
    let id = nobody.user().await;
    let answer = nobody.ask(json!({ "type": "subscribe", "channel": format!("$user:{id}") })).await;
    assert_eq!(answer["code"], "permission_denied");
    present(&require, "ada").await;
}

#[tokio::test]
async fn who_names_itself_is_not_that_user() {
    let server = server("[bridge]\nanonymous_names = true");
    let (mut bridge, _) = Client::open(&server, "/ws/$user:ada?user=ada", &[]).await;
    assert_eq!(bridge.closed().await.0, 4003);
    let (mut bridge, _) = Client::open(&server, "/ws/room?user=ada", &[]).await;
    bridge.send_text("here").await;
    assert_eq!(bridge.next_text().await, "here");
    let order = json!({ "user": "ada", "channel": "$user:ada" });
    assert_eq!(post(&server, "/api/subscribe", order).await, json!({ "subscribed": 0 }));
    assert_eq!(send(&server, json!({ "user": "ada", "data": 1 })).await, json!({ "delivered": 0 }));
}

#[tokio::test]
async fn only_the_server_speaks_in_it_unless_a_rule_says_otherwise() {
    let publish = json!({ "type": "publish", "channel": "$user:ada", "data": "hi" });
    for rule in ["", "[[channel]]\npattern = '$user:*'\nslow = 'latest'"] {
        let server = server(rule);
        let (mut ada, mut bob) = (present(&server, "ada").await, connect(&server, "bob").await);
        assert_eq!(bob.ask(publish.clone()).await, denied("bob", "$user:ada"), "{rule}");
        assert_eq!(ada.ask(publish.clone()).await, denied("ada", "$user:ada"), "{rule}");
    }
    let server = server_with_rule("publish = 'subscribers'");
    let (mut ada, mut bob) = (present(&server, "ada").await, connect(&server, "bob").await);
    let mut phone = present(&server, "ada").await;
    assert_eq!(bob.ask(publish.clone()).await, denied("bob", "$user:ada"));
    ada.ask(json!({ "type": "publish", "channel": "$user:ada", "data": "hi", "echo": false })).await;
    assert_eq!(phone.data().await, "hi");
    let server = server_with_rule("publish = 'anyone'");
    let (mut ada, mut bob) = (present(&server, "ada").await, connect(&server, "bob").await);
    bob.publish_quietly("$user:ada").await;
    let said = ada.expect("data").await;
    assert_eq!((&said["data"], &said["sender"]), (&json!("hi"), &json!("bob")));
}

impl Client {
    async fn publish_quietly(&mut self, channel: &str) {
        assert_eq!(self.try_publish(channel, json!("hi")).await["type"], "published");
    }
}

#[tokio::test]
async fn other_names_with_a_dollar_are_nobodys() {
    let server = Server::with(&[]);
    let mut client = Client::connect(&server).await;
    for name in ["$client", "$user:", "$user", "$users:ada", "$sys"] {
        let answer = client.ask(json!({ "type": "subscribe", "channel": name })).await;
        assert_eq!(answer["code"], "invalid_params", "{name}");
        let body = json!({ "channel": name, "data": 1 });
        assert_eq!(refused(&server, "/api/publish", body).await.0, 400, "{name}");
    }
    let group = http::request(&server, "PUT", "/api/groups/$user:a/room", &[], "").await;
    assert_eq!(group.status, 400);
}

#[tokio::test]
async fn a_group_may_have_users_in_it() {
    let server = server("");
    let (mut ada, mut bob) = (present(&server, "ada").await, present(&server, "bob").await);
    for user in ["ada", "bob"] {
        let path = format!("/api/groups/team/$user:{user}");
        assert_eq!(http::request(&server, "PUT", &path, &[], "").await.status, 200);
    }
    post(&server, "/api/groups/team/publish", json!({ "data": "all" })).await;
    assert_eq!((ada.data().await, bob.data().await), (json!("all"), json!("all")));
}

#[tokio::test]
async fn without_them_there_are_none() {
    let server = server("[users]\nenabled = false");
    let mut ada = connect(&server, "ada").await;
    let answer = ada.ask(json!({ "type": "subscribe", "channel": "$user:ada" })).await;
    assert_eq!(answer["code"], "channel_not_found");
    let answer = refused(&server, "/api/send", json!({ "user": "ada", "data": 1 })).await;
    assert_eq!(answer, (404, "channel_not_found".into()));
    let id = client_of(&server, "ada").await;
    send(&server, json!({ "client": id, "data": 1 })).await;
    assert_eq!(ada.data().await, 1, "a client is still a client");
}

// === subscribed without asking ===

#[tokio::test]
async fn users_are_subscribed_without_asking_where_the_configuration_says_so() {
    let server = server("[users]\nsubscribe = true");
    let mut ada = connect(&server, "ada").await;
    assert_eq!(ada.next_json().await, json!({ "type": "subscribed", "channel": "$user:ada" }));
    let (mut event, _) = Client::open(&server, &format!("/dialect/event?token={}", token("ada")), &[]).await;
    event.next_text().await;
    assert_eq!(send(&server, json!({ "user": "ada", "data": 1 })).await["delivered"], 2);
    assert_eq!(ada.data().await, 1);

    // Where messages do not say where they are from, none of another channel come in between.
    let bearer = format!("Bearer {}", token("bob"));
    let (mut bridge, _) = Client::open(&server, "/ws/room", &[("authorization", &bearer)]).await;
    bridge.send_text("here").await;
    assert_eq!(bridge.next_text().await, "here");
    assert_eq!(send(&server, json!({ "user": "bob", "data": 1 })).await["delivered"], 0);

    ada.unsubscribe("$user:ada").await;
    assert_eq!(send(&server, json!({ "user": "ada", "data": 1 })).await["delivered"], 1, "it may leave");
}

#[tokio::test]
async fn who_becomes_another_user_changes_the_channel() {
    let server = server("[users]\nsubscribe = true");
    let mut client = Client::connect(&server).await;
    client.ping().await;
    assert_eq!(client.left_over(), [], "an anonymous client has to ask");
    let id = client.user().await;
    client.subscribe(&format!("$user:{id}")).await;
    for (user, before) in [("ada", id), ("bob", "ada".into())] {
        client.send(json!({ "type": "auth", "token": token(user) })).await;
        let gone = client.expect("unsubscribed").await;
        assert_eq!(gone["channel"], format!("$user:{before}"));
        assert_eq!(client.expect("authenticated").await["user"], user);
        let came = client.expect("subscribed").await;
        assert_eq!(came, json!({ "type": "subscribed", "channel": format!("$user:{user}") }));
        assert_eq!(send(&server, json!({ "user": before, "data": 1 })).await["delivered"], 0);
        assert_eq!(send(&server, json!({ "user": user, "data": user })).await["delivered"], 1);
        assert_eq!(client.data().await, user);
    }
    assert_eq!(client.ask(json!({ "type": "auth", "token": token("bob") })).await["type"], "authenticated");
    client.ping().await;
    assert_eq!(client.left_over(), [], "the same user stays where it is");
}

#[tokio::test]
async fn it_counts_as_a_subscription() {
    let server = server("[users]\nsubscribe = true\n[limits]\nsubscriptions = 1");
    let mut ada = connect(&server, "ada").await;
    ada.expect("subscribed").await;
    let answer = ada.ask(json!({ "type": "subscribe", "channel": "room" })).await;
    assert_eq!(answer["code"], "limit_exceeded");
}
