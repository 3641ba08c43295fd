//! What `GET /api/plugins` tells: what is loaded, what was swapped, what is wrong with which file.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::at_work::AtWork;
use super::failure::PluginFailure;
use super::generation::Generation;
use super::grants::GrantsReport;
use super::shadow::{Compared, Difference, Shadow};
use super::trial::Trial;
use crate::core::clock::UnixMillis;

/// Every plugin's file and what became of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PluginsReport {
    pub plugins: Vec<PluginReport>,
    /// Files that are no plugin at all: a bad name, a name that is taken; a shadow that cannot be called, or of
    /// nobody.
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
    /// What runs is older than the file, which was taken back.
    RolledBack,
    /// It failed too often, and is not called until something changes.
    Quarantined,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanaryReport>,
    /// What `rollback` goes back to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Version>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<RolledBack>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<Quarantine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowReport>,
    /// Since the server's start, whatever versions there were.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub at_work: Option<AtWork>,
}

/// Which version it is.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Version {
    pub generation: u64,
    pub version: String,
    pub sha256: String,
}

/// A new version that gets a share first.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CanaryReport {
    #[serde(flatten)]
    pub version: Version,
    /// Of channels, clients or batches, in percent.
    pub share: u8,
    /// Since it began, and how many of them failed.
    pub calls: u64,
    pub failed: u64,
    /// The same of the version in use, since then.
    pub stable_calls: u64,
    pub stable_failed: u64,
    /// Unix time in seconds when it is promoted, if it is not worse.
    pub ends_at: f64,
}

/// A version that was taken back. Its file is not loaded again until it changes.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RolledBack {
    #[serde(flatten)]
    pub version: Version,
    pub why: String,
    /// Unix time in seconds.
    pub at: f64,
}

/// Since when the plugin is not called, and why.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Quarantine {
    pub why: String,
    /// Unix time in seconds.
    pub at: f64,
}

/// A version that is called as the one in use is, and not heard.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ShadowReport {
    #[serde(flatten)]
    pub version: Version,
    /// Unix time in seconds.
    pub since: f64,
    /// Calls that gave the same as they gave of the version in use.
    pub same: u64,
    /// Calls that gave something else.
    pub differ: u64,
    /// Calls that it was not asked, because there were too many.
    pub missed: u64,
    /// The last that gave something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Difference>,
}

impl ShadowReport {
    pub fn of(shadow: &Shadow) -> Self {
        let Compared { same, differ, missed, last } = shadow.compared();
        let since = seconds(shadow.generation.loaded_at);
        Self { version: Version::of(&shadow.generation), since, same, differ, missed, last }
    }
}

impl Version {
    pub fn of(generation: &Generation) -> Self {
        let Generation { number, version, sha256, .. } = generation;
        Self { generation: *number, version: version.clone(), sha256: sha256.clone() }
    }
}

impl FileError {
    pub fn of(file: &Path, message: String, at: UnixMillis) -> Self {
        Self { file: file.display().to_string(), message, at: seconds(at) }
    }
}

impl RolledBack {
    pub fn of(generation: &Generation, why: &str) -> Self {
        Self { version: Version::of(generation), why: why.to_owned(), at: seconds(UnixMillis::now()) }
    }
}

impl CanaryReport {
    pub fn of(trial: &Trial) -> Self {
        let (canary, stable) = trial.tallies();
        Self {
            version: Version::of(&trial.canary),
            share: trial.settings.share.percent(),
            calls: canary.calls,
            failed: canary.failed,
            stable_calls: stable.calls,
            stable_failed: stable.failed,
            ends_at: seconds(trial.ends_at),
        }
    }
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
    /// It pauses as a whole for so long: too many of its calls had to be ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_ms: Option<u64>,
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
            paused_ms: match generation.conduct.check() {
                Err(PluginFailure::Paused { retry_ms }) => Some(retry_ms),
                _ => None,
            },
        }
    }
}
