//! Lists and counts over all shards, in pages.

use std::collections::BinaryHeap;
use std::net::SocketAddr;

use super::Shard;
use super::ask::Unanswered;
use crate::core::clock::UnixMillis;
use crate::core::{ChannelName, ClientId, UserId};
use crate::hub::connection::Connection;
use crate::hub::counters::Counters;
use crate::hub::home::ChannelFacts;

/// Some of a list in its order.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// The list goes on after the last of them.
    pub more: bool,
}

/// A client that is connected, and known to the auth plugins.
#[derive(Clone, Debug)]
pub struct ConnectionFacts {
    pub client: ClientId,
    pub user: UserId,
    /// None: its socket has just ended.
    pub address: Option<SocketAddr>,
    pub since: UnixMillis,
    pub subscriptions: usize,
    /// Messages left out because it was slow.
    pub dropped: u64,
}

/// What the whole server holds.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub shards: usize,
    pub connections: usize,
    pub channels: usize,
    pub subscriptions: usize,
    pub since_start: Counters,
}

impl Shard {
    /// Channels in use, by name: with subscribers, or used a short while ago.
    pub async fn list_channels(
        &self,
        prefix: String,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<ChannelFacts>, Unanswered> {
        let firsts = self.ask_all(move |_, homes| homes.first(&prefix, after.as_deref(), limit + 1));
        let mut items: Vec<_> = firsts.await?.into_iter().flatten().collect();
        items.sort_unstable();
        Ok(Page::of(items, limit))
    }

    /// Clients by id, of one user or of all.
    pub async fn list_connections(
        &self,
        user: Option<String>,
        after: Option<ClientId>,
        limit: usize,
    ) -> Result<Page<ConnectionFacts>, Unanswered> {
        let firsts = self.ask_all(move |shard, _| shard.first_connections(user.as_deref(), after, limit + 1));
        let mut items: Vec<_> = firsts.await?.into_iter().flatten().collect();
        items.sort_unstable_by_key(|facts| facts.client);
        Ok(Page::of(items, limit))
    }

    /// One client and its channels by name; none if it is not connected.
    pub async fn find_connection(
        &self,
        client: ClientId,
    ) -> Result<Option<(ConnectionFacts, Vec<ChannelName>)>, Unanswered> {
        let found = self.ask_all(move |shard, _| {
            let delivery = shard.delivery.borrow();
            let connection = delivery.find(client).filter(|connection| connection.is_admitted())?;
            let mut channels: Vec<_> = connection.seats.borrow().keys().cloned().collect();
            channels.sort_unstable();
            Some((facts(connection), channels))
        });
        Ok(found.await?.into_iter().flatten().next())
    }

    pub async fn count_all(&self) -> Result<Counts, Unanswered> {
        let counts = self.ask_all(|shard, homes| {
            let delivery = shard.delivery.borrow();
            let subscriptions = delivery.connections().map(|c| c.seats.borrow().len()).sum();
            let (connections, channels) = (delivery.connection_count(), homes.len());
            let since_start = Counters {
                published: homes.published(),
                delivered: delivery.delivered(),
                dropped: delivery.dropped(),
                judged: shard.filters.judged(),
                ..shard.counters.borrow().clone()
            };
            Counts { shards: 1, connections, channels, subscriptions, since_start }
        });
        let all = counts.await?.into_iter().fold(Counts::default(), |a, b| Counts {
            shards: a.shards + b.shards,
            connections: a.connections + b.connections,
            channels: a.channels + b.channels,
            subscriptions: a.subscriptions + b.subscriptions,
            since_start: a.since_start.and(b.since_start),
        });
        Ok(all)
    }

    fn first_connections(
        &self,
        user: Option<&str>,
        after: Option<ClientId>,
        limit: usize,
    ) -> Vec<ConnectionFacts> {
        let delivery = self.delivery.borrow();
        let wanted = |connection: &Connection| {
            connection.is_admitted()
                && after.is_none_or(|after| connection.id > after)
                && user.is_none_or(|user| connection.is_user(user))
        };
        let mut first: BinaryHeap<ClientId> = BinaryHeap::new();
        for connection in delivery.connections().filter(|connection| wanted(connection)) {
            first.push(connection.id);
            if first.len() > limit {
                first.pop();
            }
        }
        let found = first.into_iter().filter_map(|client| delivery.find(client));
        found.map(|connection| facts(connection)).collect()
    }
}

impl<T> Page<T> {
    fn of(mut items: Vec<T>, limit: usize) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        Self { items, more }
    }
}

fn facts(connection: &Connection) -> ConnectionFacts {
    ConnectionFacts {
        client: connection.id,
        user: connection.sender().user,
        address: connection.socket.peer(),
        since: connection.since,
        subscriptions: connection.seats.borrow().len(),
        dropped: connection.dropped(),
    }
}
