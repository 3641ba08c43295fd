//! Do the `[[channel]]` rules make sense?

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::limits::at_least_1;
use super::types::ChannelConfig;
use crate::core::meter::Limit;
use crate::core::schema::Schema;
use crate::core::{ChannelName, KeyPointer, Pattern, PayloadKind};
use crate::hub::slow::SlowPolicy;
use crate::plugin::Response;

pub fn read_schemas(rules: &mut [ChannelConfig], base: &Path) -> Result<()> {
    for rule in rules {
        let key = |name: &str| rule_key(&rule.pattern, name);
        let (params, data) = (key("params_schema"), key("data_schema"));
        rule.params_schema.as_mut().map_or(Ok(()), |schema| schema.read(base)).context(params)?;
        rule.data_schema.as_mut().map_or(Ok(()), |schema| schema.read(base)).context(data)?;
    }
    Ok(())
}

/// How errors name a setting of a rule.
fn rule_key(pattern: &str, name: &str) -> String {
    format!("[[channel]] `{pattern}` {name}")
}

pub fn check(rules: &[ChannelConfig]) -> Result<()> {
    let mut patterns: Vec<Pattern> = Vec::new();
    for rule in rules {
        let pattern = Pattern::parse(&rule.pattern).context("a [[channel]] rule's pattern")?;
        ensure!(
            !rule.pattern.starts_with('$') || rule.pattern.starts_with(ChannelName::OF_USER),
            "[[channel]] `{}`: of the names that begin with `$` only those of users' own channels, \
             `{}…`, are for rules",
            rule.pattern,
            ChannelName::OF_USER
        );
        if let Some(other) = patterns.iter().find(|other| other.specificity() == pattern.specificity()) {
            bail!("two [[channel]] rules match the same names: `{other}` and `{pattern}`");
        }
        patterns.push(pattern);
        rule.limit()?;
        rule.params()?;
        rule.data()?;
        rule.latest_key()?;
        rule.response()?;
        let key = |name: &str| rule_key(&rule.pattern, name);
        at_least_1(&key("expire_after_secs"), Some(rule.expire_after_secs as usize))?;
        at_least_1(&key("max_subscribers"), rule.max_subscribers.map(|most| most as usize))?;
        if rule.latest_key.is_some() {
            let key = key("latest_key");
            ensure!(
                rule.slow == SlowPolicy::Latest || rule.slow_choice,
                "{key}: nobody can have it: `slow` is not `latest`, and `slow_choice` is false"
            );
            ensure!(
                rule.payloads.as_ref().is_none_or(|kinds| kinds.contains(&PayloadKind::Json)),
                "{key}: is looked for in JSON, and `payloads` takes none"
            );
        }
        if let Some(kinds) = &rule.payloads {
            ensure!(!kinds.is_empty(), "{} is empty: nothing could be published", key("payloads"));
            ensure!(
                rule.data_schema.is_none() || *kinds == [PayloadKind::Json],
                "{}: with a data_schema only `json` can be published",
                key("payloads")
            );
        }
    }
    Ok(())
}

impl ChannelConfig {
    pub fn limit(&self) -> Result<Option<Limit>> {
        self.rate.limit(&rule_key(&self.pattern, "rate"), self.on_excess)
    }

    /// Where its messages' keys stand.
    pub fn latest_key(&self) -> Result<Option<KeyPointer>> {
        let pointer = self.latest_key.as_deref().map(KeyPointer::parse).transpose();
        pointer.with_context(|| rule_key(&self.pattern, "latest_key"))
    }

    /// What new subscribers get where no handler gives them anything.
    pub fn response(&self) -> Result<Option<Response>> {
        self.default_response.constant().with_context(|| rule_key(&self.pattern, "default_response"))
    }

    /// The schema of subscriptions' parameters.
    pub fn params(&self) -> Result<Option<Schema>> {
        let compiled = self.params_schema.as_ref().map(|schema| schema.compile());
        compiled.transpose().with_context(|| rule_key(&self.pattern, "params_schema"))
    }

    /// The schema of what is published.
    pub fn data(&self) -> Result<Option<Schema>> {
        let compiled = self.data_schema.as_ref().map(|schema| schema.compile());
        compiled.transpose().with_context(|| rule_key(&self.pattern, "data_schema"))
    }
}
