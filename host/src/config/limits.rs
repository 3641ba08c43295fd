//! The part of `[limits]` that says how much one client, user or address may do.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use toml_example::TomlExample;

use crate::core::meter::{Limit, OnExcess};
use crate::core::rate::Rate;

/// So much a second on average, and so many seconds' worth of it at once. A rate that is left
/// out is no limit.
#[derive(Clone, Debug, Default, Deserialize, Serialize, TomlExample)]
#[serde(deny_unknown_fields)]
pub struct RateConfig {
    /// Messages a second: 0.0001 to 1,000,000. A ping counts as a tenth of one.
    #[toml_example(default = 50)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_per_sec: Option<f64>,
    /// Bytes of messages a second: 1 to 1,000,000,000. A message larger than a whole burst
    /// passes after a pause, and is paid off by a longer one.
    #[toml_example(default = 65536)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_sec: Option<u64>,
    /// Seconds' worth that may come at once: 0.001 to 3600. 1 without.
    #[toml_example(default = 1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst_secs: Option<f64>,
}

/// What one connection may send.
#[derive(Clone, Debug, Default, Deserialize, Serialize, TomlExample)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectionLimits {
    /// Past the rate: `refuse` answers with `rate_limited`, `disconnect` closes with 4002.
    #[toml_example(default = "refuse")]
    pub on_excess: OnExcess,
    /// Seconds without a subscription and without a frame other than a pong, after which the
    /// connection is closed with 1000. Left out: it may stay.
    #[toml_example(default = 300)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_secs: Option<u64>,
    #[toml_example(nesting)]
    pub rate: RateConfig,
}

/// What all connections of one user, or of one address, may do together. Anonymous clients are
/// no user's; of IPv6 addresses, those of one /64 count as one.
#[derive(Clone, Debug, Default, Deserialize, Serialize, TomlExample)]
#[serde(deny_unknown_fields, default)]
pub struct SharedLimits {
    /// Connections at a time; one more is closed with 4009. Left out: no limit of their own.
    #[toml_example(default = 20)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<usize>,
    /// Subscriptions at a time; one more is refused with `limit_exceeded`.
    #[toml_example(default = 1000)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscriptions: Option<usize>,
    /// Actions that have not been answered; one more is refused with `limit_exceeded`.
    #[toml_example(default = 8)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight_actions: Option<usize>,
    /// Past the rate: `refuse` answers with `rate_limited`, `disconnect` closes with 4002.
    #[toml_example(default = "refuse")]
    pub on_excess: OnExcess,
    #[toml_example(nesting)]
    pub rate: RateConfig,
}

impl RateConfig {
    /// The checked limit, if there is one; `key` is where this stands, for the error.
    pub fn limit(&self, key: &str, on_excess: OnExcess) -> Result<Option<Limit>> {
        let burst = self.burst_secs.unwrap_or(1.0);
        if self.messages_per_sec.is_none() && self.bytes_per_sec.is_none() {
            ensure!(
                self.burst_secs.is_none(),
                "{key}.burst_secs needs {key}.messages_per_sec or {key}.bytes_per_sec"
            );
            return Ok(None);
        }
        if let Some(messages) = self.messages_per_sec {
            ensure!(
                Limit::MESSAGES_PER_SEC.contains(&messages),
                "{key}.messages_per_sec = {messages} is not 0.0001 to 1000000: left out, it is no limit"
            );
        }
        let bytes = self.bytes_per_sec.map(|bytes| bytes as f64);
        if let Some(bytes) = bytes {
            ensure!(
                (1.0..=*Rate::PER_SEC.end()).contains(&bytes),
                "{key}.bytes_per_sec = {bytes} is not 1 to 1000000000: left out, it is no limit"
            );
        }
        ensure!(Rate::BURST.contains(&burst), "{key}.burst_secs = {burst} is not 0.001 to 3600");
        let limit = Limit::new(self.messages_per_sec, bytes, burst, on_excess);
        limit.map(Some).ok_or_else(|| anyhow::anyhow!("{key} is out of its range"))
    }
}

impl ConnectionLimits {
    pub fn limit(&self) -> Result<Option<Limit>> {
        self.rate.limit("limits.connection.rate", self.on_excess)
    }

    pub(super) fn check(&self) -> Result<()> {
        self.limit()?;
        at_least_1("limits.connection.idle_secs", self.idle_secs.map(|secs| secs as usize))
    }
}

impl SharedLimits {
    /// `key` is where this stands, for the error.
    pub fn limit(&self, key: &str) -> Result<Option<Limit>> {
        self.rate.limit(&format!("{key}.rate"), self.on_excess)
    }

    pub(super) fn check(&self, key: &str) -> Result<()> {
        self.limit(key)?;
        for (name, value) in [
            ("connections", self.connections),
            ("subscriptions", self.subscriptions),
            ("in_flight_actions", self.in_flight_actions),
        ] {
            at_least_1(&format!("{key}.{name}"), value)?;
        }
        Ok(())
    }
}

pub(super) fn at_least_1(key: &str, value: Option<usize>) -> Result<()> {
    ensure!(value != Some(0), "{key} = 0: a limit is at least 1; left out, it is no limit");
    Ok(())
}
