//! `POST /apps/{id}/events` and `…/batch_events`. Nothing is published before all of it is found
//! to be good.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::super::api::{ApiError, parse_json};
use super::Call;
use super::channels::{Info, State, channel};
use crate::core::apps::MAX_EVENT;
use crate::core::{ChannelName, ClientId, Payload, Refusal};
use crate::dialect::pusher::payload;
use crate::hub::letter::Published;
use crate::hub::shard::Publication;

/// A channel's handler that has not answered by then may yet deliver the message.
const PATIENCE: Duration = Duration::from_secs(30);

/// An event as it is posted. Fields that nobody knows are passed over: SDKs have their own.
#[derive(Deserialize)]
struct Posted {
    name: String,
    data: String,
    channels: Option<Vec<String>>,
    channel: Option<String>,
    /// The connection that does not get it.
    socket_id: Option<String>,
    /// What the answer says of the channels.
    info: Option<String>,
}

#[derive(Deserialize)]
struct PostedBatch {
    batch: Vec<Posted>,
}

/// `{}`, unless somebody asked.
#[derive(Serialize)]
pub struct Triggered {
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<BTreeMap<String, State>>,
}

/// The same for a batch, in its order.
#[derive(Serialize)]
pub struct TriggeredBatch {
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<Vec<State>>,
}

/// An event that can be published.
struct Event {
    /// The application's names for them beside the server's; none twice.
    channels: Vec<(String, ChannelName)>,
    name: String,
    payload: Payload,
    except: Option<ClientId>,
    info: Info,
}

pub async fn publish(call: &Call) -> Result<Triggered, ApiError> {
    let event = Event::read(call, parse_json(&call.body)?)?;
    finish(send(call, &event).await?).await?;
    let channels = if event.info.is_empty() {
        None
    } else {
        let states = event.info.of(call, &event.channels).await?;
        Some(event.channels.into_iter().map(|(name, _)| name).zip(states).collect())
    };
    Ok(Triggered { channels })
}

pub async fn publish_batch(call: &Call) -> Result<TriggeredBatch, ApiError> {
    let PostedBatch { batch } = parse_json(&call.body)?;
    let most = call.app.limits.batch;
    if batch.len() > most {
        return Err(ApiError::invalid(format!("batch: {} events are more than {most}", batch.len())));
    }
    let read = batch.into_iter().enumerate().map(|(index, posted)| {
        let event = Event::read(call, posted).map_err(|error| error.within(&format!("batch[{index}].")))?;
        match &event.channels[..] {
            [_] => Ok(event),
            _ => Err(ApiError::invalid(format!("batch[{index}].channel: an event of a batch has one"))),
        }
    });
    let events: Vec<Event> = read.collect::<Result<_, _>>()?;
    let mut under_way = Vec::with_capacity(events.len());
    for event in &events {
        under_way.extend(send(call, event).await?);
    }
    finish(under_way).await?;
    if events.iter().all(|event| event.info.is_empty()) {
        return Ok(TriggeredBatch { batch: None });
    }
    let mut states = Vec::with_capacity(events.len());
    for event in &events {
        states.extend(event.info.of(call, &event.channels).await?);
    }
    Ok(TriggeredBatch { batch: Some(states) })
}

impl Event {
    fn read(call: &Call, posted: Posted) -> Result<Self, ApiError> {
        let Posted { name, data, channels, channel: one, socket_id, info } = posted;
        let limits = &call.app.limits;
        let names = match (channels, one) {
            (Some(channels), None) => channels,
            (None, Some(channel)) => vec![channel],
            _ => return Err(ApiError::invalid("Exactly one of channels and channel is required.")),
        };
        let most = limits.channels_per_event;
        if names.is_empty() || names.len() > most {
            return Err(ApiError::invalid(format!("channels: {} are not 1 to {most}", names.len())));
        }
        if name.is_empty() || name.chars().nth(MAX_EVENT).is_some() {
            return Err(ApiError::invalid(format!("name: has not 1 to {MAX_EVENT} characters")));
        }
        if data.len() > limits.event_bytes {
            let says = format!("data: {} bytes are more than {}", data.len(), limits.event_bytes);
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", says));
        }
        let payload = payload::posted(data);
        let mut channels: Vec<(String, ChannelName)> = Vec::with_capacity(names.len());
        for name in names {
            let server_name = channel(&call.app, &name)?;
            call.router.context.rules.payload(&server_name, &payload)?;
            if !channels.iter().any(|(known, _)| *known == name) {
                channels.push((name, server_name));
            }
        }
        let except = match socket_id {
            Some(id) => {
                let client = call.router.context.apps.client(&id);
                client.map_err(|error| ApiError::invalid(format!("socket_id: {error}")))?
            }
            None => None,
        };
        let info = Info::parse(info.iter().flat_map(|info| info.split(',')).map(str::trim));
        Ok(Self { channels, name, payload, except, info })
    }
}

type UnderWay = oneshot::Receiver<Result<Published, Refusal>>;

/// Sends an event on its way to its channels' homes.
async fn send(call: &Call, event: &Event) -> Result<Vec<UnderWay>, ApiError> {
    let mut under_way = Vec::with_capacity(event.channels.len());
    for (_, channel) in &event.channels {
        call.shard().until_uncongested().await?;
        let name = event.name.clone().into_bytes().into();
        let publication = Publication {
            except: event.except,
            trace: call.trace,
            ..Publication::new(channel.clone(), name, event.payload.clone())
        };
        under_way.push(call.shard().publish_as_server(publication));
    }
    Ok(under_way)
}

/// Waits until all channels have taken it.
///
/// # Errors
/// The first refusal; the other channels may have taken it.
async fn finish(under_way: Vec<UnderWay>) -> Result<(), ApiError> {
    let all = async {
        for published in under_way {
            match published.await {
                Ok(Ok(_)) => {}
                Ok(Err(refusal)) => return Err(refusal.into()),
                Err(_) => return Err(ApiError::unavailable("The server is shutting down.")),
            }
        }
        Ok(())
    };
    let late = "A channel's handler has not answered; the event may yet be published.";
    timeout(PATIENCE, all).await.unwrap_or_else(|_| Err(ApiError::unavailable(late)))
}
