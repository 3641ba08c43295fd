//! The thread on which plugins' requests run: a name that is looked up, a handshake, a connection
//! that is kept, none of it on a shard's time.

use std::sync::Mutex;

use anyhow::{Context, Result, anyhow};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Started when the first plugin may send requests; ends with it.
#[derive(Default)]
pub struct Courier(Mutex<Option<Started>>);

struct Started {
    handle: Handle,
    _end: oneshot::Sender<()>,
}

impl Courier {
    /// Where requests are to run.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn handle(&self) -> Result<Handle> {
        let mut started = self.0.lock().map_err(|_| anyhow!("the thread for requests is gone"))?;
        if let Some(started) = &*started {
            return Ok(started.handle.clone());
        }
        let runtime =
            Builder::new_current_thread().enable_all().build().context("no runtime for requests")?;
        let (_end, ended) = oneshot::channel::<()>();
        let handle = runtime.handle().clone();
        std::thread::Builder::new()
            .name("plugin-http".into())
            .spawn(move || {
                // An error too: whoever would say so is gone.
                let _ = runtime.block_on(ended);
                runtime.shutdown_background();
            })
            .context("cannot start the thread for plugins' requests")?;
        *started = Some(Started { handle: handle.clone(), _end });
        Ok(handle)
    }
}
