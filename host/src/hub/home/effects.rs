//! What handlers and actions ask the server to do.

use bytes::Bytes;
use tokio::sync::oneshot;

use super::Homes;
use super::chain::{LinkId, Passed};
use crate::core::clock::UnixMillis;
use crate::core::{ChannelName, ClientId, Sender, TraceParent};
use crate::hub::groups::{GroupInquiry, GroupName};
use crate::hub::letter::{Fate, Letter, Order, Origin, PUBLICATIONS_A_MESSAGE, Publish};
use crate::hub::post::Post;
use crate::hub::presence::PresenceRule;
use crate::plugin::{Audience, Direct, Effect, Publication, Recipient};

/// What one call's publications have in common.
struct Cause<'a> {
    channel: &'a ChannelName,
    /// The channel's handler that has been called: what it publishes there does not come back to it, nor
    /// to the others. None: an action.
    by: Option<LinkId>,
    /// What each of its publications may set off in turn.
    share: u16,
    /// Of the request that the call was of.
    trace: Option<TraceParent>,
}

/// The publications that one message may still set off.
struct Allowance {
    left: usize,
    /// What each of them may set off in turn.
    share: u16,
    /// Of the request that the message came with.
    trace: Option<TraceParent>,
}

impl Allowance {
    /// For so many of them, where there is room for `budget`.
    fn new(channel: &ChannelName, publications: usize, budget: u16, trace: Option<TraceParent>) -> Self {
        let allowed = publications.min(usize::from(budget));
        if publications > allowed {
            tracing::warn!(
                %channel, dropped = publications - allowed,
                "a message has set off more than {PUBLICATIONS_A_MESSAGE} publications; the rest is dropped: \
                 do handlers publish to each other's channels in a circle?"
            );
        }
        // At most 1,024, so the share fits.
        let share = (usize::from(budget) - allowed).checked_div(allowed).unwrap_or(0) as u16;
        Self { left: allowed, share, trace }
    }

    fn take(&mut self) -> bool {
        let is_left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_left
    }
}

impl Homes {
    /// Effects of the calls of a channel's handlers for one message, in their order. `budget` publications
    /// are left to the message; each gets an equal share of what remains, so that no chain of handlers goes on
    /// for ever. Subscriptions count as publications: handlers are asked about them.
    pub(super) fn apply(
        &mut self,
        channel: &ChannelName,
        passed: Option<Box<Passed>>,
        (by, effects): (LinkId, Vec<Effect>),
        budget: u16,
        trace: Option<TraceParent>,
        post: &Post,
    ) {
        let before = passed.map(|passed| passed.effects).unwrap_or_default();
        let of_this = effects.iter().filter(|effect| sets_something_off(effect)).count();
        let of_those = before.iter().flat_map(|(_, effects)| effects);
        let publications = of_those.filter(|effect| sets_something_off(effect)).count() + of_this;
        let mut allowance = Allowance::new(channel, publications, budget, trace);
        for (by, effects) in before {
            self.apply_for(channel, Some(by), effects, &mut allowance, post);
        }
        self.apply_for(channel, Some(by), effects, &mut allowance, post);
    }

    /// The same for an action. `name` is its name, which stands in for a channel's.
    pub fn apply_for_action(
        &mut self,
        name: &ChannelName,
        effects: Vec<Effect>,
        trace: Option<TraceParent>,
        post: &Post,
    ) {
        let publications = effects.iter().filter(|effect| sets_something_off(effect)).count();
        let mut allowance = Allowance::new(name, publications, PUBLICATIONS_A_MESSAGE, trace);
        self.apply_for(name, None, effects, &mut allowance, post);
    }

    fn apply_for(
        &mut self,
        channel: &ChannelName,
        by: Option<LinkId>,
        effects: Vec<Effect>,
        allowance: &mut Allowance,
        post: &Post,
    ) {
        let cause = Cause { channel, by, share: allowance.share, trace: allowance.trace };
        for effect in effects {
            if sets_something_off(&effect) && !allowance.take() {
                continue;
            }
            self.apply_one(&cause, effect, post);
        }
    }

    fn apply_one(&mut self, cause: &Cause<'_>, effect: Effect, post: &Post) {
        let (channel, budget) = (cause.channel, cause.share);
        if is_done_to_a_client(&effect)
            && let Some(home) = self.homes.get_mut(channel)
        {
            // It comes after what its channel has got so far.
            home.seal(post);
        }
        let order = |client: ClientId, order| post.send(client.shard(), Letter::Order { client, order });
        match effect {
            Effect::Publish(publication) => self.publish_for(cause, publication, false, post),
            Effect::Persist(publication) => self.publish_for(cause, publication, true, post),
            Effect::Send(Direct { to: Recipient::User(channel), event, payload }) => {
                let publication = Publication { channel, event, payload, to: Audience::All };
                self.publish_for(cause, publication, false, post);
            }
            Effect::Send(Direct { to: Recipient::Client(client), event, payload }) => {
                let direct = Letter::Direct { client, channel: channel.clone(), event, payload };
                post.send(client.shard(), direct);
            }
            Effect::Subscribe { client, channel, params } => {
                order(client, Order::Subscribe { channel, params, budget });
            }
            Effect::Unsubscribe { client, channel } => order(client, Order::Unsubscribe { channel, budget }),
            Effect::Join { client, channel, data } => order(client, Order::Join { channel, metadata: data }),
            Effect::Leave { client, channel } => order(client, Order::Leave { channel }),
            Effect::Kick(dismissal) => post.send(
                dismissal.client.shard(),
                Letter::Close { client: dismissal.client, code: 4003, reason: dismissal.reason },
            ),
            Effect::GroupAdd { group, channel } => add_to_group(group, channel, post),
            Effect::GroupDiscard { group, channel } => {
                // Nobody waits for the answer.
                let inquiry = GroupInquiry::Discard { channel, answer: oneshot::channel().0 };
                let home = post.mesh().home(&group);
                post.send(home, Letter::Group { group: GroupName(group), inquiry });
            }
            Effect::SetTimer { id, after_ms } => {
                if let Some(by) = cause.by {
                    self.set_timer(channel, by, id, after_ms, post);
                }
            }
            Effect::CancelTimer(id) => {
                if let Some(by) = cause.by {
                    self.cancel_timer(channel, by, id);
                }
            }
            Effect::Count(_) | Effect::Gauge(_) => debug_assert!(false, "kept by the plugin's floor"),
        }
    }

    fn publish_for(&mut self, cause: &Cause<'_>, publication: Publication, keep: bool, post: &Post) {
        let Publication { channel, event, payload, to } = publication;
        let (except, fate) = match to {
            _ if keep => (None, Fate::Keep),
            Audience::All => (None, Fate::Deliver),
            Audience::Others(client) => (Some(client), Fate::Deliver),
            Audience::Only(clients) => (None, Fate::Only(clients)),
        };
        let own = cause.by.is_some() && channel == *cause.channel;
        let publish = Publish {
            channel,
            origin: Origin::Plugin,
            event,
            payload,
            except,
            key: None,
            budget: cause.share,
            receipt: false,
            fate,
            trace: cause.trace,
        };
        if own && self.homes.contains_key(&publish.channel) {
            self.accept(publish, post);
        } else {
            post.send(post.mesh().home(&publish.channel), Letter::Publish(publish));
        }
    }

    /// [`Homes::accept`] of a message that is not for everybody, or not for now.
    pub(super) fn accept_aside(&mut self, publish: Publish, post: &Post) {
        let Publish { channel, event, payload, fate, .. } = publish;
        let Some(home) = self.homes.get_mut(&channel) else { return };
        match fate {
            Fate::Keep => match home.keep(event, payload) {
                true => self.published += 1,
                false => {
                    tracing::warn!(%channel, "a plugin persists a message, but the channel has no history")
                }
            },
            Fate::Only(clients) if home.has_subscribers() => {
                self.open_messages += 1;
                if !home.has_open_turn() {
                    self.dirty.push(home.name.clone());
                    post.queue.wake();
                }
                home.push_aside(self.wires, event, payload, clients, post);
            }
            Fate::Only(_) => {}
            Fate::Deliver => debug_assert!(false, "has a place"),
        }
    }

    /// A plugin makes a client's user a member.
    pub fn enter(&mut self, channel: &ChannelName, who: &Sender, metadata: Option<Bytes>, post: &Post) {
        let shards = self.shards(post);
        let refused = |why: String| {
            tracing::warn!(%channel, client = %who.client, why, "a plugin lets a client join, which was refused");
        };
        let home = match self.open(channel, shards) {
            Ok(home) if home.rule.presence == PresenceRule::Off => {
                return refused("presence is not kept in this channel".into());
            }
            Ok(home) => home,
            Err(refusal) => return refused(refusal.to_string()),
        };
        home.used();
        let events = home.presence.get_or_insert_default().join(who, metadata, UnixMillis::now());
        self.tell(channel, events, post);
    }
}

/// May other handlers have to be asked because of it?
fn sets_something_off(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::Publish(_)
            | Effect::Persist(_)
            | Effect::Send(Direct { to: Recipient::User(_), .. })
            | Effect::Subscribe { .. }
            | Effect::Unsubscribe { .. }
    )
}

/// Is it carried out on a client's shard?
fn is_done_to_a_client(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::Send(Direct { to: Recipient::Client(_), .. })
            | Effect::Subscribe { .. }
            | Effect::Unsubscribe { .. }
            | Effect::Join { .. }
            | Effect::Leave { .. }
            | Effect::Kick(_)
    )
}

fn add_to_group(group: ChannelName, channel: ChannelName, post: &Post) {
    let (answer, answered) = oneshot::channel();
    let (home, name) = (post.mesh().home(&group), group.clone());
    let inquiry = GroupInquiry::Add { channel: channel.clone(), answer };
    post.send(home, Letter::Group { group: GroupName(group), inquiry });
    tokio::task::spawn_local(async move {
        if let Ok(Err(refusal)) = answered.await {
            tracing::warn!(group = %name, %channel, refusal = refusal.to_string(),
                "a plugin adds a channel to a group, which was refused");
        }
    });
}
