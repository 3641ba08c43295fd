//! The plugin floor by itself: no sockets, real components, and things that only it sees.

#[path = "../harness/plugins.rs"]
mod plugins;

mod filtered_turns;
mod filters;
mod folder;
mod handled_turns;
mod long_after_quick;
mod many_filters;
#[path = "../../benches/parts/open_socket.rs"]
mod open_socket;
mod room;
mod stores;
mod waiting;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tidegate::core::PluginName;
use tidegate::plugin::{Generation, PluginEngine, PluginSettings, Source, load};

/// Runs a test on one thread with local tasks, as a shard does.
fn on_a_shard(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

fn settings(config: &[(&str, &str)]) -> PluginSettings {
    let config: BTreeMap<_, _> = config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    PluginSettings { config, ..PluginSettings::default() }
}

async fn loaded(engine: &PluginEngine, name: &str, settings: &PluginSettings) -> Arc<Generation> {
    let file: PathBuf = plugins::path(name);
    let source = Source { name: PluginName::parse(name).unwrap(), bytes: plugins::bytes(name), file };
    Arc::new(load(engine, source, settings).await.unwrap())
}
