//! Groups: names for sets of channels, so that one publish reaches them all. A group lives on
//! one shard, that of its name's hash.

use std::collections::{BTreeSet, HashMap};

use tokio::sync::oneshot;

use crate::core::{ChannelName, Refusal};

/// A group's name: what may name a channel may name a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupName(pub ChannelName);

/// Channels of one group.
pub const MEMBERS: usize = 10_000;

/// What the server's API asks of a group. Whoever asked may have given up.
pub enum GroupInquiry {
    /// True: it is new there.
    Add { channel: ChannelName, answer: oneshot::Sender<Result<bool, Refusal>> },
    /// True: it was there.
    Discard { channel: ChannelName, answer: oneshot::Sender<bool> },
    /// By name; empty where there is no such group.
    Members { answer: oneshot::Sender<Vec<ChannelName>> },
}

pub struct Groups {
    groups: HashMap<GroupName, BTreeSet<ChannelName>>,
    limit: usize,
}

impl Groups {
    /// At most `limit` groups.
    pub fn new(limit: usize) -> Self {
        Self { groups: HashMap::new(), limit }
    }

    pub fn inquiry(&mut self, group: GroupName, inquiry: GroupInquiry) {
        match inquiry {
            GroupInquiry::Add { channel, answer } => {
                let _ = answer.send(self.add(group, channel));
            }
            GroupInquiry::Discard { channel, answer } => {
                let _ = answer.send(self.discard(&group, &channel));
            }
            GroupInquiry::Members { answer } => {
                let _ = answer.send(self.members(&group));
            }
        }
    }

    /// By name; empty where there is no such group.
    pub fn members(&self, group: &GroupName) -> Vec<ChannelName> {
        let members = self.groups.get(group).map(|members| members.iter().cloned().collect());
        members.unwrap_or_default()
    }

    fn add(&mut self, group: GroupName, channel: ChannelName) -> Result<bool, Refusal> {
        if self.groups.len() >= self.limit && !self.groups.contains_key(&group) {
            return Err(Refusal::LimitExceeded { limit: self.limit, what: "groups on a shard" });
        }
        let members = self.groups.entry(group).or_default();
        if members.len() >= MEMBERS && !members.contains(&channel) {
            return Err(Refusal::LimitExceeded { limit: MEMBERS, what: "channels in a group" });
        }
        Ok(members.insert(channel))
    }

    fn discard(&mut self, group: &GroupName, channel: &ChannelName) -> bool {
        let Some(members) = self.groups.get_mut(group) else { return false };
        let was = members.remove(channel);
        if members.is_empty() {
            self.groups.remove(group);
        }
        was
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> ChannelName {
        ChannelName::parse(name).unwrap()
    }

    #[test]
    fn a_group_is_there_while_it_has_members() {
        let mut groups = Groups::new(1);
        let team = || GroupName(name("team"));
        assert_eq!(groups.add(team(), name("a")), Ok(true));
        assert_eq!(groups.add(team(), name("a")), Ok(false));
        assert!(groups.add(GroupName(name("other")), name("a")).is_err(), "one group at most");
        assert!(groups.discard(&team(), &name("a")));
        assert!(!groups.discard(&team(), &name("a")));
        assert_eq!(groups.add(GroupName(name("other")), name("a")), Ok(true));
    }
}
