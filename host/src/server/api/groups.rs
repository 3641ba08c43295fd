//! `/api/groups/…`: sets of channels that one publish reaches.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::content::any_json;
use super::error::ApiError;
use super::info::Nothing;
use super::publish::{self, Broadcast, Published, Results, channel_name};
use super::route::Call;
use crate::core::ChannelName;
use crate::core::names::NameError;
use crate::hub::groups::{GroupInquiry, GroupName};

/// The channels of a group, by name.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Members {
    channels: Vec<String>,
}

/// Whether the group has changed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Changed {
    changed: bool,
}

/// A message for a group's channels. Exactly one of `data`, `text` and `base64` is required.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// Any JSON, passed on byte for byte.
    #[serde(default, deserialize_with = "any_json")]
    data: Option<Box<RawValue>>,
    text: Option<String>,
    /// Bytes in base64: subscribers get a binary message.
    base64: Option<String>,
    /// The event's name.
    event: Option<String>,
    /// The user in whose name it is published, 1 to 255 bytes.
    sender: Option<String>,
    /// The id of a client that does not get it.
    exclude: Option<String>,
    /// 1 to 255 bytes; holds in each channel by itself.
    idempotency_key: Option<String>,
    /// True: the answers say how many it was delivered to.
    receipt: Option<bool>,
}

/// The channels that it was published to, by name, and a result for each.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PublishedTo {
    channels: Vec<String>,
    #[serde(flatten)]
    results: Results<Published>,
}

pub async fn add(call: Call, _: Nothing) -> Result<Changed, ApiError> {
    let channel = member(&call)?;
    let changed = ask(&call, |answer| GroupInquiry::Add { channel, answer }).await??;
    Ok(Changed { changed })
}

pub async fn discard(call: Call, _: Nothing) -> Result<Changed, ApiError> {
    let channel = member(&call)?;
    let changed = ask(&call, |answer| GroupInquiry::Discard { channel, answer }).await?;
    Ok(Changed { changed })
}

pub async fn list(call: Call, _: Nothing) -> Result<Members, ApiError> {
    Ok(Members { channels: members(&call).await? })
}

pub async fn publish(call: Call, message: Publish) -> Result<PublishedTo, ApiError> {
    let channels = members(&call).await?;
    let Publish { data, text, base64, event, sender, exclude, idempotency_key, receipt } = message;
    let broadcast = Broadcast {
        channels: channels.clone(),
        data,
        text,
        base64,
        event,
        sender,
        exclude,
        idempotency_key,
        receipt,
    };
    let results = publish::settle(publish::start_every(&call, broadcast).await?).await;
    Ok(PublishedTo { channels, results })
}

async fn members(call: &Call) -> Result<Vec<String>, ApiError> {
    let members = ask(call, |answer| GroupInquiry::Members { answer }).await?;
    Ok(members.iter().map(ToString::to_string).collect())
}

fn member(call: &Call) -> Result<ChannelName, ApiError> {
    channel_name(call.params.get(1).map_or("", String::as_str))
}

async fn ask<T>(
    call: &Call,
    inquiry: impl FnOnce(oneshot::Sender<T>) -> GroupInquiry,
) -> Result<T, ApiError> {
    let group = ChannelName::parse(call.param())
        .and_then(|name| if name.user().is_some() { Err(NameError::Reserved) } else { Ok(GroupName(name)) })
        .map_err(|error| ApiError::invalid(format!("group: {error}")))?;
    let (answer, receiver) = oneshot::channel();
    call.shard().ask_group(group, inquiry(answer));
    receiver.await.map_err(|_| ApiError::unavailable("The server is shutting down."))
}
