//! What the operator says of channels: patterns, the most specific first.

use std::sync::Arc;
use std::time::Duration;

use super::history::HistoryRule;
use super::outbox::SlowPolicy;
use super::presence::PresenceRule;
use crate::core::apps::{Access, AppNames, ChannelKind};
use crate::core::meter::Limit;
use crate::core::{ChannelName, Pattern};

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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelRule {
    pub publish: WhoMayPublish,
    pub slow: SlowPolicy,
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
    /// The last message of the server's API is remembered so long for who comes later.
    pub cached: Option<Duration>,
    /// Subscribers are told how many they are.
    pub counts: bool,
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

    pub fn find(&self, channel: &str) -> Option<ChannelRule> {
        let matching = self.rules.iter().find(|(pattern, _)| pattern.matches(channel));
        let matching = matching.map(|(_, rule)| *rule);
        let Some((app, name)) = self.apps.split(channel) else {
            return matching.or_else(|| self.is_own(channel).then(own));
        };
        let kind = ChannelKind::of(name);
        Some(ChannelRule {
            cached: kind.cache.then_some(CACHED),
            counts: !kind.is_presence() && self.counts.get(app).is_some_and(|counts| *counts),
            ..matching.unwrap_or_else(|| unruled(kind))
        })
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

/// Of an application's channel that no rule matches: clients talk where it has let them in.
fn unruled(kind: ChannelKind) -> ChannelRule {
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
        let ruled = ChannelRule { offsets: true, ..ChannelRule::default() };
        let rules = Rules::new(vec![(Pattern::parse("a.room*").unwrap(), ruled)]);
        assert_eq!(rules.find("a.other"), None);
        let names = AppNames::new(vec!["a.".into(), "b.".into()]);
        let rules = rules.with_apps(Arc::new(names), vec![true, false]);
        assert_eq!(rules.find("other"), None);
        assert_eq!(rules.find("a.other").unwrap().publish, WhoMayPublish::Server);
        assert_eq!(rules.find("b.private-x").unwrap().publish, WhoMayPublish::Subscribers);
        let ruled = rules.find("a.room1").unwrap();
        assert!(ruled.offsets && ruled.counts && ruled.publish == WhoMayPublish::Anyone);
        assert!(!rules.find("a.presence-x").unwrap().counts && !rules.find("b.x").unwrap().counts);
        assert_eq!(rules.find("b.cache-x").unwrap().cached, Some(CACHED));
        assert_eq!(rules.find("b.x").unwrap().cached, None);
    }
}
