//! Subscribers come and go: with the channel's handler's leave, and with what they missed.

use bytes::{Bytes, BytesMut};

use super::{Homes, Request, frame, limits};
use crate::core::clock::UnixMillis;
use crate::core::{ChannelName, Refusal, Sender, ShardId};
use crate::hub::letter::{Accepted, Letter, Subscribe, Subscribed, Unsubscribe};
use crate::hub::post::Post;
use crate::hub::presence::{Presence, PresenceRule};
use crate::hub::wire::{Position, Reply, WireId, Wires};
use crate::plugin::{Job, Response};

impl Homes {
    pub fn subscribe(&mut self, subscribe: Subscribe, post: &Post) {
        let shards = self.shards(post);
        match self.open(&subscribe.channel, shards) {
            Err(refusal) => refuse_subscription(subscribe, refusal, post),
            Ok(home) => match (limits::place(home, &subscribe), home.chain.first()) {
                (Err(refusal), _) => refuse_subscription(subscribe, refusal, post),
                (Ok(()), Some(link)) => {
                    home.joining += 1;
                    let (channel, user) = (home.name.clone(), subscribe.sender.user.clone());
                    let (who, params) = (subscribe.sender.clone(), subscribe.params.clone());
                    let respond = home.rule.default_response;
                    link.ask(Job::Subscribe { who, params, respond }, Request::Subscribe(subscribe), None);
                    self.may_return(&channel, &user);
                }
                (Ok(()), None) => self.admit(subscribe, None, post),
            },
        }
    }

    pub fn unsubscribe(&mut self, unsubscribe: Unsubscribe, post: &Post) {
        let (channel, client) = (unsubscribe.channel.clone(), unsubscribe.sender.client);
        let subscribed = unsubscribe.subscribed;
        if subscribed && self.homes.get(&channel).is_some_and(|home| home.rule.presence == PresenceRule::Auto)
        {
            self.gone(&channel, client, post);
        }
        let is_handled = self.homes.get_mut(&channel).is_some_and(|home| {
            if subscribed {
                home.forget(client.shard());
            }
            !home.chain.is_empty()
        });
        // A client that leaves has left, whatever its channel's handler makes of it.
        confirm_unsubscribed(&unsubscribe, post);
        if is_handled && subscribed {
            self.depart(unsubscribe, post);
        }
        if subscribed {
            self.notice_going(&channel);
            self.count(&channel, post);
        }
    }

    pub fn forget_one(&mut self, channel: &ChannelName, shard: ShardId, post: &Post) {
        if let Some(home) = self.homes.get_mut(channel) {
            home.forget(shard);
        }
        self.count(channel, post);
    }

    /// Counts a subscriber in. What was published before goes out first, and what it missed of
    /// that goes with the answer: so the next message that reaches it is the next of the channel.
    /// `response` is its handler's.
    pub(super) fn admit(&mut self, subscribe: Subscribe, response: Option<Response>, post: &Post) {
        if let Some((subscribe, response)) = self.hold(subscribe, response, post) {
            self.admit_now(subscribe, response, post);
        }
    }

    pub(super) fn admit_now(&mut self, subscribe: Subscribe, response: Option<Response>, post: &Post) {
        let Subscribe { channel, sender, wire, wishes, request, filter, joins, told, .. } = subscribe;
        let Some(home) = self.homes.get_mut(&channel) else {
            let refusal = Refusal::ChannelNotFound(channel.clone());
            let answer = Subscribed { channel, sender, request, filter, told, result: Err(refusal) };
            return post.send(answer.sender.client.shard(), Letter::Subscribed(answer));
        };
        home.used();
        if joins.is_some() || home.rule.presence == PresenceRule::Auto {
            let presence = home.presence.get_or_insert_default();
            // Of one who is there already the first connection has said what there is to say.
            let metadata = joins.filter(|_| !presence.has(&sender.user)).map(|joins| joins.metadata);
            let joined = presence.join(&sender, metadata, UnixMillis::now());
            self.tell(&channel, joined, post);
        }
        let Some(home) = self.homes.get_mut(&channel) else { return };
        home.seal(post);
        let shard = sender.client.shard();
        let first = !home.has_subscribers();
        home.subscribers[shard.index()] += 1;
        let past = home.past(self.wires, &wishes, post.mesh());
        let offset = past.since.unwrap_or(home.offset);
        let position = home.is_numbered().then_some(Position { offset, ..home.position() });
        let nobody = Presence::default();
        let reply = Reply::Subscribed {
            channel: &channel,
            position,
            recovered: past.recovered,
            members: wishes.presence.then(|| home.presence.as_deref().unwrap_or(&nobody)),
            cached: wishes.cached.then_some(past.replay.is_some()),
        };
        let missed = wishes.cached && past.replay.is_none();
        let (since, slow) = (home.offset, wishes.slow.unwrap_or(home.rule.slow));
        let frame = frame(self.wires, wire, request.as_ref(), reply);
        // Who has recovered all goes on where it was: that is no new subscription.
        let goes_on = past.recovered == Some(true);
        let response = home.response(response).filter(|_| !goes_on);
        let response = response.map(|said| direct(self.wires, wire, &channel, &said)).unwrap_or_default();
        let (presence, replay) = (wishes.presence, past.replay);
        let accepted = Accepted { since, position, slow, presence, frame, replay, response };
        let answer =
            Subscribed { channel: channel.clone(), sender, request, filter, told, result: Ok(accepted) };
        post.send(shard, Letter::Subscribed(answer));
        self.notice_coming(&channel, first, missed);
        self.count(&channel, post);
    }
}

pub(super) fn refuse_subscription(subscribe: Subscribe, refusal: Refusal, post: &Post) {
    let answer = Subscribed {
        channel: subscribe.channel,
        sender: subscribe.sender.clone(),
        request: subscribe.request,
        filter: subscribe.filter,
        told: subscribe.told,
        result: Err(refusal),
    };
    post.send(subscribe.sender.client.shard(), Letter::Subscribed(answer));
}

fn confirm_unsubscribed(unsubscribe: &Unsubscribe, post: &Post) {
    let Unsubscribe { channel, sender: Sender { client, .. }, request, .. } = unsubscribe;
    if let Some(request) = request {
        let (channel, client, request) = (channel.clone(), *client, request.clone());
        post.send(client.shard(), Letter::Unsubscribed { channel, client, request });
    }
}

/// A message for one client.
pub(super) fn direct(wires: Wires, wire: WireId, channel: &ChannelName, said: &Response) -> Bytes {
    let mut out = BytesMut::new();
    wires[usize::from(wire.0)].direct(channel, &said.event, &said.payload, &mut out);
    out.freeze()
}
