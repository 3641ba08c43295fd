//! A batch of messages judged by filters, and calls of a channel's handler, as the hub makes them.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use tidegate::core::clock::UnixMillis;

use tidegate::core::{Captures, ChannelName, ClientId, Payload, PayloadKind, PluginName, Sender, UserId};
use tidegate::plugin::{
    Actors, FilterBatch, Filters, Generation, Job, PluginEngine, PluginSettings, Registry, Source, load,
};

use super::counted::counted;
use super::frames::data;
use super::jobs::Jobs;

pub const BATCHES: u64 = 20;
const FILTERS: usize = 10;
const MESSAGES: usize = 16;
pub const CALLS: u64 = 500;
/// Calls before any is counted: then each has a stack of its own, so that it could yield,
pub const NEW: u64 = 10;
/// or none any more (`host/src/plugin/quick.rs`). Under valgrind each takes microseconds, and no slice.
pub const KNOWN_TO_BE_QUICK: u64 = 1010;
/// A call takes some fifty times as long under valgrind; nothing here runs away.
const PATIENCE_MS: u64 = 60_000;

pub fn filters() {
    let (runtime, local) = shard();
    let generation = local.block_on(&runtime, plugin("plugins/examples/level-filter/level-filter.wasm"));
    let filters = Filters::new();
    filters.install(&Registry::default().with(generation.clone()));
    let mut batch = FilterBatch::default();
    for number in 0..MESSAGES {
        let level = ["debug", "info", "warn", "error"][number % 4];
        let message = format!(r#"{{"level":"{level}","text":"{}"}}"#, "x".repeat(72));
        batch.push(b"", PayloadKind::Json, message.as_bytes());
    }
    let ids = local.block_on(&runtime, async {
        let mut ids = Vec::new();
        for number in 0..FILTERS {
            let params = Bytes::from(format!(r#"{{"min":"warn","n":{number}}}"#));
            ids.push(filters.add(&generation, &params).await.expect("a filter"));
        }
        ids
    });
    let judge = async |batches: u64| {
        for _ in 0..batches {
            let bits = filters.evaluate(&generation.name, &ids, &batch).await;
            assert!(bits.passes(2, 0) && !bits.passes(1, FILTERS - 1));
        }
    };
    local.block_on(&runtime, judge(2));
    counted(|| local.block_on(&runtime, judge(BATCHES)));
}

/// The component in a file, which takes the messages of [`data`], after so many calls.
pub fn handler(file: &str, before: u64) {
    let (runtime, local) = shard();
    let generation = local.block_on(&runtime, plugin(file));
    let sink = Rc::new(Jobs::default());
    let actors = Actors::new(sink.clone());
    let actor = local.block_on(&runtime, async {
        actors.attach(&generation, &ChannelName::parse("chat:1").expect("a name"), Captures::default())
    });
    let payload = Payload::json(data());
    let call = async |calls: u64| {
        let send = || {
            for _ in 0..calls {
                let sender = Some(Sender { client: ClientId(1), user: UserId("ada".into()) });
                let job =
                    Job::Publish { sender, event: Bytes::new(), payload: payload.clone(), at: UnixMillis(1) };
                actor.send(job, ());
            }
        };
        sink.wait(calls as usize, send).await;
    };
    local.block_on(&runtime, call(before));
    counted(|| local.block_on(&runtime, call(CALLS)));
}

fn shard() -> (tokio::runtime::Runtime, tokio::task::LocalSet) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    (runtime, tokio::task::LocalSet::new())
}

async fn plugin(file: &str) -> Arc<Generation> {
    let cache = std::env::var_os("TIDEGATE_INSTRUCTIONS_CACHE").map(PathBuf::from);
    let engine = PluginEngine::new(cache.as_deref()).expect("an engine");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let bytes = std::fs::read(&file).expect("a built component");
    let source = Source { name: PluginName::parse("counted").expect("a name"), file, bytes };
    let mut settings = PluginSettings::default();
    settings.limits.call_ms = PATIENCE_MS;
    settings.limits.filter_ms = PATIENCE_MS;
    settings.limits.open_ms = PATIENCE_MS;
    Arc::new(load(&engine, source, &settings).await.expect("a plugin"))
}
