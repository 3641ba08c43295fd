//! What plugins have done to clients of this shard, each client's orders one after the other.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::Shard;
use super::orders::asked_for;
use crate::core::{ChannelName, ClientId, Refusal};
use crate::hub::connection::Connection;
use crate::hub::letter::{Letter, Order, Subscribe};
use crate::hub::wire::Reply;
use crate::plugin::Departure;

/// Orders of one client that wait for those before them; one more is not carried out, and logged.
const WAITING: usize = 1024;
/// A client that always has some request under way is not waited for any longer.
const PATIENCE: Duration = Duration::from_secs(5);

type Judge = dyn Fn(&ChannelName, bool, Option<Bytes>) -> Result<Option<Bytes>, Refusal> + Send + Sync;

/// What the floor above has to say of subscriptions that plugins ask for: the channel's rule may
/// want a user that was verified, and know what parameters look like.
#[derive(Clone, Default)]
pub struct Admission(Option<Arc<Judge>>);

impl Admission {
    /// `judge` is told the channel, whether the client is anonymous, and the parameters, and gives
    /// back those that the channel's handler gets.
    pub fn new(
        judge: impl Fn(&ChannelName, bool, Option<Bytes>) -> Result<Option<Bytes>, Refusal>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self(Some(Arc::new(judge)))
    }

    fn judge(
        &self,
        connection: &Connection,
        channel: &ChannelName,
        params: Option<Bytes>,
    ) -> Result<Option<Bytes>, Refusal> {
        match &self.0 {
            Some(judge) => judge(channel, connection.sender().named().is_none(), params),
            None => Ok(params),
        }
    }
}

/// Orders that wait, by client: most never have one.
#[derive(Default)]
pub(super) struct Orders(RefCell<HashMap<ClientId, VecDeque<Order>>>);

impl Shard {
    /// What is still under way for the client comes first: so the last word counts.
    pub(super) fn order(self: &Rc<Self>, client: ClientId, order: Order) {
        let connection = self.delivery.borrow().find(client).cloned();
        let Some(connection) = connection.filter(|connection| connection.is_admitted()) else {
            return tracing::debug!(%client, ?order, "a plugin's order, but the client is gone");
        };
        let mut all = self.orders.0.borrow_mut();
        match all.get_mut(&client) {
            None if connection.is_settled() => {
                drop(all);
                self.carry_out(&connection, order);
            }
            None => {
                all.insert(client, VecDeque::from([order]));
                let shard = self.clone();
                tokio::task::spawn_local(async move { shard.carry_out_all(connection).await });
            }
            Some(waiting) if waiting.len() >= WAITING => {
                tracing::warn!(%client, ?order, "not carried out: {WAITING} of plugins' orders wait already");
            }
            Some(waiting) => waiting.push_back(order),
        }
    }

    async fn carry_out_all(self: Rc<Self>, connection: Rc<Connection>) {
        loop {
            // Whether it was in time makes no difference.
            let _ = timeout(PATIENCE, connection.until_settled()).await;
            let next = {
                let mut all = self.orders.0.borrow_mut();
                let next = all.get_mut(&connection.id).and_then(VecDeque::pop_front);
                if next.is_none() {
                    all.remove(&connection.id);
                }
                next
            };
            let Some(order) = next else { return };
            if connection.is_admitted() {
                self.carry_out(&connection, order);
            }
        }
    }

    fn carry_out(&self, connection: &Rc<Connection>, order: Order) {
        match order {
            Order::Subscribe { channel, params, budget } => {
                let limit = self.settings.subscriptions;
                let judged = self
                    .may_be_asked(connection, &channel, limit)
                    .and_then(|()| self.settings.admission.judge(connection, &channel, params));
                match judged {
                    Ok(params) => {
                        let asked = asked_for(connection, &channel, &params);
                        self.subscribe(connection, Subscribe { budget, ..asked });
                    }
                    Err(refusal) => {
                        self.reply(connection, None, Reply::Refused { channel: Some(channel), refusal });
                    }
                }
            }
            Order::Unsubscribe { channel, budget } => {
                self.end_subscription(connection, channel, None, Departure::Removed, budget);
            }
            Order::Join { channel, metadata } => {
                let limit = self.settings.subscriptions;
                if !connection.join(&channel, limit) {
                    return tracing::warn!(client = %connection.id, %channel,
                        "a plugin lets a client join, but it is in {limit} channels already");
                }
                let home = self.post.mesh().home(&channel);
                self.post.send(home, Letter::Enter { channel, sender: connection.sender(), metadata });
            }
            Order::Leave { channel } => {
                connection.joined.borrow_mut().remove(&channel);
                let home = self.post.mesh().home(&channel);
                self.post.send(home, Letter::Gone { channel, client: connection.id });
            }
        }
    }
}
