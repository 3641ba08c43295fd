//! What a plugin keeps by key: the contract's `store`.

use serde_json::{Value, json};

use crate::harness::{Client, Server, cli, plugins, wait};

async fn ask(client: &mut Client, action: &str, data: Value) -> Value {
    let answer = client.ask(json!({ "type": "action", "channel": action, "data": data })).await;
    if answer["status"] == "completed" { answer["data"].clone() } else { answer["message"].clone() }
}

#[tokio::test]
async fn what_a_plugin_sets_it_gets_until_it_deletes_it() {
    let server = Server::with(&["keeper"]);
    let mut client = Client::connect(&server).await;
    assert_eq!(ask(&mut client, "get", json!({ "key": "a" })).await, Value::Null);
    ask(&mut client, "set", json!({ "key": "a", "value": "one" })).await;
    assert_eq!(ask(&mut client, "get", json!({ "key": "a" })).await, "one");
    let swap = |from: Value, to: Value| json!({ "key": "a", "expected": from, "value": to });
    assert_eq!(ask(&mut client, "swap", swap(json!("two"), json!("three"))).await, false);
    assert_eq!(ask(&mut client, "swap", swap(json!("one"), json!("two"))).await, true);
    assert_eq!(ask(&mut client, "swap", swap(json!("two"), Value::Null)).await, true);
    assert_eq!(ask(&mut client, "swap", swap(Value::Null, json!("three"))).await, true);
    assert_eq!(ask(&mut client, "delete", json!({ "key": "a" })).await, true);
    assert_eq!(ask(&mut client, "delete", json!({ "key": "a" })).await, false);
}

#[tokio::test]
async fn what_is_set_for_a_time_is_gone_after_it() {
    let server = Server::with(&["keeper"]);
    let mut client = Client::connect(&server).await;
    ask(&mut client, "set", json!({ "key": "a", "value": "short", "ttl_ms": 50 })).await;
    wait::eventually("the value is gone", async || {
        (ask(&mut client, "get", json!({ "key": "a" })).await == Value::Null).then_some(())
    })
    .await;
}

#[tokio::test]
async fn all_shards_count_in_the_same_store() {
    let server = Server::builder().plugins(&["keeper"]).shards(4).start();
    let mut sums = Vec::new();
    for _ in 0..24 {
        let mut client = Client::connect(&server).await;
        sums.push(ask(&mut client, "increment", json!({ "key": "n", "by": 1 })).await.as_i64().unwrap());
    }
    assert_eq!(sums, (1..=24).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_kept_outlives_a_panic_and_a_reload() {
    let server = Server::with(&["keeper"]);
    let mut client = Client::connect(&server).await;
    ask(&mut client, "increment", json!({ "key": "n", "by": 41 })).await;
    let failed = ask(&mut client, "set-and-panic", json!({ "key": "a", "value": "written before" })).await;
    assert_eq!(failed, "Plugin 'keeper' failed.");
    assert_eq!(ask(&mut client, "get", json!({ "key": "a" })).await, "written before");
    // Another file: the same code, with a section that means nothing.
    let mut file = plugins::bytes("keeper");
    file.extend([0, 2, 1, b'x']);
    std::fs::write(server.plugin("keeper"), file).unwrap();
    server
        .wait_for_report(wait::BOUND, "the new version", |report| {
            report["plugins"][0]["swap"].is_object().then_some(())
        })
        .await;
    assert_eq!(ask(&mut client, "increment", json!({ "key": "n", "by": 1 })).await, 42);
}

#[tokio::test]
async fn a_plugin_keeps_no_more_than_its_settings_allow() {
    let settings = "[[channel]]\npattern = \"*\"\n[plugins.keeper]\nstore_keys = 2\nstore_bytes = 2000";
    let server = Server::builder().plugins(&["keeper"]).config(settings).start();
    let mut client = Client::connect(&server).await;
    let set = |key: &str, bytes: usize| json!({ "key": key, "value": "x".repeat(bytes) });
    let full = "The plugin's store is full.";
    assert_eq!(ask(&mut client, "set", set("a", 2000)).await, full);
    assert_eq!(ask(&mut client, "set", set("a", 10)).await, Value::Null);
    assert_eq!(ask(&mut client, "set", set("b", 10)).await, Value::Null);
    assert_eq!(ask(&mut client, "increment", json!({ "key": "c", "by": 1 })).await, full);
    let too_large = ask(&mut client, "set", set(&"k".repeat(257), 1)).await;
    assert!(too_large.as_str().unwrap().contains("not 257 bytes"), "{too_large}");
    let no_number = ask(&mut client, "increment", json!({ "key": "a", "by": 1 })).await;
    assert!(no_number.as_str().unwrap().contains("not a number"), "{no_number}");
}

#[tokio::test]
async fn one_call_may_call_the_store_so_many_times() {
    let server = Server::with(&["keeper"]);
    let mut client = Client::connect(&server).await;
    let too_often = "The plugin has called its store too often in one call.";
    // Each call begins to count anew.
    for (more, answer) in [(63, Value::Null), (64, json!(too_often)), (63, Value::Null)] {
        assert_eq!(ask(&mut client, "get", json!({ "key": "a", "more": more })).await, answer);
    }
}

#[test]
fn a_store_without_room_is_no_setting() {
    let dir = tempfile::tempdir().unwrap();
    for key in ["store_bytes", "store_keys"] {
        let file = dir.path().join("tidegate.toml");
        std::fs::write(&file, format!("[plugins.keeper]\n{key} = 0\n")).unwrap();
        let said = cli::run(&["config", "check", file.to_str().unwrap()]);
        assert!(
            said.code != Some(0) && said.stderr.contains(&format!("plugins.keeper.{key} = 0")),
            "{said:?}"
        );
    }
}
