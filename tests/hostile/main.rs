//! Plugins that misbehave: each costs its caller an error, and nobody else notices.

#[path = "../harness/mod.rs"]
mod harness;

mod behaviours;
mod corpus;
mod effects;
mod filters;
mod undisturbed;

use serde_json::{Value, json};

use harness::{Client, Server, wait};

/// The `hostile` plugin does what its messages say.
pub fn asks(what: &str) -> Value {
    json!({ "do": what })
}

/// The answer to one bad message.
pub async fn provoke(client: &mut Client, channel: &str, what: &str) -> Value {
    client.try_publish(channel, asks(what)).await
}

pub fn failed(channel: &str) -> Value {
    json!({
        "type": "error", "message": "Plugin 'hostile' failed.", "code": "plugin_failed", "channel": channel,
    })
}

/// The channel takes messages again, at the latest when the plugin's back-off is over.
pub async fn works_again(client: &mut Client, channel: &str) {
    wait::eventually_in(wait::LONG, &format!("{channel} works again"), async || {
        let answer = client.try_publish(channel, asks("ok")).await;
        let refused = answer["code"] == "plugin_failed" || answer["code"] == "rate_limited";
        assert!(answer["type"] == "published" || refused, "{answer}");
        (answer["type"] == "published").then_some(())
    })
    .await;
}

/// One shard: whoever misbehaves is on the witnesses' own.
pub fn server() -> Server {
    Server::builder().plugins(&["hostile", "hostile-filter", "chat", "tools"]).shards(1).start()
}
