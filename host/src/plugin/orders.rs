//! What an operator wants of a plugin's versions, on its way to the host's thread.

use serde::Serialize;
use tokio::sync::oneshot;

use crate::core::PluginName;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// The version before; while one is on trial, the end of the trial.
    Rollback,
    /// An end to its quarantine.
    Resume,
}

pub struct Order {
    pub plugin: PluginName,
    pub want: Want,
    pub answer: oneshot::Sender<Result<Done, OrderError>>,
}

/// Which version handles everything from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Done {
    pub generation: u64,
    pub version: String,
    pub sha256: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    #[error("no plugin '{0}' is in use")]
    Unknown(PluginName),
    #[error(
        "of '{0}' there is no earlier version in memory: it has not been replaced since the server began"
    )]
    NoPrevious(PluginName),
    #[error("'{plugin}' is pinned to {wanted}, and its earlier version is {found}: change `pin` first")]
    Pinned { plugin: PluginName, wanted: String, found: String },
    #[error("'{0}' is not in quarantine")]
    NotQuarantined(PluginName),
    #[error("the plugin host has ended")]
    Gone,
}
