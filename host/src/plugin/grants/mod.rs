//! What the operator lets a plugin reach outside the server, and how it is told what it may not.
//!
//! A component that imports more than it was granted loads all the same: the call that would need
//! the grant is refused, with a text that says what to write into the configuration.

mod courier;
mod http;
mod origin;
mod reach;
mod wasi;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
pub use courier::Courier;
pub use http::Hooks;
use http::Outbound;
pub use origin::{BadOrigin, Origin};
use schemars::JsonSchema;
use serde::Serialize;
pub use wasi::add_to_linker;
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use crate::core::PluginName;
use crate::core::address::Network;

/// Refusals that are remembered, and so logged once: later ones of other kinds are only answered.
const MOST_REFUSALS: usize = 64;

/// As configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantSettings {
    pub http: HttpGrant,
    pub env: Environment,
    /// The guest's path to a folder of this machine.
    pub folders: BTreeMap<String, PathBuf>,
    pub clocks: bool,
    pub random: bool,
}

impl Default for GrantSettings {
    fn default() -> Self {
        Self {
            http: HttpGrant::default(),
            env: Environment::default(),
            folders: BTreeMap::new(),
            clocks: true,
            random: true,
        }
    }
}

/// Requests that a plugin may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpGrant {
    /// None: no request at all.
    pub origins: Vec<Origin>,
    /// Addresses that are not public, to which a name among them may lead all the same.
    pub networks: Vec<Network>,
    /// For everything together: waiting for others, name, connection, handshake, the whole answer.
    pub timeout: Duration,
    /// Of an answer's body.
    pub response_bytes: usize,
    /// Requests under way of all the plugin's instances; others wait.
    pub concurrent: usize,
}

impl Default for HttpGrant {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            networks: Vec::new(),
            timeout: Duration::from_secs(5),
            response_bytes: 1 << 20,
            concurrent: 16,
        }
    }
}

/// Variables; their values are secrets and not shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(pub BTreeMap<String, String>);

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What `GET /api/plugins` tells of them.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct GrantsReport {
    /// Origins that it may call.
    pub http: Vec<String>,
    /// Names of the environment's variables that it sees.
    pub env: Vec<String>,
    /// Its paths, and the folders that it reads there.
    pub folders: BTreeMap<String, String>,
    pub clocks: bool,
    pub random: bool,
    /// What it has tried without the grant, at most 64 of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
}

/// Something that needs a grant.
#[derive(Clone, Copy, Debug)]
pub enum Need<'a> {
    /// A request to an origin that is not on the list.
    Http(&'a str),
    /// A request to a host that is on the list, but whose name leads to this address.
    Private(&'a str, std::net::IpAddr),
    Env,
    Folders,
    Clocks,
    Random,
}

/// A call was refused: carried through wasmtime as the trap's cause.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotGranted(pub String);

/// A plugin's grants in use, shared by all instances of one generation.
pub struct Grants {
    plugin: PluginName,
    settings: GrantSettings,
    http: Option<Outbound>,
    /// Locked when something is refused, never on a granted call's way.
    refused: Mutex<BTreeSet<String>>,
}

impl Grants {
    /// # Errors
    /// This machine cannot check certificates, and there is https to check.
    pub fn new(plugin: PluginName, settings: GrantSettings, courier: &Courier) -> Result<Arc<Self>> {
        for folder in settings.folders.values() {
            // It may come later: a store opens it when it is first asked for anything of WASI.
            if !folder.is_dir() {
                tracing::warn!(%plugin, "the granted folder {} is not there", folder.display());
            }
        }
        let http = match settings.http.origins.is_empty() {
            true => None,
            false => Some(Outbound::new(&settings.http, courier).context("grants.http")?),
        };
        Ok(Arc::new(Self { plugin, settings, http, refused: Mutex::default() }))
    }

    pub fn report(&self) -> GrantsReport {
        let GrantSettings { http, env, folders, clocks, random } = &self.settings;
        GrantsReport {
            http: http.origins.iter().map(ToString::to_string).collect(),
            env: env.0.keys().cloned().collect(),
            folders: folders.iter().map(|(at, path)| (at.clone(), path.display().to_string())).collect(),
            clocks: *clocks,
            random: *random,
            refused: self.refused().iter().cloned().collect(),
        }
    }

    /// How much longer than its own running a call may take for what it waits for outside.
    pub fn patience(&self) -> Duration {
        self.http.as_ref().map_or(Duration::ZERO, |_| self.settings.http.timeout)
    }

    /// The text of a refusal, which is logged when it is the first of its kind.
    pub fn refuse(&self, need: Need) -> String {
        let said = self.says(need);
        let mut refused = self.refused();
        if refused.len() < MOST_REFUSALS && !refused.contains(&said) {
            match need {
                // Asked for by most languages' libraries as they start, whether or not they want it.
                Need::Env | Need::Folders => tracing::info!(plugin = %self.plugin, "{said}"),
                _ => tracing::warn!(plugin = %self.plugin, "{said}"),
            }
            refused.insert(said.clone());
        }
        said
    }

    fn refused(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn says(&self, need: Need) -> String {
        let name = &self.plugin;
        let section = format!("[plugins.{name}.grants]");
        match need {
            Need::Http(origin) => {
                format!("plugin '{name}' may not call {origin}: add {section} http = [\"{origin}\"]")
            }
            Need::Private(origin, ip) => format!(
                "plugin '{name}' may not call {origin}, which is at {ip}, no public address: add {section} http_private = [\"{ip}\"]"
            ),
            Need::Env => {
                format!("plugin '{name}' sees no environment: add {section} env = {{ NAME = \"value\" }}")
            }
            Need::Folders => {
                format!("plugin '{name}' sees no folders: add {section} folders = {{ \"/data\" = \"PATH\" }}")
            }
            Need::Clocks => format!("plugin '{name}' may not read a clock: {section} has clocks = false"),
            Need::Random => format!("plugin '{name}' gets no random numbers: {section} has random = false"),
        }
    }

    /// Gives a store's WASI what is granted.
    pub fn furnish(&self, wasi: &mut WasiCtxBuilder) {
        for (at, folder) in &self.settings.folders {
            if let Err(error) = wasi.preopened_dir(folder, at, FsPerms::ReadOnly) {
                tracing::warn!(plugin = %self.plugin, "cannot open the granted folder {}: {error:#}", folder.display());
            }
        }
    }
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}
