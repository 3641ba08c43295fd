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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::Publication;
    use super::super::fixture::{Wide, alone};
    use super::*;
    use crate::core::{ChannelName, Payload};
    use crate::hub::letter::Subscribe;
    use crate::hub::wire::WireId;

    /// Writes and bytes since the last time.
    fn written(socket: &Wide) -> (usize, usize) {
        (socket.writes.take(), socket.bytes.take().len())
    }

    #[tokio::test]
    async fn a_socket_is_written_once_a_turn_of_however_many_channels_it_hears() {
        let run = async {
            let (shard, inbox) = alone();
            tokio::task::spawn_local(shard.clone().run(inbox));
            let channel = |name: &str| ChannelName::parse(name).unwrap();
            let listener = async |names: &[&str]| {
                let socket = Rc::new(Wide::default());
                let connection = shard.connect(WireId(0), socket.clone()).unwrap();
                for name in names {
                    let subscribe = Subscribe::plain(channel(name), connection.sender(), WireId(0));
                    shard.subscribe(&connection, subscribe);
                }
                connection.until_settled().await;
                socket
            };
            let (one, both) = (listener(&["a"]).await, listener(&["a", "b"]).await);
            // All of them in one turn; the last column is who asks for a receipt.
            let publish = async |messages: &[(&str, bool)]| {
                let publications = messages.iter().map(|(name, receipt)| Publication {
                    receipt: *receipt,
                    ..Publication::new(channel(name), Bytes::new(), Payload::json("1"))
                });
                let answers: Vec<_> = publications.map(|one| shard.publish_as_server(one)).collect();
                for answer in answers {
                    answer.await.unwrap().unwrap();
                }
                tokio::task::yield_now().await;
                (written(&one), written(&both))
            };
            assert_eq!(publish(&[("a", false), ("b", false), ("a", false)]).await, ((1, 2), (1, 3)));
            assert_eq!(publish(&[("a", false)]).await, ((1, 1), (1, 1)));
            assert_eq!(publish(&[("b", false)]).await, ((0, 0), (1, 1)));
            // Each that is counted is a turn of its own of its channel.
            let counted = [("a", false), ("a", true), ("a", true), ("a", false), ("b", false)];
            assert_eq!(publish(&counted).await, ((1, 4), (1, 5)));
            assert_eq!(publish(&[("a", false), ("b", false)]).await, ((1, 1), (1, 2)));
        };
        tokio::task::LocalSet::new().run_until(run).await;
    }
}
