//! Default responses of the `[[channel]]` rules.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use toml::Value;

use super::schema::json;
use crate::core::Payload;
use crate::plugin::Response;

/// Bytes of a constant response, as JSON.
const MOST_BYTES: usize = 65_536;

/// `true`, `false`, or `{ data = …, event = "…" }`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged, expecting = "it is `true`, `false`, or `{ data = …, event = \"…\" }`")]
pub enum DefaultResponse {
    /// Is the handler asked for one?
    Asked(bool),
    /// It is asked, and this is what stands in for it.
    Constant(Constant),
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Constant {
    /// Any value: subscribers get it as JSON.
    pub data: Value,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub event: String,
}

impl Default for DefaultResponse {
    fn default() -> Self {
        Self::Asked(false)
    }
}

impl DefaultResponse {
    /// Is the channel's handler asked for a response?
    pub fn is_wanted(&self) -> bool {
        !matches!(self, Self::Asked(false))
    }

    /// # Errors
    /// It is too long.
    pub fn constant(&self) -> Result<Option<Response>> {
        let Self::Constant(constant) = self else { return Ok(None) };
        let data = serde_json::to_vec(&json(&constant.data))?;
        ensure!(data.len() <= MOST_BYTES, "its data has {} bytes; at most {MOST_BYTES} fit", data.len());
        let event = constant.event.clone().into_bytes().into();
        Ok(Some(Response { event, payload: Payload::json(data) }))
    }
}
