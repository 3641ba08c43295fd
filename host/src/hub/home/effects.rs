//! What handlers and actions ask the server to do.

use super::Homes;
use crate::core::ChannelName;
use crate::hub::letter::{Letter, Origin, PUBLICATIONS_A_MESSAGE, Publish};
use crate::hub::post::Post;
use crate::plugin::{Audience, Direct, Effect, Recipient};

impl Homes {
    /// Effects of one call, in their order. `budget` publications are left to its message;
    /// each gets an equal share of what remains, so that no chain of handlers goes on for ever.
    pub fn apply(&mut self, channel: &ChannelName, effects: Vec<Effect>, budget: u16, post: &Post) {
        let publications = effects.iter().filter(|effect| matches!(effect, Effect::Publish(_))).count();
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
        let mut left = allowed;
        for effect in effects {
            match effect {
                Effect::Publish(_) if left == 0 => {}
                Effect::Publish(publication) => {
                    left -= 1;
                    let own = publication.channel == *channel;
                    let except = match publication.to {
                        Audience::Others(client) => Some(client),
                        Audience::All | Audience::Only(_) => None,
                    };
                    let publish = Publish {
                        channel: publication.channel,
                        origin: Origin::Plugin,
                        event: publication.event,
                        payload: publication.payload,
                        except,
                        key: None,
                        budget: share,
                        receipt: false,
                    };
                    if own && self.homes.contains_key(channel) {
                        self.accept(publish, post);
                    } else {
                        post.send(post.mesh().home(publish.channel.as_str()), Letter::Publish(publish));
                    }
                }
                Effect::Send(Direct { to: Recipient::Client(client), ref event, ref payload }) => post.send(
                    client.shard(),
                    Letter::Direct {
                        client,
                        channel: channel.clone(),
                        event: event.clone(),
                        payload: payload.clone(),
                    },
                ),
                Effect::SetTimer { id, after_ms } => self.set_timer(channel, id, after_ms, post),
                Effect::CancelTimer(id) => self.cancel_timer(channel, id),
                Effect::Kick(dismissal) => post.send(
                    dismissal.client.shard(),
                    Letter::Close { client: dismissal.client, code: 4003, reason: dismissal.reason },
                ),
                other => tracing::error!(%channel, "not applied yet: {other:?}"),
            }
        }
    }
}
