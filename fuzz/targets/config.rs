//! A configuration file and an environment of any content: settings that the server can run
//! with, or an error that says where to look.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use tidegate::config::{self, Config, Overrides};
use tidegate::core::{Pattern, PluginName};
use toml::{Table, Value};

use super::input::Input;

pub fn config(data: &[u8]) {
    let mut input = Input::new(data);
    let mut variables = Vec::new();
    // As a rule a file alone, which a fuzzer can then write like a text.
    while input_names_a_variable(&mut input) {
        let (name, value) = (input.long_text().to_uppercase(), input.long_text());
        variables.push((format!("TIDEGATE_{name}"), value));
    }
    let text = String::from_utf8_lossy(input.rest());
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();

    from_file(file.path(), &text);
    let both = config::load(Some(file.path()), variables.iter().cloned(), &Overrides::default());
    match both {
        Ok(config) => is_sound(&config),
        Err(error) => {
            let said = format!("{error:#}");
            let names = variables.iter().any(|(name, _)| said.contains(name.as_str()));
            assert!(names || is_named(&said, &text) || says_a_setting(&said), "{said}");
        }
    }
}

fn input_names_a_variable(input: &mut Input<'_>) -> bool {
    input.byte() == 0xFF
}

fn from_file(path: &Path, text: &str) {
    match config::load(Some(path), std::iter::empty(), &Overrides::default()) {
        Ok(config) => {
            is_sound(&config);
            comes_back(&config);
        }
        Err(error) => {
            let said = format!("{error:#}");
            assert!(is_named(&said, text) || says_a_setting(&said), "{said}");
        }
    }
}

/// The error shows the place in the file, or a key that stands there. The TOML reader knows no
/// place where it refuses to go deeper.
fn is_named(said: &str, text: &str) -> bool {
    said.contains("at line")
        || said.ends_with("recursion limit\n")
        || text.parse::<Table>().is_ok_and(|table| keys(&table).any(|key| said.contains(key)))
}

fn keys(table: &Table) -> Box<dyn Iterator<Item = &str> + '_> {
    Box::new(table.iter().flat_map(|(key, value)| {
        let below = value.as_table().map(keys);
        std::iter::once(key.as_str()).chain(below.into_iter().flatten())
    }))
}

/// What was left out has a default, which may not go together with the rest.
fn says_a_setting(said: &str) -> bool {
    ["listen", "shards", "limits.", "heartbeat.", "[[channel]]", "[plugins."]
        .iter()
        .any(|key| said.contains(key))
}

/// Nothing behind it checks again.
fn is_sound(config: &Config) {
    let limits = &config.limits;
    assert!(config.listen.parse::<SocketAddr>().is_ok());
    assert!(config.shards.is_none_or(|shards| (1..=256).contains(&shards)));
    let bounds = [
        limits.message_bytes,
        limits.fragments,
        limits.outbox_bytes,
        limits.subscriptions,
        limits.connections,
        limits.channels,
    ];
    assert!(bounds.iter().all(|bound| *bound >= 1));
    let patience = Duration::from_secs(limits.handshake_secs);
    assert!(!patience.is_zero() && Instant::now().checked_add(patience).is_some(), "{patience:?} never end");
    assert!(config.heartbeat.interval_secs >= 1 && config.heartbeat.missed >= 1);
    assert!(limits.connection.limit().is_ok() && limits.user.limit("").is_ok());
    assert!(limits.address.limit("").is_ok() && limits.connection.idle_secs != Some(0));
    for rule in &config.channels {
        assert!(rule.limit().is_ok() && rule.params().is_ok() && rule.data().is_ok());
    }
    assert!(config.channels.iter().all(|rule| Pattern::parse(&rule.pattern).is_ok()));
    for (name, plugin) in &config.plugins {
        assert!(PluginName::parse(name).is_some());
        assert!(plugin.channels.iter().flatten().all(|pattern| Pattern::parse(pattern).is_ok()));
        for value in plugin.config.values() {
            assert!(matches!(value, Value::String(_)) || serde_json::to_string(value).is_ok());
        }
    }
}

/// `tidegate config show` and a file of it are the same settings.
fn comes_back(config: &Config) {
    let written = toml::to_string(config).expect("settings can be written");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(written.as_bytes()).unwrap();
    let again = config::load(Some(file.path()), std::iter::empty(), &Overrides::default());
    let again = again.unwrap_or_else(|error| panic!("{error:#}: {written}"));
    assert_eq!(toml::to_string(&again).unwrap(), written);
}
