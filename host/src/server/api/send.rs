//! `POST /api/send`: a message to one client, or to a user's own channel.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::content::{Content, any_json};
use super::error::ApiError;
use super::orders::whom;
use super::publish::UnderWay;
use super::route::Call;
use crate::core::ChannelName;
use crate::hub::shard::{Publication, Whom};

/// Exactly one of `client` and `user` is required, and one of `data`, `text` and `base64`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// A client id: it gets the message from the channel `$client`.
    client: Option<String>,
    /// A user: who subscribes to its channel, `$user:` and its id, gets the message from there.
    user: Option<String>,
    /// Any JSON, passed on byte for byte.
    #[serde(default, deserialize_with = "any_json")]
    data: Option<Box<RawValue>>,
    text: Option<String>,
    /// Bytes in base64: a binary message.
    base64: Option<String>,
    /// The event's name.
    event: Option<String>,
}

/// What became of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Sent {
    /// Connections it is on its way to.
    delivered: usize,
    /// True: none of the user's was there, and it waits for the next. Left out otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    queued: bool,
}

pub async fn send(call: Call, message: Send) -> Result<Sent, ApiError> {
    let Send { client, user, data, text, base64, event } = message;
    let whom = whom(client, user)?;
    let payload = Content { data, text, base64 }.payload(call.message_bytes())?;
    let event = event.unwrap_or_default().into();
    call.shard().until_uncongested().await?;
    match whom {
        Whom::Client(client) => match call.shard().send_to_client(client, event, payload).await? {
            true => Ok(Sent { delivered: 1, queued: false }),
            false => Err(ApiError::not_found(format!("No client {client} is connected."))),
        },
        Whom::User(user) => {
            let channel = ChannelName::of_user(&user);
            let channel = channel.map_err(|error| ApiError::invalid(format!("user: {error}")))?;
            call.router.context.rules.payload(&channel, &payload)?;
            let publication =
                Publication { receipt: true, trace: call.trace, ..Publication::new(channel, event, payload) };
            let (delivered, queued) =
                UnderWay(call.shard().publish_as_server(publication)).done().await?.fate();
            Ok(Sent { delivered, queued })
        }
    }
}
