//! Why a call into a plugin came to nothing.

use wasmtime::{Trap, WasmBacktrace};

use super::grants::NotGranted;
use super::limits::{REASON_BYTES, line};

/// Of one function's name.
const NAME_BYTES: usize = 128;

/// The call's time is over: carried through wasmtime as the trap's cause.
#[derive(Debug, thiserror::Error)]
#[error("the call took more than {ms} ms")]
pub struct OutOfTime {
    pub ms: u64,
}

/// The store's memory would outgrow its limit.
#[derive(Debug, thiserror::Error)]
#[error("the memory would grow past {limit} bytes")]
pub struct OutOfMemory {
    pub limit: usize,
}

/// A table of the store would.
#[derive(Debug, thiserror::Error)]
#[error("a table would grow past {limit} elements")]
pub struct TableTooLarge {
    pub limit: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginFailure {
    #[error("it took more than {ms} ms{at}")]
    Deadline { ms: u64, at: Place },
    #[error("its memory would grow past {limit} bytes{at}")]
    Memory { limit: usize, at: Place },
    #[error("a table of it would grow past {limit} elements")]
    Table { limit: usize },
    #[error("it panicked: {0}")]
    Panic(String),
    #[error("its stack overflowed{0}")]
    StackOverflow(Place),
    #[error("it trapped: {0}")]
    Trap(String),
    /// What it has answered can be read, and is not allowed. The store is well.
    #[error("its answer breaks the contract: {0}")]
    BadOutput(String),
    /// What it hands over cannot even be read: addresses outside of its memory, texts that are
    /// not UTF-8, handles that it does not have.
    #[error("it breaks the contract: {0}")]
    Unreadable(String),
    #[error("it has more calls waiting than it may")]
    Busy,
    #[error("it pauses after repeated failures; it is called again in {retry_ms} ms")]
    Paused { retry_ms: u64 },
    #[error("it is in quarantine after repeated failures, until its file changes or it is resumed")]
    Quarantined,
    #[error("it does not open the channel: {0}")]
    OpenRefused(String),
    #[error("it does not go on from the channel's snapshot: {0}")]
    SnapshotRefused(String),
    /// The text says what to grant.
    #[error("{0}")]
    NotGranted(String),
    #[error("{0}")]
    Other(String),
}

impl PluginFailure {
    /// A word for counting.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Deadline { .. } => "deadline",
            Self::Memory { .. } | Self::Table { .. } => "memory",
            Self::Panic(_) => "panic",
            Self::StackOverflow(_) => "stack_overflow",
            Self::Trap(_) => "trap",
            Self::BadOutput(_) | Self::Unreadable(_) => "bad_output",
            Self::Busy => "busy",
            Self::Paused { .. } => "paused",
            Self::Quarantined => "quarantined",
            Self::OpenRefused(_) => "open_refused",
            Self::SnapshotRefused(_) => "snapshot_refused",
            Self::NotGranted(_) => "not_granted",
            Self::Other(_) => "other",
        }
    }

    /// Sorts a trap or an error of wasmtime.
    pub fn from_wasmtime(error: &wasmtime::Error) -> Self {
        if let Some(time) = error.downcast_ref::<OutOfTime>() {
            return Self::Deadline { ms: time.ms, at: Place::of(error) };
        }
        if let Some(memory) = error.downcast_ref::<OutOfMemory>() {
            return Self::Memory { limit: memory.limit, at: Place::of(error) };
        }
        if let Some(table) = error.downcast_ref::<TableTooLarge>() {
            return Self::Table { limit: table.limit };
        }
        if let Some(refused) = error.downcast_ref::<NotGranted>() {
            return Self::NotGranted(refused.0.clone());
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::UnreachableCodeReached) => Self::Panic(where_it_was(error)),
            Some(Trap::StackOverflow) => Self::StackOverflow(Place::of(error)),
            Some(trap) => {
                let what = trap.to_string();
                let what = what.strip_prefix("wasm trap: ").unwrap_or(&what);
                Self::Trap(line(format!("{what}, {}", where_it_was(error)), REASON_BYTES))
            }
            None if error.is::<WasmBacktrace>() => {
                // Raised by the host while the component called it.
                let what = format!("{}, {}", error.root_cause(), where_it_was(error));
                Self::Other(line(what, REASON_BYTES))
            }
            None => Self::Other(line(format!("{error:#}"), REASON_BYTES)),
        }
    }

    /// The same for a call of an instance that there is: what is no trap then is the component's
    /// way of handing things over.
    pub fn of_call(error: &wasmtime::Error) -> Self {
        match Self::from_wasmtime(error) {
            Self::Other(why) => Self::Unreadable(why),
            failure => failure,
        }
    }
}

/// Where in the component something happened, if anybody knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place(Option<String>);

impl Place {
    fn of(error: &wasmtime::Error) -> Self {
        Self(names(error).filter(|names| !names.is_empty()).map(|names| format!("in {}", names.join(" < "))))
    }
}

/// As it goes on after what has happened.
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_ref().map_or(Ok(()), |place| write!(f, ", {place}"))
    }
}

fn where_it_was(error: &wasmtime::Error) -> String {
    match names(error) {
        None => "no backtrace".into(),
        Some(names) if names.is_empty() => "in a function without a name".into(),
        Some(names) => format!("in {}", names.join(" < ")),
    }
}

/// The guest's functions, innermost first, as far as they have names; none without a backtrace.
fn names(error: &wasmtime::Error) -> Option<Vec<String>> {
    let backtrace = error.downcast_ref::<WasmBacktrace>()?;
    let names = backtrace.frames().iter().filter_map(|frame| frame.func_name());
    Some(names.map(short_name).filter(|name| !is_panic_machinery(name)).take(4).collect())
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
