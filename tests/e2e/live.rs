//! The configuration file changes while the server runs.

use serde_json::{Value, json};

use crate::harness::{Client, Server, wait};

const OPEN: &str = "[[channel]]\npattern = 'open:*'\n";

/// Written aside and renamed, so that nothing reads half of it.
fn rewrite(server: &Server, toml: &str) {
    let aside = server.config_file().with_extension("aside");
    std::fs::write(&aside, toml).unwrap();
    std::fs::rename(aside, server.config_file()).unwrap();
}

async fn says(client: &mut Client, name: &str, data: &str) -> Value {
    client.ask(json!({ "type": "action", "channel": name, "data": data })).await["data"].clone()
}

/// The log has so many lines that say that the file was read again.
async fn taken(server: &Server, times: usize) {
    wait::eventually("the file is read again", async || {
        (server.logged(&["plugins have its settings"]).len() >= times).then_some(())
    })
    .await;
}

async fn until_it_says(client: &mut Client, name: &str, data: &str, wanted: &str) {
    wait::eventually(wanted, async || (says(client, name, data).await == wanted).then_some(())).await;
}

#[tokio::test]
async fn a_plugins_config_and_grants_change_without_a_restart() {
    let with =
        |mode: &str, more: &str| format!("{OPEN}[plugins.reacher]\nconfig = {{ mode = '{mode}' }}\n{more}");
    let server = Server::builder().plugins(&["reacher"]).config(&with("old", "")).start();
    let mut client = Client::connect(&server).await;
    assert_eq!(says(&mut client, "config", "mode").await, "old");
    assert_eq!(says(&mut client, "env", "").await, "");

    rewrite(&server, &with("new", "grants = { env = { A = 'b' } }"));
    until_it_says(&mut client, "config", "mode", "new").await;
    assert_eq!(says(&mut client, "env", "").await, "A=b");
    // Shards have it before the report says so.
    let swapped = |report: &Value| {
        let plugin = &report["plugins"][0];
        plugin["swap"]["to_generation"].is_u64().then(|| plugin.clone())
    };
    let plugin = server.wait_for_report(wait::LONG, "the swap", swapped).await;
    assert_eq!((&plugin["state"], &plugin["loaded"]["grants"]["env"]), (&json!("active"), &json!(["A"])));
    assert_eq!(plugin["swap"]["to_generation"], 2, "the same file, another version: {plugin}");
    assert_eq!(plugin["swap"]["from_sha256"], plugin["loaded"]["sha256"]);

    // What is the same again costs nothing.
    server.hang_up();
    taken(&server, 2).await;
    assert_eq!(server.report().await["plugins"][0]["loaded"]["generation"], 2);
}

#[tokio::test]
async fn on_sighup_the_file_is_read_at_once() {
    let with = |mode: &str| format!("{OPEN}[plugins.reacher]\nconfig.mode = '{mode}'\n");
    let server = Server::builder().plugins(&["reacher"]).config(&with("one")).start();
    let mut client = Client::connect(&server).await;
    for mode in ["two", "three"] {
        rewrite(&server, &with(mode));
        server.hang_up();
        until_it_says(&mut client, "config", "mode", mode).await;
    }
}

#[tokio::test]
async fn a_broken_file_leaves_all_as_it_was_and_the_log_says_why() {
    let good = format!("{OPEN}[plugins.reacher]\nconfig.mode = 'good'\n");
    let server = Server::builder().plugins(&["reacher"]).config(&good).start();
    let mut client = Client::connect(&server).await;
    for (broken, says_why) in [
        ("[plugins.reacher\n", "unclosed table"),
        ("[plugins.reacher]\nconfig.mode = 'bad'\ncall_ms = 0\n", "plugins.reacher.call_ms = 0"),
        ("[plugins.reacher]\nconfig.mode = 'bad'\nunknown = 1\n", "unknown field `unknown`"),
        (
            "[plugins.reacher]\nconfig.mode = 'bad'\ngrants.env_from_server = ['NOT_THERE']\n",
            "plugins.reacher.grants.env_from_server",
        ),
    ] {
        rewrite(&server, &format!("{OPEN}{broken}"));
        server.hang_up();
        server.wait_for_log(says_why).await;
        assert_eq!(says(&mut client, "config", "mode").await, "good");
    }
    rewrite(&server, &good.replace("good", "better"));
    until_it_says(&mut client, "config", "mode", "better").await;
    assert_eq!(server.logged(&["the configuration stays as it was"]).len(), 4);
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_not_taken() {
    let with = |limit: u32| {
        format!("limits.subscriptions = {limit}\n{OPEN}[plugins.reacher]\nconfig.mode = '{limit}'\n")
    };
    let server = Server::builder().plugins(&["reacher"]).config(&with(2)).start();
    let mut client = Client::connect(&server).await;
    rewrite(&server, &with(1));
    until_it_says(&mut client, "config", "mode", "1").await;
    server.wait_for_log("what it says now of limits needs a restart").await;
    client.subscribe("open:1").await;
    client.subscribe("open:2").await;
}

#[tokio::test]
async fn settings_with_which_a_plugin_does_not_start_are_refused_for_it_alone() {
    let with = |reacher: &str, channels: &str| {
        format!("{OPEN}[plugins.reacher]\n{reacher}\n[plugins.chat]\nchannels = ['{channels}']\n")
    };
    let builder = Server::builder().plugins(&["reacher", "chat"]);
    let server = builder.config(&with("config.mode = 'on'", "chat:*")).start();
    let mut client = Client::connect(&server).await;
    rewrite(&server, &with("memory_bytes = 65536\nconfig.mode = 'off'", "talk:*"));
    server.wait_for_log("with its new settings: it does not start: its memory would grow past 65536").await;
    taken(&server, 1).await;
    assert_eq!(says(&mut client, "config", "mode").await, "on", "the old version goes on");
    let report = server.report().await;
    let state = |name: &str| {
        let plugins = report["plugins"].as_array().unwrap();
        plugins.iter().find(|plugin| plugin["name"] == name).unwrap()["state"].clone()
    };
    assert_eq!((state("reacher"), state("chat")), (json!("active_newer_refused"), json!("active")));
    client.subscribe("talk:a").await;
    client.publish("talk:a", json!({ "text": " hi " })).await;
    assert_eq!(client.data().await["text"], "hi", "the chat has its new channels");
}

#[tokio::test]
async fn channels_keep_their_state_when_settings_change() {
    let with = |ms: u32| format!("{OPEN}[plugins.tic-tac-toe]\ncall_ms = {ms}\n");
    let server = Server::builder().plugins(&["tic-tac-toe"]).config(&with(20)).start();
    let mut player = Client::connect(&server).await;
    let mut other = Client::connect(&server).await;
    for client in [&mut player, &mut other] {
        client.subscribe("tic-tac-toe:1").await;
    }
    player.publish("tic-tac-toe:1", json!({ "cell": 0 })).await;
    assert_eq!(player.data().await["board"], "x........");
    rewrite(&server, &with(30));
    taken(&server, 1).await;
    server.wait_for_log("swapped").await;
    assert_eq!(other.data().await["board"], "x........");
    other.publish("tic-tac-toe:1", json!({ "cell": 1 })).await;
    assert_eq!(other.data().await["board"], "xo.......");
}

#[tokio::test]
async fn the_size_of_a_plugins_answers_is_as_configured() {
    let with = |limits: &str| {
        format!("[[channel]]\npattern = 'greeter:*'\ndefault_response = true\n[plugins.greeter]\n{limits}\n")
    };
    let builder = Server::builder().plugins(&["greeter"]);
    let server = builder.config(&with("payload_bytes = 100_000")).start();
    let mut client = Client::connect(&server).await;
    let mut rooms = 0;
    // A hundred thousand bytes.
    let mut greeted = async |client: &mut Client| {
        rooms += 1;
        let channel = format!("greeter:{rooms}");
        let ask = json!({ "type": "subscribe", "channel": channel, "data": { "say": "too much" } });
        let answer = client.ask(ask).await;
        if answer["type"] == "error" {
            assert_eq!(answer["code"], "plugin_failed", "{answer}");
            return false;
        }
        assert_eq!(client.data().await.as_str().unwrap().len(), 100_000);
        true
    };
    assert!(greeted(&mut client).await);
    for limits in ["payload_bytes = 99_999", "payload_bytes = 100_000\nhostcall_bytes = 99_999"] {
        rewrite(&server, &with(limits));
        wait::eventually(limits, async || (!greeted(&mut client).await).then_some(())).await;
    }
}

#[tokio::test]
async fn payloads_may_be_larger_than_calls_usually_hand_over() {
    let config = "limits.message_bytes = 1_000_000\nplugins.greeter.payload_bytes = 700_000\n\
                  [[channel]]\npattern = 'greeter:*'\ndefault_response = true\n";
    let server = Server::builder().plugins(&["greeter"]).config(config).start();
    let mut client = Client::connect(&server).await;
    let text = "x".repeat(600_000);
    client.subscribe_with(json!({ "channel": "greeter:a", "data": { "say": text } })).await;
    assert_eq!(client.data().await, text.as_str());
}
