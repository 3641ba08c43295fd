//! The end of a turn: each socket is written once.

use std::rc::Rc;

use super::Shard;
use crate::hub::connection::Connection;
use crate::hub::outbox::Wrote;

impl Shard {
    pub(super) fn write(self: &Rc<Self>) {
        let slow = self.delivery.borrow_mut().take_slow();
        for connection in slow {
            self.close_slow(&connection);
        }
        let mut dirty = self.delivery.borrow_mut().take_dirty();
        for connection in dirty.drain(..) {
            connection.dirty.set(false);
            connection.tell_places(self.wire(connection.wire));
            let mut outbox = connection.outbox.borrow_mut();
            // One that is blocked has a task that writes when the socket is writable.
            if outbox.is_blocked() || outbox.is_empty() {
                continue;
            }
            match outbox.write_to(&*connection.socket) {
                Ok(Wrote::All) if connection.is_closing() => connection.socket.finish(),
                Ok(Wrote::All) => connection.written(),
                Ok(Wrote::Blocked) => {
                    drop(outbox);
                    tokio::task::spawn_local(drain(connection));
                }
                Err(_) => connection.socket.shutdown(),
            }
        }
        self.delivery.borrow_mut().recycle_dirty(dirty);
    }

    fn close_slow(&self, connection: &Rc<Connection>) {
        // One turn may find a connection too slow several times; its close frame waits already.
        if connection.is_closing() {
            return;
        }
        tracing::info!(client = %connection.id, "closing a slow consumer: {} bytes wait for it",
            self.settings.outbox_bytes);
        connection.outbox.borrow_mut().clear_unsent();
        self.close(connection, 4008, "Slow consumer.");
    }
}

/// Writes to a socket that was full, whenever it is writable, until nothing waits.
async fn drain(connection: Rc<Connection>) {
    loop {
        let writable = std::future::poll_fn(|context| connection.socket.poll_writable(context)).await;
        let wrote = match writable {
            Ok(()) => connection.outbox.borrow_mut().write_to(&*connection.socket),
            Err(error) => Err(error),
        };
        match wrote {
            Ok(Wrote::Blocked) => {}
            Ok(Wrote::All) if connection.is_closing() => return connection.socket.finish(),
            Ok(Wrote::All) => return connection.written(),
            Err(_) => return connection.socket.shutdown(),
        }
    }
}
