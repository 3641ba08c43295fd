//! Bodies and query strings: read within bounds, and no field that nobody knows.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use serde::de::DeserializeOwned;

use super::error::ApiError;
use crate::config::LimitsConfig;

/// A body that has not come by then is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// So much of a body that is too large is read and forgotten, so that its sender reads the answer.
const FORGOTTEN: u64 = 1 << 20;

/// How large a body may be.
#[derive(Clone, Copy, Debug)]
pub enum BodySize {
    /// One message: twice `limits.message_bytes`, for base64 and what JSON escapes, and 16 KiB.
    Message,
    /// One message and the names of a thousand channels: 512 KiB more.
    Broadcast,
    /// Many messages: 16 times `limits.message_bytes` and 512 KiB; at most 64 MiB, unless one
    /// message may be more.
    Batch,
}

impl BodySize {
    /// In bytes.
    pub fn limit(self, limits: &LimitsConfig) -> usize {
        // The configuration allows messages up to 64 MiB: none of this overflows.
        let message = 2 * limits.message_bytes + (16 << 10);
        match self {
            Self::Message => message,
            Self::Broadcast => message + (512 << 10),
            Self::Batch => (16 * limits.message_bytes + (512 << 10)).min((64 << 20).max(message)),
        }
    }
}

/// The whole body.
pub async fn read(body: Incoming, limit: usize) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(PATIENCE, gather(body, limit)).await {
        Ok(read) => read,
        Err(_) => Err(ApiError::bad_json(format!("The body has not come within {PATIENCE:?}."))),
    }
}

async fn gather(mut body: Incoming, limit: usize) -> Result<Bytes, ApiError> {
    let announced = body.size_hint().lower();
    if announced > limit as u64 + FORGOTTEN {
        return Err(ApiError::too_large(limit));
    }
    let mut whole = BytesMut::with_capacity((announced as usize).min(limit));
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ApiError::bad_json(format!("The body ended early: {error}.")))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len() as u64;
        if length <= limit as u64 {
            whole.extend_from_slice(&data);
        } else if length > limit as u64 + FORGOTTEN {
            break;
        }
    }
    if length > limit as u64 { Err(ApiError::too_large(limit)) } else { Ok(whole.freeze()) }
}

/// A body's JSON. Errors name the field.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let parsed = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        match (error.classify(), path.as_str()) {
            (serde_json::error::Category::Data, "." | "?") => ApiError::invalid(error.to_string()),
            (serde_json::error::Category::Data, path) => ApiError::invalid(format!("{path}: {error}")),
            _ => not_json(&error),
        }
    })?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(parsed)
}

fn not_json(error: &serde_json::Error) -> ApiError {
    ApiError::bad_json(format!("The body is not valid JSON: {error}."))
}

/// A query string's fields. Errors name the field.
pub fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, ApiError> {
    let fields = serde_html_form::Deserializer::from_bytes(query.as_bytes());
    serde_path_to_error::deserialize(fields).map_err(|error| match error.path().to_string().as_str() {
        "." | "?" => ApiError::invalid(format!("query: {}", error.inner())),
        path => ApiError::invalid(format!("query: {path}: {}", error.inner())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_bounded_whatever_is_configured() {
        let with = |message_bytes| LimitsConfig { message_bytes, ..LimitsConfig::default() };
        assert_eq!(BodySize::Message.limit(&with(1)), 16_386);
        assert_eq!(BodySize::Batch.limit(&with(64 << 10)), 1_572_864);
        let most = BodySize::Batch.limit(&with(64 << 20));
        assert_eq!(most, BodySize::Message.limit(&with(64 << 20)), "never less than one message's");
        assert_eq!(BodySize::Batch.limit(&with(16 << 20)), 64 << 20);
    }
}
