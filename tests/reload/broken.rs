//! Files that are no good: the old version keeps serving, and the log and `/api/plugins` say
//! what is wrong.

use crate::harness::{Client, Server, plugins, wait};
use crate::{entry_that, saver, swaps, version_served};

#[tokio::test]
async fn a_broken_file_leaves_the_old_version_serving_and_says_why() {
    let server = Server::with(&["chat"]);
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:room").await;
    let good = plugins::bytes("chat");
    let path = server.plugin("chat");
    for (what, bytes, words) in [
        ("garbage", b"this is no program at all".repeat(1000), &["not WebAssembly", "this"][..]),
        ("half of it", good[..good.len() / 2].to_vec(), &["not a valid component", "cut off"]),
        ("nothing", Vec::new(), &["empty"]),
        ("a core module", plugins::bytes("core-module"), &["core module", "wasm-tools component new"]),
        ("wants-database", plugins::bytes("wants-database"), &["acme:db/query@1.0.0", "does not offer"]),
        ("from-the-future", plugins::bytes("from-the-future"), &["tidegate:plugin@0.2.0", "0.1", "rebuild"]),
        ("no plugin", plugins::bytes("nothing"), &["channel-handler", "nothing to call"]),
    ] {
        saver::by_rename(&path, &bytes);
        let entry = entry_that(&server, "chat", what, |entry| !entry["error"].is_null()).await;
        let message = entry["error"]["message"].as_str().unwrap();
        assert_eq!(entry["state"], "active_newer_refused", "{what}");
        let logged = server.logged(&["WARN", "refused", "chat.wasm", message]);
        assert_eq!(logged.len(), 1, "{what} is told of once: {:#?}", server.log());
        for word in words {
            assert!(message.contains(word), "`{word}` for {what}: {message}");
        }
        assert!(logged[0].contains("keeps serving"), "{}", logged[0]);
        assert_eq!(version_served(&mut client).await, 1, "{what}");

        saver::by_rename(&path, &good);
        entry_that(&server, "chat", "mended", |entry| entry["error"].is_null() && entry["state"] == "active")
            .await;
        assert_eq!(version_served(&mut client).await, 1);
    }
    assert_eq!(swaps(&server, "chat"), 0, "the same file again is no swap");
    assert_eq!(client.left_over(), []);

    saver::by_rename(&path, &plugins::bytes("chat-v2"));
    entry_that(&server, "chat", "a good one after all that", |entry| !entry["swap"].is_null()).await;
    assert_eq!(version_served(&mut client).await, 2);
}

#[tokio::test]
async fn a_slow_copy_is_loaded_once_it_is_whole() {
    let server = Server::with(&["chat"]);
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:room").await;
    for (name, version) in [("chat-v2", 2), ("chat", 1)] {
        let before = swaps(&server, "chat");
        saver::slowly(&server.plugin("chat"), &plugins::bytes(name)).await;
        wait::eventually("the swap", async || (swaps(&server, "chat") > before).then_some(())).await;
        assert_eq!(version_served(&mut client).await, version);
        assert_eq!(swaps(&server, "chat"), before + 1, "exactly once");
    }
    saver::slowly(&server.plugin("tools"), &plugins::bytes("tools")).await;
    entry_that(&server, "tools", "is loaded", |entry| entry["state"] == "active").await;
    assert_eq!(server.logged(&["WARN"]), Vec::<String>::new(), "half a file was never an error");
}

#[tokio::test]
async fn a_server_starts_with_a_broken_plugin_beside_good_ones() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("broken.wasm"), "no").unwrap();
    let server = Server::builder().plugins(&["chat"]).plugins_from(folder.path(), &["broken"]).start();
    let entry = entry_that(&server, "broken", "is refused", |entry| entry["state"] == "refused").await;
    assert!(entry["error"]["message"].as_str().unwrap().contains("not WebAssembly"), "{entry}");
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:room").await;
    assert_eq!(version_served(&mut client).await, 1);

    saver::by_rename(&server.plugin("broken"), &plugins::bytes("tools"));
    entry_that(&server, "broken", "is mended", |entry| {
        entry["state"] == "active" && entry["error"].is_null()
    })
    .await;
}
