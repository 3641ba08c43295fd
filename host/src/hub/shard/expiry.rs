//! The end of an identity: a warning 30 s before, then close 4001, unless it is renewed.

use std::rc::Rc;
use std::time::Duration;

use super::{AbortOnDrop, Shard};
use crate::core::clock::UnixMillis;
use crate::hub::connection::Connection;
use crate::hub::wire::Reply;

const WARNING: Duration = Duration::from_secs(30);

impl Shard {
    /// Sets the end of a client's identity instead of the one it had; none: it does not end.
    pub fn expire_at(self: &Rc<Self>, connection: &Rc<Connection>, at: Option<UnixMillis>) {
        let clock = at.map(|at| {
            let left = Duration::from_millis(at.0.saturating_sub(UnixMillis::now().0));
            // By its id: the connection holds its clock, and must not be held by it.
            let (shard, client) = (Rc::downgrade(self), connection.id);
            let find = move || {
                let shard = shard.upgrade()?;
                let connection = shard.delivery.borrow().find(client).cloned()?;
                Some((shard, connection))
            };
            AbortOnDrop(tokio::task::spawn_local(async move {
                tokio::time::sleep(left.saturating_sub(WARNING)).await;
                if let Some((shard, connection)) = find() {
                    shard.reply(&connection, None, Reply::Expiring);
                }
                tokio::time::sleep(left.min(WARNING)).await;
                if let Some((shard, connection)) = find() {
                    shard.close_expired(&connection);
                }
            }))
        });
        connection.set_end(at, clock);
    }

    /// Ends a connection whose identity has ended.
    pub fn close_expired(&self, connection: &Rc<Connection>) {
        connection.set_expired();
        self.close(connection, 4001, "The token has expired.");
    }
}
