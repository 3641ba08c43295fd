//! What a channel's rule says of rates and places. Both are counted here, at the channel's
//! home, because all its messages and subscriptions come by: counted on the publishers' shards,
//! a limit would hold for each shard and not for the channel.

use super::Homes;
use super::channel::Home;
use crate::core::clock::Nanos;
use crate::core::meter::{Cost, Excess, OnExcess};
use crate::core::{Refusal, UserId};
use crate::hub::letter::{Letter, Origin, Publish, Subscribe};
use crate::hub::post::Post;
use crate::hub::presence::Presence;

/// Close code of a client past a limit that ends connections.
const RATE_LIMIT: u16 = 4002;

/// Only clients' messages count: the server's API and plugins speak for the operator.
pub fn take(home: &Home, publish: &Publish) -> Result<(), Excess> {
    match (&home.meter, &publish.origin) {
        (Some(meter), Origin::Client { .. }) => {
            meter.take(Cost::message(publish.payload.bytes.len()), Nanos::now())
        }
        _ => Ok(()),
    }
}

/// Its meter is not full: forgotten, the channel would come back with a full one.
pub fn owes(home: &Home) -> bool {
    home.meter.as_ref().is_some_and(|meter| meter.full_at() > Nanos::now())
}

/// Is there a place for this subscriber, on its own terms?
pub fn place(home: &Home, subscribe: &Subscribe) -> Result<(), Refusal> {
    if let Some(joins) = &subscribe.joins {
        member(home, &subscribe.sender.user, joins.most)?;
    }
    if let Some(slow) = subscribe.wishes.slow.filter(|slow| home.rule.slow_fixed && *slow != home.rule.slow) {
        let details = format!("policy: `{}` is not for this channel's subscribers to ask for", slow.word());
        return Err(Refusal::InvalidParams { subject: subscribe.channel.to_string(), details });
    }
    let Some(most) = home.rule.max_subscribers.filter(|_| !subscribe.replaces) else { return Ok(()) };
    if home.subscribed() + u64::from(home.joining) < u64::from(most) {
        return Ok(());
    }
    Err(Refusal::LimitExceeded { limit: most as usize, what: "subscribers of this channel" })
}

/// May this user be a member beside those who are? Where the channel's handler judges who comes,
/// each whom it has not answered counts as one more.
fn member(home: &Home, user: &UserId, most: usize) -> Result<(), Refusal> {
    let there = home.presence.as_deref();
    let taken = there.map_or(0, Presence::len) + home.joining as usize;
    if taken < most || there.is_some_and(|presence| presence.has(user)) {
        return Ok(());
    }
    Err(Refusal::LimitExceeded { limit: most, what: "members of this channel" })
}

impl Homes {
    pub(super) fn exceeded(&mut self, publish: Publish, excess: Excess, post: &Post) {
        match &publish.origin {
            Origin::Client { sender, .. } if excess.on_excess == OnExcess::Disconnect => {
                let client = sender.client;
                let close = Letter::Close { client, code: RATE_LIMIT, reason: excess.reason() };
                post.send(client.shard(), close);
            }
            _ => self.answer(publish.channel, publish.origin, Err(excess.refusal()), post),
        }
    }
}
