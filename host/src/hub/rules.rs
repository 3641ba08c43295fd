//! What the operator says of channels: patterns, the most specific first.

use std::sync::Arc;

use super::history::HistoryRule;
use super::presence::PresenceRule;
use super::queue::QueueRule;
use super::slow::SlowPolicy;
use crate::core::meter::Limit;
use crate::core::{KeyPointer, Pattern};
use crate::plugin::Response;

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

#[derive(Clone, Debug)]
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
    /// New subscribers get a response of the channel's handler.
    pub default_response: bool,
    /// What they get where no handler gives one.
    pub constant_response: Option<Arc<Response>>,
    /// Seconds after which a channel is forgotten that nobody uses and that keeps nothing.
    pub expire_after: u32,
}

/// Without a rule that says otherwise.
pub const EXPIRE_AFTER: u32 = 60;

impl Default for ChannelRule {
    fn default() -> Self {
        Self {
            publish: WhoMayPublish::default(),
            slow: SlowPolicy::default(),
            slow_fixed: false,
            latest_key: None,
            offsets: false,
            history: None,
            presence: PresenceRule::default(),
            join_leave: false,
            rate: None,
            max_subscribers: None,
            queue: None,
            default_response: false,
            constant_response: None,
            expire_after: EXPIRE_AFTER,
        }
    }
}

const SWEEP_SECS: u32 = 10;

#[derive(Clone, Debug, Default)]
pub struct Rules(Vec<(Pattern, ChannelRule)>);

impl Rules {
    pub fn new(mut rules: Vec<(Pattern, ChannelRule)>) -> Self {
        rules.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.specificity()));
        Self(rules)
    }

    /// The rule of a channel, and by which pattern.
    pub fn find(&self, channel: &str) -> Option<&(Pattern, ChannelRule)> {
        self.0.iter().find(|(pattern, _)| pattern.matches(channel))
    }

    /// Seconds between two looks for channels that nobody uses: ten, or as few as the rule asks
    /// for that forgets the soonest.
    pub fn sweep_secs(&self) -> u32 {
        self.0.iter().map(|(_, rule)| rule.expire_after).fold(SWEEP_SECS, u32::min).max(1)
    }
}
