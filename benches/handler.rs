//! What a channel handler costs: jobs of 100 bytes through an actor, as the hub does it.
//!
//! cargo bench --workspace --bench handler

#[path = "parts/jobs.rs"]
mod jobs;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use jobs::Jobs;
use tidegate::core::clock::UnixMillis;
use tidegate::core::{Captures, ChannelName, ClientId, Payload, PluginName, Sender, UserId};
use tidegate::plugin::{Actors, Generation, Job, PluginEngine, PluginSettings, Source, load};

/// Jobs between two looks at the clock.
const BATCH: usize = 1000;
const BATCHES: usize = 300;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let engine = PluginEngine::new(None).expect("an engine");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let text = format!(r#"{{"text":"{}"}}"#, "x".repeat(89));
        measure(&engine, "chat: checks and signs", root.join("plugins/examples/chat/chat.wasm"), &text).await;
        measure(&engine, "passes everything", root.join("tests/fixtures/pass.wasm"), &text).await;
    });
}

async fn measure(engine: &PluginEngine, label: &str, file: PathBuf, text: &str) {
    let generation = generation(engine, file).await;
    let sink = Rc::new(Jobs::default());
    let actors = Actors::new(sink.clone());
    let channel = ChannelName::parse("bench:1").expect("a name");
    let actor = actors.attach(&generation, &channel, Captures::default());
    let payload = Payload::json(Bytes::copy_from_slice(text.as_bytes()));
    let sender = Sender { client: ClientId(1), user: UserId("ada".into()) };
    let mut nanos = Vec::new();
    for _ in 0..BATCHES {
        let began = Instant::now();
        let send = || {
            for _ in 0..BATCH {
                let job = Job::Publish {
                    sender: Some(sender.clone()),
                    event: Bytes::new(),
                    payload: payload.clone(),
                    at: UnixMillis(1),
                };
                actor.send(job, ());
            }
        };
        sink.wait(BATCH, send).await;
        nanos.push(began.elapsed().as_nanos() as f64 / BATCH as f64);
    }
    nanos.sort_by(f64::total_cmp);
    println!(
        "{label:>24}: {} bytes, p50 {:.0} ns, p99 {:.0} ns a call (batches of {BATCH})",
        text.len(),
        nanos[BATCHES / 2],
        nanos[BATCHES * 99 / 100]
    );
}

async fn generation(engine: &PluginEngine, file: PathBuf) -> Arc<Generation> {
    let bytes = std::fs::read(&file).expect("a built component");
    let name = PluginName::parse("bench").expect("a name");
    let source = Source { name, file, bytes };
    Arc::new(load(engine, source, &PluginSettings::default()).await.expect("a plugin"))
}
