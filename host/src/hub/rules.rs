//! What the operator says of channels: patterns, the most specific first.

use std::sync::Arc;

use super::history::HistoryRule;
use super::presence::PresenceRule;
use super::queue::QueueRule;
use super::slow::SlowPolicy;
use crate::core::meter::Limit;
use crate::core::{KeyPointer, Pattern};

/// Who may publish to a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WhoMayPublish {
    #[default]
    Anyone,
    Subscribers,
    /// Only the server's API and plugins.
    Server,
}

#[derive(Clone, Debug, Default)]
pub struct ChannelRule {
    pub publish: WhoMayPublish,
    pub slow: SlowPolicy,
    /// Subscribers may not ask for another policy.
    pub slow_fixed: bool,
    /// Where its messages' keys stand.
    pub latest_key: Option<Arc<KeyPointer>>,
    /// Messages show their offset and time. Always so where a plugin handles the channel, or
    /// where it keeps a history.
    pub offsets: bool,
    /// None: it keeps nothing.
    pub history: Option<HistoryRule>,
    pub presence: PresenceRule,
    /// Subscribers that ask for presence hear who comes and goes.
    pub join_leave: bool,
    /// Of clients' messages, all together.
    pub rate: Option<Limit>,
    pub max_subscribers: Option<u32>,
    /// What is published while nobody subscribes waits for who comes. None: it does not.
    pub queue: Option<QueueRule>,
}

#[derive(Clone, Debug, Default)]
pub struct Rules(Vec<(Pattern, ChannelRule)>);

impl Rules {
    pub fn new(mut rules: Vec<(Pattern, ChannelRule)>) -> Self {
        rules.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.specificity()));
        Self(rules)
    }

    pub fn find(&self, channel: &str) -> Option<ChannelRule> {
        self.0.iter().find(|(pattern, _)| pattern.matches(channel)).map(|(_, rule)| rule.clone())
    }
}
