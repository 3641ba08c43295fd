//! Why a call into a plugin came to nothing.

use wasmtime::Trap;

use super::limits::{REASON_BYTES, line};

/// Of one function's name.
const NAME_BYTES: usize = 128;

/// The call's time is over: carried through wasmtime as the trap's cause.
#[derive(Debug, thiserror::Error)]
#[error("the call took more than {ms} ms")]
pub struct OutOfTime {
    pub ms: u64,
}

/// The store's memory, or a table of it, would outgrow its limit.
#[derive(Debug, thiserror::Error)]
#[error("the memory would grow past {limit}")]
pub struct OutOfMemory {
    pub limit: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginFailure {
    #[error("it took more than {ms} ms")]
    Deadline { ms: u64 },
    #[error("its memory would grow past {limit} bytes")]
    Memory { limit: usize },
    #[error("it panicked: {0}")]
    Panic(String),
    #[error("its stack overflowed")]
    StackOverflow,
    #[error("its answer breaks the contract: {0}")]
    BadOutput(String),
    #[error("it has more calls waiting than it may")]
    Busy,
    #[error("it has failed too often; it is tried again in {retry_ms} ms")]
    Degraded { retry_ms: u64 },
    #[error("it is in quarantine after repeated failures, until its file changes or it is resumed")]
    Quarantined,
    #[error("it does not open the channel: {0}")]
    OpenRefused(String),
    #[error("it does not go on from the channel's snapshot: {0}")]
    SnapshotRefused(String),
    #[error("{0}")]
    Other(String),
}

impl PluginFailure {
    /// A word for counting.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Deadline { .. } => "deadline",
            Self::Memory { .. } => "memory",
            Self::Panic(_) => "panic",
            Self::StackOverflow => "stack_overflow",
            Self::BadOutput(_) => "bad_output",
            Self::Busy => "busy",
            Self::Degraded { .. } => "degraded",
            Self::Quarantined => "quarantined",
            Self::OpenRefused(_) => "open_refused",
            Self::SnapshotRefused(_) => "snapshot_refused",
            Self::Other(_) => "other",
        }
    }

    /// Sorts a trap or an error of wasmtime.
    pub fn from_wasmtime(error: &wasmtime::Error) -> Self {
        if let Some(time) = error.downcast_ref::<OutOfTime>() {
            return Self::Deadline { ms: time.ms };
        }
        if let Some(memory) = error.downcast_ref::<OutOfMemory>() {
            return Self::Memory { limit: memory.limit };
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::UnreachableCodeReached) => Self::Panic(where_it_was(error)),
            Some(Trap::StackOverflow) => Self::StackOverflow,
            _ => Self::Other(line(format!("{error:#}"), REASON_BYTES)),
        }
    }
}

/// The guest's frames, innermost first, by function name.
fn where_it_was(error: &wasmtime::Error) -> String {
    let Some(backtrace) = error.downcast_ref::<wasmtime::WasmBacktrace>() else {
        return "no backtrace".into();
    };
    let names = backtrace.frames().iter().filter_map(|frame| frame.func_name());
    let names: Vec<String> = names.map(short_name).filter(|name| !is_panic_machinery(name)).take(4).collect();
    if names.is_empty() { "in a function without a name".into() } else { format!("in {}", names.join(" < ")) }
}

/// As it stands in the source, without the hash that Rust puts behind a function's name.
fn short_name(name: &str) -> String {
    line(format!("{:#}", rustc_demangle::demangle(name)), NAME_BYTES)
}

fn is_panic_machinery(name: &str) -> bool {
    ["rust_panic", "panicking", "begin_panic", "rust_begin_unwind", "panic_abort", "tidegate_guest::panic"]
        .iter()
        .any(|part| name.contains(part))
}
