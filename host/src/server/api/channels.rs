//! `GET /api/channels`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::route::Call;

/// Of a list, where the caller says nothing, and at most.
const PAGE: usize = 100;
const MAX_PAGE: usize = 1000;

/// What part of the list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Only names that begin so.
    prefix: Option<String>,
    /// At most so many, 1 to 1,000; 100 if left out.
    limit: Option<usize>,
    /// Only names after this one: `next` of the page before.
    after: Option<String>,
}

/// A part of the list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Channels {
    channels: Vec<Channel>,
    /// The list goes on: what to ask for as `after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A channel that has subscribers, or was used a short while ago: `expire_after_secs` of its rule.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Channel {
    name: String,
    subscribers: u64,
}

pub async fn list(call: Call, query: Query) -> Result<Channels, ApiError> {
    let limit = page(query.limit)?;
    let page = call.shard().list_channels(query.prefix.unwrap_or_default(), query.after, limit).await?;
    let next = if page.more { page.items.last().map(|last| last.name.to_string()) } else { None };
    let channel = |(name, subscribers): (String, u64)| Channel { name, subscribers };
    let items = page.items.into_iter().map(|facts| channel((facts.name.to_string(), facts.subscribers)));
    Ok(Channels { channels: items.collect(), next })
}

pub fn page(limit: Option<usize>) -> Result<usize, ApiError> {
    match limit.unwrap_or(PAGE) {
        limit @ 1..=MAX_PAGE => Ok(limit),
        _ => Err(ApiError::invalid(format!("query: limit: is not 1 to {MAX_PAGE}"))),
    }
}
