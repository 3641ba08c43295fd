//! Files that come and go.

use serde_json::{Value, json};

use crate::harness::{Client, Server, plugins, wait, within};
use crate::{entry, entry_that, loaded, saver, swaps, version_served};

fn not_found(channel: &str) -> Value {
    json!({
        "type": "error", "message": format!("Channel '{channel}' not found."),
        "code": "channel_not_found", "channel": channel,
    })
}

#[tokio::test]
async fn a_removed_plugin_closes_its_channels_until_it_is_back() {
    // Without a configuration every channel is open, but not one that a plugin looked after.
    let server = Server::with(&["chat"]);
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:room").await;
    client.subscribe("plain").await;
    assert_eq!(version_served(&mut client).await, 1);

    std::fs::remove_file(server.plugin("chat")).unwrap();
    assert_eq!(client.next_json().await, not_found("chat:room"), "its subscribers are told");
    server.wait_for_log("retired").await;
    entry_that(&server, "chat", "is retired", |entry| entry["state"] == "retired").await;
    for channel in ["chat:room", "chat:other"] {
        assert_eq!(client.ask(json!({ "type": "subscribe", "channel": channel })).await, not_found(channel));
        assert_eq!(client.try_publish(channel, json!({ "text": "hi" })).await, not_found(channel));
    }
    client.unsubscribe("chat:room").await;
    client.publish("plain", json!("still there")).await;
    assert_eq!(client.data().await, "still there");

    saver::in_place(&server.plugin("chat"), &plugins::bytes("chat-v2"));
    wait::eventually("it is back", async || (server.logged(&["loaded"]).len() == 2).then_some(())).await;
    entry_that(&server, "chat", "is back", |entry| entry["state"] == "active").await;
    client.subscribe("chat:room").await;
    assert_eq!(version_served(&mut client).await, 2);
    assert_eq!(client.left_over(), []);
}

#[tokio::test]
async fn a_save_that_removes_first_is_no_removal() {
    let server = Server::with(&["chat"]);
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:room").await;
    std::fs::remove_file(server.plugin("chat")).unwrap();
    saver::by_rename(&server.plugin("chat"), &plugins::bytes("chat-v2"));
    wait::eventually("the swap", async || (swaps(&server, "chat") == 1).then_some(())).await;
    assert_eq!(version_served(&mut client).await, 2);
    assert_eq!(client.left_over(), []);
    assert_eq!(server.logged(&["retired"]), Vec::<String>::new());
}

#[tokio::test]
async fn a_new_file_is_loaded() {
    let server = Server::with(&[]);
    let mut client = Client::connect(&server).await;
    // Open, and without a handler yet: so are its messages.
    client.subscribe("chat:room").await;
    client.publish("chat:room", json!({ "text": " hi " })).await;
    assert_eq!(client.data().await, json!({ "text": " hi " }));

    saver::by_rename(&server.plugin("chat"), &plugins::bytes("chat"));
    loaded(&server, "chat").await;
    assert_eq!(version_served(&mut client).await, 1, "its channels have it at once");
    let answer = client.try_publish("chat:room", json!({ "text": "" })).await;
    assert_eq!(answer["reason_code"], 1, "{answer}");

    let echo = json!({ "type": "action", "channel": "echo", "data": 1 });
    assert_eq!(client.ask(echo.clone()).await["code"], "action_not_found");
    saver::in_place(&server.plugin("tools"), &plugins::bytes("tools"));
    loaded(&server, "tools").await;
    assert_eq!(client.ask(echo).await["data"], 1);
}

#[tokio::test]
async fn what_the_report_names_is_in_use_on_every_shard() {
    let server = Server::builder().plugins(&["chat"]).shards(4).start();
    let mut client = Client::connect(&server).await;
    // So many rooms are at home on all of the shards.
    let rooms: Vec<String> = (0..16).map(|n| format!("chat:room-{n}")).collect();
    for room in &rooms {
        client.subscribe(room).await;
    }
    let generation =
        |report: &Value| entry(report, "chat").and_then(|its| its["loaded"]["generation"].as_u64());
    for (name, version) in [("chat-v2", json!(2)), ("chat", Value::Null)].into_iter().cycle().take(20) {
        let before = generation(&server.report().await);
        saver::by_rename(&server.plugin("chat"), &plugins::bytes(name));
        within("the new version", async { while generation(&server.report().await) == before {} }).await;
        for room in &rooms {
            client.publish(room, json!({ "text": "hi" })).await;
            assert_eq!(client.data().await["v"], version, "{room}");
        }
    }
}

#[tokio::test]
async fn an_auth_plugin_that_appears_counts_for_who_is_there_already() {
    let server = Server::with(&[]);
    let mut client = Client::with_token(&server, "ada").await;
    client.publish("readonly:a", json!(1)).await;
    saver::by_rename(&server.plugin("test-auth"), &plugins::bytes("test-auth"));
    loaded(&server, "test-auth").await;
    assert_eq!(client.try_publish("readonly:a", json!(1)).await["code"], "permission_denied");
    assert_eq!(Client::with_token(&server, "bob").await.user().await, "bob");
}

#[tokio::test]
async fn a_filter_goes_on_across_a_swap() {
    let server = Server::with(&["level-filter", "hostile-filter"]);
    let mut client = Client::connect(&server).await;
    let filter = json!({ "plugin": "hostile-filter", "params": { "contains": "x" } });
    client.subscribe_with(json!({ "channel": "room", "filter": filter })).await;
    // Its bytes with a custom section more: another file, the same plugin.
    let mut other = plugins::bytes("hostile-filter");
    other.extend([0, 3, 1, b'n', b'x']);
    saver::by_rename(&server.plugin("hostile-filter"), &other);
    wait::eventually("the swap", async || (swaps(&server, "hostile-filter") == 1).then_some(())).await;
    client.publish("room", json!("y")).await;
    client.publish("room", json!("x")).await;
    assert_eq!(client.data().await, "x", "its filters are made again in the new version");
}

#[tokio::test]
async fn of_two_files_with_one_name_the_first_is_used_and_the_other_named() {
    let server = Server::with(&["chat"]);
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:room").await;
    let folder = server.plugins_dir.join("later");
    std::fs::create_dir(&folder).unwrap();
    let second = folder.join("chat.wasm");
    saver::by_rename(&second, &plugins::bytes("chat-v2"));
    let line = server.wait_for_log("later/chat.wasm").await;
    assert!(line.contains("WARN") && line.contains("same name"), "{line}");
    let ignored = server
        .wait_for_report(wait::BOUND, "the other file", |report| report["ignored"].get(0).cloned())
        .await;
    assert!(ignored["file"].as_str().unwrap().ends_with("later/chat.wasm"), "{ignored}");
    assert!(ignored["message"].as_str().unwrap().contains("same name"), "{ignored}");
    assert_eq!(version_served(&mut client).await, 1);

    // With the first gone the other one is the plugin, and no channel was ever without.
    std::fs::remove_file(server.plugin("chat")).unwrap();
    wait::eventually("the swap", async || (swaps(&server, "chat") == 1).then_some(())).await;
    let entry = entry_that(&server, "chat", "is in use", |entry| entry["state"] == "active").await;
    assert!(entry["loaded"]["file"].as_str().unwrap().ends_with("later/chat.wasm"), "{entry}");
    assert_eq!(version_served(&mut client).await, 2);
    assert_eq!(client.left_over(), []);
}

#[tokio::test]
async fn a_name_that_is_none_is_said_so() {
    let server = Server::with(&["chat"]);
    for name in ["My Chat", "Chat", "chat_v2", &"a".repeat(65)] {
        let path = server.plugin(name);
        saver::by_rename(&path, &plugins::bytes("chat"));
        let message = server
            .wait_for_report(wait::BOUND, name, |report| {
                let ignored = report["ignored"].as_array()?;
                let its = ignored.iter().find(|file| file["file"].as_str() == path.to_str())?;
                its["message"].as_str().map(str::to_owned)
            })
            .await;
        assert!(message.contains(name) && message.contains("a-z, 0-9 and -"), "{message}");
        server.wait_for_log(&format!("/{name}.wasm")).await;
        assert_eq!(server.logged(&["WARN", "ignored", &format!("/{name}.wasm")]).len(), 1);
        std::fs::remove_file(&path).unwrap();
        server
            .wait_for_report(wait::BOUND, "its removal", |report| {
                report["ignored"].as_array()?.is_empty().then_some(())
            })
            .await;
    }
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:room").await;
    assert_eq!(version_served(&mut client).await, 1);
}

#[tokio::test]
async fn what_is_no_wasm_file_is_nobodys_business() {
    let server = Server::with(&["chat"]);
    for name in ["README.md", ".hidden.wasm", "chat.wasm.tmp", "chat.wasm~"] {
        std::fs::write(server.plugins_dir.join(name), "something").unwrap();
    }
    // What comes after them has been looked at, so they have.
    saver::by_rename(&server.plugin("tools"), &plugins::bytes("tools"));
    entry_that(&server, "tools", "is loaded", |entry| entry["state"] == "active").await;
    let report = server.report().await;
    assert_eq!(report["plugins"].as_array().map(Vec::len), Some(2), "{report}");
    assert_eq!(report["ignored"], json!([]));
    assert_eq!(server.logged(&["WARN"]), Vec::<String>::new());
}
