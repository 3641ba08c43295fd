//! The subscribers of one channel on one shard, in groups that get the same bytes.

use std::rc::Rc;

use super::slow::SlowPolicy;
use super::wire::WireId;
use crate::core::{ChannelName, ClientId, Offset, PluginName};
use crate::plugin::FilterId;

/// A filter that a subscriber chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterChoice {
    pub plugin: PluginName,
    pub id: FilterId,
}

/// What members of a group have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupKey {
    pub wire: WireId,
    pub filter: Option<FilterChoice>,
    /// Is told who comes and goes.
    pub presence: bool,
    pub slow: SlowPolicy,
}

pub struct Member {
    pub client: ClientId,
    /// The channel's offset when it subscribed: it gets what comes after.
    pub since: Offset,
}

pub struct Group {
    pub key: GroupKey,
    pub members: Vec<Member>,
}

/// Where a subscriber sits: what it takes to find and remove it without a search.
#[derive(Clone, Debug)]
pub struct Seat {
    pub audience: usize,
    pub(super) group: usize,
    pub(super) index: usize,
}

pub struct Audience {
    /// Shared with what waits in its members' outboxes.
    pub channel: Rc<ChannelName>,
    pub groups: Vec<Group>,
}

impl Audience {
    pub fn new(channel: ChannelName) -> Self {
        Self { channel: Rc::new(channel), groups: Vec::new() }
    }

    /// Seats a subscriber; `audience` is this audience's own key.
    pub fn add(&mut self, audience: usize, key: GroupKey, member: Member) -> Seat {
        let group = self.groups.iter().position(|group| group.key == key).unwrap_or_else(|| {
            // An emptied group's place is used again, so that seats of others stay valid.
            let group = Group { key: key.clone(), members: Vec::new() };
            match self.groups.iter().position(|group| group.members.is_empty()) {
                Some(free) => {
                    self.groups[free] = group;
                    free
                }
                None => {
                    self.groups.push(group);
                    self.groups.len() - 1
                }
            }
        });
        let members = &mut self.groups[group].members;
        members.push(member);
        Seat { audience, group, index: members.len() - 1 }
    }

    /// Frees a seat. The member that moved into it, if any, must be told its new seat.
    pub fn remove(&mut self, seat: &Seat) -> Removed {
        let group = &mut self.groups[seat.group];
        group.members.swap_remove(seat.index);
        Removed { filter: group.key.filter.clone(), moved: group.members.get(seat.index).map(|m| m.client) }
    }

    pub fn is_empty(&self) -> bool {
        self.groups.iter().all(|group| group.members.is_empty())
    }

    pub fn has_filters(&self) -> bool {
        self.groups.iter().any(|group| group.key.filter.is_some() && !group.members.is_empty())
    }
}

pub struct Removed {
    pub filter: Option<FilterChoice>,
    /// This client now sits in the freed seat.
    pub moved: Option<ClientId>,
}

impl Seat {
    /// The seat that `other` has left.
    pub(super) fn take_over(&mut self, other: &Seat) {
        self.index = other.index;
    }
}
