//! Events of the plugin folder, as hints: that something has changed, not what is so now.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::host::PluginSettings;
use super::orders::Order;
use crate::core::PluginName;

/// What reaches the host's thread.
pub enum Note {
    /// Something happened to these paths. `whole`: a writer has closed the file, or it was
    /// put there whole.
    Hint { paths: Vec<PathBuf>, whole: bool },
    /// A plugin fails: is it to be taken back?
    Trouble(PluginName),
    /// Somebody wants a plugin's former version, or the present one out of quarantine.
    Order(Order),
    /// What the operator now says of the plugins.
    Settings(BTreeMap<String, PluginSettings>),
    /// The host is gone.
    End,
}

/// Watches a folder; and the one that takes its place, because events follow the folder and
/// not its name.
pub struct Watcher {
    dir: PathBuf,
    notes: mpsc::Sender<Note>,
    /// What is watched, by device and inode, and who watches: nobody, if that cannot be done.
    watched: Option<((u64, u64), Option<RecommendedWatcher>)>,
}

impl Watcher {
    pub fn new(dir: &Path, notes: mpsc::Sender<Note>) -> Self {
        Self { dir: dir.to_owned(), notes, watched: None }
    }

    /// Watches what has the folder's name now.
    pub fn follow(&mut self) {
        let now = std::fs::metadata(&self.dir).ok().map(|folder| (folder.dev(), folder.ino()));
        if now != self.watched.as_ref().map(|(id, _)| *id) {
            self.watched = now.map(|id| (id, self.watch()));
        }
    }

    fn watch(&self) -> Option<RecommendedWatcher> {
        let notes = self.notes.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if let Some(hint) = event.ok().and_then(hint) {
                // The host may be gone.
                let _ = notes.send(hint);
            }
        });
        let watched = watcher.and_then(|mut watcher| {
            watcher.watch(&self.dir, RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        watched.inspect_err(|error| tracing::info!("changes are found only by looking: {error}")).ok()
    }
}

fn hint(event: notify::Event) -> Option<Note> {
    let whole = matches!(
        event.kind,
        EventKind::Access(AccessKind::Close(AccessMode::Write)) | EventKind::Modify(ModifyKind::Name(_))
    );
    let matters =
        whole || matches!(event.kind, EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_));
    matters.then_some(Note::Hint { paths: event.paths, whole })
}
