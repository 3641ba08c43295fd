//! How much of everything a plugin may use. Each has a default, none is unlimited.

use std::time::Duration;

/// Plugins' calls that a shard has begun are gone on with for so long; then its other work has its turn.
pub const AT_A_STRETCH: Duration = Duration::from_micros(500);

/// Bounds of one plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginLimits {
    /// Linear memory of one store, all its memories together, in bytes.
    pub memory_bytes: usize,
    /// A handler's or an action's call, in milliseconds of its own running.
    pub call_ms: u64,
    /// `authenticate` and `authorize`.
    pub auth_ms: u64,
    /// Judging one batch of messages.
    pub filter_ms: u64,
    /// `open`, `describe` and `names`; making a filter.
    pub open_ms: u64,
    /// Making an instance.
    pub instantiate_ms: u64,
    /// One payload in an effect or a verdict, in bytes.
    pub payload_bytes: usize,
    /// What a call may hand to the host in one crossing, arguments and results together, in bytes.
    /// `save` may hand over a snapshot all the same.
    pub hostcall_bytes: usize,
}

impl Default for PluginLimits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            call_ms: 20,
            auth_ms: 50,
            filter_ms: 5,
            open_ms: 100,
            instantiate_ms: 250,
            payload_bytes: 64 << 10,
            // Some payloads. Taking it out of the component holds the shard: 0.15 µs a KiB.
            hostcall_bytes: 512 << 10,
        }
    }
}

/// Channels of a shard that have a store of their own, where the settings do not say. A component this
/// large carries a language's runtime, and each of its instances half a megabyte and more: channels share.
pub fn own_stores(component_bytes: u64) -> usize {
    const LARGE: u64 = 1 << 20;
    if component_bytes > LARGE { 1 } else { 500 }
}

/// Components and modules in one another in a file.
pub const NESTING: usize = 32;
/// Patterns of channels that a plugin may name: every new channel is compared with all of them.
pub const PATTERNS: usize = 64;
/// A user's name, in bytes: it travels with all that the user says. As with the built-in verifier.
pub const USER_BYTES: usize = 255;
/// A client's claims, names and values together, in bytes: kept for as long as it is there.
pub const CLAIMS_BYTES: usize = 64 << 10;
/// Effects of one call.
pub const EFFECTS: usize = 256;
/// Clients that a publication can be for.
pub const AUDIENCE: usize = 1024;
/// Of the name of a plugin's own figure.
pub const METRIC_NAME_BYTES: usize = 64;
/// A reason or an error text that a plugin returns, in bytes; what is longer is cut.
pub const REASON_BYTES: usize = 1024;
/// What a channel may save, in bytes.
pub const SNAPSHOT_BYTES: usize = 1 << 20;
/// What `save` may hand over, beyond [`PluginLimits::hostcall_bytes`]: a snapshot, and one that is a
/// little too large, for the error to say how large it is.
pub const SAVE_HOSTCALL_BYTES: usize = SNAPSHOT_BYTES + SNAPSHOT_BYTES / 4;
/// Elements of a table, tables, memories and core instances of one store. A component of Python is 38
/// instances, of QuickJS 3 memories.
pub const TABLE_ELEMENTS: usize = 20_000;
pub const TABLES: usize = 8;
pub const MEMORIES: usize = 4;
pub const INSTANCES: usize = 64;
/// Calls of the contract's `store` in one call of a plugin.
pub const KEY_VALUE_CALLS: u32 = 64;
/// Resources that one store knows: each of its channels is one, and what a component makes of
/// the host's. wasmtime's own bound of 100,000 is less than a shared store may have channels.
pub const HANDLES: usize = 1_000_000;
/// What a store holds of WASI at a time: streams, files, requests, headers.
pub const WASI_HANDLES: usize = 1024;
/// A request's or an answer's headers, in bytes as they lie in memory.
pub const FIELDS_BYTES: usize = 64 << 10;
/// A component file, in bytes.
pub const FILE_BYTES: u64 = 32 << 20;

/// Cuts a text to a length in bytes, between characters.
pub fn cut(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        let end = (0..=bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

/// Cuts a text, and makes it one line: in the log no plugin can forge another's.
pub fn line(text: String, bytes: usize) -> String {
    cut(text, bytes).replace(['\n', '\r'], " ")
}
