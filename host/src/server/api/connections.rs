//! `GET /api/connections` and `GET /api/connections/{id}`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::channels::page;
use super::error::ApiError;
use super::info::Nothing;
use super::publish::client_id;
use super::route::Call;
use crate::hub::shard::ConnectionFacts;

/// What part of the list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Only this user's.
    user: Option<String>,
    /// At most so many, 1 to 1,000; 100 if left out.
    limit: Option<usize>,
    /// Only ids after this one: `next` of the page before.
    after: Option<String>,
}

/// A part of the list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Connections {
    connections: Vec<Connection>,
    /// The list goes on: what to ask for as `after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A client that is connected.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Connection {
    client: String,
    /// An anonymous client's is its client id.
    user: String,
    /// The other end of its connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// Unix time in seconds.
    connected_at: f64,
    subscriptions: usize,
    /// Messages left out because it was slow to read, where a policy allows that.
    dropped: u64,
    /// By name; only where one connection is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<Vec<String>>,
}

pub async fn list(call: Call, query: Query) -> Result<Connections, ApiError> {
    let limit = page(query.limit)?;
    let after = query.after.map(|id| client_id("query: after", &id)).transpose()?;
    let page = call.shard().list_connections(query.user, after, limit).await?;
    let next = if page.more { page.items.last().map(|last| last.client.to_string()) } else { None };
    Ok(Connections { connections: page.items.into_iter().map(connection).collect(), next })
}

pub async fn one(call: Call, _: Nothing) -> Result<Connection, ApiError> {
    let client = client_id("id", call.param())?;
    let found = call.shard().find_connection(client).await?;
    let (facts, channels) =
        found.ok_or_else(|| ApiError::not_found(format!("No client {client} is connected.")))?;
    let channels = channels.iter().map(ToString::to_string).collect();
    Ok(Connection { channels: Some(channels), ..connection(facts) })
}

fn connection(facts: ConnectionFacts) -> Connection {
    Connection {
        client: facts.client.to_string(),
        user: facts.user.as_str().into(),
        address: facts.address.map(|address| address.to_string()),
        connected_at: facts.since.0 as f64 / 1000.0,
        subscriptions: facts.subscriptions,
        dropped: facts.dropped,
        channels: None,
    }
}
