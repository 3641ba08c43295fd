//! File, environment and flags to one checked [`Config`].

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use toml::{Table, Value};

use super::pusher::{self, PusherAppConfig};
use super::rules;
use super::types::{ApiKeyConfig, ChannelConfig, Config};
use super::versions;
use crate::core::{ClientId, Pattern, PluginName, ShardId};
use crate::hub::presence::PresenceRule;
use crate::hub::rules::EXPIRE_AFTER;

const PREFIX: &str = "TIDEGATE_";
/// Read by the logger and by the other commands; not settings.
const NOT_SETTINGS: [&str; 5] =
    ["TIDEGATE_KEY", "TIDEGATE_LOG", "TIDEGATE_TOKEN", "TIDEGATE_TOKEN_SECRET", "TIDEGATE_URL"];
/// Parts of a variable's name between `__`. Settings and plugins' own go less deep; tables are
/// walked by recursion.
const MOST_PARTS: usize = 16;
/// Longer than any request's head takes; a clock cannot add much more.
const MOST_HANDSHAKE_SECS: u64 = 24 * 60 * 60;

/// The longest name of an API key, in bytes.
const MAX_KEY_NAME: usize = 64;

/// What flags say; stronger than file and environment.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub listen: Option<String>,
    pub plugins_dir: Option<PathBuf>,
    pub shards: Option<usize>,
    /// `ID:KEY:SECRET`.
    pub pusher_app: Option<String>,
}

/// The process's variables. What is not UTF-8 in them shows as `\u{fffd}`: most of them are nobody's
/// settings, and no reason not to start.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    readable(std::env::vars_os())
}

fn readable(variables: impl Iterator<Item = (OsString, OsString)>) -> impl Iterator<Item = (String, String)> {
    let text = |raw: OsString| raw.to_string_lossy().into_owned();
    variables.map(move |(name, value)| (text(name), text(value)))
}

/// Builds the settings. Errors name the setting, where it came from and what it may be.
pub fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    flags: &Overrides,
) -> Result<Config> {
    let mut table = match file {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the configuration file {}", path.display()))?;
            // Checked by itself first, so that an error shows the file's own line.
            toml::from_str::<Config>(&text)
                .with_context(|| format!("the configuration file {} is not valid", path.display()))?;
            text.parse::<Table>().context("the configuration file is not TOML")?
        }
        None => Table::new(),
    };
    let environment: Vec<_> = environment.collect();
    let secrets = secrets(&table);
    for (name, value) in &environment {
        let is_setting = !NOT_SETTINGS.contains(&name.as_str()) && !secrets.contains(name);
        if let Some(path) = name.strip_prefix(PREFIX).filter(|_| is_setting) {
            set(&mut table, path, value).with_context(|| format!("the environment variable {name}"))?;
            Config::deserialize_table(&table).with_context(|| format!("the environment variable {name}"))?;
        }
    }
    let mut config = Config::deserialize_table(&table)?;
    if let Some(listen) = &flags.listen {
        config.listen.clone_from(listen);
    }
    if let Some(dir) = &flags.plugins_dir {
        config.plugins_dir.clone_from(dir);
    }
    if flags.shards.is_some() {
        config.shards = flags.shards;
    }
    if let Some(app) = &flags.pusher_app {
        config.pusher.apps.push(PusherAppConfig::quick(app)?);
    }
    for app in &mut config.pusher.apps {
        app.read_environment(&environment)?;
    }
    if file.is_none() && config.channels.is_empty() {
        config.channels.push(development_rule());
    }
    // A file's own folder is where its paths begin.
    rules::read_schemas(&mut config.channels, file.and_then(Path::parent).unwrap_or(Path::new("")))?;
    check(&config)?;
    Ok(config)
}

/// The variables that the file has secrets in: they are no settings, whatever they are called.
fn secrets(table: &Table) -> Vec<String> {
    let apps = table.get("pusher").and_then(|pusher| pusher.get("app")).and_then(Value::as_array);
    let names = apps.into_iter().flatten().filter_map(|app| app.get("secret_env")?.as_str());
    names.map(str::to_owned).collect()
}

/// Without a file every channel is open: whoever tries the server out has a use for all of them.
fn development_rule() -> ChannelConfig {
    ChannelConfig {
        pattern: "*".into(),
        publish: Default::default(),
        slow: Default::default(),
        slow_choice: true,
        latest_key: None,
        filter_failure: Default::default(),
        offsets: false,
        history: None,
        presence: PresenceRule::Explicit,
        join_leave: true,
        rate: Default::default(),
        on_excess: Default::default(),
        require_auth: false,
        payloads: None,
        echo_to_sender: true,
        max_subscribers: None,
        default_response: Default::default(),
        expire_after_secs: EXPIRE_AFTER,
        params_schema: None,
        data_schema: None,
    }
}

impl Config {
    fn deserialize_table(table: &Table) -> Result<Config> {
        Ok(Value::Table(table.clone()).try_into()?)
    }

    /// As many as are set, or one a core of this machine.
    pub fn shard_count(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.shards.unwrap_or_else(|| cores().min(ShardId::MAX_SHARDS))
    }
}

/// `LIMITS__MESSAGE_BYTES` and `1024` to `limits.message_bytes = 1024`. A value is TOML where it
/// parses as such (numbers, lists), else a string.
fn set(table: &mut Table, path: &str, value: &str) -> Result<()> {
    let keys: Vec<String> = path.split("__").map(str::to_lowercase).collect();
    ensure!(keys.len() <= MOST_PARTS, "has more than {MOST_PARTS} parts");
    let Some((last, folders)) = keys.split_last() else { bail!("names no setting") };
    let mut at = table;
    for key in folders {
        let next = at.entry(key.clone()).or_insert_with(|| Value::Table(Table::new()));
        at = next.as_table_mut().with_context(|| format!("`{key}` is not a section"))?;
    }
    let parsed = format!("v = {value}").parse::<Table>().ok().and_then(|mut t| t.remove("v"));
    at.insert(last.clone(), parsed.unwrap_or_else(|| Value::String(value.into())));
    Ok(())
}

fn check(config: &Config) -> Result<()> {
    config.listen.parse::<std::net::SocketAddr>().with_context(|| {
        format!("listen = \"{}\" is not an address and port like 127.0.0.1:8000", config.listen)
    })?;
    if let Some(shards) = config.shards {
        ensure!((1..=ShardId::MAX_SHARDS).contains(&shards), "shards = {shards} is not 1 to 256");
    }
    let limits = &config.limits;
    for (name, value) in [
        ("message_bytes", limits.message_bytes),
        ("fragments", limits.fragments),
        ("outbox_bytes", limits.outbox_bytes),
        ("subscriptions", limits.subscriptions),
        ("connections", limits.connections),
        ("channels", limits.channels),
        ("handshake_secs", limits.handshake_secs as usize),
    ] {
        ensure!(value >= 1, "limits.{name} = 0: a limit is at least 1; 0 does not mean unlimited");
    }
    let shards = config.shard_count();
    ensure!(
        limits.connections.div_ceil(shards) <= ClientId::MAX_SLOTS,
        "limits.connections = {} is more than {} for each of {shards} shards",
        limits.connections,
        ClientId::MAX_SLOTS
    );
    ensure!(limits.message_bytes <= 64 << 20, "limits.message_bytes is more than 64 MiB");
    ensure!(limits.handshake_secs <= MOST_HANDSHAKE_SECS, "limits.handshake_secs is more than a day");
    limits.connection.check()?;
    limits.user.check("limits.user")?;
    limits.address.check("limits.address")?;
    ensure!(config.heartbeat.interval_secs >= 1, "heartbeat.interval_secs is at least 1");
    ensure!(config.heartbeat.missed >= 1, "heartbeat.missed is at least 1");
    if let Some(jwt) = &config.jwt {
        jwt.check()?;
    }
    if let Some(origin) = &config.sse.allow_origin {
        ensure!(
            is_origin(origin),
            "sse.allow_origin = {origin:?} is neither `*` nor like https://example.org"
        );
    }
    for rule in &config.channels {
        if let Some(history) = &rule.history {
            let of = format!("[[channel]] \"{}\": history", rule.pattern);
            ensure!(history.messages >= 1, "{of}.messages = 0: leave `history` out for none");
            ensure!(history.bytes >= 1, "{of}.bytes = 0: a limit is at least 1");
            ensure!(history.bytes <= 64 << 20, "{of}.bytes is more than 64 MiB: it is kept for each channel");
            ensure!(history.ttl_secs >= 1, "{of}.ttl_secs = 0: a message is kept for at least a second");
        }
    }
    rules::check(&config.channels)?;
    config.users.check(&config.channels)?;
    check_api_keys(&config.api_keys)?;
    pusher::check(&config.pusher)?;
    for (name, plugin) in &config.plugins {
        ensure!(PluginName::parse(name).is_some(), "[plugins.{name}]: a plugin's name is a-z, 0-9 and -");
        plugin.check(&format!("plugins.{name}"))?;
        plugin.grants.check(&format!("plugins.{name}.grants"))?;
        versions::check(name, plugin)?;
        for pattern in plugin.channels.iter().flatten() {
            Pattern::parse(pattern).with_context(|| format!("[plugins.{name}] channels"))?;
        }
    }
    Ok(())
}

/// `*`, or scheme, host and perhaps a port, as a browser writes an origin (RFC 6454, section 6.2).
pub(super) fn is_origin(text: &str) -> bool {
    let host = |host: &str| {
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic() && !b"/?#@*,".contains(&b))
    };
    text == "*"
        || text
            .split_once("://")
            .is_some_and(|(scheme, site)| matches!(scheme, "http" | "https") && host(site))
}

fn check_api_keys(keys: &[ApiKeyConfig]) -> Result<()> {
    for (index, key) in keys.iter().enumerate() {
        let name = &key.name;
        ensure!(
            (1..=MAX_KEY_NAME).contains(&name.len()) && !name.chars().any(char::is_control),
            "[[api_key]] number {}: a name is 1 to {MAX_KEY_NAME} bytes without control characters",
            index + 1
        );
        ensure!(
            !key.allow.is_empty(),
            "[[api_key]] {name}: allow is empty: leave it out to allow everything"
        );
        for other in &keys[..index] {
            ensure!(other.name != *name, "[[api_key]] {name}: the name stands twice");
            ensure!(other.sha256 != key.sha256, "[[api_key]] {name}: it is the same key as {}", other.name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Grant;

    fn with(environment: &[(&str, &str)]) -> Result<Config> {
        let environment = environment.iter().map(|(k, v)| (k.to_string(), v.to_string()));
        load(None, environment, &Overrides::default())
    }

    #[test]
    fn the_environment_sets_any_setting() {
        let config =
            with(&[("TIDEGATE_LISTEN", "0.0.0.0:9"), ("TIDEGATE_LIMITS__MESSAGE_BYTES", "9")]).unwrap();
        assert_eq!(config.listen, "0.0.0.0:9");
        assert_eq!(config.limits.message_bytes, 9);
        let config = with(&[("TIDEGATE_PLUGINS__CHAT__CONFIG__MAX", "9")]).unwrap();
        assert_eq!(config.plugins["chat"].config["max"].as_integer(), Some(9));
    }

    #[test]
    fn flags_are_stronger_than_the_environment() {
        let flags = Overrides { listen: Some("127.0.0.1:1".into()), ..Overrides::default() };
        let environment = [("TIDEGATE_LISTEN".to_string(), "127.0.0.1:2".to_string())];
        assert_eq!(load(None, environment.into_iter(), &flags).unwrap().listen, "127.0.0.1:1");
    }

    #[test]
    fn what_is_unknown_or_senseless_is_an_error() {
        assert!(format!("{:#}", with(&[("TIDEGATE_LISTN", "x")]).unwrap_err()).contains("TIDEGATE_LISTN"));
        assert!(with(&[("TIDEGATE_LIMITS__OUTBOX_BYTES", "0")]).is_err());
        assert!(with(&[("TIDEGATE_LISTEN", "here")]).is_err());
        for origin in
            ["", "example.org", "https://", "https://a/b", "https://a, https://b", "https://a\r\nx: y"]
        {
            let error = with(&[("TIDEGATE_SSE__ALLOW_ORIGIN", origin)]).unwrap_err();
            assert!(format!("{error:#}").contains("sse.allow_origin"), "{error:#}");
        }
        for origin in ["*", "https://example.org", "http://[::1]:8080"] {
            assert!(with(&[("TIDEGATE_SSE__ALLOW_ORIGIN", origin)]).is_ok(), "{origin}");
        }
    }

    #[test]
    fn what_other_commands_read_is_not_a_setting() {
        assert!(with(&NOT_SETTINGS.map(|name| (name, "x"))).is_ok());
    }

    #[test]
    fn a_shard_has_no_more_connections_than_it_has_ids_for() {
        let most = ClientId::MAX_SLOTS;
        let check = |connections: usize| {
            let limit = connections.to_string();
            with(&[("TIDEGATE_SHARDS", "2"), ("TIDEGATE_LIMITS__CONNECTIONS", &limit)])
        };
        assert!(check(2 * most).is_ok());
        let error = format!("{:#}", check(2 * most + 1).unwrap_err());
        assert!(error.contains("limits.connections = 2097153 is more than 1048576 for each of 2"), "{error}");
    }

    #[test]
    fn a_variable_that_is_not_utf_8_is_no_reason_to_stop() {
        use std::os::unix::ffi::OsStringExt;
        let raw = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let read: Vec<_> = readable([(raw(b"A"), raw(b"\xff"))].into_iter()).collect();
        assert_eq!(read, [("A".to_owned(), "\u{fffd}".to_owned())]);
    }

    #[test]
    fn api_keys_are_checked() {
        let (one, two) = ("a1".repeat(32), "B2".repeat(32));
        let check = |keys: &str| with(&[("TIDEGATE_API_KEY", keys)]).map(|config| config.api_keys);
        let keys =
            check(&format!("[{{name='a', sha256='{one}'}}, {{name='b', sha256='{two}', allow=['read']}}]"));
        let keys = keys.unwrap();
        assert_eq!((&keys[0].allow, &keys[1].allow), (&Grant::all(), &vec![Grant::Read]));
        for (keys, says) in [
            (format!("[{{name='', sha256='{one}'}}]"), "number 1"),
            (format!("[{{name='{}', sha256='{one}'}}]", "n".repeat(65)), "1 to 64 bytes"),
            (format!("[{{name='a', sha256='{one}', allow=[]}}]"), "allow is empty"),
            (format!("[{{name='a', sha256='{one}', allow=['all']}}]"), "`publish`, `read`, `manage`"),
            (format!("[{{name='a', sha256='{one}', key='x'}}]"), "unknown field `key`"),
            (format!("[{{name='a', sha256='{one}'}}, {{name='a', sha256='{two}'}}]"), "stands twice"),
            (format!("[{{name='a', sha256='{one}'}}, {{name='b', sha256='{one}'}}]"), "same key as a"),
            (format!("[{{name='a', sha256='{}'}}]", "a1".repeat(31)), "64 hexadecimal digits"),
            ("[{name='a'}]".into(), "sha256"),
        ] {
            let error = format!("{:#}", check(&keys).unwrap_err());
            assert!(error.contains(says), "{keys}: {error}");
        }
    }

    #[test]
    fn only_without_a_file_everything_is_open() {
        assert_eq!(with(&[]).unwrap().channels.len(), 1);
    }
}
