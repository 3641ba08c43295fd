//! What is done to clients: `POST /api/subscribe`, `unsubscribe`, `disconnect`, `refresh` and `reauthorize`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::{ApiError, FailureText};
use super::publish::{channel_name, client_id};
use super::route::Call;
use crate::core::clock::UnixMillis;
use crate::hub::shard::{JudgedAgain, Which, Whom};

/// Where the caller names no code: disconnected by the API.
pub const DISCONNECTED: u16 = 4004;
/// A close frame's payload is at most 125 bytes, two of them the code (RFC 6455, section 5.5).
const MAX_REASON: usize = 123;
/// The last second of the year 9999.
const MAX_SECONDS: f64 = 253_402_300_799.0;

/// Exactly one of `client` and `user` is required.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// A client id.
    client: Option<String>,
    /// A user: all its connections.
    user: Option<String>,
    channel: String,
}

/// Exactly one of `client` and `user` is required.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Disconnect {
    /// A client id.
    client: Option<String>,
    /// A user: all its connections.
    user: Option<String>,
    /// 1000, 1008 or 3000 to 4999; 4004 if left out.
    code: Option<u16>,
    /// At most 123 bytes.
    reason: Option<String>,
}

/// Exactly one of `client` and `user` is required.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// A client id.
    client: Option<String>,
    /// A user: all its connections.
    user: Option<String>,
    /// Unix time in seconds. One that has passed ends the connection with 4001.
    expires_at: f64,
}

/// At least one of `client`, `user` and `channel` is required, and not both of `client` and `user`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reauthorization {
    /// A client id.
    client: Option<String>,
    /// A user: all its connections.
    user: Option<String>,
    /// The subscriptions to this channel alone; of everybody, where no client or user is named.
    channel: Option<String>,
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Reauthorized {
    /// Subscriptions that auth plugins were asked about.
    judged: usize,
    /// Of those, how many have ended.
    ended: usize,
}

/// For how many connections it was done.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Subscribed {
    subscribed: usize,
    /// Connections for which it was refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<Refused>,
}

/// A client whose subscription the channel or its handler refused.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Refused {
    client: String,
    error: FailureText,
}

/// For how many connections it was done.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Unsubscribed {
    unsubscribed: usize,
}

/// For how many connections it was done.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Disconnected {
    disconnected: usize,
}

/// For how many connections it was done.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Refreshed {
    refreshed: usize,
}

pub async fn subscribe(call: Call, order: Subscription) -> Result<Subscribed, ApiError> {
    let (whom, channel) = (whom(order.client, order.user)?, channel_name(&order.channel)?);
    let max = call.router.context.max_subscriptions;
    // An order has no parameters: the channel's schema may have defaults for them, or refuse.
    let params = call.router.context.rules.defaults(&channel)?;
    let mut answer = Subscribed { subscribed: 0, refused: Vec::new() };
    let mut refused_all = None;
    for (client, result) in call.shard().subscribe_whom(whom, channel, params, max).await? {
        match result {
            Ok(()) => answer.subscribed += 1,
            Err(refusal) => {
                let error = ApiError::from(refusal);
                answer.refused.push(Refused { client: client.to_string(), error: error.failure().error });
                refused_all.get_or_insert(error);
            }
        }
    }
    match refused_all {
        Some(error) if answer.subscribed == 0 => Err(error),
        _ => Ok(answer),
    }
}

pub async fn unsubscribe(call: Call, order: Subscription) -> Result<Unsubscribed, ApiError> {
    let (whom, channel) = (whom(order.client, order.user)?, channel_name(&order.channel)?);
    Ok(Unsubscribed { unsubscribed: call.shard().unsubscribe_whom(whom, channel).await? })
}

pub async fn disconnect(call: Call, order: Disconnect) -> Result<Disconnected, ApiError> {
    let whom = whom(order.client, order.user)?;
    let code = order.code.unwrap_or(DISCONNECTED);
    if !matches!(code, 1000 | 1008 | 3000..=4999) {
        return Err(ApiError::invalid("code: is not 1000, 1008 or 3000 to 4999"));
    }
    let reason = order.reason.unwrap_or_else(|| "Disconnected by the server.".into());
    if reason.len() > MAX_REASON {
        return Err(ApiError::invalid(format!("reason: is longer than {MAX_REASON} bytes")));
    }
    Ok(Disconnected { disconnected: call.shard().disconnect_whom(whom, code, reason).await? })
}

pub async fn refresh(call: Call, order: Refresh) -> Result<Refreshed, ApiError> {
    let whom = whom(order.client, order.user)?;
    if !(0.0..=MAX_SECONDS).contains(&order.expires_at) {
        return Err(ApiError::invalid("expires_at: is no Unix time in seconds up to the year 9999"));
    }
    let expires_at = UnixMillis((order.expires_at * 1000.0) as u64);
    Ok(Refreshed { refreshed: call.shard().refresh_whom(whom, expires_at).await? })
}

/// Answers when all have been judged; a client that is told so has lost its subscription by then.
pub async fn reauthorize(call: Call, order: Reauthorization) -> Result<Reauthorized, ApiError> {
    let Reauthorization { client, user, channel } = order;
    let whom = match (&client, &user, &channel) {
        (None, None, None) => {
            return Err(ApiError::invalid("At least one of client, user and channel is required."));
        }
        (None, None, Some(_)) => None,
        _ => Some(whom(client, user)?),
    };
    let channel = channel.as_deref().map(channel_name).transpose()?;
    let JudgedAgain { judged, ended } = call.shard().judge_again(Which { whom, channel }).await?;
    Ok(Reauthorized { judged, ended })
}

pub fn whom(client: Option<String>, user: Option<String>) -> Result<Whom, ApiError> {
    match (client, user) {
        (Some(client), None) => Ok(Whom::Client(client_id("client", &client)?)),
        (None, Some(user)) => Ok(Whom::User(user)),
        _ => Err(ApiError::invalid("Exactly one of client and user is required.")),
    }
}
