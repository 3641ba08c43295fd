//! What a shard's homes say of themselves.

use std::collections::BinaryHeap;

use super::Homes;
use crate::core::ChannelName;

/// A channel and its subscribers on all shards.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChannelFacts {
    pub name: ChannelName,
    pub subscribers: u64,
}

impl Homes {
    /// The first channels at home here by name, after a name and with a prefix. Looks at every
    /// channel once: some 50 ns each.
    pub fn first(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<ChannelFacts> {
        let mut first: BinaryHeap<(&ChannelName, u64)> = BinaryHeap::new();
        for (name, home) in &self.homes {
            let wanted = !ChannelName::is_own(name.as_str())
                && name.as_str().starts_with(prefix)
                && after.is_none_or(|after| name.as_str() > after);
            if !wanted || (first.len() >= limit && first.peek().is_some_and(|last| last.0 < name)) {
                continue;
            }
            first.push((name, home.subscribed()));
            if first.len() > limit {
                first.pop();
            }
        }
        let facts =
            |(name, subscribers): (&ChannelName, u64)| ChannelFacts { name: name.clone(), subscribers };
        first.into_sorted_vec().into_iter().map(facts).collect()
    }

    /// Messages that have got a place in their channel since the start.
    pub fn published(&self) -> u64 {
        self.published
    }
}
