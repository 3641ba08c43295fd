//! Clients by their ids, in a language that has floating point for numbers.

use std::collections::HashMap;
use std::path::Path;

use serde_json::json;

use super::harness::{Client, Server, cli, plugins};

const PLUGIN: &str = include_str!("../fixtures/js-clients/plugin.js");
const SHARDS: usize = 4;

/// False: its tools are not here.
fn build(folder: &Path) -> bool {
    let dir = folder.display().to_string();
    let made = cli::run(&["plugin", "new", "clients", "--lang", "js", "--dir", &dir]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let project = folder.join("clients");
    std::fs::write(project.join("plugin.js"), PLUGIN).unwrap();
    let tools = plugins::root().join("plugins/examples/js-trio/node_modules/.bin");
    if !tools.join("componentize-qjs").exists() {
        return false;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(tools).chain(std::env::split_paths(&path))).unwrap();
    let built = cli::command().args(["plugin", "build"]).arg(&project).env("PATH", path).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    true
}

/// A client on each shard (the fourth and fifth digit of its id), with its user, which is its id in hexadecimal.
async fn one_on_each_shard(server: &Server) -> Vec<(String, Client)> {
    let mut found = HashMap::new();
    for _ in 0..1000 {
        let mut client = Client::connect(server).await;
        let user = client.user().await;
        found.entry(user[3..5].to_owned()).or_insert((user, client));
        if found.len() == SHARDS {
            return found.into_values().collect();
        }
    }
    panic!("no client came to some shard: only to {:?}", found.keys());
}

#[tokio::test]
async fn a_plugin_in_javascript_names_the_clients_of_every_shard() {
    let folder = tempfile::tempdir().unwrap();
    if !build(folder.path()) {
        return eprintln!("SKIPPED, no plugin in JavaScript is built here: run scripts/setup");
    }
    let rules = "[[channel]]\npattern = \"*\"\ndefault_response = true\n";
    let server = Server::builder().plugins_from(&folder.path().join("clients"), &["clients"]);
    let server = server.config(rules).shards(SHARDS).start();
    let mut clients = one_on_each_shard(&server).await;
    for (user, client) in &mut clients {
        client.subscribe("clients:a").await;
        let number = u64::from_str_radix(user, 16).unwrap();
        assert_eq!(client.data().await, json!(number.to_string()), "what the plugin takes it for");
    }
    for at in 0..SHARDS {
        let user = clients[at].0.clone();
        for effect in ["send", "only"] {
            clients[0].1.try_publish("clients:a", json!({ effect: user })).await;
            assert_eq!(clients[at].1.data().await, json!("hello"), "{effect} {user}");
        }
        clients[0].1.try_publish("clients:a", json!({ "others": user })).await;
        for other in (0..SHARDS).filter(|other| *other != at) {
            assert_eq!(clients[other].1.data().await, json!("hello"), "all but {user}");
        }
    }
    for (user, client) in &mut clients {
        client.ping().await;
        assert_eq!(client.left_over(), [], "{user}");
    }
    let mut stranger = Client::connect(&server).await;
    for (user, mut client) in clients {
        stranger.try_publish("clients:a", json!({ "kick": user })).await;
        assert_eq!(client.closed().await, (4003, "By its number.".to_owned()), "{user}");
    }
}
