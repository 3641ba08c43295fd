//! What one judgement costs the server: one message, and as many subscribers with as many
//! different filters, none of which lets it pass. CPU time of the shard's thread.
//!
//! cargo bench --workspace --bench filters

/// What the components' maker is of.
#[path = "../tests/harness"]
mod harness {
    #[allow(dead_code)]
    pub mod guest;
    #[allow(dead_code)]
    pub mod plugins;
}

#[path = "parts/open_socket.rs"]
mod open_socket;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use open_socket::OpenSocket;
use rustix::time::{ClockId, clock_gettime};
use tidegate::config::{self, Overrides};
use tidegate::core::{ChannelName, Payload, PluginName, Sender, UserId};
use tidegate::hub::Shard;
use tidegate::hub::audience::{FilterChoice, FilterFailure};
use tidegate::hub::letter::Subscribe;
use tidegate::hub::mesh::Mesh;
use tidegate::hub::shard::Publication;
use tidegate::plugin::{PluginEngine, PluginSettings, Registry, Source, load};
use tidegate::server;

/// Judgements that are measured, at the least.
const JUDGEMENTS: usize = 2_000_000;

fn main() {
    let built = |path: &str| std::fs::read(harness::plugins::root().join(path)).expect("a built component");
    let nothing = harness::guest::Guest::of(&["filter"]).component();
    let contains = built("tests/fixtures/hostile-filter.wasm");
    let level = built("plugins/examples/level-filter/level-filter.wasm");
    println!("| filter plugin | filters | CPU a judgement | a message |");
    println!("|---|---|---|---|");
    for (name, bytes, params) in [
        ("none: an answer without a look", &nothing, r#"{"n":0}"#),
        ("`contains`, the SDK's loop and a search in 3 bytes", &contains, r#"{"contains":"y"}"#),
        ("`level-filter`, which parses JSON", &level, r#"{"min":"fatal"}"#),
    ] {
        for filters in [100, 1000, 10_000] {
            let spent = measured(bytes, params, filters);
            let judgement = spent.as_nanos() as f64 / filters as f64;
            println!("| {name} | {filters} | {judgement:.1} ns | {:.1} us |", spent.as_nanos() as f64 / 1e3);
        }
    }
}

/// CPU time for one message.
fn measured(bytes: &[u8], params: &str, filters: usize) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let engine = PluginEngine::new(None).expect("an engine");
        let source = Source {
            name: PluginName::parse("filter").expect("a name"),
            file: "filter.wasm".into(),
            bytes: bytes.to_vec(),
        };
        let mut settings = PluginSettings::default();
        settings.limits.filter_ms = 1000;
        let filter = Arc::new(load(&engine, source, &settings).await.expect("a plugin"));
        let (mesh, mut inboxes) = Mesh::new(1);
        let config = config::load(None, std::iter::empty(), &Overrides::default()).expect("the defaults");
        let settings = server::shard_settings(&config, 1).expect("settings");
        let registry = Arc::new(Registry::default().with(filter.clone()));
        let me = mesh.shards().next().expect("a shard");
        let shard = Shard::new(me, settings, mesh, registry).expect("a shard");
        let running = tokio::task::spawn_local(shard.clone().run(inboxes.remove(0)));
        let channel = ChannelName::parse("room").expect("a name");
        for number in 0..filters {
            let connection =
                shard.connect(server::NATIVE, Rc::new(OpenSocket::default())).expect("a connection");
            let sender = Sender { client: connection.id, user: UserId("ada".into()) };
            // Blanks make it another filter, and nothing to the plugin.
            let params = Bytes::from(format!("{params}{}", " ".repeat(number)));
            let id = shard.filters().add(&filter, &params).await.expect("a filter");
            let choice = FilterChoice { plugin: filter.name.clone(), id, failure: FilterFailure::Closed };
            let mut subscribe = Subscribe::plain(channel.clone(), sender, server::NATIVE);
            subscribe.filter = Some(choice);
            shard.subscribe(&connection, subscribe);
            connection.until_settled().await;
        }
        let payload = Payload::json(Bytes::from_static(br#"{"level":"debug"}"#));
        let publish = async |messages: usize| {
            for _ in 0..messages {
                let publication = Publication::new(channel.clone(), Bytes::new(), payload.clone());
                let judged = shard.filters().judged() + filters as u64;
                shard.publish_as_server(publication).await.expect("an answer").expect("it is taken");
                while shard.filters().judged() < judged {
                    tokio::task::yield_now().await;
                }
            }
        };
        publish(5).await;
        let messages = JUDGEMENTS / filters;
        let before = cpu();
        publish(messages).await;
        let spent = cpu() - before;
        running.abort();
        spent / messages as u32
    })
}

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
