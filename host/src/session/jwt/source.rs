//! Where a verifier's keys are: read once, or laid on a desk by whoever fetches them.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::keys::KeySet;
use super::refused::Refused;
use super::token::Token;

/// Clients that can wait for keys at a time; one more is refused at once.
const WAITING: usize = 1024;

#[derive(Debug)]
pub enum Keys {
    Fixed(KeySet),
    Fetched(FetchedKeys),
}

/// The verifier's side.
#[derive(Debug)]
pub struct FetchedKeys {
    current: watch::Receiver<Option<Arc<KeySet>>>,
    asks: mpsc::Sender<oneshot::Sender<()>>,
}

/// The fetcher's side: the keys go on it, and whoever waits for newer ones lays a note there.
#[derive(Debug)]
pub struct KeyDesk {
    /// None until the first were fetched.
    pub current: watch::Sender<Option<Arc<KeySet>>>,
    /// Dropped, a note is answered: look again.
    pub asks: mpsc::Receiver<oneshot::Sender<()>>,
}

pub fn fetched() -> (FetchedKeys, KeyDesk) {
    let (current, keys) = watch::channel(None);
    let (ask, asks) = mpsc::channel(WAITING);
    (FetchedKeys { current: keys, asks: ask }, KeyDesk { current, asks })
}

impl FetchedKeys {
    pub fn open(&self, token: &Token) -> Result<Vec<u8>, Refused> {
        let keys = self.current.borrow().clone();
        keys.ok_or(Refused::NoKeys)?.open(token)
    }

    /// Until the fetcher has looked again, or has said that it will not now.
    pub async fn refreshed(&self) {
        let (note, answered) = oneshot::channel();
        if self.asks.try_send(note).is_ok() {
            let _ = answered.await;
        }
    }
}
