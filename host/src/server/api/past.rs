//! `GET` and `DELETE /api/channels/{channel}/history`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::content::base64;
use super::error::ApiError;
use super::info::Nothing;
use super::publish::channel_name;
use super::route::Call;
use crate::core::{Message, Offset, PayloadKind, Refusal};
use crate::hub::letter::Inquiry;
use crate::hub::wire::{Epoch, Position};

/// Which part of the history.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// At most so many messages: the last ones, or with `since` the first ones after it. All that
    /// are kept if left out.
    limit: Option<usize>,
    /// Only what came after this place: `EPOCH:OFFSET`.
    since: Option<String>,
}

/// Messages that are kept, the oldest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct History {
    epoch: String,
    /// Of the channel's last message.
    offset: u64,
    /// False: what came right after `since` is gone, or its epoch is another.
    complete: bool,
    messages: Vec<Kept>,
}

/// Exactly one of `data`, `text` and `base64` is there.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Kept {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    /// A user id.
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<String>,
    offset: u64,
    /// Unix time in seconds.
    timestamp: f64,
}

/// Where the channel stands.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Cleared {
    epoch: String,
    offset: u64,
}

pub async fn read(call: Call, query: Query) -> Result<History, ApiError> {
    let since = query.since.map(|since| position(&since)).transpose()?;
    let limit = query.limit.unwrap_or(usize::MAX);
    let page = ask(&call, |answer| Inquiry::History { since, limit, answer }).await?;
    let messages = page.messages.iter().map(kept).collect::<Result<_, _>>()?;
    let Position { epoch, offset } = page.position;
    Ok(History { epoch: epoch.to_string(), offset: offset.0, complete: page.complete, messages })
}

pub async fn clear(call: Call, _: Nothing) -> Result<Cleared, ApiError> {
    let Position { epoch, offset } = ask(&call, |answer| Inquiry::ClearHistory { answer }).await?;
    Ok(Cleared { epoch: epoch.to_string(), offset: offset.0 })
}

/// Asks the home of the channel in the path.
pub async fn ask<T>(
    call: &Call,
    inquiry: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Inquiry,
) -> Result<T, ApiError> {
    let channel = channel_name(call.param())?;
    let (answer, receiver) = oneshot::channel();
    call.shard().inquire(channel, inquiry(answer));
    match receiver.await {
        Ok(result) => Ok(result?),
        Err(_) => Err(ApiError::unavailable("The server is shutting down.")),
    }
}

fn position(text: &str) -> Result<Position, ApiError> {
    let place = || {
        let (epoch, offset) = text.split_once(':')?;
        Some(Position { epoch: Epoch::parse(epoch), offset: Offset(offset.parse().ok()?) })
    };
    place().ok_or_else(|| ApiError::invalid("query: since: is not EPOCH:OFFSET"))
}

fn kept(message: &Message) -> Result<Kept, ApiError> {
    let text = || String::from_utf8_lossy(&message.payload.bytes).into_owned();
    let (mut data, mut words, mut bytes) = (None, None, None);
    match message.payload.kind {
        PayloadKind::Json => {
            let json = RawValue::from_string(text());
            data = Some(json.map_err(|_| ApiError::unavailable("A message that is kept is not JSON."))?);
        }
        PayloadKind::Text => words = Some(text()),
        PayloadKind::Binary => bytes = Some(base64(&message.payload.bytes)),
    }
    let event = String::from_utf8_lossy(&message.event).into_owned();
    Ok(Kept {
        data,
        text: words,
        base64: bytes,
        event: Some(event).filter(|event| !event.is_empty()),
        sender: message.sender.as_ref().map(|sender| sender.user.as_str().to_owned()),
        offset: message.offset.0,
        timestamp: message.at.0 as f64 / 1000.0,
    })
}
