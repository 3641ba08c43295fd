//! What the server's API has done to clients, wherever they are connected.

use std::rc::Rc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::Shard;
use super::ask::{Unanswered, gather};
use crate::core::clock::UnixMillis;
use crate::core::{ChannelName, ClientId, Payload, Refusal, ShardId};
use crate::hub::connection::Connection;
use crate::hub::letter::Subscribe;

/// One connection, or all of a user's.
#[derive(Clone, Debug)]
pub enum Whom {
    Client(ClientId),
    User(String),
}

impl Shard {
    /// Closes their connections; how many.
    pub async fn disconnect_whom(&self, whom: Whom, code: u16, reason: String) -> Result<usize, Unanswered> {
        let closed = self.ask_all(move |shard, _| {
            let found = shard.found(&whom);
            found.iter().for_each(|connection| shard.close(connection, code, &reason));
            found.len()
        });
        Ok(closed.await?.into_iter().sum())
    }

    /// Closes the connections that an application has signed in as one user; how many.
    pub async fn disconnect_signed_in(
        &self,
        app: usize,
        user: String,
        code: u16,
        reason: String,
    ) -> Result<usize, Unanswered> {
        let closed = self.ask_all(move |shard, _| {
            let found: Vec<_> = {
                let delivery = shard.delivery.borrow();
                delivery.connections().filter(|c| c.is_signed_in(app, &user)).cloned().collect()
            };
            found.iter().for_each(|connection| shard.close(connection, code, &reason));
            found.len()
        });
        Ok(closed.await?.into_iter().sum())
    }

    /// Gives their identities a new end; for how many connections.
    pub async fn refresh_whom(&self, whom: Whom, expires_at: UnixMillis) -> Result<usize, Unanswered> {
        let refreshed = self.ask_all(move |shard, _| {
            let found = shard.found_admitted(&whom);
            found.iter().for_each(|connection| shard.expire_at(connection, Some(expires_at)));
            found.len()
        });
        Ok(refreshed.await?.into_iter().sum())
    }

    /// Subscribes them as if they had asked: the channel's handler judges, the client gets
    /// `subscribed` or the refusal. Auth plugins are not asked. What became of it, by connection; of
    /// one that ends meanwhile nothing.
    pub async fn subscribe_whom(
        &self,
        whom: Whom,
        channel: ChannelName,
        params: Option<Bytes>,
        max_subscriptions: usize,
    ) -> Result<Vec<(ClientId, Result<(), Refusal>)>, Unanswered> {
        let asked = self.shards_of(&whom).map(|shard| {
            let (whom, channel, params) = (whom.clone(), channel.clone(), params.clone());
            self.ask(shard, move |there, _, answer| {
                let found = there.found_admitted(&whom);
                let asked: Vec<_> = found
                    .iter()
                    .map(|connection| {
                        (connection.id, there.ask_to_join(connection, &channel, &params, max_subscriptions))
                    })
                    .collect();
                tokio::task::spawn_local(async move {
                    let mut results = Vec::with_capacity(asked.len());
                    for (client, told) in asked {
                        results.extend(told.await.ok().map(|result| (client, result)));
                    }
                    // Who asked may have given up.
                    let _ = answer.send(results);
                });
            })
        });
        Ok(gather(asked.collect()).await?.concat())
    }

    /// Ends their subscriptions; of how many connections. Each is told `unsubscribed`.
    pub async fn unsubscribe_whom(&self, whom: Whom, channel: ChannelName) -> Result<usize, Unanswered> {
        let asked = self.shards_of(&whom).map(|shard| {
            let (whom, channel) = (whom.clone(), channel.clone());
            self.ask(shard, move |there, _, answer| {
                let (there, found) = (there.clone(), there.found_admitted(&whom));
                tokio::task::spawn_local(async move {
                    let mut left = 0;
                    for connection in found {
                        connection.until_settled().await;
                        if connection.is_subscribed(&channel) && !connection.is_closing() {
                            there.remove(&connection, channel.clone());
                            left += 1;
                        }
                    }
                    let _ = answer.send(left);
                });
            })
        });
        Ok(gather(asked.collect()).await?.into_iter().sum())
    }

    /// A message to one client, in nobody's channel. False: it is not connected.
    pub async fn send_to_client(
        &self,
        client: ClientId,
        event: Bytes,
        payload: Payload,
    ) -> Result<bool, Unanswered> {
        let whom = Whom::Client(client);
        let asked = self.shards_of(&whom).map(|shard| {
            let (whom, event, payload) = (whom.clone(), event.clone(), payload.clone());
            self.ask(shard, move |there, _, answer| {
                let found = there.found_admitted(&whom);
                for connection in &found {
                    there.send_direct(connection, &ChannelName::of_client(), &event, &payload);
                }
                let _ = answer.send(!found.is_empty());
            })
        });
        Ok(gather(asked.collect()).await?.contains(&true))
    }

    fn ask_to_join(
        &self,
        connection: &Rc<Connection>,
        channel: &ChannelName,
        params: &Option<Bytes>,
        limit: usize,
    ) -> oneshot::Receiver<Result<(), Refusal>> {
        let (told, receiver) = oneshot::channel();
        match self.may_be_asked(connection, channel, limit) {
            // The other end is here.
            Err(refusal) => drop(told.send(Err(refusal))),
            Ok(()) => {
                let subscribe = Subscribe { told: Some(told), ..asked_for(connection, channel, params) };
                self.subscribe(connection, subscribe);
            }
        }
        receiver
    }

    /// May a client be subscribed by somebody else, as far as is known here?
    pub(super) fn may_be_asked(
        &self,
        connection: &Connection,
        channel: &ChannelName,
        limit: usize,
    ) -> Result<(), Refusal> {
        if channel.user().is_some_and(|user| !connection.stands_for(user)) {
            let user = connection.sender().named().cloned();
            return Err(Refusal::PermissionDenied { user, channel: channel.clone(), reason: None });
        }
        if connection.subscriptions() >= limit && !connection.is_subscribed(channel) {
            return Err(Refusal::LimitExceeded { limit, what: "subscriptions of one client" });
        }
        Ok(())
    }

    fn shards_of(&self, whom: &Whom) -> impl Iterator<Item = ShardId> + use<> {
        let only = match whom {
            Whom::Client(client) => Some(client.shard()),
            Whom::User(_) => None,
        };
        self.every_shard().filter(move |shard| only.is_none_or(|only| only == *shard))
    }

    /// Those here who are meant, and are not being closed.
    pub(super) fn found(&self, whom: &Whom) -> Vec<Rc<Connection>> {
        let delivery = self.delivery.borrow();
        let mut found: Vec<_> = match whom {
            Whom::Client(client) => delivery.find(*client).cloned().into_iter().collect(),
            Whom::User(user) => delivery.connections().filter(|c| c.stands_for(user)).cloned().collect(),
        };
        found.retain(|connection| !connection.is_closing());
        found
    }

    fn found_admitted(&self, whom: &Whom) -> Vec<Rc<Connection>> {
        let mut found = self.found(whom);
        found.retain(|connection| connection.is_admitted());
        found
    }
}

/// A subscription in a client's place.
pub(super) fn asked_for(connection: &Connection, channel: &ChannelName, params: &Option<Bytes>) -> Subscribe {
    Subscribe {
        params: params.clone(),
        replaces: connection.is_subscribed(channel),
        ..Subscribe::plain(channel.clone(), connection.sender(), connection.wire)
    }
}
