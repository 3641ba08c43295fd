//! The folder in which a server finds what the one before it has saved.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{BadState, Saved, read, write};
use crate::core::clock::UnixMillis;

/// Of a file, in bytes. It is read whole.
const LARGEST: usize = 512 << 20;

const STATE: &str = "state";
/// What the last start has taken: for people, should they want to go back to it.
const TAKEN: &str = "state.taken";
/// What is being written. Only who has the lock does.
const NEW: &str = "state.new";
/// What could not be read.
const REFUSED: &str = "state.refused";
/// Held by the server that is at work here.
const LOCK: &str = "lock";

/// One server's at a time.
pub struct StateDir {
    dir: PathBuf,
    /// The lock goes with the process, however that ends.
    _lock: File,
}

impl StateDir {
    /// Makes the folder where there is none.
    ///
    /// # Errors
    /// It cannot be written to, or another server is at work there: what it saves would be lost.
    pub fn open(dir: &Path) -> Result<Self> {
        let cannot = || {
            format!("cannot use state_dir = {}: name a folder that the server may write to", dir.display())
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).with_context(cannot)?;
        let lock = File::options().create(true).truncate(false).write(true).open(dir.join(LOCK));
        let lock = lock.with_context(cannot)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir: dir.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                bail!("another server uses state_dir = {}: each needs one of its own", dir.display())
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(cannot),
        }
    }

    /// What the server before has saved, if it has. What cannot be understood is told of and set aside.
    ///
    /// # Errors
    /// A file is there, and cannot be read or set aside.
    pub fn read(&self) -> Result<Option<Saved>> {
        let file = self.dir.join(STATE);
        let bytes = match read_at_most(&file, LARGEST as u64) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        };
        match bytes.and_then(|bytes| read(&bytes)) {
            Ok(saved) => {
                let secs = UnixMillis::now().0.saturating_sub(saved.at.0) / 1000;
                let (channels, stores) = (saved.channels.len(), saved.stores.len());
                tracing::info!(channels, stores, "goes on from what was saved {secs} s ago");
                Ok(Some(saved))
            }
            Err(why) => {
                let aside = self.set_aside(REFUSED)?;
                tracing::warn!(
                    "channels begin anew: what was saved is refused, {why}; it is {} now",
                    aside.display()
                );
                Ok(None)
            }
        }
    }

    /// What was read is acted on, if anything was: nobody finds it a second time.
    ///
    /// # Errors
    /// It cannot be set aside, so a crash would bring it back.
    pub fn taken(&self) -> Result<()> {
        if self.dir.join(STATE).exists() { self.set_aside(TAKEN).map(drop) } else { Ok(()) }
    }

    fn set_aside(&self, name: &str) -> Result<PathBuf> {
        let (file, aside) = (self.dir.join(STATE), self.dir.join(name));
        fs::rename(&file, &aside)
            .and_then(|()| self.sync())
            .with_context(|| format!("cannot move {} to {}", file.display(), aside.display()))?;
        Ok(aside)
    }

    /// For the server after this one: all of it, or what was there before stays.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put(&self, mut saved: Saved) -> Result<()> {
        let left_out = saved.fit(LARGEST);
        if left_out > 0 {
            tracing::warn!(
                left_out,
                "some channels and stores begin anew: more than {LARGEST} bytes are not saved"
            );
        }
        let file = self.dir.join(STATE);
        self.replace(&file, &saved)
            .with_context(|| format!("cannot save the state in {}", file.display()))?;
        let (channels, stores) = (saved.channels.len(), saved.stores.len());
        tracing::info!(channels, stores, "saved in {}", file.display());
        Ok(())
    }

    fn replace(&self, file: &Path, saved: &Saved) -> io::Result<()> {
        let new = self.dir.join(NEW);
        let options = || File::options().create(true).truncate(true).write(true).mode(0o600).open(&new);
        let written = options().and_then(|opened| {
            let mut buffered = BufWriter::new(opened);
            write(saved, &mut buffered)?;
            buffered.into_inner()?.sync_all()?;
            fs::rename(&new, file)?;
            self.sync()
        });
        written.inspect_err(|_| {
            // There may be none.
            let _ = fs::remove_file(&new);
        })
    }

    /// So that names are as they are after a power cut too.
    fn sync(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}

fn read_at_most(file: &Path, bytes: u64) -> io::Result<Result<Vec<u8>, BadState>> {
    if fs::metadata(file)?.len() > bytes {
        return Ok(Err(BadState::TooLarge(bytes)));
    }
    fs::read(file).map(Ok)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn saved(at: u64) -> Saved {
        Saved { at: UnixMillis(at), stores: Vec::new(), channels: Vec::new() }
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_put_is_taken_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let state = StateDir::open(&path).unwrap();
        assert_eq!(state.read().unwrap(), None);
        for at in [1, 2] {
            state.put(saved(at)).unwrap();
        }
        assert_eq!(names(&path), [LOCK, STATE]);
        let mode = |name: &str| fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("."), mode(STATE)), (0o700, 0o600), "nobody else's");
        assert_eq!(state.read().unwrap(), Some(saved(2)));
        assert_eq!(state.read().unwrap(), Some(saved(2)), "who has not begun loses nothing");
        state.taken().unwrap();
        assert_eq!(state.read().unwrap(), None, "a crash brings nothing back");
        assert_eq!(names(&path), [LOCK, TAKEN]);
    }

    #[test]
    fn one_server_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateDir::open(dir.path()).unwrap();
        let refused = StateDir::open(dir.path()).err().unwrap().to_string();
        assert!(refused.starts_with("another server uses state_dir = /"), "{refused}");
        drop(first);
        assert!(StateDir::open(dir.path()).is_ok());
    }

    #[test]
    fn what_cannot_be_read_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        fs::write(dir.path().join(STATE), b"tidegate state 2\n").unwrap();
        assert_eq!(state.read().unwrap(), None);
        assert_eq!(names(dir.path()), [LOCK, REFUSED]);
        let large = File::create(dir.path().join(STATE)).unwrap();
        large.set_len(LARGEST as u64 + 1).unwrap();
        assert_eq!(state.read().unwrap(), None);
        assert_eq!(fs::metadata(dir.path().join(REFUSED)).unwrap().len(), LARGEST as u64 + 1);
    }

    #[test]
    fn a_folder_that_cannot_be_used_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refused = StateDir::open(&file.path().join("x")).err().unwrap();
        assert!(format!("{refused:#}").starts_with("cannot use state_dir = /"), "{refused:#}");
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        fs::create_dir(dir.path().join(STATE)).unwrap();
        let refused = format!("{:#}", state.put(saved(1)).unwrap_err());
        assert!(refused.starts_with("cannot save the state in /"), "{refused}");
        assert_eq!(names(dir.path()), [LOCK, STATE], "nothing is left over");
    }
}
