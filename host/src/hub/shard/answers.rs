//! What homes answer to a client of this shard.

use bytes::Bytes;

use super::Shard;
use crate::core::{ChannelName, ClientId, Refusal};
use crate::hub::letter::{Letter, PUBLICATIONS_A_MESSAGE, Published, Subscribed, Unsubscribe};
use crate::hub::wire::{Reply, RequestId};
use crate::plugin::Departure;

impl Shard {
    pub(super) fn subscribed(&self, answer: Subscribed) {
        let Subscribed { channel, sender, request, filter, told, result } = answer;
        let connection = self.delivery.borrow().find(sender.client).cloned();
        let Some(connection) = connection.as_ref().filter(|connection| !connection.is_closing()) else {
            self.release(filter);
            if result.is_ok() {
                let (home, client) = (self.post.mesh().home(&channel), sender.client);
                self.leave(Unsubscribe {
                    channel: channel.clone(),
                    sender,
                    request: None,
                    subscribed: true,
                    why: connection.map_or(Departure::Disconnected, |connection| connection.departure()),
                    budget: PUBLICATIONS_A_MESSAGE,
                    trace: None,
                });
                // If it was to be a member.
                self.post.send(home, Letter::Gone { channel, client });
            }
            return;
        };
        connection.return_credit();
        connection.answer_came();
        connection.subscription_answered();
        if let Some(told) = told {
            // Who asked may have hung up.
            let _ = told.send(result.as_ref().map(drop).map_err(Refusal::clone));
        }
        match result {
            Err(refusal) => {
                self.release(filter);
                if !connection.is_subscribed(&channel) {
                    connection.uncall(&channel);
                }
                let channel = Some(channel);
                self.reply(connection, request.as_ref(), Reply::Refused { channel, refusal });
            }
            Ok(accepted) => {
                let replay_filter = filter.clone();
                let before = self.delivery.borrow_mut().subscribe(connection, &channel, &accepted, filter);
                if let Some(before) = before {
                    self.release(before.filter);
                    let home = self.post.mesh().home(&channel);
                    let shard = connection.id.shard();
                    self.post.send(home, Letter::ForgetOne { channel: channel.clone(), shard });
                }
                if let Some(position) =
                    accepted.position.filter(|_| self.wire(connection.wire).tells_places())
                {
                    connection.starts_at(&channel, position);
                    self.delivery.borrow_mut().mark_dirty(connection);
                }
                self.send(connection, accepted.frame);
                match (accepted.replay, replay_filter) {
                    (Some(turn), Some(choice)) => {
                        return self.filtered.judge_replay(connection.id, choice, turn, accepted.response);
                    }
                    (Some(turn), None) => {
                        self.delivery.borrow_mut().deliver_replay(connection.id, &turn, |_| true);
                    }
                    (None, _) => {}
                }
                self.send(connection, accepted.response);
            }
        }
    }

    pub(super) fn published(
        &self,
        channel: ChannelName,
        client: ClientId,
        request: Option<RequestId>,
        result: Result<Published, Refusal>,
    ) {
        let connection = self.delivery.borrow().find(client).cloned();
        let Some(connection) = connection else { return };
        connection.return_credit();
        match result {
            // Who wants to hear of a success says so with an id.
            Ok(_) if request.is_none() => {}
            Ok(Published { offset, receipt, .. }) => {
                self.reply(&connection, request.as_ref(), Reply::Published { channel, offset, receipt });
            }
            Err(refusal) => {
                let channel = Some(channel);
                self.reply(&connection, request.as_ref(), Reply::Refused { channel, refusal });
            }
        }
    }

    pub(super) fn answer(&self, client: ClientId, request: Option<&RequestId>, reply: Reply<'_>) {
        let connection = self.delivery.borrow().find(client).cloned();
        if let Some(connection) = connection {
            connection.return_credit();
            self.reply(&connection, request, reply);
        }
    }

    /// A home has answered a question.
    pub(super) fn answered(&self, client: ClientId, frame: Bytes) {
        let connection = self.delivery.borrow().find(client).cloned();
        if let Some(connection) = connection {
            connection.return_credit();
            connection.answer_came();
            if frame.is_empty() {
                return;
            }
            // A page of history may be as large as a replay.
            connection.push_replay(frame);
            self.delivery.borrow_mut().mark_dirty(&connection);
            self.post.queue.wake();
        }
    }

    pub(super) fn channel_gone(&self, channel: &ChannelName) {
        let subscribers = self.delivery.borrow().subscribers(channel);
        for connection in subscribers {
            let removed = self.delivery.borrow_mut().unsubscribe(&connection, channel);
            self.release(removed.and_then(|removed| removed.filter));
            connection.uncall(channel);
            let refusal = Refusal::ChannelNotFound(channel.clone());
            self.reply(&connection, None, Reply::Refused { channel: Some(channel.clone()), refusal });
        }
    }

    pub(super) fn leave(&self, unsubscribe: Unsubscribe) {
        let home = self.post.mesh().home(&unsubscribe.channel);
        self.post.send(home, Letter::Unsubscribe(unsubscribe));
    }
}
