//! From the bytes of a file to a [`Generation`], or to an error that says what is wrong
//! with the file and what to do about it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use sha2::{Digest, Sha256};
use wasmparser::{Parser, Payload};
use wasmtime::component::Component;

use super::bindings::{actions, auth, filter, info};
use super::calls::Function;
use super::conduct::Conduct;
use super::engine::PluginEngine;
use super::failure::PluginFailure;
use super::generation::{Capabilities, FAILURES_A_SECOND, Failures, Generation, waits};
use super::grants::Grants;
use super::handler::HandlerIndices;
use super::host::PluginSettings;
use super::limits::{FILE_BYTES, NESTING, PATTERNS, REASON_BYTES, line, own_stores};
use super::log_budget::LogBudget;
use super::meter::{Call, Meter};
use super::store::new_store;
use crate::core::clock::UnixMillis;
use crate::core::{Pattern, PluginName};

const PACKAGE: &str = "tidegate:plugin/";
/// The contract this server speaks: `wit/` at 0.1.
pub const CONTRACT: &str = "0.1";
const KNOWN_EXPORTS: &str = "channel-handler, auth, filter, actions";
const OFFERED: &str = "log, config, store, presence, history, groups and trace of tidegate:plugin@0.1.0, and cli, clocks, filesystem, http, io, random, sockets of wasi@0.2";
/// A name in a file and in an error, in bytes; unknown imports that are named.
const NAME_BYTES: usize = 128;
const MOST_NAMED: usize = 16;
const WASI: [&str; 7] = [
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:http/",
    "wasi:io/",
    "wasi:random/",
    "wasi:sockets/",
];

/// Why a file is not a plugin that can be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("it has {0} bytes; at most {FILE_BYTES} are allowed")]
    TooBig(u64),
    #[error("it is empty")]
    Empty,
    #[error("it is not WebAssembly: it begins with `{0}`, not with `\\0asm`")]
    NotWasm(String),
    #[error("it is a core module, not a component: run `wasm-tools component new` on it")]
    CoreModule,
    #[error(
        "it is precompiled native code, which is not taken from the plugin folder: put the .wasm component there"
    )]
    Precompiled,
    #[error("its components are nested more than {NESTING} deep")]
    NestedTooDeep,
    #[error("it is not a valid component, or cut off: {0}")]
    Invalid(String),
    #[error("it imports {}, which this server does not offer; it offers {OFFERED}", .0.join(", "))]
    UnknownImports(Vec<String>),
    #[error("its imports do not fit what this server offers: {0}")]
    WrongImports(String),
    #[error(
        "it was built for tidegate:plugin@{0}; this server speaks {CONTRACT}: rebuild it with the {CONTRACT} contract, or use a server of its version"
    )]
    OtherContract(String),
    #[error("it exports none of {KNOWN_EXPORTS} of tidegate:plugin@{CONTRACT}: there is nothing to call")]
    NothingKnown,
    #[error("its exports do not fit the contract tidegate:plugin@{CONTRACT}: {0}")]
    WrongExports(String),
    #[error("it does not start: {0}")]
    DoesNotStart(PluginFailure),
    #[error("its `info` names the channel pattern {0}")]
    BadPattern(crate::core::pattern::BadPattern),
    #[error("with its new settings: {0}")]
    NewSettings(Box<LoadError>),
    #[error("its `info` names {0} channel patterns; at most {PATTERNS} are allowed")]
    TooManyPatterns(usize),
    #[error("its grants in the configuration cannot be given: {0}")]
    Grants(String),
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    #[error("`{0}` is no plugin name: use a-z, 0-9 and -, at most 64")]
    BadName(String),
    #[error("{} is a plugin of the same name, and is used", .0.display())]
    SameName(PathBuf),
    #[error(
        "its SHA-256 is {found}, but `pin` allows only {wanted}: put that file there, or change [plugins.NAME] pin"
    )]
    NotPinned { wanted: String, found: String },
    #[error("it is a link out of the plugin folder")]
    LinkOutside,
}

impl LoadError {
    /// The file may still be being written.
    pub fn is_perhaps_unfinished(&self) -> bool {
        matches!(self, Self::Empty | Self::Invalid(_) | Self::NotWasm(_) | Self::CoreModule)
    }
}

/// A file as it was read.
pub struct Source {
    pub name: PluginName,
    pub file: PathBuf,
    pub bytes: Vec<u8>,
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compiles a component, checks it against the contract, and starts it once to see that it does.
pub async fn load(
    engine: &PluginEngine,
    source: Source,
    settings: &PluginSettings,
) -> Result<Generation, LoadError> {
    let Source { name, file, bytes } = source;
    look(&bytes)?;
    let began = Instant::now();
    let component =
        Component::from_binary(&engine.engine, &bytes).map_err(|error| LoadError::Invalid(said(&error)))?;
    let compiled =
        Compiled { name, file, sha256: sha256(&bytes), size: bytes.len() as u64, component, began };
    make(engine, compiled, settings).await
}

/// The same component with other settings: a version of its own, to which channels move as to any.
pub async fn renew(
    engine: &PluginEngine,
    generation: &Generation,
    settings: &PluginSettings,
) -> Result<Generation, LoadError> {
    let compiled = Compiled {
        name: generation.name.clone(),
        file: generation.file.clone(),
        sha256: generation.sha256.clone(),
        size: generation.size,
        component: generation.pre.component().clone(),
        began: Instant::now(),
    };
    let made = make(engine, compiled, settings).await;
    made.map_err(|error| LoadError::NewSettings(Box::new(error)))
}

/// A component, and where it is from.
struct Compiled {
    name: PluginName,
    file: PathBuf,
    sha256: String,
    size: u64,
    component: Component,
    began: Instant,
}

async fn make(
    engine: &PluginEngine,
    compiled: Compiled,
    settings: &PluginSettings,
) -> Result<Generation, LoadError> {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let Compiled { name, file, sha256, size, component, began } = compiled;
    let imports = imports(engine, &component)?;
    let pre =
        engine.linker.instantiate_pre(&component).map_err(|error| LoadError::WrongImports(said(&error)))?;
    let capabilities = capabilities(engine, &component, &pre, &imports)?;
    let granted = Grants::new(name.clone(), settings.grants.clone(), &engine.courier);
    let grants = granted.map_err(|error| LoadError::Grants(line(format!("{error:#}"), REASON_BYTES)))?;
    // So that the first room does not pay for it; where it cannot be done, it does.
    let _ = component.initialize_copy_on_write_image();
    let mut generation = Generation {
        number: NUMBER.fetch_add(1, Ordering::Relaxed),
        sha256,
        version: String::new(),
        summary: String::new(),
        file,
        size,
        capabilities,
        imports,
        actions: Vec::new(),
        routes: Vec::new(),
        limits: settings.limits.clone(),
        stores: settings.stores.unwrap_or_else(|| own_stores(size)),
        hibernate_after: settings.hibernate_after,
        leave_grace: settings.leave_grace,
        loaded_at: UnixMillis::now(),
        compile_ms: began.elapsed().as_secs_f64() * 1000.0,
        settings: Arc::new(settings.config.clone()),
        configured: Box::new(settings.clone()),
        grants,
        lasting: engine.lasting.of(&name),
        interrupts: engine.interrupts.clone(),
        reads: engine.reads.clone(),
        pre,
        own_stores: engine.own_stores.clone(),
        recording: engine.recording.clone(),
        failures: Mutex::new(Failures::default()),
        failures_log: Mutex::new(LogBudget::new(FAILURES_A_SECOND)),
        conduct: Conduct::default(),
        quick: Arc::default(),
        taps: Arc::default(),
        name,
    };
    generation.lasting.key_values.set_bounds(settings.key_values);
    start_once(&mut generation, settings).await?;
    Ok(generation)
}

/// An error of wasmtime's, which may quote names in the file.
fn said(error: &wasmtime::Error) -> String {
    line(format!("{error:#}"), REASON_BYTES)
}

/// What the first bytes tell.
fn look(bytes: &[u8]) -> Result<(), LoadError> {
    if bytes.is_empty() {
        return Err(LoadError::Empty);
    }
    if wasmtime::Engine::detect_precompiled(bytes).is_some() {
        return Err(LoadError::Precompiled);
    }
    if !bytes.starts_with(b"\0asm") {
        let start: String = bytes.iter().take(8).flat_map(|b| b.escape_ascii()).map(char::from).collect();
        return Err(LoadError::NotWasm(start));
    }
    match bytes.get(4..8) {
        Some([_, _, 0, 0]) => Err(LoadError::CoreModule),
        _ => look_inside(bytes),
    }
}

/// Compiling takes time by the square of the depth, and nothing can end it.
fn look_inside(bytes: &[u8]) -> Result<(), LoadError> {
    let mut depth = 0_usize;
    // What is wrong with it otherwise is said when it is compiled.
    for payload in Parser::new(0).parse_all(bytes).map_while(Result::ok) {
        match payload {
            Payload::ComponentSection { .. } | Payload::ModuleSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > NESTING {
            return Err(LoadError::NestedTooDeep);
        }
    }
    Ok(())
}

fn imports(engine: &PluginEngine, component: &Component) -> Result<Vec<String>, LoadError> {
    let kind = component.component_type();
    let names: Vec<String> = kind.imports(&engine.engine).map(|(name, _)| name.to_owned()).collect();
    if let Some(version) = names.iter().find_map(|name| other_contract(name)) {
        return Err(LoadError::OtherContract(version));
    }
    let offered = |name: &String| {
        let known = ["log", "config", "store", "presence", "history", "groups", "trace", "types"].iter().any(
            |known| {
                name.strip_prefix(PACKAGE)
                    .and_then(|rest| rest.split_once('@'))
                    .is_some_and(|(interface, _)| interface == *known)
            },
        );
        known || WASI.iter().any(|package| name.starts_with(package)) && name.contains("@0.2.")
    };
    let unknown = names.iter().filter(|name| !offered(name)).take(MOST_NAMED);
    let unknown: Vec<String> = unknown.map(|name| line(name.clone(), NAME_BYTES)).collect();
    if unknown.is_empty() { Ok(names) } else { Err(LoadError::UnknownImports(unknown)) }
}

/// The version in a name of the contract's package, if it is not the one spoken here.
fn other_contract(name: &str) -> Option<String> {
    let (_, version) = name.strip_prefix(PACKAGE)?.split_once('@')?;
    let same = version == CONTRACT || version.starts_with(&format!("{CONTRACT}."));
    (!same).then(|| line(version.to_owned(), NAME_BYTES))
}

fn capabilities(
    engine: &PluginEngine,
    component: &Component,
    pre: &wasmtime::component::InstancePre<super::store::StoreData>,
    imports: &[String],
) -> Result<Capabilities, LoadError> {
    let kind = component.component_type();
    let exports: Vec<String> = kind.exports(&engine.engine).map(|(name, _)| name.to_owned()).collect();
    if let Some(version) = exports.iter().find_map(|name| other_contract(name)) {
        return Err(LoadError::OtherContract(version));
    }
    let has =
        |interface: &str| exports.iter().any(|name| name.starts_with(&format!("{PACKAGE}{interface}@")));
    let wrong = |error: wasmtime::Error| LoadError::WrongExports(said(&error));
    // Of WASI's functions many are there for who can wait only, whether they do or not.
    let can_wait = waits(imports) || imports.iter().any(|import| !import.starts_with(PACKAGE));
    let found = Capabilities {
        channel_handler: has("channel-handler")
            .then(|| HandlerIndices::new(pre, can_wait))
            .transpose()
            .map_err(wrong)?,
        auth: has("auth").then(|| auth::GuestIndices::new(pre)).transpose().map_err(wrong)?,
        filter: has("filter").then(|| filter::GuestIndices::new(pre)).transpose().map_err(wrong)?,
        actions: has("actions").then(|| actions::GuestIndices::new(pre)).transpose().map_err(wrong)?,
        info: has("info"),
    };
    let any = found.names().iter().any(|name| *name != "info");
    if any { Ok(found) } else { Err(LoadError::NothingKnown) }
}

/// Makes an instance, checks the types of its exports, and asks what it says of itself.
async fn start_once(generation: &mut Generation, settings: &PluginSettings) -> Result<(), LoadError> {
    let failed = |error: wasmtime::Error| LoadError::DoesNotStart(PluginFailure::from_wasmtime(&error));
    let called = |error: wasmtime::Error| LoadError::DoesNotStart(PluginFailure::of_call(&error));
    let wrong = |error: wasmtime::Error| LoadError::WrongExports(said(&error));
    let limits = &generation.limits;
    let mut store = new_store(generation.pre.engine(), generation.owner(), limits);
    let meter = Meter::new(&generation.lasting, &store);
    let start = Call::of(Function::Start);
    let clock = meter.arm(&mut store, start, limits.instantiate_ms);
    let instance = clock.watch(pin!(generation.pre.instantiate_async(&mut store))).await.map_err(failed)?;
    let has = &generation.capabilities;
    if let Some(indices) = &has.channel_handler {
        indices.load(&mut store, &instance).map_err(wrong)?;
    }
    if let Some(indices) = &has.auth {
        indices.load(&mut store, &instance).map_err(wrong)?;
    }
    if let Some(indices) = &has.filter {
        indices.load(&mut store, &instance).map_err(wrong)?;
    }
    if let Some(indices) = &has.actions {
        let guest = indices.load(&mut store, &instance).map_err(wrong)?;
        let clock = meter.arm(&mut store, start, limits.open_ms);
        generation.actions = clock.watch(pin!(guest.call_names(&mut store))).await.map_err(called)?;
        generation.actions.truncate(MOST_ACTIONS);
    }
    let mut routes = Vec::new();
    if has.info {
        let indices = info::GuestIndices::new(&generation.pre).map_err(wrong)?;
        let guest = indices.load(&mut store, &instance).map_err(wrong)?;
        let clock = meter.arm(&mut store, start, limits.open_ms);
        let about = clock.watch(pin!(guest.call_describe(&mut store))).await.map_err(called)?;
        if about.channels.len() > PATTERNS {
            return Err(LoadError::TooManyPatterns(about.channels.len()));
        }
        generation.version = line(about.version, 64);
        generation.summary = line(about.summary, 256);
        routes = about.channels;
    }
    if has.channel_handler.is_some() {
        generation.routes = match &settings.channels {
            Some(patterns) => patterns.clone(),
            None => own_routes(&generation.name, &routes).map_err(LoadError::BadPattern)?,
        };
    }
    Ok(())
}

const MOST_ACTIONS: usize = 64;

/// What a plugin says it is for, or `NAME:*`.
fn own_routes(name: &PluginName, said: &[String]) -> Result<Vec<Pattern>, crate::core::pattern::BadPattern> {
    if said.is_empty() {
        return Ok(vec![Pattern::parse(&format!("{name}:*"))?]);
    }
    said.iter().map(|pattern| Pattern::parse(pattern)).collect()
}

/// Settings of a plugin that the configuration does not name.
pub fn default_settings() -> &'static PluginSettings {
    static DEFAULT: std::sync::OnceLock<PluginSettings> = std::sync::OnceLock::new();
    DEFAULT.get_or_init(PluginSettings::default)
}

/// The settings of a plugin by its name.
pub fn settings_of<'a>(all: &'a BTreeMap<String, PluginSettings>, name: &PluginName) -> &'a PluginSettings {
    all.get(name.as_str()).unwrap_or_else(|| default_settings())
}
