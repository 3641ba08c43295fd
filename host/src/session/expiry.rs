//! The end of an identity: a warning 30 s before, then close 4001, unless it is renewed.

use std::rc::Rc;
use std::time::Duration;

use super::Context;
use crate::core::clock::UnixMillis;
use crate::hub::Connection;
use crate::hub::shard::AbortOnDrop;
use crate::hub::wire::Reply;

const WARNING: Duration = Duration::from_secs(30);

/// The running clock of one identity; dropped, it stops.
pub struct Expiry(#[expect(dead_code, reason = "held for its drop")] AbortOnDrop);

impl Expiry {
    pub fn start(context: &Rc<Context>, connection: &Rc<Connection>, at: UnixMillis) -> Self {
        let (context, connection) = (Rc::downgrade(context), connection.clone());
        let left = Duration::from_millis(at.0.saturating_sub(UnixMillis::now().0));
        let task = tokio::task::spawn_local(async move {
            tokio::time::sleep(left.saturating_sub(WARNING)).await;
            if let Some(context) = context.upgrade() {
                context.shard.reply(&connection, None, Reply::Expiring);
            }
            tokio::time::sleep(left.min(WARNING)).await;
            if let Some(context) = context.upgrade() {
                context.shard.close(&connection, 4001, "The token has expired.");
            }
        });
        Self(AbortOnDrop(task))
    }
}

/// Closes a client that has been refused and shows no token in time.
pub fn close_after(
    context: &Rc<Context>,
    connection: &Rc<Connection>,
    after: Duration,
    reason: String,
) -> AbortOnDrop {
    let (context, connection) = (Rc::downgrade(context), connection.clone());
    AbortOnDrop(tokio::task::spawn_local(async move {
        tokio::time::sleep(after).await;
        if let Some(context) = context.upgrade() {
            context.shard.close(&connection, 4001, &reason);
        }
    }))
}
