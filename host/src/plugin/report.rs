//! What `GET /api/plugins` tells: what is loaded, what was swapped, what is wrong with which file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::at_work::AtWork;
use super::failure::PluginFailure;
use super::generation::Generation;
use super::grants::GrantsReport;
use crate::core::clock::UnixMillis;

/// Every plugin's file and what became of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PluginsReport {
    pub plugins: Vec<PluginReport>,
    /// Files that are no plugin at all: a bad name, a name that is taken.
    pub ignored: Vec<FileError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PluginState {
    Active,
    /// The version that runs is older than the file, which was refused.
    ActiveNewerRefused,
    /// No version of it was ever good.
    Refused,
    /// Its file was removed.
    Retired,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PluginReport {
    pub name: String,
    pub state: PluginState,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loaded: Option<Loaded>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<Swap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<FileError>,
    /// Since the server's start, whatever versions there were.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub at_work: Option<AtWork>,
}

/// The generation in use.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Loaded {
    pub generation: u64,
    pub version: String,
    pub summary: String,
    pub sha256: String,
    pub file: String,
    pub bytes: u64,
    pub capabilities: Vec<&'static str>,
    pub imports: Vec<String>,
    pub channels: Vec<String>,
    /// Among several that handle a channel: lower ones are asked first, then by name.
    pub order: i32,
    pub actions: Vec<String>,
    /// Unix time in seconds.
    pub loaded_at: f64,
    pub compile_ms: f64,
    pub grants: GrantsReport,
    pub failures: BTreeMap<&'static str, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
    /// All of its calls are refused for so long, because too many had to be ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantined_ms: Option<u64>,
}

/// The last time a new version took an old one's place.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Swap {
    pub from_generation: u64,
    pub from_version: String,
    pub from_sha256: String,
    pub to_generation: u64,
    pub to_version: String,
    /// From the first sign of the change to the last shard that has the new version.
    pub took_ms: f64,
    /// Unix time in seconds.
    pub at: f64,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FileError {
    pub file: String,
    pub message: String,
    /// Unix time in seconds.
    pub at: f64,
}

/// Unix time in seconds, as the API has it.
pub fn seconds(at: UnixMillis) -> f64 {
    at.0 as f64 / 1000.0
}

impl Loaded {
    pub fn of(generation: &Generation) -> Self {
        let failures = generation.failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        Self {
            generation: generation.number,
            version: generation.version.clone(),
            summary: generation.summary.clone(),
            sha256: generation.sha256.clone(),
            file: generation.file.display().to_string(),
            bytes: generation.size,
            capabilities: generation.capabilities.names(),
            imports: generation.imports.clone(),
            channels: generation.routes.iter().map(ToString::to_string).collect(),
            order: generation.configured.order,
            actions: generation.actions.clone(),
            loaded_at: seconds(generation.loaded_at),
            compile_ms: generation.compile_ms,
            grants: generation.grants.report(),
            failures: failures.by_class,
            last_failure: failures.last,
            quarantined_ms: match generation.quarantine.check() {
                Err(PluginFailure::Degraded { retry_ms }) => Some(retry_ms),
                _ => None,
            },
        }
    }
}
