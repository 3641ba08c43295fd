//! Bounds of `[plugins.NAME]`.

use anyhow::{Result, ensure};

use super::types::PluginConfig;

/// The largest memory that the pool of instances has room for.
const MOST_MEMORY: usize = 256 << 20;
/// A WebAssembly page: no memory is smaller.
const LEAST_MEMORY: usize = 64 << 10;
/// Of one call, in milliseconds: a channel waits for it.
const MOST_MS: u64 = 60_000;
/// Of what crosses into the server at once.
const MOST_BYTES: usize = 64 << 20;

impl PluginConfig {
    /// `of`: the section, for errors.
    ///
    /// # Errors
    /// Names the key and what it may be.
    pub(super) fn check(&self, of: &str) -> Result<()> {
        for (key, ms) in [
            ("call_ms", self.call_ms),
            ("auth_ms", self.auth_ms),
            ("filter_ms", self.filter_ms),
            ("open_ms", self.open_ms),
            ("instantiate_ms", self.instantiate_ms),
        ] {
            at_least_1(of, key, ms)?;
            ensure!(ms.is_none_or(|ms| ms <= MOST_MS), "{of}.{key} is more than a minute");
        }
        let hibernate = self.hibernate_after_secs.map(u64::from);
        at_least_1(of, "hibernate_after_secs", hibernate)?;
        ensure!(
            self.leave_grace_secs.is_none_or(|secs| (1..=3600).contains(&secs)),
            "{of}.leave_grace_secs is not 1 to 3600: leave it out for none"
        );
        for (key, number) in
            [("stores", self.stores), ("store_bytes", self.store_bytes), ("store_keys", self.store_keys)]
        {
            at_least_1(of, key, number.map(|number| number as u64))?;
        }
        for (key, bytes) in [("payload_bytes", self.payload_bytes), ("hostcall_bytes", self.hostcall_bytes)] {
            at_least_1(of, key, bytes.map(|bytes| bytes as u64))?;
            ensure!(bytes.is_none_or(|bytes| bytes <= MOST_BYTES), "{of}.{key} is more than 64 MiB");
        }
        let fits = |bytes| (LEAST_MEMORY..=MOST_MEMORY).contains(&bytes);
        ensure!(self.memory_bytes.is_none_or(fits), "{of}.memory_bytes is not 64 KiB to 256 MiB");
        Ok(())
    }
}

fn at_least_1(of: &str, key: &str, value: Option<u64>) -> Result<()> {
    ensure!(value != Some(0), "{of}.{key} = 0: a limit is at least 1; leave it out for the usual one");
    Ok(())
}
