//! `[users]`: the channels that are users' own.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use toml_example::TomlExample;

use super::types::ChannelConfig;
use crate::core::ChannelName;

/// Every user has a channel of its own, `$user:` and its id, to which nobody else can subscribe.
/// A `[[channel]]` rule whose pattern begins with `$user:` says more of it.
#[derive(Clone, Debug, Deserialize, Serialize, TomlExample)]
#[serde(deny_unknown_fields, default)]
pub struct UsersConfig {
    /// With false there are no such channels.
    #[toml_example(default = true)]
    pub enabled: bool,
    /// Is each WebSocket of a user subscribed to its channel without asking? Not those of anonymous
    /// clients, nor those of `/ws/{channel}` and `/dialect/action`, whose messages do not say where
    /// they are from.
    #[toml_example(default = false)]
    pub subscribe: bool,
    #[toml_example(nesting)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueConfig>,
}

/// What is sent to a user while nobody subscribes to its channel waits for who does. Left out: it
/// does not wait.
#[derive(Clone, Debug, Deserialize, Serialize, TomlExample)]
#[serde(deny_unknown_fields)]
pub struct QueueConfig {
    /// At most so many messages for one user; past it the oldest go.
    #[toml_example(default = 100)]
    #[serde(default = "messages")]
    pub messages: usize,
    /// At most so many bytes of them; a message counts 192 beside its payload.
    #[toml_example(default = 65536)]
    #[serde(default = "bytes")]
    pub bytes: usize,
    /// Seconds that a message waits.
    #[toml_example(default = 86400)]
    #[serde(default = "day")]
    pub ttl_secs: u64,
    /// Users of the whole server for whom something waits; what is sent to one more while it is away
    /// is refused. They may hold this times `bytes`.
    #[toml_example(default = 10000)]
    #[serde(default = "users")]
    pub users: usize,
}

fn messages() -> usize {
    100
}

fn bytes() -> usize {
    64 << 10
}

fn day() -> u64 {
    24 * 60 * 60
}

fn users() -> usize {
    10_000
}

impl Default for UsersConfig {
    fn default() -> Self {
        Self { enabled: true, subscribe: false, queue: None }
    }
}

impl UsersConfig {
    pub(super) fn check(&self, rules: &[ChannelConfig]) -> Result<()> {
        let of_users = rules.iter().find(|rule| rule.pattern.starts_with(ChannelName::OF_USER));
        for (key, set) in [
            ("users.subscribe = true".to_owned(), self.subscribe),
            ("[users.queue]".to_owned(), self.queue.is_some()),
            (format!("[[channel]] `{}`", of_users.map_or("", |rule| &rule.pattern)), of_users.is_some()),
        ] {
            ensure!(self.enabled || !set, "{key} is of no use with users.enabled = false");
        }
        let Some(queue) = &self.queue else { return Ok(()) };
        for (name, value) in [
            ("messages", queue.messages),
            ("bytes", queue.bytes),
            ("ttl_secs", usize::try_from(queue.ttl_secs).unwrap_or(usize::MAX)),
            ("users", queue.users),
        ] {
            ensure!(
                value >= 1,
                "users.queue.{name} = 0: a limit is at least 1; leave `[users.queue]` out for none"
            );
        }
        ensure!(queue.bytes <= 64 << 20, "users.queue.bytes is more than 64 MiB: it is kept for each user");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Overrides, load};

    #[test]
    fn what_makes_no_sense_is_named() {
        for (users, channel, says) in [
            ("{ queue = { messages = 0 } }", "", "users.queue.messages = 0"),
            ("{ queue = { bytes = 0 } }", "", "users.queue.bytes = 0"),
            ("{ queue = { bytes = 67108865 } }", "", "users.queue.bytes is more than 64 MiB"),
            ("{ queue = { ttl_secs = 0 } }", "", "users.queue.ttl_secs = 0"),
            ("{ queue = { users = 0 } }", "", "users.queue.users = 0"),
            ("{ queue = { length = 1 } }", "", "unknown field `length`"),
            ("{ enabled = false, subscribe = true }", "", "users.subscribe = true is of no use"),
            ("{ enabled = false, queue = {} }", "", "[users.queue] is of no use"),
            ("{ enabled = false }", "$user:*", "`$user:*` is of no use"),
            ("{}", "$sys:*", "`$sys:*`: of the names that begin with `$`"),
            ("{}", "$*", "`$*`: of the names"),
            ("{ subscribe = true, queue = {} }", "$user:{id}", ""),
        ] {
            let channel = match channel {
                "" => "[]".to_owned(),
                pattern => format!("[{{ pattern = '{pattern}' }}]"),
            };
            let environment = [("TIDEGATE_USERS", users), ("TIDEGATE_CHANNEL", &channel)];
            let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
            match load(None, environment.into_iter(), &Overrides::default()) {
                Ok(_) => assert_eq!(says, "", "{users} {channel}"),
                Err(error) => {
                    let said = format!("{error:#}");
                    assert!(!says.is_empty() && said.contains(says), "{users} {channel}: {said}");
                }
            }
        }
    }
}
