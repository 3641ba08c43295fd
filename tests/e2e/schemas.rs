//! Schemas of subscriptions' parameters and of what is published.

use serde_json::{Value, json};

use crate::harness::cli::run;
use crate::harness::{Client, Server, http};

const RULES: &str = "
    [[channel]]
    pattern = 'room'
    [channel.params_schema]
    type = 'object'
    required = ['room']
    additionalProperties = false
    properties.room = { type = 'string', maxLength = 5 }
    properties.size = { type = 'integer', default = 10 }

    [[channel]]
    pattern = 'hostile:*'
    params_schema = { properties = { deny = { type = 'boolean', default = true } } }

    [[channel]]
    pattern = 'feed'
    [channel.data_schema]
    type = 'object'
    required = ['n']
    properties.n = { type = 'integer', minimum = 1 }
";

fn refused(channel: &str, details: &str) -> Value {
    json!({
        "type": "error", "message": format!("Invalid parameters for action '{channel}'"),
        "code": "invalid_params", "channel": channel, "details": details,
    })
}

#[tokio::test]
async fn parameters_that_the_schema_refuses_make_no_subscription() {
    let server = Server::builder().config(RULES).start();
    let mut client = Client::connect(&server).await;
    for (data, details) in [
        (json!(null), "/room: is required"),
        (json!({}), "/room: is required"),
        (json!({ "room": 1 }), "/room: is not of type \"string\""),
        (json!({ "room": "a", "who": 1 }), "/who: is not a known field"),
        (json!([]), "/: is not of type \"object\""),
    ] {
        let answer = client.ask(json!({ "type": "subscribe", "channel": "room", "data": data })).await;
        assert_eq!(answer, refused("room", details), "{data}");
    }
    let missing = client.ask(json!({ "type": "subscribe", "channel": "room" })).await;
    assert_eq!(missing, refused("room", "/room: is required"));
    let two = json!({ "type": "subscribe", "channel": "room", "data": { "room": "abcdef", "size": "x" } });
    let details = client.ask(two).await["details"].take();
    assert_eq!(details, "/room: is longer than 5 characters; /size: is not of type \"integer\"");

    let mut other = Client::connect(&server).await;
    other.publish("room", json!("unheard")).await;
    client.subscribe_with(json!({ "channel": "room", "data": { "room": "a" } })).await;
    other.publish("room", json!("heard")).await;
    assert_eq!(client.data().await, "heard");
}

#[tokio::test]
async fn a_plugin_sees_what_was_left_out_as_its_default() {
    let server = Server::builder().plugins(&["hostile"]).config(RULES).start();
    let mut client = Client::connect(&server).await;
    for data in [json!(null), json!({}), json!({ "other": 1 }), json!({ "deny": true })] {
        let answer = client.ask(json!({ "type": "subscribe", "channel": "hostile:a", "data": data })).await;
        assert_eq!(
            (&answer["code"], &answer["message"]),
            (&json!("rejected"), &json!("No entry.")),
            "{data}"
        );
    }
    client.subscribe_with(json!({ "channel": "hostile:a", "data": { "deny": false } })).await;
}

#[tokio::test]
async fn what_is_published_matches_the_schema_whichever_way_it_comes() {
    let server = Server::builder().config(RULES).start();
    let mut client = Client::connect(&server).await;
    client.subscribe("feed").await;
    for (data, details) in [
        (json!({}), "/n: is required"),
        (json!({ "n": 0 }), "/n: is less than the minimum of 1"),
        (json!(null), "/: is not of type \"object\""),
    ] {
        assert_eq!(client.try_publish("feed", data.clone()).await, refused("feed", details));
        let body = json!({ "channel": "feed", "data": data }).to_string();
        let posted = http::post(&server, "/_broadcast", &body).await;
        assert_eq!((posted.status, &posted.json()["error"]), (400, &json!(details)));
    }
    client.send_binary(b"\x04feed{\"n\":1}".to_vec()).await;
    assert_eq!(client.next_json().await, refused("feed", "data: is binary, and the channel takes json"));
    client.send_text(r#"{"type":"publish","channel":"feed","data":{ "n" : 1 }}"#).await;
    let said = client.next_text().await;
    assert!(said.contains(r#""data":{ "n" : 1 }"#), "passed on as it came: {said}");
    let posted = http::post(&server, "/_broadcast", r#"{"channel":"feed","data":{"n":2}}"#).await;
    assert_eq!(posted.status, 200);
    assert_eq!(client.data().await, json!({ "n": 2 }));
}

#[tokio::test]
async fn the_server_api_is_held_to_the_schemas_too() {
    let config = format!("{RULES}\n[[channel]]\npattern = 'who-am-i'");
    let server = Server::builder().plugins(&["hostile"]).config(&config).start();
    let post = async |path: &str, body: Value| http::post(&server, path, &body.to_string()).await;
    let refused = post("/api/publish", json!({ "channel": "feed", "data": {} })).await;
    let error = json!({ "code": "invalid_params", "message": "/n: is required" });
    assert_eq!((refused.status, &refused.json()["error"]), (400, &error));
    let text = post("/api/publish", json!({ "channel": "feed", "text": "{}" })).await;
    assert_eq!(text.json()["error"]["message"], "data: is text, and the channel takes json");
    let both = json!({ "channels": ["feed", "room"], "data": {} });
    let results = post("/api/broadcast", both).await.json()["results"].take();
    assert_eq!((&results[0]["error"], results[1].get("error")), (&error, None), "{results}");
    let taken = post("/api/publish", json!({ "channel": "feed", "data": { "n": 1 } })).await;
    assert_eq!(taken.status, 200, "{taken:?}");

    let mut client = Client::connect(&server).await;
    let id = client.user().await;
    let order = post("/api/subscribe", json!({ "client": id, "channel": "hostile:a" })).await;
    assert_eq!(order.json()["error"]["message"], "No entry.", "the plugin saw the default: {order:?}");
    let order = post("/api/subscribe", json!({ "client": id, "channel": "room" })).await;
    assert_eq!(order.json()["error"]["message"], "/room: is required");
}

#[tokio::test]
async fn a_schema_may_be_a_file_beside_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tidegate.toml");
    let rule = "[[channel]]\npattern = 'feed'\ndata_schema = 'schemas/feed.json'";
    std::fs::write(&file, rule).unwrap();
    let check = || run(&["config", "check", file.to_str().unwrap()]);
    let said = check();
    assert_eq!(said.code, Some(1));
    for word in ["[[channel]] `feed` data_schema", "cannot read", "schemas/feed.json"] {
        assert!(said.stderr.contains(word), "{word}: {}", said.stderr);
    }
    std::fs::create_dir(dir.path().join("schemas")).unwrap();
    let schema = dir.path().join("schemas/feed.json");
    for (text, words) in [
        ("{", &["[[channel]] `feed` data_schema", "feed.json is not JSON"][..]),
        (r#"{"type":"strin"}"#, &["[[channel]] `feed` data_schema", "/type: "]),
        (r#"{"$ref":"https://example.com/x"}"#, &["[[channel]] `feed` data_schema", "nothing is fetched"]),
    ] {
        std::fs::write(&schema, text).unwrap();
        let said = check();
        assert_eq!(said.code, Some(1), "{text}");
        for word in words {
            assert!(said.stderr.contains(word), "{word}: {}", said.stderr);
        }
    }
    std::fs::write(&schema, r#"{"const":1}"#).unwrap();
    assert_eq!(check().code, Some(0), "{}", check().stderr);

    let config = rule.replace("schemas/feed.json", schema.to_str().unwrap());
    let server = Server::builder().config(&config).start();
    let mut client = Client::connect(&server).await;
    client.publish("feed", json!(1)).await;
    assert_eq!(client.try_publish("feed", json!(2)).await["code"], "invalid_params");
}
