//! The configuration file, while the server runs: what it says of plugins is taken without a restart.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use toml::Table;

use crate::config::{self, Overrides};
use crate::server::Server;

/// Between two looks at the file. One that has changed is read when it is the same in two of them: by
/// then whoever writes it has written it all.
pub const EVERY: Duration = Duration::from_millis(500);

/// Device, inode, time in nanoseconds and length.
type Stamp = (u64, u64, i64, i64, u64);

pub struct Live {
    file: PathBuf,
    flags: Overrides,
    /// As the file was at the start: what needs a restart is as it says.
    began: Table,
    seen: Option<Stamp>,
    read: Option<Stamp>,
}

impl Live {
    /// For the file that the server is about to be started with: before, so that no change of it is missed.
    pub fn new(file: PathBuf, flags: Overrides) -> Self {
        let stamp = stamp(&file);
        // Whoever reads it for the start says what is wrong with it.
        let began = table(&file).unwrap_or_default();
        Self { file, flags, began, seen: stamp, read: stamp }
    }

    /// One more look, as every so often.
    pub fn look(&mut self, server: &Server) {
        let now = stamp(&self.file);
        let settled = std::mem::replace(&mut self.seen, now) == now;
        // A file that is gone for a moment is being replaced.
        if settled && now.is_some() && now != self.read {
            self.read(server);
        }
    }

    /// Reads the file, because it has changed or somebody has asked.
    pub fn read(&mut self, server: &Server) {
        self.read = stamp(&self.file);
        match self.take(server) {
            Ok(others) if others.is_empty() => {
                tracing::info!("read {} again: plugins have its settings", self.file.display());
            }
            Ok(others) => tracing::warn!(
                "read {} again: plugins have its settings; what it says now of {} needs a restart",
                self.file.display(),
                others.join(", ")
            ),
            Err(error) => tracing::warn!("the configuration stays as it was: {error:#}"),
        }
    }

    /// The sections that have changed since the start and are not taken.
    fn take(&mut self, server: &Server) -> Result<Vec<String>> {
        let config = config::load(Some(&self.file), config::environment(), &self.flags)?;
        let table = table(&self.file)?;
        server.reconfigure(&config)?;
        let keys = self.began.keys().chain(table.keys().filter(|key| !self.began.contains_key(*key)));
        let changed = keys.filter(|key| *key != "plugins" && self.began.get(*key) != table.get(*key));
        Ok(changed.cloned().collect())
    }
}

fn table(file: &Path) -> Result<Table> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the configuration file {}", file.display()))?;
    text.parse().context("the configuration file is not TOML")
}

/// Of the file that a link leads to.
fn stamp(file: &Path) -> Option<Stamp> {
    let is = std::fs::metadata(file).ok()?;
    Some((is.dev(), is.ino(), is.mtime(), is.mtime_nsec(), is.len()))
}
