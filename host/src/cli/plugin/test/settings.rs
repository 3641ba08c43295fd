//! The settings of a script's server.

use std::path::Path;

use anyhow::{Context, Result};

use super::super::file::cache_setting;
use crate::config::{self, Config, Overrides};

/// Signs the tokens of a script's clients, where nobody else says who they are.
pub const SECRET: &str = "the secret of tidegate plugin test, which everybody may know";

/// `settings` are a script's. With `named` its clients are users by their names in the script.
///
/// # Errors
/// What the settings have wrong, as `tidegate config check` would say it.
pub fn of(folder: &Path, settings: &str, named: bool) -> Result<Config> {
    let mut text = settings.to_owned();
    if named {
        text += &format!("\n[jwt]\nsecret = {SECRET:?}\n");
    }
    // As a server without a configuration has it.
    if !has(settings, "channel") {
        text += "\n[[channel]]\npattern = \"*\"\n";
    }
    let file = folder.join("settings.toml");
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    let flags = Overrides {
        listen: Some("127.0.0.1:0".into()),
        plugins_dir: Some(folder.join("plugins")),
        // With one thread what comes is in one order.
        shards: Some(1),
        pusher_app: None,
    };
    // No more of the environment: a script says the same everywhere.
    config::load(Some(&file), cache_setting(), &flags).context("the script's settings")
}

/// Does a script say for itself who its clients are?
pub fn has_jwt(settings: &str) -> bool {
    has(settings, "jwt")
}

fn has(settings: &str, key: &str) -> bool {
    settings.parse::<toml::Table>().is_ok_and(|table| table.contains_key(key))
}
