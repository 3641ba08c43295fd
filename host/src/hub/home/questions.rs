//! What clients and the server's API ask of a channel: its past, and who is in it.

use super::channel::Home;
use super::{Homes, frame};
use crate::core::clock::UnixMillis;
use crate::core::{ChannelName, ClientId, Message, Refusal};
use crate::hub::letter::{About, Inquiry, Letter, Page, Question};
use crate::hub::post::Post;
use crate::hub::presence::{Presence, PresenceEvent, PresenceRule};
use crate::hub::wire::{Position, Reply};

impl Homes {
    pub fn question(&mut self, question: Question, post: &Post) {
        let Question { channel, sender, wire, request, about } = question;
        let request = request.as_ref();
        let shards = self.shards(post);
        let now = UnixMillis::now();
        let result = self.open(&channel, shards).and_then(|home| {
            home.used();
            home.expire(now);
            match &about {
                About::Join { .. } | About::Presence if home.rule.presence == PresenceRule::Off => {
                    let details = "presence is not kept in this channel".to_owned();
                    Err(Refusal::InvalidParams { subject: channel.to_string(), details })
                }
                About::Join { metadata } => {
                    let presence = home.presence.get_or_insert_default();
                    Ok(presence.join(&sender, metadata.clone(), now))
                }
                About::Leave => {
                    Ok(home.presence.as_mut().and_then(|p| p.leave(sender.client)).into_iter().collect())
                }
                About::Presence | About::History { .. } => Ok(Vec::new()),
            }
        });
        let frame = match result {
            Err(refusal) => {
                frame(self.wires, wire, request, Reply::Refused { channel: Some(channel), refusal })
            }
            Ok(events) => {
                self.tell(&channel, events, post);
                let Some(home) = self.homes.get(&channel) else { return };
                match about {
                    About::Join { .. } => frame(self.wires, wire, request, Reply::Joined { channel }),
                    About::Leave => frame(self.wires, wire, request, Reply::Left { channel }),
                    About::Presence => {
                        let nobody = Presence::default();
                        let members = home.presence.as_deref().unwrap_or(&nobody);
                        frame(self.wires, wire, request, Reply::Presence { channel: &channel, members })
                    }
                    About::History { since, limit } => {
                        let (complete, messages) = page(home, since, limit);
                        let reply = Reply::History {
                            channel: &channel,
                            position: home.position(),
                            complete,
                            messages,
                        };
                        frame(self.wires, wire, request, reply)
                    }
                }
            }
        };
        post.send(sender.client.shard(), Letter::Answered { client: sender.client, frame });
    }

    /// The server's own API asks. Whoever asked may have given up.
    pub fn inquiry(&mut self, channel: &ChannelName, inquiry: Inquiry, post: &Post) {
        let shards = self.shards(post);
        let now = UnixMillis::now();
        match inquiry {
            Inquiry::History { since, limit, answer } => {
                let result = self.open(channel, shards).map(|home| {
                    home.expire(now);
                    let (complete, messages) = page(home, since, limit);
                    Page { position: home.position(), complete, messages: messages.cloned().collect() }
                });
                let _ = answer.send(result);
            }
            Inquiry::ClearHistory { answer } => {
                let result = self.open(channel, shards).map(|home| {
                    home.clear();
                    home.position()
                });
                let _ = answer.send(result);
            }
            Inquiry::Presence { answer } => {
                let result = self.open(channel, shards).map(|home| {
                    home.presence.iter().flat_map(|presence| presence.members()).cloned().collect()
                });
                let _ = answer.send(result);
            }
            Inquiry::Cached { answer } => {
                let cached = |home: &mut Home| home.cached().map(|(message, until)| (message.clone(), until));
                let _ = answer.send(self.open(channel, shards).map(cached));
            }
            Inquiry::ClearPresence { answer } => {
                let result = self
                    .open(channel, shards)
                    .map(|home| home.presence.as_mut().map(|presence| presence.clear()).unwrap_or_default());
                let result = result.map(|events| {
                    let left = events.len();
                    self.tell(channel, events, post);
                    left
                });
                let _ = answer.send(result);
            }
        }
    }

    /// A connection that had joined has ended.
    pub fn gone(&mut self, channel: &ChannelName, client: ClientId, post: &Post) {
        let presence = self.homes.get_mut(channel).and_then(|home| home.presence.as_mut());
        let left = presence.and_then(|presence| presence.leave(client));
        self.tell(channel, left.into_iter().collect(), post);
    }

    /// Puts changes of presence into the channel's order.
    pub(super) fn tell(&mut self, channel: &ChannelName, events: Vec<PresenceEvent>, post: &Post) {
        self.notice_presence(channel, &events);
        let Some(home) = self.homes.get_mut(channel) else { return };
        if events.is_empty() || !home.rule.join_leave || !home.has_subscribers() {
            return;
        }
        if !home.has_open_turn() {
            self.dirty.push(home.name.clone());
            post.queue.wake();
        }
        for event in events {
            self.open_messages += 1;
            home.push_presence(self.wires, event, post);
        }
    }
}

/// What a channel has kept: the last `limit` messages, or the first `limit` after a place; and
/// whether nothing is missing right after that place.
fn page(
    home: &Home,
    since: Option<Position>,
    limit: usize,
) -> (bool, Box<dyn Iterator<Item = &Message> + '_>) {
    let Some(history) = &home.history else {
        return (since.is_none_or(|since| since == home.position()), Box::new(std::iter::empty()));
    };
    match since {
        None => (true, Box::new(history.last(limit))),
        Some(since) if since.epoch == home.epoch => {
            let (messages, complete) = history.since(since.offset, home.offset);
            (complete, Box::new(messages.take(limit)))
        }
        Some(_) => (false, Box::new(history.last(usize::MAX).take(limit))),
    }
}
