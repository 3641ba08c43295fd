//! What a channel's rule says of a request before it goes to the hub: who, and what.

use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;

use crate::config::ChannelConfig;
use crate::core::schema::Schema;
use crate::core::{ChannelMap, ChannelName, Pattern, Payload, PayloadKind, Refusal};
use crate::hub::audience::FilterFailure;

/// Rules of channels that a session remembers; past it they are looked for anew.
const KEPT: usize = 64;

/// The session's part of one `[[channel]]` rule.
#[derive(Debug)]
pub struct Rule {
    pub require_auth: bool,
    pub echo_to_sender: bool,
    /// The home counts subscribers, so each request has to be settled before the next.
    pub limited_places: bool,
    /// Of messages that a subscriber's filter could not judge.
    pub filter_failure: FilterFailure,
    /// None: any.
    payloads: Option<Vec<PayloadKind>>,
    params: Option<Schema>,
    data: Option<Schema>,
}

/// All rules, the most specific first. Shared by all shards.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Vec<(Pattern, Option<Arc<Rule>>)>,
    /// Some rule says something here.
    any: bool,
    /// Some rule's pattern has captures.
    capture: bool,
}

impl Rules {
    pub fn new(config: &[ChannelConfig]) -> Result<Self> {
        let mut rules = Vec::new();
        for rule in config {
            rules.push((Pattern::parse(&rule.pattern)?, Rule::new(rule)?.map(Arc::new)));
        }
        rules.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.specificity()));
        let any = rules.iter().any(|(_, rule)| rule.is_some());
        let capture = rules.iter().any(|(pattern, _)| pattern.has_captures());
        Ok(Self { rules, any, capture })
    }

    /// None: the channel's rule has nothing to say here.
    pub fn find(&self, channel: &str) -> Option<Arc<Rule>> {
        if !self.any {
            return None;
        }
        self.rules.iter().find(|(pattern, _)| pattern.matches(channel))?.1.clone()
    }

    /// Does any rule match the channel, whatever it says?
    pub fn matches(&self, channel: &str) -> bool {
        self.rules.iter().any(|(pattern, _)| pattern.matches(channel))
    }

    /// The pattern of the channel's rule, if it may have captures.
    pub fn pattern(&self, channel: &str) -> Option<&Pattern> {
        let mut patterns = self.rules.iter().filter(|_| self.capture).map(|(pattern, _)| pattern);
        patterns.find(|pattern| pattern.matches(channel))
    }

    /// For ways in that have no session: may this be published?
    pub fn payload(&self, channel: &ChannelName, payload: &Payload) -> Result<(), Refusal> {
        self.find(channel.as_str()).map_or(Ok(()), |rule| rule.payload(channel, payload))
    }

    /// For a subscription that a plugin asks for: the parameters that its channel's handler gets.
    pub fn admit(
        &self,
        channel: &ChannelName,
        anonymous: bool,
        params: Option<Bytes>,
    ) -> Result<Option<Bytes>, Refusal> {
        let Some(rule) = self.find(channel.as_str()) else { return Ok(params) };
        if rule.require_auth && anonymous {
            return Err(Refusal::PermissionDenied { user: None, channel: channel.clone(), reason: None });
        }
        rule.params(channel, params)
    }

    /// The same for a subscription without parameters: those that it then has.
    pub fn defaults(&self, channel: &ChannelName) -> Result<Option<Bytes>, Refusal> {
        self.find(channel.as_str()).map_or(Ok(None), |rule| rule.params(channel, None))
    }
}

impl Rule {
    /// None: it has nothing to say here.
    fn new(config: &ChannelConfig) -> Result<Option<Self>> {
        let data = config.data()?;
        let only_json = data.is_some().then(|| vec![PayloadKind::Json]);
        let rule = Self {
            require_auth: config.require_auth,
            echo_to_sender: config.echo_to_sender,
            limited_places: config.max_subscribers.is_some(),
            filter_failure: config.filter_failure,
            payloads: config.payloads.clone().or(only_json),
            params: config.params()?,
            data,
        };
        let speaks = rule.require_auth
            || !rule.echo_to_sender
            || rule.limited_places
            || rule.filter_failure != FilterFailure::default()
            || rule.payloads.is_some()
            || rule.params.is_some();
        Ok(speaks.then_some(rule))
    }

    /// May this be published?
    pub fn payload(&self, channel: &ChannelName, payload: &Payload) -> Result<(), Refusal> {
        if let Some(kinds) = self.payloads.as_ref().filter(|kinds| !kinds.contains(&payload.kind)) {
            let allowed: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
            let details =
                format!("data: is {}, and the channel takes {}", payload.kind.word(), allowed.join(" or "));
            return Err(invalid(channel, details));
        }
        match &self.data {
            Some(schema) => schema.check(&payload.bytes).map_err(|wrong| invalid(channel, wrong.0)),
            None => Ok(()),
        }
    }

    /// The parameters of a subscription, with what the schema fills in.
    pub fn params(&self, channel: &ChannelName, params: Option<Bytes>) -> Result<Option<Bytes>, Refusal> {
        match &self.params {
            Some(schema) => schema.fill(params).map_err(|wrong| invalid(channel, wrong.0)),
            None => Ok(params),
        }
    }
}

fn invalid(channel: &ChannelName, details: String) -> Refusal {
    Refusal::InvalidParams { subject: channel.to_string(), details }
}

/// The rules of the channels that one session has used, so that each is looked for once.
#[derive(Default)]
pub struct KnownRules(ChannelMap<Option<Arc<Rule>>>);

impl KnownRules {
    pub fn find(&mut self, rules: &Rules, channel: &ChannelName) -> Option<Arc<Rule>> {
        if !rules.any {
            return None;
        }
        if let Some(known) = self.0.get(channel) {
            return known.clone();
        }
        if self.0.len() >= KEPT {
            self.0.clear();
        }
        let rule = rules.find(channel.as_str());
        self.0.insert(channel.clone(), rule.clone());
        rule
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(toml: &str) -> Rules {
        #[derive(serde::Deserialize)]
        struct File {
            channel: Vec<ChannelConfig>,
        }
        Rules::new(&toml::from_str::<File>(toml).unwrap().channel).unwrap()
    }

    #[test]
    fn the_most_specific_rule_counts_also_if_it_says_nothing() {
        let rules = rules(
            "
            [[channel]]
            pattern = '*'
            require_auth = true
            [[channel]]
            pattern = 'lobby'
            [[channel]]
            pattern = 'order.{id}'
            payloads = ['json']
            ",
        );
        let mut known = KnownRules::default();
        for _ in 0..2 {
            let mut find = |name: &str| known.find(&rules, &ChannelName::parse(name).unwrap());
            assert!(find("room").unwrap().require_auth);
            assert!(find("lobby").is_none());
            assert!(!find("order.7").unwrap().require_auth);
            assert!(find("order.7.8").unwrap().require_auth);
        }
        assert_eq!(known.0.len(), 4);
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let rules = rules("channel = [{ pattern = '*', require_auth = true }]");
        let mut known = KnownRules::default();
        for n in 0..KEPT * 3 {
            known.find(&rules, &ChannelName::parse(&n.to_string()).unwrap());
            assert!(known.0.len() <= KEPT);
        }
    }

    #[test]
    fn nothing_is_remembered_where_no_rule_speaks() {
        let rules = rules("channel = [{ pattern = '*' }]");
        let mut known = KnownRules::default();
        assert!(known.find(&rules, &ChannelName::parse("room").unwrap()).is_none());
        assert!(known.0.is_empty());
    }
}
