//! `[plugins.NAME.grants]`: what a plugin may reach outside the server.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::core::address::Network;
use crate::plugin::{Environment, GrantSettings, HttpGrant, Origin};

/// Without one of these a plugin that needs it loads, and its call is refused with a message that
/// names it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct GrantsConfig {
    /// Where it may send requests: origins like `https://api.example.org` or
    /// `http://127.0.0.1:9000`, at most 64. Of addresses that are not public only those that stand here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<String>,
    /// Addresses or networks that are not public and to which names in `http` may lead, like
    /// `10.0.0.0/8`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http_private: Vec<Network>,
    /// Milliseconds for a request with its whole answer, 1 to 60,000.
    pub http_timeout_ms: u64,
    /// The largest body of an answer, in bytes, at most 64 MiB.
    pub http_response_bytes: usize,
    /// Requests under way of all the plugin's instances, 1 to 1,024; others wait.
    pub http_concurrent: usize,
    /// Variables of its environment, and their values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Variables that it has from the server's own environment, by their names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env_from_server: Vec<String>,
    /// Folders that it may read, by the path at which it sees them: `{ "/data" = "/srv/data" }`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub folders: BTreeMap<String, PathBuf>,
    /// May it ask for the time, and wait?
    pub clocks: bool,
    /// May it have random numbers?
    pub random: bool,
}

impl Default for GrantsConfig {
    fn default() -> Self {
        let GrantSettings { http, clocks, random, .. } = GrantSettings::default();
        Self {
            http: Vec::new(),
            http_private: http.networks,
            http_timeout_ms: http.timeout.as_millis() as u64,
            http_response_bytes: http.response_bytes,
            http_concurrent: http.concurrent,
            env: BTreeMap::new(),
            env_from_server: Vec::new(),
            folders: BTreeMap::new(),
            clocks,
            random,
        }
    }
}

const MOST_ORIGINS: usize = 64;
const MOST_VARIABLES: usize = 256;
const MOST_FOLDERS: usize = 64;
const MOST_TIMEOUT_MS: u64 = 60_000;
const MOST_RESPONSE: usize = 64 << 20;
const MOST_CONCURRENT: usize = 1024;

impl GrantsConfig {
    /// `of`: the section, for errors.
    ///
    /// # Errors
    /// Names the key and what it may be.
    pub(super) fn check(&self, of: &str) -> Result<()> {
        let at_least_1 = |key: &str, value: usize| {
            ensure!(value >= 1, "{of}.{key} = 0: a limit is at least 1; 0 does not mean unlimited");
            Ok(())
        };
        ensure!(self.http.len() <= MOST_ORIGINS, "{of}.http has more than {MOST_ORIGINS} origins");
        for origin in &self.http {
            Origin::parse(origin).with_context(|| format!("{of}.http"))?;
        }
        at_least_1("http_timeout_ms", self.http_timeout_ms as usize)?;
        ensure!(
            self.http_timeout_ms <= MOST_TIMEOUT_MS,
            "{of}.http_timeout_ms is more than a minute: a channel would wait for it"
        );
        at_least_1("http_response_bytes", self.http_response_bytes)?;
        ensure!(self.http_response_bytes <= MOST_RESPONSE, "{of}.http_response_bytes is more than 64 MiB");
        at_least_1("http_concurrent", self.http_concurrent)?;
        ensure!(
            self.http_concurrent <= MOST_CONCURRENT,
            "{of}.http_concurrent is more than {MOST_CONCURRENT}"
        );
        let variables = self.env.len() + self.env_from_server.len();
        ensure!(variables <= MOST_VARIABLES, "{of}.env: more than {MOST_VARIABLES} variables");
        let good = |name: &str| !name.is_empty() && !name.contains(['=', '\0']);
        for name in self.env.keys().chain(&self.env_from_server) {
            ensure!(good(name), "{of}.env: {name:?} is no name of a variable");
        }
        for (name, value) in &self.env {
            ensure!(!value.contains('\0'), "{of}.env: the value of {name} has a NUL in it");
            ensure!(
                !self.env_from_server.contains(name),
                "{of}: {name} stands both in env and in env_from_server"
            );
        }
        ensure!(self.folders.len() <= MOST_FOLDERS, "{of}.folders: more than {MOST_FOLDERS}");
        for (at, folder) in &self.folders {
            ensure!(
                at.starts_with('/') && !at.contains('\0') && !at.split('/').any(|part| part == ".."),
                "{of}.folders: {at:?} is not a path like \"/data\""
            );
            ensure!(!folder.as_os_str().is_empty(), "{of}.folders: {at:?} names no folder");
        }
        Ok(())
    }

    /// What the plugins' host is to give.
    ///
    /// # Errors
    /// A variable that the server's environment does not have.
    pub fn settings(&self, plugin: &str) -> Result<GrantSettings> {
        let of = format!("plugins.{plugin}.grants");
        let mut env = self.env.clone();
        for name in &self.env_from_server {
            let value = std::env::var(name).with_context(|| {
                format!("{of}.env_from_server: the server's own environment has no {name}, as text")
            })?;
            env.insert(name.clone(), value);
        }
        let origins = self.http.iter().map(|origin| Origin::parse(origin));
        Ok(GrantSettings {
            http: HttpGrant {
                origins: origins.collect::<Result<_, _>>().with_context(|| format!("{of}.http"))?,
                networks: self.http_private.clone(),
                timeout: Duration::from_millis(self.http_timeout_ms),
                response_bytes: self.http_response_bytes,
                concurrent: self.http_concurrent,
            },
            env: Environment(env),
            folders: self.folders.clone(),
            clocks: self.clocks,
            random: self.random,
        })
    }
}
