//! Files that are hostile by their size, their form or their names.

use serde_json::{Value, json};

use super::BAD;
use super::stories::{self, entry_that, install, witnesses};
use crate::harness::guest::Guest;
use crate::harness::{Client, Server, plugins};

fn handler() -> Vec<u8> {
    Guest::of(&["channel-handler"]).component()
}

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// A section of this number and content.
fn section(number: u8, content: &[u8]) -> Vec<u8> {
    let (mut section, mut length) = (vec![number], content.len());
    while length > 0x7f {
        section.push(length as u8 | 0x80);
        length >>= 7;
    }
    section.push(length as u8);
    [&section, content].concat()
}

/// A component with this much of what nobody reads.
fn padded(component: Vec<u8>, bytes: usize) -> Vec<u8> {
    let mut content = b"\x03pad".to_vec();
    content.resize(bytes, 0xaa);
    [component, section(0, &content)].concat()
}

/// Components, each in the next.
fn nested(depth: usize) -> Vec<u8> {
    (0..depth).fold(COMPONENT.to_vec(), |inner, _| [COMPONENT, &section(4, &inner)].concat())
}

/// Is the file refused, and with what words?
async fn refused(what: &str, file: &[u8], words: &str) {
    stories::refused(what, file, words).await;
}

#[tokio::test]
async fn fifty_megabytes_of_custom_sections() {
    refused("50 MB", &padded(handler(), 50 << 20), "bytes; at most 33554432 are allowed").await;
}

#[tokio::test]
async fn thirty_megabytes_of_custom_sections_cost_no_more_than_the_file() {
    let mut server = witnesses();
    let before = server.resident_kib();
    install(&server, &padded(handler(), 30 << 20));
    entry_that(&server, |entry| entry["state"] == "active").await;
    let after = server.resident_kib();
    println!("resident: {before} KiB before, {after} KiB after a plugin with 30 MiB of padding");
    assert!(after < before + 150 * 1024, "{before} KiB before, {after} KiB after");
    let mut client = Client::connect(&server).await;
    client.publish("bad:room", json!(1)).await;
    server.assert_alive();
}

#[tokio::test]
async fn files_of_another_kind() {
    for (what, file, words) in [
        ("no bytes", &b""[..], "it is empty"),
        ("a script", b"#!/bin/sh\nrm -rf /\n", "it is not WebAssembly: it begins with `#!/bin/s`"),
        ("a module", b"\0asm\x01\0\0\0", "it is a core module, not a component"),
        ("a version to come", b"\0asm\x0e\0\x01\0", "it is not a valid component, or cut off"),
        ("a section longer than the file", b"\0asm\x0d\0\x01\0\x01\xff\xff\xff\xff\x0f", "cut off"),
        ("native code", b"\x7fELF\x02\x01\x01\0", "it is not WebAssembly: it begins with `\\x7fELF"),
    ] {
        refused(what, file, words).await;
    }
    refused("a thousand components in one another", &nested(1000), "nested more than 32 deep").await;
    refused("a hundred thousand of them", &nested(100_000), "nested more than 32 deep").await;
    let mut half = plugins::bytes("chat");
    half.truncate(half.len() / 2);
    refused("half of a good one", &half, "it is not a valid component, or cut off").await;
    let mut damaged = plugins::bytes("chat");
    let middle = damaged.len() / 2;
    damaged[middle..middle + 2000].fill(0xff);
    refused("one with a hole in it", &damaged, "it is not a valid component, or cut off").await;
}

/// Components as text, of forms that the contract's tools do not make.
#[tokio::test]
async fn components_that_do_not_fit() {
    let auth = "(instance $i) (export \"tidegate:plugin/auth@0.1.0\" (instance $i))";
    let log =
        |kind: &str| format!("(import \"tidegate:plugin/log@0.1.0\" (instance (export \"write\" {kind})))");
    for (what, text, words) in [
        (
            "one name twice",
            "(instance $i) (export \"a\" (instance $i)) (export \"a\" (instance $i))".to_owned(),
            "conflicts with previous name",
        ),
        (
            "names that differ by case alone",
            "(instance $i) (export \"aa\" (instance $i)) (export \"AA\" (instance $i))".to_owned(),
            "conflicts with previous name",
        ),
        ("no functions of its interface", auth.to_owned(), "its exports do not fit the contract"),
        (
            "another function of that name",
            format!("{} {auth}", log("(func (param \"level\" u64) (param \"text\" string))")),
            "its imports do not fit what this server offers",
        ),
        (
            "a function that the interface does not have",
            format!("(import \"tidegate:plugin/log@0.1.0\" (instance (export \"erase\" (func)))) {auth}"),
            "its imports do not fit what this server offers",
        ),
        (
            "an interface that nobody has",
            format!("(import \"tidegate:plugin/root@0.1.0\" (instance (export \"shell\" (func)))) {auth}"),
            "it imports tidegate:plugin/root@0.1.0, which this server does not offer",
        ),
        (
            "a contract to come",
            "(instance $i) (export \"tidegate:plugin/auth@0.9.0\" (instance $i))".to_owned(),
            "it was built for tidegate:plugin@0.9.0",
        ),
        (
            "asynchronous functions",
            "(core module $m (func (export \"f\"))) (core instance $m (instantiate $m))
             (func (export \"run\") async (canon lift (core func $m \"f\") async))"
                .to_owned(),
            "it is not a valid component",
        ),
        (
            "objects with a garbage collector",
            "(core module $m (type (struct (field i32))) (func (drop (struct.new 0 (i32.const 1)))))"
                .to_owned(),
            "it is not a valid component",
        ),
        (
            "a hundred instances of a module",
            format!(
                "(core module $m (memory 1)) {} {}",
                (0..100).map(|n| format!("(core instance $c{n} (instantiate $m))")).collect::<String>(),
                auth
            ),
            "100 core module instances, which exceeds the configured maximum of",
        ),
        (
            "a name of sixty thousand letters",
            format!("(instance $i) (export \"{}\" (instance $i))", "a".repeat(60_000)),
            "it exports none of",
        ),
    ] {
        let file = wat::parse_str(format!("(component {text})"));
        refused(what, &file.unwrap_or_else(|error| panic!("{what}: {error}")), words).await;
    }
}

// === names that are taken ===

fn entry<'a>(report: &'a Value, name: &str) -> &'a Value {
    let entries = report["plugins"].as_array().unwrap();
    entries.iter().find(|entry| entry["name"] == name).unwrap_or(&Value::Null)
}

#[tokio::test]
async fn a_second_file_of_a_plugins_name_is_told_of_and_not_used() {
    let server = witnesses();
    let folder = server.plugins_dir.join("zzz");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("chat.wasm"), handler()).unwrap();
    let ignored = server
        .wait_for_report(std::time::Duration::from_secs(30), "the file", |report| {
            report["ignored"].as_array().and_then(|all| all.first().cloned())
        })
        .await;
    let message = ignored["message"].as_str().unwrap();
    assert!(message.contains("a plugin of the same name"), "{message}");
    let mut client = Client::connect(&server).await;
    client.publish("chat:lobby", json!({ "text": "the old one" })).await;
}

#[tokio::test]
async fn names_that_no_plugin_may_have_are_told_of() {
    let server = witnesses();
    for name in ["Ünsinn", "a b", "a.b", "UPPER", &"x".repeat(100)] {
        std::fs::write(server.plugins_dir.join(format!("{name}.wasm")), handler()).unwrap();
    }
    let all_of_them = |report: &Value| (report["ignored"].as_array()?.len() == 5).then_some(());
    server.wait_for_report(std::time::Duration::from_secs(30), "the files", all_of_them).await;
    assert_eq!(entry(&server.report().await, "chat")["state"], "active");
}

/// The first in the order of the names, as the contract says: and the other as before where only it
/// has the name.
#[tokio::test]
async fn an_action_that_two_plugins_offer_belongs_to_the_first() {
    let server = witnesses();
    let mut client = Client::connect(&server).await;
    let echo = json!({ "type": "action", "channel": "echo", "data": 1 });
    assert_eq!(client.ask(echo.clone()).await["data"], 1);
    let thief = Guest::of(&["actions"])
        .with("(data (i32.const 3000) \"echo\")")
        .words(3008, &[3000, 4])
        .answer("names", &[3008, 1])
        .body("call", "unreachable");
    install(&server, &thief.component());
    entry_that(&server, |entry| entry["state"] == "active").await;
    assert_eq!(client.ask(echo.clone()).await["code"], "plugin_failed");
    std::fs::remove_file(server.plugin(BAD)).unwrap();
    entry_that(&server, |entry| entry["state"] == "retired").await;
    assert_eq!(client.ask(echo).await["data"], 1, "it has its name back");
}

#[tokio::test]
async fn one_of_two_plugins_that_handle_a_channel_fails_closed_and_only_there() {
    let server = Server::builder().plugins(&["chat"]).shards(1).start();
    let greedy = |pattern: &str| {
        Guest::of(&["channel-handler", "info"])
            .with(&format!("(data (i32.const 3000) \"{pattern}\")"))
            .words(3016, &[3000, pattern.len() as u32])
            .answer("describe", &[0, 0, 0, 0, 3016, 1])
            .body("on-publish", "unreachable")
            .component()
    };
    let mut client = Client::connect(&server).await;
    // Both are asked, and one that fails has not let the message pass.
    install(&server, &greedy("chat:{room}"));
    entry_that(&server, |entry| entry["state"] == "active").await;
    let answer = client.try_publish("chat:one", json!({ "text": "hi" })).await;
    assert_eq!(answer["code"], "plugin_failed", "{answer}");
    client.publish("elsewhere", json!(1)).await;
    install(&server, &greedy("other:*"));
    entry_that(&server, |entry| entry["loaded"]["channels"] == json!(["other:*"])).await;
    client.publish("chat:two", json!({ "text": "hi" })).await;
    assert_eq!(client.try_publish("other:a", json!(1)).await["code"], "plugin_failed");
}
