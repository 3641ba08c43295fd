//! Who is in a channel: one entry a user, however many of its connections are there.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use crate::core::clock::UnixMillis;
use crate::core::{ClientId, Sender, UserId};

/// Is there presence in a channel, and how does one come into it?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PresenceRule {
    Off,
    /// By asking to join.
    #[default]
    Explicit,
    /// Subscribers are in; joining adds metadata.
    Auto,
}

/// A user in a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub user: UserId,
    /// When the first of its connections joined.
    pub joined_at: UnixMillis,
    /// A JSON object, checked where it came in; empty for none.
    pub metadata: Bytes,
}

/// What subscribers that asked for presence are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PresenceEvent {
    Join(Member),
    /// A member's metadata has changed.
    Update(Member),
    Leave(Member),
}

impl PresenceEvent {
    pub fn member(&self) -> &Member {
        match self {
            Self::Join(member) | Self::Update(member) | Self::Leave(member) => member,
        }
    }
}

#[derive(Default)]
pub struct Presence {
    members: BTreeMap<UserId, (Member, Vec<ClientId>)>,
    /// The user that each connection joined as: it may have another name by now.
    clients: HashMap<ClientId, UserId>,
    /// The list as dialects have written it, until somebody comes or goes: ten thousand members
    /// lie at as many places of the memory.
    listed: RefCell<[Option<Bytes>; 2]>,
}

/// Who writes lists of members.
#[derive(Clone, Copy, Debug)]
pub enum Lister {
    Native,
    Pusher,
}

impl Presence {
    /// Joins a connection, or changes its user's metadata: without any, what is there stays.
    /// Empty: nothing has changed for others.
    pub fn join(&mut self, who: &Sender, metadata: Option<Bytes>, now: UnixMillis) -> Vec<PresenceEvent> {
        self.listed.take();
        let mut events = Vec::new();
        if self.clients.get(&who.client).is_some_and(|user| *user != who.user) {
            // It has authenticated anew, as somebody else.
            events.extend(self.leave(who.client));
        }
        self.clients.insert(who.client, who.user.clone());
        let (member, clients) = self.members.entry(who.user.clone()).or_insert_with(|| {
            let member = Member { user: who.user.clone(), joined_at: now, metadata: Bytes::new() };
            (member, Vec::new())
        });
        let is_new = clients.is_empty();
        if !clients.contains(&who.client) {
            clients.push(who.client);
        }
        let changes = metadata.as_ref().is_some_and(|metadata| *metadata != member.metadata);
        if let Some(metadata) = metadata {
            // Of its own: what came is a piece of a reader's larger buffer.
            member.metadata = Bytes::copy_from_slice(&metadata);
        }
        if is_new {
            events.push(PresenceEvent::Join(member.clone()));
        } else if changes {
            events.push(PresenceEvent::Update(member.clone()));
        }
        events
    }

    /// A connection leaves; its user has left with the last one.
    pub fn leave(&mut self, client: ClientId) -> Option<PresenceEvent> {
        let user = self.clients.remove(&client)?;
        self.listed.take();
        let (_, clients) = self.members.get_mut(&user)?;
        clients.retain(|other| *other != client);
        if !clients.is_empty() {
            return None;
        }
        self.members.remove(&user).map(|(member, _)| PresenceEvent::Leave(member))
    }

    /// Everybody leaves.
    pub fn clear(&mut self) -> Vec<PresenceEvent> {
        self.clients = HashMap::new();
        self.listed.take();
        std::mem::take(&mut self.members)
            .into_values()
            .map(|(member, _)| PresenceEvent::Leave(member))
            .collect()
    }

    /// Is some connection of this user there?
    pub fn has(&self, user: &UserId) -> bool {
        self.members.contains_key(user)
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// What `write` makes of the members, or made of them the last time.
    pub fn listed(&self, lister: Lister, write: impl FnOnce(&Self) -> Bytes) -> Bytes {
        self.listed.borrow_mut()[lister as usize].get_or_insert_with(|| write(self)).clone()
    }

    /// The same, each with how many of its connections are there.
    pub fn with_connections(&self) -> impl Iterator<Item = (&Member, usize)> {
        self.members.values().map(|(member, clients)| (member, clients.len()))
    }

    /// By the users' names.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values().map(|(member, _)| member)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn who(client: u64, user: &str) -> Sender {
        Sender { client: ClientId(client), user: UserId(user.into()) }
    }

    #[test]
    fn a_user_is_one_entry_until_its_last_connection_leaves() {
        let mut presence = Presence::default();
        let at = |second: u64| UnixMillis(second * 1000);
        assert_eq!(presence.join(&who(1, "ada"), None, at(1)).len(), 1);
        assert_eq!(presence.join(&who(2, "ada"), None, at(2)), [], "she is there");
        let changed = presence.join(&who(2, "ada"), Some(Bytes::from_static(b"{\"a\":1}")), at(3));
        let [PresenceEvent::Update(member)] = &changed[..] else { panic!("{changed:?}") };
        assert_eq!((member.joined_at, &member.metadata[..]), (at(1), &b"{\"a\":1}"[..]));
        assert_eq!(presence.len(), 1);
        assert_eq!(presence.leave(ClientId(1)), None);
        assert!(matches!(presence.leave(ClientId(2)), Some(PresenceEvent::Leave(_))));
        assert_eq!(presence.leave(ClientId(2)), None);
        assert!(presence.is_empty());
    }

    #[test]
    fn a_connection_with_another_name_leaves_under_the_old_one() {
        let mut presence = Presence::default();
        presence.join(&who(1, "ada"), None, UnixMillis(0));
        let events = presence.join(&who(1, "eve"), None, UnixMillis(1));
        let [PresenceEvent::Leave(ada), PresenceEvent::Join(eve)] = &events[..] else { panic!("{events:?}") };
        assert_eq!((ada.user.as_str(), eve.user.as_str()), ("ada", "eve"));
        assert_eq!(presence.len(), 1);
    }

    proptest! {
        /// The events, played back, give the list.
        #[test]
        fn events_tell_the_whole_story(steps in proptest::collection::vec((0..6_u64, 0..4_u8, 0..3_u8), 0..80)) {
            let (mut presence, mut told) = (Presence::default(), BTreeMap::new());
            for (now, (client, user, what)) in steps.into_iter().enumerate() {
                let who = who(client, ["a", "b", "c", "d"][usize::from(user)]);
                let metadata = (what == 1).then(|| Bytes::from(now.to_string()));
                let events = match what {
                    2 => presence.leave(who.client).into_iter().collect(),
                    _ => presence.join(&who, metadata, UnixMillis(now as u64)),
                };
                for event in events {
                    match event {
                        PresenceEvent::Join(member) | PresenceEvent::Update(member) => told.insert(member.user.clone(), member),
                        PresenceEvent::Leave(member) => told.remove(&member.user),
                    };
                }
                prop_assert!(presence.members().eq(told.values()));
            }
        }
    }
}
