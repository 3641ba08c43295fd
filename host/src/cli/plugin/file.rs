//! The component that a command is about.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, anyhow};
use tracing_subscriber::EnvFilter;

use crate::config;
use crate::core::PluginName;
use crate::plugin::offline::{Offline, Recorded, Recording};
use crate::plugin::{PluginEngine, PluginSettings, Source};

/// A component, loaded without a server.
pub struct Loaded {
    pub plugin: Offline,
    pub recording: Recording,
    /// The name that a server would give it, if its file were called so.
    pub renamed: Option<String>,
}

/// `chat_room.wasm`, as cargo builds it, is `chat-room` to a server only once it is called so.
fn name_of(file: &Path) -> Option<(PluginName, Option<String>)> {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    if let Some(name) = PluginName::parse(&stem) {
        return Some((name, None));
    }
    let fit = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let fitted: String = stem.chars().map(fit).take(64).collect();
    let name = PluginName::parse(&fitted)?;
    let renamed = format!("{name}.wasm");
    Some((name, Some(renamed)))
}

/// Loads it as a server would, but for what it reads: that is answered by the recording.
/// `cache` is where compiled code is kept; without it is compiled anew.
pub async fn load(file: &Path, recorded: Recorded, cache: Option<&Path>) -> Result<Loaded> {
    let said = || file.display().to_string();
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", said()))?;
    let (name, renamed) = name_of(file).with_context(|| format!("{} has no name", said()))?;
    let settings = PluginSettings { config: recorded.config.clone(), ..PluginSettings::default() };
    let recording: Recording = Arc::new(Mutex::new(recorded));
    let engine = PluginEngine::offline(cache, recording.clone())?;
    let source = Source { name, file: file.to_owned(), bytes };
    let plugin = Offline::load(source, &settings, &engine).await;
    let plugin = plugin.map_err(|error| anyhow!("{}: {error}", said()))?;
    Ok(Loaded { plugin, recording, renamed })
}

/// The one setting of the machine that these commands heed: where compiled code is kept.
pub fn cache_setting() -> impl Iterator<Item = (String, String)> {
    config::environment().filter(|(name, _)| name == "TIDEGATE_CACHE_DIR")
}

/// `--host FILE`, or nothing at all.
pub fn recorded(file: Option<&Path>) -> Result<Recorded> {
    let Some(file) = file else { return Ok(Recorded { config: BTreeMap::new(), ..Recorded::default() }) };
    let said = file.display();
    let json = std::fs::read_to_string(file).with_context(|| format!("cannot read {said}"))?;
    Recorded::parse(&json).with_context(|| format!("{said} is no recorded host"))
}

/// Its log lines, without what only a server's log needs.
/// `usual` is what is shown where the environment does not say otherwise.
pub fn log_to_stderr(usual: &str) {
    let filter = EnvFilter::try_from_env("TIDEGATE_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .without_time()
        .with_target(false)
        .init();
}

/// Runs what a command does with a component.
pub fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_as_a_server_would_have_it() {
        let named = |file: &str| {
            let (name, renamed) = name_of(Path::new(file)).unwrap();
            (name.to_string(), renamed)
        };
        assert_eq!(named("a/chat-room.wasm"), ("chat-room".into(), None));
        assert_eq!(named("Chat_Room.wasm"), ("chat-room".into(), Some("chat-room.wasm".into())));
        assert_eq!(named("ü.wasm").1, Some("-.wasm".into()));
        assert!(name_of(Path::new("/")).is_none());
    }
}
