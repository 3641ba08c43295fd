//! What `[plugins.NAME]` says of a plugin's versions: checked here, and what it means for the host.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::types::PluginConfig;
use crate::plugin::{PluginSettings, Share, TrialSettings};

/// A trial longer than this is forgotten by whoever began it.
const MOST_SECS: u64 = 7 * 24 * 60 * 60;

/// # Errors
/// Names the key.
pub fn check(name: &str, plugin: &PluginConfig) -> Result<()> {
    let key = |key: &str| format!("plugins.{name}.{key}");
    for (said, secs) in
        [("canary_secs", plugin.canary_secs), ("rollback_within_secs", plugin.rollback_within_secs)]
    {
        let secs = secs.unwrap_or(1);
        ensure!((1..=MOST_SECS).contains(&secs), "{} = {secs} is not 1 to {MOST_SECS}", key(said));
    }
    ensure!(plugin.canary_errors != Some(0), "{} = 0: it is at least 1", key("canary_errors"));
    let percent = plugin.quarantine_percent.unwrap_or(1);
    ensure!((1..=100).contains(&percent), "{} = {percent} is not 1 to 100", key("quarantine_percent"));
    for (said, is) in
        [("canary_secs", plugin.canary_secs.is_some()), ("canary_errors", plugin.canary_errors.is_some())]
    {
        let share = key("canary_share");
        ensure!(!is || plugin.canary_share.is_some(), "{} says nothing without {share}", key(said));
    }
    share(name, plugin)?;
    if let Some(pin) = &plugin.pin {
        let is_hash = pin.len() == 64 && pin.bytes().all(|b| b.is_ascii_hexdigit());
        ensure!(is_hash, "{} = \"{pin}\" is not 64 hexadecimal digits, as sha256sum prints them", key("pin"));
    }
    Ok(())
}

fn share(name: &str, plugin: &PluginConfig) -> Result<Option<Share>> {
    let Some(percent) = plugin.canary_share else { return Ok(None) };
    let share = Share::new(percent)
        .with_context(|| format!("plugins.{name}.canary_share = {percent} is not 1 to 99"))?;
    Ok(Some(share))
}

/// The same settings with what the configuration says of versions.
///
/// # Errors
/// As [`check`].
pub fn settings(name: &str, plugin: &PluginConfig, others: PluginSettings) -> Result<PluginSettings> {
    let trial = share(name, plugin)?.map(|share| TrialSettings {
        share,
        time: Duration::from_secs(plugin.canary_secs.unwrap_or(60)),
        errors: plugin.canary_errors.unwrap_or(3),
    });
    Ok(PluginSettings {
        trial,
        pin: plugin.pin.as_ref().map(|pin| pin.to_lowercase()),
        quarantine_percent: plugin.quarantine_percent.unwrap_or(others.quarantine_percent),
        rollback_within: plugin.rollback_within_secs.map_or(others.rollback_within, Duration::from_secs),
        ..others
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(toml: &str) -> Result<()> {
        check("chat", &toml::from_str(toml)?)
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (toml, says) in [
            ("canary_share = 0", "plugins.chat.canary_share = 0 is not 1 to 99"),
            ("canary_share = 100", "plugins.chat.canary_share = 100 is not 1 to 99"),
            ("canary_share = 5\ncanary_secs = 0", "plugins.chat.canary_secs = 0"),
            ("canary_share = 5\ncanary_errors = 0", "plugins.chat.canary_errors = 0"),
            ("canary_secs = 5", "canary_secs says nothing without plugins.chat.canary_share"),
            ("pin = 'abc'", "plugins.chat.pin = \"abc\" is not 64 hexadecimal digits"),
            ("quarantine_percent = 101", "plugins.chat.quarantine_percent = 101 is not 1 to 100"),
            ("rollback_within_secs = 0", "plugins.chat.rollback_within_secs = 0"),
        ] {
            let error = format!("{:#}", checked(toml).unwrap_err());
            assert!(error.contains(says), "{toml}: {error}");
        }
        checked("").unwrap();
        checked(&format!("canary_share = 10\ncanary_secs = 5\npin = '{}'", "aB".repeat(32))).unwrap();
    }
}
