//! Starts everything in order (plugins, shards, listeners) and stops it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::listener::{self, ShardSetup};
use super::{jwks, webhooks};
use crate::config::{self, Config, JwtConfig, KeySource, PluginConfig};
use crate::core::clock::UnixMillis;
use crate::core::{ChannelName, Pattern};
use crate::dialect::{Action, Bridge, Event, Framed, Native, Plain, Pusher};
use crate::hub::history::HistoryRule;
use crate::hub::letter::Letter;
use crate::hub::mesh::Mesh;
use crate::hub::pace;
use crate::hub::queue::QueueRule;
use crate::hub::rules::{ChannelRule, Rules, WhoMayPublish};
use crate::hub::shard::{Admission, MeshReader, Settings};
use crate::hub::wire::{Wire, WireId, Wires};
use crate::plugin::saved::{Saved, SavedChannel, StateDir};
use crate::plugin::{PluginHost, PluginLimits, PluginSettings, PluginsConfig, Registry, StoreBounds};
use crate::session;
use crate::session::jwt::Verifier;
use crate::session::pusher::Apps;

/// The dialects, by [`WireId`].
pub static WIRES: [&dyn Wire; 6] = [&Native, &Bridge, &Event, &Action, &Plain, &Framed];
pub const NATIVE: WireId = WireId(0);
pub const BRIDGE: WireId = WireId(1);
pub const EVENT: WireId = WireId(2);
pub const ACTION: WireId = WireId(3);
pub const SSE_PLAIN: WireId = WireId(4);
pub const SSE_FRAMED: WireId = WireId(5);
pub const PUSHER: WireId = WireId(6);

/// With the applications' dialect, where there are any.
fn wires(apps: &Apps) -> Wires {
    if apps.is_empty() {
        return &WIRES;
    }
    let pusher: &'static Pusher = Box::leak(Box::new(Pusher(apps.names().clone())));
    let all: Vec<&'static dyn Wire> = WIRES.into_iter().chain([pusher as &dyn Wire]).collect();
    // Once a process: it is there as long as that.
    Box::leak(all.into_boxed_slice())
}

/// A swap that takes longer than this on some shard is logged; the others do not wait for it.
const INSTALL_PATIENCE: Duration = Duration::from_secs(5);

/// A server that listens. Dropped, its threads go on until the process ends.
pub struct Server {
    pub address: SocketAddr,
    threads: Vec<std::thread::JoinHandle<Vec<SavedChannel>>>,
    stop: tokio::sync::watch::Sender<bool>,
    plugins: Arc<PluginHost>,
    state_dir: Option<StateDir>,
}

impl Server {
    /// Takes the settings of plugins from a new configuration. Nothing else of it is looked at.
    ///
    /// # Errors
    /// Names what cannot be understood; then all is as it was.
    pub fn reconfigure(&self, config: &Config) -> Result<()> {
        self.plugins.reconfigure(plugins_config(config)?.plugins);
        Ok(())
    }

    /// Tells every client 1001 and ends when they have heard it, or after five seconds. Then what
    /// plugins have is saved, where there is a folder for it.
    ///
    /// # Errors
    /// It could not be saved.
    pub fn stop(self) -> Result<()> {
        let _ = self.stop.send(true);
        // A shard that panicked has said so itself.
        let channels = self.threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect();
        let Some(state_dir) = self.state_dir else { return Ok(()) };
        let at = UnixMillis::now();
        state_dir.put(Saved { at, stores: self.plugins.saved_stores(at), channels })
    }
}

/// What [`serve`] would read before it listens, and would stop at: the keys of `[jwt]` and
/// the secrets of `[[pusher.app]]`.
///
/// # Errors
/// Names the setting and the file.
pub fn check(config: &Config) -> Result<()> {
    Apps::new(&config.pusher)?;
    plugins_config(config)?;
    config.jwt.as_ref().map_or(Ok(()), |jwt| Verifier::new(jwt).map(drop))
}

/// Loads the plugins, starts the shards, and listens.
pub fn serve(config: &Config) -> Result<Server> {
    let apps = Arc::new(Apps::new(&config.pusher)?);
    let jwt = config.jwt.as_ref().map(verifier).transpose()?;
    let state_dir = config.state_dir.as_deref().map(StateDir::open).transpose()?;
    let plugins = Arc::new(PluginHost::start(plugins_config(config)?)?);
    if let Some(jwt) = &jwt {
        say_who_decides(jwt, &plugins.registry());
    }
    let shards = config.shard_count();
    let (mesh, inboxes) = Mesh::new(shards);
    plugins.read_by(Arc::new(MeshReader(mesh.clone())));
    let listeners = listener::bind(&config.listen, shards)
        .with_context(|| format!("cannot listen on {}: is another server running there?", config.listen))?;
    let address = listeners[0].local_addr()?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let settings = settings(config, &apps, shards)?;
    let limits = Arc::new(session::limits::Limits::new(&config.limits)?);
    let rules = Arc::new(session::rules::Rules::new(&config.channels)?);
    let mut saved = restore(state_dir.as_ref(), &plugins, &mesh)?.into_iter();
    let mut threads = Vec::new();
    for ((me, inbox), listener) in mesh.shards().zip(inboxes).zip(listeners) {
        let setup = ShardSetup {
            me,
            inbox,
            listener,
            mesh: mesh.clone(),
            settings: settings.clone(),
            config: config.clone(),
            plugins: plugins.clone(),
            jwt: jwt.clone(),
            limits: limits.clone(),
            rules: rules.clone(),
            apps: apps.clone(),
            saved: saved.next().unwrap_or_default(),
            stopped: stopped.clone(),
        };
        let thread = std::thread::Builder::new()
            .name(format!("shard-{}", me.0))
            .spawn(move || listener::run_shard(setup))
            .context("cannot start a shard's thread")?;
        threads.push(thread);
    }
    // Not before somebody has it: who cannot start loses nothing.
    state_dir.as_ref().map_or(Ok(()), StateDir::taken)?;
    plugins.on_change(move |registry| install(&mesh, &registry));
    Ok(Server { address, threads, stop, plugins, state_dir })
}

/// What the server before this one has saved: each shard's part of it. Plugins have theirs.
fn restore(
    state_dir: Option<&StateDir>,
    plugins: &PluginHost,
    mesh: &Mesh,
) -> Result<Vec<Vec<SavedChannel>>> {
    let Some(saved) = state_dir.map(StateDir::read).transpose()?.flatten() else { return Ok(Vec::new()) };
    plugins.restore_stores(saved.stores);
    let mut parts: Vec<Vec<_>> = mesh.shards().map(|_| Vec::new()).collect();
    for channel in saved.channels {
        parts[mesh.home(&channel.name).index()].push(channel);
    }
    Ok(parts)
}

/// With keys from elsewhere, somebody is sent for them.
fn verifier(config: &JwtConfig) -> Result<Arc<Verifier>> {
    let (verifier, desk) = Verifier::new(config)?;
    if let (Some(desk), KeySource::JwksUrl(url)) = (desk, config.source()?) {
        jwks::start(url, desk)?;
    }
    Ok(Arc::new(verifier))
}

/// Settings that are not in use would be missed by nobody until it is too late.
fn say_who_decides(jwt: &Verifier, registry: &Registry) {
    let algorithms = jwt.algorithms();
    match registry.auth().first() {
        None => tracing::info!("tokens are checked by [jwt]: {algorithms}"),
        Some(plugin) => tracing::warn!(
            "[jwt] is not used while an auth plugin is loaded: {} says who a client is; remove {} to use it",
            plugin.name,
            plugin.file.display()
        ),
    }
}

/// Gives every shard the new plugins, and waits until all have them.
fn install(mesh: &Mesh, registry: &Arc<Registry>) {
    let (done, all_done) = mpsc::channel();
    let mut expected = 0;
    for shard in mesh.shards() {
        expected += 1;
        mesh.post(shard, vec![Letter::Install { registry: registry.clone(), done: done.clone() }]);
    }
    for _ in 0..expected {
        if all_done.recv_timeout(INSTALL_PATIENCE).is_err() {
            tracing::warn!("a shard has not taken the new plugins within {INSTALL_PATIENCE:?}; it will");
            return;
        }
    }
}

/// Seconds between two looks for channels that nobody uses, at most.
const SWEEP_SECS: u32 = 10;

/// What a configuration means for each of so many shards: for who drives a shard without a port.
///
/// # Errors
/// Names what cannot be understood.
pub fn shard_settings(config: &Config, shards: usize) -> Result<Settings> {
    settings(config, &Arc::new(Apps::new(&config.pusher)?), shards)
}

fn settings(config: &Config, apps: &Arc<Apps>, shards: usize) -> Result<Settings> {
    let queue = config.users.queue.as_ref();
    let queues = queue.map_or(0, |queue| queue.users.div_ceil(shards));
    let queue = queue.map(|queue| QueueRule {
        messages: queue.messages,
        bytes: queue.bytes,
        ttl: Duration::from_secs(queue.ttl_secs),
    });
    let rules = config.channels.iter().map(|rule| {
        let history = rule.history.as_ref().map(|history| HistoryRule {
            messages: history.messages,
            bytes: history.bytes,
            ttl: Duration::from_secs(history.ttl_secs),
        });
        let of_users = rule.pattern.starts_with(ChannelName::OF_USER);
        let default = if of_users { WhoMayPublish::Server } else { WhoMayPublish::Anyone };
        let queue = if of_users { queue } else { None };
        let ruled = ChannelRule {
            publish: rule.publish.unwrap_or(default),
            slow: rule.slow,
            slow_fixed: !rule.slow_choice,
            latest_key: rule.latest_key()?.map(Arc::new),
            offsets: rule.offsets || queue.is_some(),
            history,
            presence: rule.presence,
            join_leave: rule.join_leave,
            rate: rule.limit()?,
            max_subscribers: rule.max_subscribers,
            queue,
            default_response: rule.default_response.is_wanted(),
            constant_response: rule.response()?.map(Arc::new),
            expire_after: rule.expire_after_secs,
            cached: None,
            counts: false,
        };
        Ok((Pattern::parse(&rule.pattern)?, ruled))
    });
    let mut rules = rules.collect::<Result<Vec<_>>>()?;
    let everyone = format!("{}*", ChannelName::OF_USER);
    if config.users.enabled && rules.iter().all(|(pattern, _)| pattern.to_string() != everyone) {
        let offsets = queue.is_some();
        let rule = ChannelRule { publish: WhoMayPublish::Server, offsets, queue, ..ChannelRule::default() };
        rules.push((Pattern::parse(&everyone)?, rule));
    }
    let counts = apps.iter().map(|app| app.subscription_count).collect();
    let rules = Rules::new(rules).with_apps(apps.names().clone(), counts);
    let hibernate = config.plugins.values().filter_map(|plugin| plugin.hibernate_after_secs);
    Ok(Settings {
        wires: wires(apps),
        // As often as the shortest of these times asks.
        sweep_secs: hibernate.chain([rules.soonest(), SWEEP_SECS]).fold(SWEEP_SECS, u32::min).max(1),
        rules,
        io_uring: config.io_uring,
        outbox_bytes: config.limits.outbox_bytes,
        connections: config.limits.connections.div_ceil(shards),
        channels: config.limits.channels.div_ceil(shards),
        queues,
        heartbeat: Duration::from_secs(config.heartbeat.interval_secs),
        missed_heartbeats: config.heartbeat.missed,
        company: pace::MOST,
        idle_secs: config.limits.connection.idle_secs,
        subscriptions: config.limits.subscriptions,
        admission: admission(config)?,
        board: webhooks::start(apps)?,
        saves: config.state_dir.is_some(),
    })
}

/// The rules' part in subscriptions that plugins ask for.
fn admission(config: &Config) -> Result<Admission> {
    let rules = session::rules::Rules::new(&config.channels)?;
    Ok(Admission::new(move |channel, anonymous, params| rules.admit(channel, anonymous, params)))
}

fn plugins_config(config: &Config) -> Result<PluginsConfig> {
    let plugins = config.plugins.iter().map(|(name, plugin)| {
        let settings = config::version_settings(name, plugin, plugin_settings(name, plugin)?)?;
        Ok((name.clone(), settings))
    });
    Ok(PluginsConfig {
        dir: config.plugins_dir.clone(),
        cache_dir: cache_dir(config),
        plugins: plugins.collect::<Result<_>>()?,
    })
}

fn plugin_settings(name: &str, plugin: &PluginConfig) -> Result<PluginSettings> {
    let defaults = PluginSettings::default();
    let limits = defaults.limits.clone();
    let channels = plugin.channels.as_ref().map(|patterns| {
        patterns.iter().map(|pattern| Ok(Pattern::parse(pattern)?)).collect::<Result<Vec<_>>>()
    });
    let config = plugin.config.iter().map(|(key, value)| {
        let text = match value {
            toml::Value::String(text) => text.clone(),
            other => serde_json::to_string(other)?,
        };
        Ok((key.clone(), text))
    });
    let payload_bytes = plugin.payload_bytes.unwrap_or(limits.payload_bytes);
    Ok(PluginSettings {
        channels: channels.transpose()?,
        config: config.collect::<Result<_>>()?,
        grants: plugin.grants.settings(name)?,
        order: plugin.order,
        stores: plugin.stores,
        leave_grace: plugin.leave_grace_secs.map(|secs| Duration::from_secs(secs.into())),
        hibernate_after: plugin.hibernate_after_secs.unwrap_or(defaults.hibernate_after),
        key_values: StoreBounds {
            bytes: plugin.store_bytes.unwrap_or(defaults.key_values.bytes),
            keys: plugin.store_keys.unwrap_or(defaults.key_values.keys),
        },
        limits: PluginLimits {
            memory_bytes: plugin.memory_bytes.unwrap_or(limits.memory_bytes),
            call_ms: plugin.call_ms.unwrap_or(limits.call_ms),
            auth_ms: plugin.auth_ms.unwrap_or(limits.auth_ms),
            filter_ms: plugin.filter_ms.unwrap_or(limits.filter_ms),
            open_ms: plugin.open_ms.unwrap_or(limits.open_ms),
            instantiate_ms: plugin.instantiate_ms.unwrap_or(limits.instantiate_ms),
            payload_bytes,
            hostcall_bytes: plugin.hostcall_bytes.unwrap_or(limits.hostcall_bytes.max(2 * payload_bytes)),
        },
        ..defaults
    })
}

/// Where compiled plugins are kept, if anywhere.
pub fn cache_dir(config: &Config) -> Option<std::path::PathBuf> {
    config.cache_dir.clone().or_else(default_cache_dir)
}

fn default_cache_dir() -> Option<std::path::PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").map(std::path::PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| std::path::PathBuf::from(home).join(".cache"));
    Some(base.filter(|base| base.is_absolute()).or_else(home)?.join("tidegate"))
}
