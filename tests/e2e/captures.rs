//! `{captures}` in patterns of rules and routes, handed to plugins.

use serde_json::{Value, json};

use crate::harness::{Client, Server, cli, eventually, plugins};

/// What the greeter was told of a channel.
async fn told(client: &mut Client, channel: &str) -> Value {
    client.subscribe(channel).await;
    client.data().await["captures"].clone()
}

fn server(more: &str) -> Server {
    let config = format!("[[channel]]\npattern = '*'\ndefault_response = true\n{more}");
    Server::builder().plugins(&["greeter"]).config(&config).shards(3).start()
}

#[tokio::test]
async fn a_handler_gets_what_its_route_took() {
    let server = server("");
    let mut client = Client::connect(&server).await;
    assert_eq!(told(&mut client, "greeter:order.7").await, json!({ "kind": "order", "id": "7" }));
    assert_eq!(told(&mut client, "greeter:order.ü b").await, json!({ "kind": "order", "id": "ü b" }));
    assert_eq!(told(&mut client, "greeter:order.7.8").await, json!({}));
}

#[tokio::test]
async fn a_rules_captures_come_with_the_routes_and_count_before_them() {
    let server = server(
        "
        [[channel]]
        pattern = 'greeter:{what}.{id}.*'
        default_response = true
        [[channel]]
        pattern = 'greeter:{id}.x'
        default_response = true
        [[channel]]
        pattern = 'greeter:order.8'
        default_response = true
        ",
    );
    let mut client = Client::connect(&server).await;
    assert_eq!(told(&mut client, "greeter:order.7.8").await, json!({ "what": "order", "id": "7" }));
    let both = json!({ "id": "order", "kind": "order" });
    assert_eq!(told(&mut client, "greeter:order.x").await, both, "the operator's word");
    let routes = json!({ "kind": "order", "id": "8" });
    assert_eq!(told(&mut client, "greeter:order.8").await, routes, "a rule without captures takes none away");
}

#[tokio::test]
async fn configured_routes_have_captures_too() {
    let server = server("[plugins.greeter]\nchannels = ['private-order.{id}', '{any}/*']");
    let mut client = Client::connect(&server).await;
    assert_eq!(told(&mut client, "private-order.7").await, json!({ "id": "7" }));
    assert_eq!(told(&mut client, "a/b/c").await, json!({ "any": "a" }));
}

#[tokio::test]
async fn an_auth_plugin_gets_the_rules_captures() {
    let config = "
        [[channel]]
        pattern = '*'
        [[channel]]
        pattern = 'inbox.{user}'
    ";
    let server = Server::builder().plugins(&["token-auth"]).config(config).start();
    let mut ada = Client::with_token(&server, &cli::token(&["ada"])).await;
    let mut anonymous = Client::connect(&server).await;
    ada.subscribe("inbox.ada").await;
    ada.publish("inbox.ada", json!(1)).await;
    for (client, channel) in [(&mut ada, "inbox.bob"), (&mut anonymous, "inbox.ada")] {
        for answer in [
            client.ask(json!({ "type": "subscribe", "channel": channel })).await,
            client.try_publish(channel, json!(2)).await,
            client.ask(json!({ "type": "history", "channel": channel })).await,
        ] {
            assert_eq!(answer["code"], "permission_denied", "{channel}: {answer}");
        }
    }
    anonymous.subscribe("inbox").await;
    anonymous.subscribe("inbox.a.b").await;
}

#[tokio::test]
async fn an_auth_plugin_gets_the_captures_of_a_handlers_route() {
    let config = "
        [[channel]]
        pattern = '*'
        [plugins.greeter]
        channels = ['greet.{user}']
    ";
    let server = Server::builder().plugins(&["token-auth", "greeter"]).config(config).start();
    let mut ada = Client::with_token(&server, &cli::token(&["ada"])).await;
    ada.subscribe("greet.ada").await;
    let answer = ada.ask(json!({ "type": "subscribe", "channel": "greet.bob" })).await;
    assert_eq!(answer["code"], "permission_denied", "{answer}");
}

#[tokio::test]
async fn a_channel_in_use_has_its_captures_after_a_reload_too() {
    let server = server("[plugins.greeter]\nchannels = ['rooms.{room}']");
    let mut client = Client::connect(&server).await;
    assert_eq!(told(&mut client, "rooms.7").await, json!({ "room": "7" }));
    std::fs::copy(plugins::path("chat"), server.plugin("greeter")).unwrap();
    let welcome = eventually("the chat has taken the greeter's place", async || {
        client.subscribe("rooms.7").await;
        client.data().await["text"].as_str().map(str::to_owned)
    })
    .await;
    assert!(welcome.starts_with("Welcome to 7, "), "{welcome}");
}
