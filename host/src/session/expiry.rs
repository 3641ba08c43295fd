//! A client that was refused has a while to show a token.

use std::rc::Rc;
use std::time::Duration;

use super::Context;
use crate::hub::Connection;
use crate::hub::shard::AbortOnDrop;

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
