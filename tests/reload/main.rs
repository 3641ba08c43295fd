//! Plugins replaced while the server runs: nobody is disconnected, nothing is lost, and what
//! is wrong with a file is said.

#[path = "../harness/mod.rs"]
mod harness;

mod broken;
mod folder;
mod load;
mod long;
mod quarantine;
mod record;
mod restart;
mod rollback;
mod saver;
mod shadow;
mod state;
mod trial;

use serde_json::{Value, json};

use harness::{Client, Server, wait};

/// The report's entry of a plugin.
pub fn entry<'a>(report: &'a Value, name: &str) -> Option<&'a Value> {
    report["plugins"].as_array()?.iter().find(|plugin| plugin["name"] == name)
}

/// Waits until a plugin's entry in `/api/plugins` is as `is` wants it.
pub async fn entry_that(server: &Server, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let found = |report: &Value| entry(report, name).filter(|entry| is(entry)).cloned();
    server.wait_for_report(wait::LONG, &format!("{name}: {what}"), found).await
}

/// Until a plugin that was not there is in use on every shard.
pub async fn loaded(server: &Server, name: &str) {
    let loaded = || !server.logged(&["loaded", &format!("/{name}.wasm")]).is_empty();
    wait::eventually(&format!("{name} is loaded"), async || loaded().then_some(())).await;
}

/// How often the plugin has been swapped, as the log has it.
pub fn swaps(server: &Server, name: &str) -> usize {
    server.logged(&["swapped", &format!("plugin={name} ")]).len()
}

/// Another file that is the same plugin: with a custom section behind it.
pub fn another(name: &str, n: u8) -> Vec<u8> {
    let mut bytes = harness::plugins::bytes(name);
    bytes.extend([0, 3, 1, b'n', n]);
    bytes
}

/// Is a client with this token let in?
pub async fn is_let_in(server: &Server, token: &str) -> bool {
    harness::http::get_head(server, &format!("/sse?channel=room&token={token}")).await.contains(" 200 ")
}

/// One message through `chat:room`: the version that signed it, 1 or 2.
pub async fn version_served(client: &mut Client) -> u64 {
    client.publish("chat:room", json!({ "text": " hi " })).await;
    let said = client.data().await;
    match said.as_object().map(|object| object.len()) {
        Some(2) => 1,
        Some(3) => said["v"].as_u64().unwrap(),
        _ => panic!("neither version says {said}"),
    }
}
