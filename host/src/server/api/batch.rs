//! `POST /api/batch`: commands in their order; one that fails does not stop the others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::body;
use super::error::ApiError;
use super::orders::{
    self, Disconnect, Disconnected, Refresh, Refreshed, Subscribed, Subscription, Unsubscribed,
};
use super::publish::{self, Broadcast, Outcome, Publish, Published, Results, UnderWay};
use super::route::Call;
use super::send::{self, Send, Sent};
use crate::config::Grant;

/// Commands of one batch.
const MAX_COMMANDS: usize = 1000;

/// Commands, each an object with one field that names it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// At most 1,000. Read one by one, so that one that is wrong spoils no other.
    #[schemars(with = "Vec<Command>")]
    commands: Vec<Box<RawValue>>,
}

/// What the call of the same name takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Command {
    Publish(Publish),
    Broadcast(Broadcast),
    Subscribe(Subscription),
    Unsubscribe(Subscription),
    Disconnect(Disconnect),
    Refresh(Refresh),
    Send(Send),
}

/// What the call of the same name answers.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Done {
    Published(Published),
    Broadcast(Results<Published>),
    Subscribed(Subscribed),
    Unsubscribed(Unsubscribed),
    Disconnected(Disconnected),
    Refreshed(Refreshed),
    Sent(Sent),
}

/// Messages go on their way one after the other without a wait between them: their channels keep
/// the order. Whatever else there is waits for all that is before it.
enum Started {
    Done(Result<Done, ApiError>),
    Publish(UnderWay),
}

pub async fn batch(call: Call, batch: Batch) -> Result<Results<Done>, ApiError> {
    let count = batch.commands.len();
    if count > MAX_COMMANDS {
        return Err(ApiError::invalid(format!("commands: {count} are more than {MAX_COMMANDS}")));
    }
    let mut results = Vec::with_capacity(count);
    let mut started = Vec::new();
    for command in batch.commands {
        let begun = match read(&call, &command) {
            Err(error) => Started::Done(Err(error)),
            Ok(Command::Publish(message)) => match publish::start(&call, message).await {
                Ok(under_way) => Started::Publish(under_way),
                Err(error) => Started::Done(Err(error)),
            },
            Ok(command) => {
                finish(&mut started, &mut results).await;
                Started::Done(run(&call, command).await)
            }
        };
        started.push(begun);
    }
    finish(&mut started, &mut results).await;
    Ok(Results { results })
}

fn read(call: &Call, command: &RawValue) -> Result<Command, ApiError> {
    let command = body::parse(command.get().as_bytes()).map_err(|error| match error.code {
        // It is JSON, or the whole body would not be.
        "bad_json" => ApiError::invalid("A command is an object with one field, which names it."),
        _ => error,
    })?;
    call.caller.require(match command {
        Command::Publish(_) | Command::Broadcast(_) | Command::Send(_) => Grant::Publish,
        _ => Grant::Manage,
    })?;
    Ok(command)
}

async fn run(call: &Call, command: Command) -> Result<Done, ApiError> {
    let call = call.clone();
    Ok(match command {
        Command::Publish(message) => Done::Published(publish::publish(call, message).await?),
        Command::Broadcast(message) => Done::Broadcast(publish::broadcast(call, message).await?),
        Command::Subscribe(order) => Done::Subscribed(orders::subscribe(call, order).await?),
        Command::Unsubscribe(order) => Done::Unsubscribed(orders::unsubscribe(call, order).await?),
        Command::Disconnect(order) => Done::Disconnected(orders::disconnect(call, order).await?),
        Command::Send(message) => Done::Sent(send::send(call, message).await?),
        Command::Refresh(order) => Done::Refreshed(orders::refresh(call, order).await?),
    })
}

async fn finish(started: &mut Vec<Started>, results: &mut Vec<Outcome<Done>>) {
    for started in started.drain(..) {
        let result = match started {
            Started::Done(result) => result,
            Started::Publish(message) => message.done().await.map(Done::Published),
        };
        results.push(result.into());
    }
}
