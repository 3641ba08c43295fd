//! What is done with each hostile component, and what must still hold then.

use serde_json::{Value, json};

use super::{BAD, Case, Cue, Story};
use crate::harness::client::Arrived;
use crate::harness::{Client, Server, eventually, http};

const CHANNEL: &str = "bad:room";

/// The whole story of one component.
pub async fn tell(case: &Case) {
    let file = case.guest.component();
    match case.story {
        Story::Refused(words) => refused(case.name, &file, words).await,
        Story::Fails(cue, class, words) => fails(&file, cue, class, words).await,
    }
}

/// A file that is not loaded, and why.
pub async fn refused(what: &str, file: &[u8], words: &str) {
    let mut server = witnesses();
    let mut witness = Witness::take_place(&server).await;
    install(&server, file);
    let entry = entry_that(&server, |entry| !entry["error"].is_null()).await;
    let message = entry["error"]["message"].as_str().unwrap();
    assert_eq!(entry["state"], "refused", "{what}: {entry:#}");
    assert!(message.contains(words), "{what}: `{words}` in: {message}");
    witness.goes_on(&server).await;
    server.assert_alive();
}

async fn fails(file: &[u8], cue: Cue, class: &str, words: &str) {
    let mut server = witnesses();
    let mut witness = Witness::take_place(&server).await;
    install(&server, file);
    entry_that(&server, |entry| entry["state"] == "active").await;
    witness.sees_nothing_of(cue);
    // Twice: what is kept of the first time must not mend or worsen the second.
    for _ in 0..2 {
        provoke(&server, cue).await;
    }
    let lines = eventually("its failure in the log", async || {
        let lines = server.logged(&["the plugin failed", words]);
        (!lines.is_empty()).then_some(lines)
    })
    .await;
    assert!(lines[0].contains("bad"), "{lines:#?}");
    // A version that is gone has taken its counts with it.
    if cue != Cue::Reload {
        let entry = entry_that(&server, |entry| entry["state"] == "active").await;
        let loaded = &entry["loaded"];
        assert!(loaded["failures"][class].as_u64() > Some(0), "`{class}` in: {loaded:#}");
        assert!(loaded["last_failure"].as_str().is_some(), "{loaded:#}");
    }
    witness.goes_on(&server).await;
    server.assert_alive();
}

/// A handler, a filter and an action that behave, on the one shard there is.
pub fn witnesses() -> Server {
    Server::builder().plugins(&["chat", "hostile-filter", "tools"]).shards(1).start()
}

/// By a rename, as a careful writer does.
pub fn install(server: &Server, component: &[u8]) {
    let unfinished = server.plugins_dir.join("bad.tmp");
    std::fs::write(&unfinished, component).unwrap();
    std::fs::rename(unfinished, server.plugin(BAD)).unwrap();
}

/// The report's entry of the plugin, once it is as wanted.
pub async fn entry_that(server: &Server, wanted: impl Fn(&Value) -> bool) -> Value {
    let find = |report: &Value| {
        let entries = report["plugins"].as_array()?;
        entries.iter().find(|entry| entry["name"] == BAD && wanted(entry)).cloned()
    };
    server.wait_for_report(std::time::Duration::from_secs(30), "the plugin's entry", find).await
}

/// Makes the plugin fail once, and sees what its caller is told.
async fn provoke(server: &Server, cue: Cue) {
    let failed = |channel: &str| json!({ "type": "error", "message": "Plugin 'bad' failed.", "code": "plugin_failed", "channel": channel });
    let mut client = Client::connect(server).await;
    match cue {
        Cue::Publish => assert_eq!(client.try_publish(CHANNEL, json!(1)).await, failed(CHANNEL)),
        Cue::Subscribe => {
            let answer = client.ask(json!({ "type": "subscribe", "channel": CHANNEL })).await;
            assert_eq!(answer, failed(CHANNEL));
        }
        Cue::Leave => {
            // The second time its pause may have begun: it is told of who left until it has heard it.
            let answer = client.ask(json!({ "type": "subscribe", "channel": CHANNEL })).await;
            assert!(answer["type"] == "subscribed" || answer["code"] == "plugin_failed", "{answer}");
            client.unsubscribe(CHANNEL).await;
        }
        Cue::Reload => {
            let answer = client.ask(json!({ "type": "subscribe", "channel": CHANNEL })).await;
            assert!(answer["type"] == "subscribed", "{answer}");
            let before = entry_that(server, |_| true).await["loaded"]["generation"].clone();
            let mut file = std::fs::read(server.plugin(BAD)).unwrap();
            // A custom section with an empty name and nothing in it.
            file.extend([0, 1, 0]);
            install(server, &file);
            entry_that(server, |entry| entry["loaded"]["generation"] != before).await;
        }
        Cue::Act => {
            let answer = client.ask(json!({ "type": "action", "channel": "act" })).await;
            assert_eq!(answer["code"], "plugin_failed", "{answer}");
        }
        Cue::Filter => {
            let filtered = json!({ "type": "subscribe", "channel": "room", "filter": { "plugin": BAD } });
            let answer = client.ask(filtered).await;
            assert_eq!(answer["code"], "plugin_failed", "{answer}");
        }
        Cue::Judge => {
            client.subscribe_with(json!({ "channel": "judged", "filter": { "plugin": BAD } })).await;
            client.publish("judged", json!(1)).await;
            client.ping().await;
            assert_eq!(client.left_over(), [], "what cannot be judged is not delivered");
        }
        Cue::Connect => {
            let mut client = Client::with_token(server, "ada").await;
            let reason = "Authentication is not available: plugin 'bad' failed.".to_owned();
            assert_eq!(client.closed().await, (4001, reason));
        }
        Cue::Authorize => {
            // It has failed for those who were there already: its pause may have begun.
            client.send(json!({ "type": "subscribe", "channel": "room" })).await;
            match client.next().await {
                Arrived::Closed(code, _) => assert_eq!(code, 4001),
                told => assert_eq!(told.json().unwrap()["code"], "plugin_failed", "{told:?}"),
            }
        }
    }
}

/// Who must notice nothing.
struct Witness {
    client: Client,
    /// An auth plugin that fails lets nobody in: then only the server itself can be a witness.
    shut_out: bool,
    said: u64,
}

impl Witness {
    async fn take_place(server: &Server) -> Self {
        let mut client = Client::connect(server).await;
        client.subscribe("plain").await;
        client.subscribe("chat:lobby").await;
        client
            .subscribe_with(json!({
                "channel": "filtered", "filter": { "plugin": "hostile-filter", "params": { "contains": "x" } },
            }))
            .await;
        let mut witness = Self { client, shut_out: false, said: 0 };
        witness.goes_on(server).await;
        witness
    }

    fn sees_nothing_of(&mut self, cue: Cue) {
        self.shut_out = matches!(cue, Cue::Connect | Cue::Authorize);
    }

    async fn goes_on(&mut self, server: &Server) {
        self.said += 1;
        let said = self.said;
        if self.shut_out {
            let body = json!({ "channel": "unseen", "data": said });
            let answer = http::post(server, "/api/publish", &body.to_string()).await;
            assert_eq!(answer.json()["offset"], 1, "a plain publication by the server's own API");
            return;
        }
        let client = &mut self.client;
        assert_eq!(client.publish("plain", json!(said)).await, said);
        assert_eq!(client.data().await, said);
        assert_eq!(client.publish("chat:lobby", json!({ "text": said.to_string() })).await, said);
        assert_eq!(client.data().await["text"], said.to_string());
        client.publish("filtered", json!("y")).await;
        client.publish("filtered", json!("x")).await;
        assert_eq!(client.data().await, "x");
        let answer = client.ask(json!({ "type": "action", "channel": "echo", "data": said })).await;
        assert_eq!(answer["data"], said);
        assert_eq!(client.left_over(), []);
    }
}
