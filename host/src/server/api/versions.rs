//! `/api/plugins/{name}/…`: which version of a plugin is in use.

use hyper::StatusCode;

use super::error::ApiError;
use super::info::Nothing;
use super::route::Call;
use crate::core::PluginName;
use crate::plugin::{Done, OrderError, Want};

/// Back to the version before, or, while one is on trial, an end to the trial.
pub async fn roll_back(call: Call, _: Nothing) -> Result<Done, ApiError> {
    order(call, Want::Rollback).await
}

/// Out of quarantine.
pub async fn resume(call: Call, _: Nothing) -> Result<Done, ApiError> {
    order(call, Want::Resume).await
}

async fn order(call: Call, want: Want) -> Result<Done, ApiError> {
    let unknown = || ApiError::not_found(format!("No plugin '{}' is in use.", call.param()));
    let plugin = PluginName::parse(call.param()).ok_or_else(unknown)?;
    Ok(call.router.plugins.order(plugin, want).await?)
}

impl From<OrderError> for ApiError {
    fn from(error: OrderError) -> Self {
        let said = error.to_string();
        match error {
            OrderError::Unknown(plugin) => Self::not_found(format!("No plugin '{plugin}' is in use.")),
            OrderError::NoPrevious(_) | OrderError::Pinned { .. } | OrderError::NotQuarantined(_) => {
                Self::new(StatusCode::CONFLICT, "conflict", format!("Not done: {said}."))
            }
            OrderError::Gone => Self::unavailable("The plugin host has ended."),
        }
    }
}
