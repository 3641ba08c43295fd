//! `POST /api/publish` and `POST /api/broadcast`.

use std::time::Duration;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::content::{Content, any_json};
use super::error::{ApiError, Failure};
use super::route::Call;
use crate::core::{ChannelName, ClientId, IdempotencyKey, Payload, Refusal, UserId};
use crate::hub::letter;
use crate::hub::shard::Publication;

/// Channels of one broadcast.
pub const MAX_CHANNELS: usize = 1000;
/// The longest name of a sender, in bytes.
const MAX_SENDER: usize = 255;
/// A channel's handler that has not answered by then may yet deliver the message.
const PATIENCE: Duration = Duration::from_secs(30);

/// A message for one channel. Exactly one of `data`, `text` and `base64` is required.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// 1 to 255 bytes.
    channel: String,
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
    /// 1 to 255 bytes. For 5 minutes a repeat gets the first answer again and publishes nothing.
    idempotency_key: Option<String>,
    /// True: the answer says how many it was delivered to.
    receipt: Option<bool>,
}

/// A message for many channels. Exactly one of `data`, `text` and `base64` is required.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Broadcast {
    /// At most 1,000.
    pub channels: Vec<String>,
    /// Any JSON, passed on byte for byte.
    #[serde(default, deserialize_with = "any_json")]
    pub data: Option<Box<RawValue>>,
    pub text: Option<String>,
    /// Bytes in base64: subscribers get a binary message.
    pub base64: Option<String>,
    /// The event's name.
    pub event: Option<String>,
    /// The user in whose name it is published, 1 to 255 bytes.
    pub sender: Option<String>,
    /// The id of a client that does not get it.
    pub exclude: Option<String>,
    /// 1 to 255 bytes; holds in each channel by itself.
    pub idempotency_key: Option<String>,
    /// True: the answers say how many it was delivered to.
    pub receipt: Option<bool>,
}

/// A message's place in its channel.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Published {
    /// Left out where the channel's handler took the message and delivered nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    epoch: String,
    /// Subscribers that it is on its way to. This and the next two, where a receipt was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered: Option<u64>,
    /// Subscribers whose filters refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    filtered: Option<u64>,
    /// Subscribers that the publisher left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    excluded: Option<u64>,
    /// True in a user's own channel: nobody was there, and it waits for who comes. Left out
    /// otherwise; without a receipt also where it turns out to wait only after the answer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    queued: bool,
}

impl Published {
    /// Connections it is on its way to, where a receipt was asked for; and whether it waits.
    pub fn fate(&self) -> (usize, bool) {
        (self.delivered.map_or(0, |delivered| delivered as usize), self.queued)
    }
}

/// A result for each, in the order of the request.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Results<T> {
    pub results: Vec<Outcome<T>>,
}

/// What one of many led to.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Outcome<T> {
    Done(T),
    Failed(Failure),
}

impl<T> From<Result<T, ApiError>> for Outcome<T> {
    fn from(result: Result<T, ApiError>) -> Self {
        match result {
            Ok(done) => Self::Done(done),
            Err(error) => Self::Failed(error.failure()),
        }
    }
}

pub async fn publish(call: Call, message: Publish) -> Result<Published, ApiError> {
    start(&call, message).await?.done().await
}

pub async fn broadcast(call: Call, message: Broadcast) -> Result<Results<Published>, ApiError> {
    Ok(settle(start_all(&call, message).await?).await)
}

/// A message that is on its way to its channel's home, in the order of the calls.
pub struct UnderWay(pub(super) oneshot::Receiver<Result<letter::Published, Refusal>>);

impl UnderWay {
    pub async fn done(self) -> Result<Published, ApiError> {
        match timeout(PATIENCE, self.0).await {
            Ok(Ok(Ok(published))) => {
                let offset = published.offset.map(|offset| offset.0);
                let receipt = published.receipt;
                Ok(Published {
                    offset,
                    epoch: published.epoch.to_string(),
                    delivered: receipt.map(|receipt| receipt.delivered),
                    filtered: receipt.map(|receipt| receipt.filtered),
                    excluded: receipt.map(|receipt| receipt.excluded),
                    queued: published.queued,
                })
            }
            Ok(Ok(Err(refusal))) => Err(refusal.into()),
            Ok(Err(_)) => Err(ApiError::unavailable("The server is shutting down.")),
            Err(_) => {
                let says = "The channel's handler has not answered; the message may yet be published.";
                Err(ApiError::unavailable(says))
            }
        }
    }
}

/// Sends a message on its way.
pub async fn start(call: &Call, message: Publish) -> Result<UnderWay, ApiError> {
    let Publish { channel, data, text, base64, event, sender, exclude, idempotency_key, receipt } = message;
    let channel = channel_name(&channel)?;
    let content = Content { data, text, base64 };
    let mut common = Common::read(call, content, event, sender, exclude, idempotency_key)?;
    common.receipt = receipt.unwrap_or(false);
    common.send(call, channel).await
}

/// Sends a message on its way to each channel.
pub async fn start_all(call: &Call, message: Broadcast) -> Result<Vec<Result<UnderWay, ApiError>>, ApiError> {
    let count = message.channels.len();
    if count > MAX_CHANNELS {
        return Err(ApiError::invalid(format!("channels: {count} are more than {MAX_CHANNELS}")));
    }
    start_every(call, message).await
}

/// The same, however many they are.
pub async fn start_every(
    call: &Call,
    message: Broadcast,
) -> Result<Vec<Result<UnderWay, ApiError>>, ApiError> {
    let Broadcast { channels, data, text, base64, event, sender, exclude, idempotency_key, receipt } =
        message;
    let content = Content { data, text, base64 };
    let mut common = Common::read(call, content, event, sender, exclude, idempotency_key)?;
    common.receipt = receipt.unwrap_or(false);
    let mut started = Vec::with_capacity(channels.len());
    for channel in channels {
        started.push(match channel_name(&channel) {
            Ok(channel) => common.send(call, channel).await,
            Err(error) => Err(error),
        });
    }
    Ok(started)
}

/// Waits for what has been started.
pub async fn settle(started: Vec<Result<UnderWay, ApiError>>) -> Results<Published> {
    let mut results = Vec::with_capacity(started.len());
    for one in started {
        let result = match one {
            Ok(under_way) => under_way.done().await,
            Err(error) => Err(error),
        };
        results.push(result.into());
    }
    Results { results }
}

pub fn channel_name(name: &str) -> Result<ChannelName, ApiError> {
    ChannelName::parse(name).map_err(|error| ApiError::invalid(format!("channel: {error}")))
}

pub fn client_id(field: &str, text: &str) -> Result<ClientId, ApiError> {
    let says = || ApiError::invalid(format!("{field}: is no client id, 16 hexadecimal digits"));
    ClientId::parse(text).ok_or_else(says)
}

/// What publish and broadcast say of their message.
struct Common {
    payload: Payload,
    event: Bytes,
    sender: Option<UserId>,
    except: Option<ClientId>,
    key: Option<IdempotencyKey>,
    receipt: bool,
}

impl Common {
    fn read(
        call: &Call,
        content: Content,
        event: Option<String>,
        sender: Option<String>,
        exclude: Option<String>,
        key: Option<String>,
    ) -> Result<Self, ApiError> {
        let sender = sender.map(|sender| user("sender", &sender)).transpose()?;
        let key = key.map(|key| IdempotencyKey::parse(&key)).transpose();
        Ok(Self {
            payload: content.payload(call.message_bytes())?,
            event: event.unwrap_or_default().into(),
            sender,
            except: exclude.map(|id| client_id("exclude", &id)).transpose()?,
            key: key.map_err(|error| ApiError::invalid(format!("idempotency_key: {error}")))?,
            receipt: false,
        })
    }

    async fn send(&self, call: &Call, channel: ChannelName) -> Result<UnderWay, ApiError> {
        call.router.context.rules.payload(&channel, &self.payload)?;
        call.shard().until_uncongested().await?;
        Ok(UnderWay(call.shard().publish_as_server(Publication {
            channel,
            event: self.event.clone(),
            payload: self.payload.clone(),
            sender: self.sender.clone(),
            except: self.except,
            key: self.key.clone(),
            receipt: self.receipt,
            trace: call.trace,
        })))
    }
}

fn user(field: &str, name: &str) -> Result<UserId, ApiError> {
    if (1..=MAX_SENDER).contains(&name.len()) && !name.chars().any(char::is_control) {
        return Ok(UserId(name.into()));
    }
    Err(ApiError::invalid(format!("{field}: is not 1 to {MAX_SENDER} bytes without control characters")))
}
