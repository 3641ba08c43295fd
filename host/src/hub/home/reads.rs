//! What plugins ask of the channels and groups that are at home here. Asking makes no channel.

use super::Homes;
use crate::core::clock::UnixMillis;
use crate::core::{ChannelName, Message};
use crate::hub::groups::GroupName;
use crate::hub::presence::Presence;
use crate::plugin::reads::{Found, MEMBERS, MESSAGE_BYTES, Present, Read};

impl Homes {
    pub fn read(&mut self, read: &Read) -> Found {
        match read {
            Read::Members(channel) => Found::Members(self.presence(channel).map(first).unwrap_or_default()),
            Read::Count(channel) => Found::Count(self.presence(channel).map_or(0, Presence::len)),
            Read::Last { channel, limit } => Found::Messages(self.last(channel, *limit)),
            Read::Since { channel, offset, limit } => {
                let after = self.kept(channel).filter(|message| message.offset.0 > *offset);
                Found::Messages(within_bytes(after.take(*limit)))
            }
            Read::Channels(group) => Found::Channels(self.groups.members(&GroupName(group.clone()))),
        }
    }

    fn presence(&self, channel: &ChannelName) -> Option<&Presence> {
        self.homes.get(channel)?.presence.as_deref()
    }

    /// Oldest first.
    fn kept(&mut self, channel: &ChannelName) -> impl DoubleEndedIterator<Item = &Message> {
        let home = self.homes.get_mut(channel);
        let home = home.map(|home| {
            home.expire(UnixMillis::now());
            &*home
        });
        home.and_then(|home| home.history.as_ref()).into_iter().flat_map(|history| history.last(usize::MAX))
    }

    fn last(&mut self, channel: &ChannelName, limit: usize) -> Vec<Message> {
        let mut last = within_bytes(self.kept(channel).rev().take(limit));
        last.reverse();
        last
    }
}

/// The first of them that are not too much together.
fn within_bytes<'a>(messages: impl Iterator<Item = &'a Message>) -> Vec<Message> {
    let mut left = MESSAGE_BYTES;
    let fits = messages.map_while(|message| {
        left = left.checked_sub(message.payload.bytes.len() + message.event.len())?;
        Some(message.clone())
    });
    fits.collect()
}

/// Who came first.
fn first(presence: &Presence) -> Vec<Present> {
    let mut members: Vec<_> = presence.with_connections().collect();
    let key = |member: &(&crate::hub::presence::Member, usize)| (member.0.joined_at.0, member.0.user.clone());
    if members.len() > MEMBERS {
        members.select_nth_unstable_by_key(MEMBERS, key);
        members.truncate(MEMBERS);
    }
    members.sort_by_cached_key(key);
    let present = members.into_iter().map(|(member, connections)| Present {
        user: member.user.clone(),
        metadata: member.metadata.clone(),
        joined_at: member.joined_at,
        connections,
    });
    present.collect()
}
