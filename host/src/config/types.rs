//! The tree of settings. Each field's comment is its text in the default file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use toml_example::TomlExample;

use super::grants::GrantsConfig;
use super::jwt::JwtConfig;
use super::key_hash::KeyHash;
use super::limits::{ConnectionLimits, RateConfig, SharedLimits};
use super::pusher::PusherConfig;
use super::response::DefaultResponse;
use super::schema::SchemaConfig;
use super::users::UsersConfig;
use crate::core::PayloadKind;
use crate::core::address::Network;
use crate::core::meter::OnExcess;
use crate::hub::audience::FilterFailure;
use crate::hub::presence::PresenceRule;
use crate::hub::rules::{EXPIRE_AFTER, WhoMayPublish};
use crate::hub::slow::SlowPolicy;

/// Every setting may also come from the environment: `TIDEGATE_LISTEN`, or
/// `TIDEGATE_LIMITS__MESSAGE_BYTES` for `message_bytes` of `[limits]`.
#[derive(Clone, Debug, Deserialize, Serialize, TomlExample)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port of the one port.
    #[toml_example(default = "127.0.0.1:8000")]
    pub listen: String,
    /// Threads with their own share of connections and channels: 1 to 256. Left out: one a core.
    #[toml_example(default = 2)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shards: Option<usize>,
    /// Many sockets are written by one call where the system has io_uring and allows it. Without, a
    /// fan-out costs up to an eighth more.
    #[toml_example(default = true)]
    pub io_uring: bool,
    /// The folder of plugins: `*.wasm` in it and in its direct subfolders, watched.
    #[toml_example(default = "plugins/examples")]
    pub plugins_dir: PathBuf,
    /// Where compiled plugins are kept, outside the plugin folder. Left out: `tidegate` in the
    /// user's cache folder.
    #[toml_example(default = "/var/cache/tidegate")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_dir: Option<PathBuf>,
    /// Where channels' state and timers, and plugins' stores, are saved when the server is asked to end,
    /// and found by the next one: a folder of this server's own. Left out: a restart begins anew.
    #[toml_example(default = "/var/lib/tidegate")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<PathBuf>,
    /// Addresses that may use `/_broadcast` and `/api`; `localhost` stands for 127.0.0.1 and ::1.
    #[toml_example(default = ["127.0.0.1", "::1", "localhost"])]
    pub broadcast_allowed_hosts: Vec<String>,
    /// Addresses of proxies in front, as `10.0.0.0/8` or alone: only what these say of where a
    /// client is counts, for limits, for `broadcast_allowed_hosts` and for plugins.
    #[toml_example(default = [])]
    pub trusted_proxies: Vec<Network>,
    /// The header in which they say it: `x-forwarded-for` or `forwarded`. The other one is not
    /// read, because a proxy that does not write it passes on what the client has put there.
    #[toml_example(default = "x-forwarded-for")]
    pub forwarded_header: ForwardedHeader,
    #[toml_example(nesting)]
    pub limits: LimitsConfig,
    #[toml_example(nesting)]
    pub heartbeat: HeartbeatConfig,
    #[toml_example(nesting)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<JwtConfig>,
    #[toml_example(nesting)]
    pub dialects: DialectsConfig,
    #[toml_example(nesting)]
    pub bridge: BridgeConfig,
    #[toml_example(nesting)]
    pub sse: SseConfig,
    #[toml_example(nesting)]
    pub users: UsersConfig,
    /// Rules of channels, the most specific pattern first. With no configuration file at all
    /// one rule opens every name, for development.
    #[toml_example(skip)]
    #[serde(rename = "channel", skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<ChannelConfig>,
    /// Keys of the server API: `tidegate api-key NAME` makes one. With none only
    /// `broadcast_allowed_hosts` may use `/api`, without a key; with any, nobody without one.
    #[toml_example(skip)]
    #[serde(rename = "api_key", skip_serializing_if = "Vec::is_empty")]
    pub api_keys: Vec<ApiKeyConfig>,
    /// Applications served in the Pusher Channels protocol: `[[pusher.app]]`.
    #[toml_example(skip)]
    #[serde(skip_serializing_if = "PusherConfig::is_empty")]
    pub pusher: PusherConfig,
    /// Settings by plugin: `[plugins.NAME]`.
    #[toml_example(skip)]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub plugins: BTreeMap<String, PluginConfig>,
}

/// Bounds. Every one is at least 1: there is no "unlimited".
#[derive(Clone, Debug, Deserialize, Serialize, TomlExample)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// The largest message a client may send, in bytes; up to 16 times as much is answered
    /// with `too_large`, more closes the connection with 1009.
    #[toml_example(default = 65536)]
    pub message_bytes: usize,
    /// The most fragments of one message.
    #[toml_example(default = 1024)]
    pub fragments: usize,
    /// Bytes that may wait for one slow client before its channel's policy decides.
    #[toml_example(default = 1048576)]
    pub outbox_bytes: usize,
    /// Subscriptions of one client.
    #[toml_example(default = 1000)]
    pub subscriptions: usize,
    /// Connections of the whole server, at most 1,048,576 a shard; one more is closed with 4009.
    #[toml_example(default = 100000)]
    pub connections: usize,
    /// Channels of the whole server that are in use at a time.
    #[toml_example(default = 1000000)]
    pub channels: usize,
    /// Seconds for a request's head to arrive, and for a client that is refused without a token to
    /// show one.
    #[toml_example(default = 10)]
    pub handshake_secs: u64,
    #[toml_example(nesting)]
    pub connection: ConnectionLimits,
    #[toml_example(nesting)]
    pub user: SharedLimits,
    #[toml_example(nesting)]
    pub address: SharedLimits,
}

/// Where proxies write whom they speak for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    #[default]
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

#[derive(Clone, Debug, Deserialize, Serialize, TomlExample)]
#[serde(deny_unknown_fields, default)]
pub struct HeartbeatConfig {
    /// Seconds between WebSocket pings.
    #[toml_example(default = 25)]
    pub interval_secs: u64,
    /// Pings without any sign of life before the connection is closed with 4000.
    #[toml_example(default = 2)]
    pub missed: u8,
}

/// Ways to talk to the server beside the native protocol; what is off is not found.
#[derive(Clone, Debug, Deserialize, Serialize, TomlExample)]
#[serde(deny_unknown_fields, default)]
pub struct DialectsConfig {
    /// `/ws/{channel}`: one channel, bare frames.
    #[toml_example(default = true)]
    pub bridge: bool,
    /// `/sse`: server-sent events.
    #[toml_example(default = true)]
    pub sse: bool,
    /// `/dialect/event`: frames keyed by `event`.
    #[toml_example(default = true)]
    pub event: bool,
    /// `/dialect/action`: frames keyed by `action` and `topic`.
    #[toml_example(default = true)]
    pub action: bool,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, TomlExample)]
#[serde(deny_unknown_fields, default)]
pub struct BridgeConfig {
    /// May anonymous clients name themselves with `?user=`? Others see that name as the sender;
    /// auth plugins do not.
    #[toml_example(default = false)]
    pub anonymous_names: bool,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, TomlExample)]
#[serde(deny_unknown_fields, default)]
pub struct SseConfig {
    /// The origin whose pages may read `/sse` beside the server's own, like `https://example.org`;
    /// `*` for all. Left out: none.
    #[toml_example(default = "https://example.org")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_origin: Option<String>,
}

/// One `[[channel]]` rule.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelConfig {
    /// A name; `{captures}` in it stand for one segment, between `.`, `:` and `/`; a `*` at the
    /// end for all that follows. Of several that match, the one that is literal for longest.
    /// Users' own channels are matched by patterns that begin with `$user:`, and by no other.
    pub pattern: String,
    /// `anyone`, `subscribers` or `server`. Left out: `anyone`, in users' own channels `server`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<WhoMayPublish>,
    /// For a subscriber that reads too slowly: `disconnect`, `drop_oldest` or `latest`.
    #[serde(default)]
    pub slow: SlowPolicy,
    /// May a subscriber ask for another of them, with `policy`?
    #[serde(default = "yes")]
    pub slow_choice: bool,
    /// With `latest`: where in the data stands what a message is about, a JSON pointer like
    /// `/symbol`. The last message of each waits. Left out: the last of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_key: Option<String>,
    /// Messages carry `offset` and `timestamp`. Always so where a plugin handles the channel, or
    /// where it has a history.
    #[serde(default)]
    pub offsets: bool,
    /// The last messages, kept for who comes back or comes late. Left out: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<HistoryConfig>,
    /// `explicit` (by asking to join), `auto` (subscribers are in) or `off`.
    #[serde(default)]
    pub presence: PresenceRule,
    /// Subscribers that ask for presence hear who comes and goes.
    #[serde(default = "yes")]
    pub join_leave: bool,
    /// What clients may publish to one channel, all of them together.
    #[serde(default)]
    pub rate: RateConfig,
    /// Past the rate: `refuse` or `disconnect`.
    #[serde(default)]
    pub on_excess: OnExcess,
    /// Anonymous clients may neither subscribe nor publish.
    #[serde(default)]
    pub require_auth: bool,
    /// What may be published: of `json`, `text` and `binary`. Left out: any.
    #[serde(default)]
    pub payloads: Option<Vec<PayloadKind>>,
    /// Does a publisher that subscribes get its own message, if it does not say?
    #[serde(default = "yes")]
    pub echo_to_sender: bool,
    /// Subscribers of one channel; one more is refused with `limit_exceeded`.
    #[serde(default)]
    pub max_subscribers: Option<u32>,
    /// A message for each new subscriber alone, after `subscribed` and what it missed: `true` asks
    /// the channel's handler; `{ data = …, event = "…" }` is what it gets where no handler gives one.
    #[serde(default)]
    pub default_response: DefaultResponse,
    /// Seconds, at least 1, after which a channel is forgotten that has no subscribers, no new
    /// message, no presence and no history left. Used again, it begins anew, at offset 1 of
    /// another epoch, and its handler is opened anew.
    #[serde(default = "expire_after")]
    pub expire_after_secs: u32,
    /// What becomes of a message that a subscriber's filter could not judge, because its plugin
    /// failed, was too late or is gone: `closed`, it is not delivered; `open`, it is.
    #[serde(default)]
    pub filter_failure: FilterFailure,
    /// A JSON Schema for the `data` of a subscription: a table, or a file's path, from the
    /// configuration file's folder. `default`s of its properties are filled in.
    #[serde(default)]
    pub params_schema: Option<SchemaConfig>,
    /// A JSON Schema for the `data` of what is published.
    #[serde(default)]
    pub data_schema: Option<SchemaConfig>,
}

/// What a channel keeps: `history = { messages = 100 }`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryConfig {
    /// At most so many messages.
    pub messages: usize,
    /// At most so many bytes of them; a message counts 192 beside its payload. One client's replay
    /// is as large, beyond `limits.outbox_bytes`.
    #[serde(default = "mebibyte")]
    pub bytes: usize,
    /// Seconds that a message is kept.
    #[serde(default = "hour")]
    pub ttl_secs: u64,
}

fn expire_after() -> u32 {
    EXPIRE_AFTER
}

fn yes() -> bool {
    true
}

fn mebibyte() -> usize {
    1 << 20
}

fn hour() -> u64 {
    3600
}

/// One `[[api_key]]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyConfig {
    /// What people call it: 1 to 64 bytes, each name once.
    pub name: String,
    /// The key's SHA-256, 64 hexadecimal digits. The key itself is written down nowhere.
    pub sha256: KeyHash,
    /// What it may do: `publish`, `read`, `manage`; all of them if left out.
    #[serde(default = "Grant::all")]
    pub allow: Vec<Grant>,
}

/// What a key of the server API may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// Publish to channels.
    Publish,
    /// See channels, connections, plugins and counts.
    Read,
    /// Subscribe, unsubscribe, refresh and disconnect clients.
    Manage,
}

impl Grant {
    pub fn all() -> Vec<Self> {
        vec![Self::Publish, Self::Read, Self::Manage]
    }

    /// As configured.
    pub fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Manage => "manage",
        }
    }
}

/// One `[plugins.NAME]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PluginConfig {
    /// Patterns of the channels it handles, instead of its own.
    pub channels: Option<Vec<String>>,
    /// Where several plugins handle a channel, each is asked in this order, lower ones first, then by
    /// their names; 0 without.
    pub order: i32,
    /// Handed to the plugin through `config`: strings as they are, anything else as JSON.
    pub config: BTreeMap<String, toml::Value>,
    /// Memory of an instance in bytes; 64 MiB without.
    pub memory_bytes: Option<usize>,
    /// Milliseconds for a handler's or action's call; 20 without.
    pub call_ms: Option<u64>,
    /// Milliseconds for an auth call; 50 without.
    pub auth_ms: Option<u64>,
    /// Milliseconds for judging a batch of messages; 5 without.
    pub filter_ms: Option<u64>,
    /// Milliseconds for opening a channel, making a filter, and saying what it is; 100 without.
    pub open_ms: Option<u64>,
    /// Milliseconds for making an instance; 250 without.
    pub instantiate_ms: Option<u64>,
    /// Bytes of one payload that it answers with, in a verdict or an effect; 64 KiB without.
    pub payload_bytes: Option<usize>,
    /// Bytes that one call may hand to the server in one crossing, its whole answer or the arguments of
    /// what it calls; without, 512 KiB or two payloads, what is more. Snapshots have their own bound.
    pub hostcall_bytes: Option<usize>,
    /// Channels with a store of their own, a shard; beyond it channels share one. Without: 500, or 1
    /// for a component of more than 1 MiB.
    pub stores: Option<usize>,
    /// Seconds, at least 1, without a call after which a channel is saved and its memory freed, if
    /// the plugin gives anything to save; 300 without.
    pub hibernate_after_secs: Option<u32>,
    /// Percent, 1 to 99, of channels, clients and batches that a new version gets first, beside the
    /// one in use. Left out: it gets all at once.
    pub canary_share: Option<u8>,
    /// Seconds, at least 1, after which it gets all of them; 60 without.
    pub canary_secs: Option<u64>,
    /// After so many failed calls, at least 1, it is taken back, if more of its calls fail than of
    /// the version in use; 3 without.
    pub canary_errors: Option<u64>,
    /// The SHA-256 of the only file that is loaded, 64 hexadecimal digits. Left out: any.
    pub pin: Option<String>,
    /// Percent, 1 to 100, of its calls within a minute that fail, while it pauses in 5 channels, filters
    /// or shards at least, before the plugin is put into quarantine; 10 without. One that pauses as a
    /// whole 5 times in a row is put there whatever their share.
    pub quarantine_percent: Option<u8>,
    /// A version that would be put into quarantine while younger than this, in seconds, at least 1,
    /// is replaced by the one before it instead; 600 without.
    pub rollback_within_secs: Option<u64>,
    /// Seconds, 1 to 3,600, that a user whose connection has ended has to come back to a channel before
    /// the handler hears that it has left; it hears at once without.
    pub leave_grace_secs: Option<u32>,
    /// Bytes, at least 1, that it may keep in its store: keys and values, and 128 for each key;
    /// 16 MiB without.
    pub store_bytes: Option<usize>,
    /// Keys, at least 1, that it may keep in its store; 65,536 without.
    pub store_keys: Option<usize>,
    /// What it may reach outside the server.
    pub grants: GrantsConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8000".into(),
            shards: None,
            io_uring: true,
            plugins_dir: "plugins/examples".into(),
            cache_dir: None,
            state_dir: None,
            broadcast_allowed_hosts: ["127.0.0.1", "::1", "localhost"].map(String::from).to_vec(),
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::default(),
            limits: LimitsConfig::default(),
            heartbeat: HeartbeatConfig::default(),
            jwt: None,
            dialects: DialectsConfig::default(),
            bridge: BridgeConfig::default(),
            sse: SseConfig::default(),
            users: UsersConfig::default(),
            channels: Vec::new(),
            api_keys: Vec::new(),
            pusher: PusherConfig::default(),
            plugins: BTreeMap::new(),
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            message_bytes: 64 << 10,
            fragments: 1024,
            outbox_bytes: 1 << 20,
            subscriptions: 1000,
            connections: 100_000,
            channels: 1_000_000,
            handshake_secs: 10,
            connection: ConnectionLimits::default(),
            user: SharedLimits::default(),
            address: SharedLimits::default(),
        }
    }
}

impl Default for HeartbeatConfig {
    fn default() -> Self {
        Self { interval_secs: 25, missed: 2 }
    }
}

impl Default for DialectsConfig {
    fn default() -> Self {
        Self { bridge: true, sse: true, event: true, action: true }
    }
}
