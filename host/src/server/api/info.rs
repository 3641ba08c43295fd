//! `GET /api/info` and `GET /api/plugins`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::route::Call;
use crate::plugin::PluginsReport;

/// Of a call that takes no parameters: one that is given is an error.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// The server and what it holds now.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Info {
    version: &'static str,
    /// Seconds since the server began.
    uptime: f64,
    shards: usize,
    connections: usize,
    /// Channels in use.
    channels: usize,
    subscriptions: usize,
    /// Messages that have got a place in their channel since the server began.
    published: u64,
}

pub async fn info(call: Call, _: Nothing) -> Result<Info, ApiError> {
    let counts = call.shard().count_all().await?;
    Ok(Info {
        version: env!("CARGO_PKG_VERSION"),
        uptime: call.router.api.began.elapsed().as_millis() as f64 / 1000.0,
        shards: counts.shards,
        connections: counts.connections,
        channels: counts.channels,
        subscriptions: counts.subscriptions,
        published: counts.since_start.published,
    })
}

/// What is loaded, since when, what was swapped, and what is wrong with which file.
pub async fn plugins(call: Call, _: Nothing) -> Result<PluginsReport, ApiError> {
    Ok(call.router.plugins.report())
}
