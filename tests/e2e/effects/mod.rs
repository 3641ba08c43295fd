//! What handlers and actions have the server do: all together, in their order, or not at all.

mod clients;
mod departures;
mod messages;
mod places;
mod reads;

use serde_json::{Value, json};

use crate::harness::client::Arrived;
use crate::harness::{Client, Server};

const CONFIG: &str = r#"
    [users]
    enabled = true
    subscribe = false
    [users.queue]
    messages = 10
    [[channel]]
    pattern = "*"
    [[channel]]
    pattern = "kept:*"
    history = { messages = 100 }
    [[channel]]
    pattern = "numbered:*"
    offsets = true
    [[channel]]
    pattern = "off:*"
    presence = "off"
    [[channel]]
    pattern = "known:*"
    require_auth = true
    [[channel]]
    pattern = "strict:*"
    [channel.params_schema]
    type = "object"
    required = ["level"]
    properties = { level = { type = "integer" } }
"#;

fn server(shards: usize) -> Server {
    let plugins = ["effects", "test-auth", "level-filter"];
    Server::builder().plugins(&plugins).config(CONFIG).shards(shards).start()
}

/// A client, and its id.
async fn client(server: &Server) -> (Client, String) {
    known(Client::connect(server).await).await
}

async fn user(server: &Server, name: &str) -> (Client, String) {
    known(Client::with_token(server, name).await).await
}

async fn known(mut client: Client) -> (Client, String) {
    let answer = client.ask(json!({ "type": "action", "channel": "who" })).await;
    let id = answer["data"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    (client, id)
}

/// By the action.
async fn apply(client: &mut Client, effects: Value) {
    let asked = json!({ "type": "action", "channel": "apply", "data": { "effects": effects } });
    let answer = client.ask(asked).await;
    assert_eq!(answer["status"], "completed", "{answer}");
}

/// By a message to the handler, which delivers it too. Its offset.
async fn say(client: &mut Client, channel: &str, effects: Value) -> u64 {
    client.publish(channel, json!({ "effects": effects })).await
}

/// What came on a channel, message by message: data and offset.
fn heard(client: &mut Client, channel: &str) -> Vec<(Value, Option<u64>)> {
    let frames = client.left_over();
    let frames = frames.iter().filter_map(Arrived::json);
    let of_it = frames.filter(|frame| frame["type"] == "data" && frame["channel"] == channel);
    of_it.map(|frame| (frame["data"].clone(), frame["offset"].as_u64())).collect()
}
