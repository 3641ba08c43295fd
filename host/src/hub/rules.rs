//! What the operator says of channels: patterns, the most specific first.

use std::sync::Arc;
use std::time::Duration;

use super::history::HistoryRule;
use super::presence::PresenceRule;
use super::queue::QueueRule;
use super::slow::SlowPolicy;
use crate::core::apps::{Access, AppNames, ChannelKind, is_channel};
use crate::core::meter::Limit;
use crate::core::{ChannelName, KeyPointer, Pattern};
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
    /// The last message of the server's API is remembered so long for who comes later.
    pub cached: Option<Duration>,
    /// Subscribers are told how many they are.
    pub counts: bool,
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
            cached: None,
            counts: false,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<(Pattern, ChannelRule)>,
    apps: Arc<AppNames>,
    /// By the applications' numbers: are subscribers told how many they are?
    counts: Vec<bool>,
}

/// How long a cache channel remembers its last event.
const CACHED: Duration = Duration::from_secs(30 * 60);

impl Rules {
    pub fn new(mut rules: Vec<(Pattern, ChannelRule)>) -> Self {
        rules.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.specificity()));
        Self { rules, ..Self::default() }
    }

    /// Applications have channels that no rule opens. `counts`: which of them tell subscribers how
    /// many they are.
    pub fn with_apps(self, apps: Arc<AppNames>, counts: Vec<bool>) -> Self {
        Self { apps, counts, ..self }
    }

    /// The rule of a channel, and by which pattern.
    pub fn find(&self, channel: &str) -> Option<&(Pattern, ChannelRule)> {
        self.rules.iter().find(|(pattern, _)| pattern.matches(channel))
    }

    /// The rule of a channel that no pattern matches, where it is an application's.
    pub fn unmatched(&self, channel: &str) -> Option<ChannelRule> {
        match self.apps.split(channel) {
            Some((_, name)) => is_channel(name).then(|| unmatched(ChannelKind::of(name))),
            None => self.is_own(channel).then(own),
        }
    }

    /// What a channel has beside its rule, because it is an application's.
    pub fn complete(&self, channel: &str, rule: ChannelRule) -> ChannelRule {
        let Some((app, name)) = self.apps.split(channel) else { return rule };
        let kind = ChannelKind::of(name);
        ChannelRule {
            cached: kind.cache.then_some(CACHED),
            counts: !kind.is_presence() && self.counts.get(app).is_some_and(|counts| *counts),
            ..rule
        }
    }

    /// Of the rules, the one that forgets the soonest: after so many seconds.
    pub fn soonest(&self) -> u32 {
        self.rules.iter().map(|(_, rule)| rule.expire_after).fold(EXPIRE_AFTER, u32::min)
    }

    /// What the server itself keeps for applications.
    fn is_own(&self, channel: &str) -> bool {
        !self.apps.is_empty() && ChannelName::is_own(channel)
    }
}

/// Of a channel that the server has for an application: its members are told of.
fn own() -> ChannelRule {
    ChannelRule { publish: WhoMayPublish::Server, join_leave: true, ..ChannelRule::default() }
}

/// Of an application's channel: clients talk where it has let them in.
fn unmatched(kind: ChannelKind) -> ChannelRule {
    let publish = match kind.access {
        Access::Public | Access::User => WhoMayPublish::Server,
        Access::Private | Access::Encrypted | Access::Presence => WhoMayPublish::Subscribers,
    };
    ChannelRule { publish, join_leave: true, ..ChannelRule::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_has_channels_without_a_rule() {
        let rules = Rules::default();
        assert!(rules.unmatched("a.other").is_none() && rules.unmatched("$online:a.1").is_none());
        let names = AppNames::new(vec!["a.".into(), "b.".into()]);
        let rules = rules.with_apps(Arc::new(names), vec![true, false]);
        for nobodys in ["other", "$user:1", "a.no:channel", "a."] {
            assert!(rules.unmatched(nobodys).is_none(), "{nobodys}");
        }
        assert!(rules.unmatched("$online:a.1").is_some());
        assert_eq!(rules.unmatched("a.other").unwrap().publish, WhoMayPublish::Server);
        assert_eq!(rules.unmatched("b.private-x").unwrap().publish, WhoMayPublish::Subscribers);
        let complete = |channel| rules.complete(channel, ChannelRule { offsets: true, ..Default::default() });
        assert!(complete("a.x").offsets && complete("a.x").counts);
        assert!(!complete("a.presence-x").counts && !complete("b.x").counts && !complete("x").counts);
        assert_eq!(complete("b.cache-x").cached, Some(CACHED));
        assert_eq!(complete("b.x").cached, None);
    }
}
