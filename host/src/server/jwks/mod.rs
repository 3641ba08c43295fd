//! Keeps the keys of `jwt.jwks_url` fresh: a thread of its own, so that no client waits behind a
//! handshake with somebody else's server.

mod fetch;

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::Instant;

use crate::config::HttpUrl;
use crate::session::jwt::{KeyDesk, KeySet};
use fetch::Fetcher;

/// Between two looks, if nobody asks.
const EVERY: Duration = Duration::from_secs(600);
/// After a look that failed; and the least time between two that somebody asked for, because
/// anyone can: a token needs no good signature to name an unknown key.
const AT_MOST_EVERY: Duration = Duration::from_secs(60);

/// Returns at once; the first keys come when they come. Ends when no verifier is left.
///
/// # Errors
/// Where https could never work here.
pub fn start(url: HttpUrl, desk: KeyDesk) -> Result<()> {
    let fetcher = Fetcher::new(url)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot make a runtime to fetch keys")?;
    std::thread::Builder::new()
        .name("jwks".into())
        .spawn(move || runtime.block_on(keep(async || KeySet::from_jwks(&fetcher.get().await?), desk)))
        .context("cannot start the thread that fetches keys")?;
    Ok(())
}

async fn keep(fetch: impl AsyncFn() -> Result<KeySet>, mut desk: KeyDesk) {
    let mut asked: Option<Instant> = None;
    // The note that it is fetched for; dropped, it is answered.
    let mut note = None;
    loop {
        let wait = match fetch().await {
            Ok(keys) => {
                tracing::debug!("fetched {} keys for tokens", keys.count());
                desk.current.send_replace(Some(keys.into()));
                EVERY
            }
            Err(error) => {
                let have = desk.current.borrow().is_some();
                let so = if have { "the old ones stay" } else { "tokens are refused until there are some" };
                tracing::warn!("cannot fetch the keys for tokens from jwt.jwks_url: {error:#}; {so}");
                AT_MOST_EVERY
            }
        };
        drop(note.take());
        // Whoever has asked meanwhile has the same answer.
        while desk.asks.try_recv().is_ok() {}
        let next = Instant::now() + wait;
        while note.is_none() {
            let ask = tokio::select! {
                () = tokio::time::sleep_until(next) => break,
                ask = desk.asks.recv() => ask,
            };
            let Some(ask) = ask else { return };
            if asked.is_none_or(|at| at.elapsed() >= AT_MOST_EVERY) {
                asked = Some(Instant::now());
                note = Some(ask);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use anyhow::bail;
    use tokio::sync::{mpsc, oneshot, watch};

    use super::*;

    const KEYS: &[u8] = include_bytes!("../../../../tests/keys/jwks.json");

    /// A desk, and when it was fetched for, in seconds since the start.
    struct Office {
        keys: watch::Receiver<Option<std::sync::Arc<KeySet>>>,
        asks: mpsc::Sender<oneshot::Sender<()>>,
        began: Instant,
        fetched: Rc<RefCell<Vec<u64>>>,
        works: Rc<RefCell<bool>>,
    }

    impl Office {
        /// A fetch takes a second.
        fn open() -> Self {
            let (current, keys) = watch::channel(None);
            let (ask, asks) = mpsc::channel(8);
            let (began, fetched, works) = (Instant::now(), Rc::default(), Rc::new(RefCell::new(true)));
            let office = Self { keys, asks: ask, began, fetched, works };
            let (fetched, works) = (office.fetched.clone(), office.works.clone());
            tokio::task::spawn_local(async move {
                let fetch = async || {
                    fetched.borrow_mut().push(began.elapsed().as_secs());
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    if *works.borrow() { KeySet::from_jwks(KEYS) } else { bail!("closed on Sundays") }
                };
                keep(fetch, KeyDesk { current, asks }).await;
            });
            office
        }

        async fn until(&self, second: u64) {
            tokio::time::sleep_until(self.began + Duration::from_secs(second)).await;
        }

        /// The second at which the answer came.
        async fn ask(&self) -> u64 {
            let (note, answered) = oneshot::channel();
            self.asks.send(note).await.unwrap();
            let _ = answered.await;
            self.began.elapsed().as_secs()
        }
    }

    async fn in_time_that_is_not_real(test: impl AsyncFnOnce(Office)) {
        tokio::time::pause();
        tokio::task::LocalSet::new().run_until(async { test(Office::open()).await }).await;
    }

    #[tokio::test]
    async fn keys_are_fetched_at_the_start_and_every_ten_minutes() {
        in_time_that_is_not_real(async |office| {
            office.until(1900).await;
            assert_eq!(*office.fetched.borrow(), [0, 601, 1202, 1803]);
            assert!(office.keys.borrow().is_some());
        })
        .await;
    }

    #[tokio::test]
    async fn who_asks_is_fetched_for_once_a_minute_and_answered_always() {
        in_time_that_is_not_real(async |office| {
            assert_eq!(office.ask().await, 1, "the first fetch answers");
            office.until(10).await;
            assert_eq!(office.ask().await, 11);
            for second in [11, 30, 69] {
                office.until(second).await;
                assert_eq!(office.ask().await, second, "at once: it is too early for another");
            }
            office.until(70).await;
            assert_eq!(tokio::join!(office.ask(), office.ask(), office.ask()), (71, 71, 71));
            assert_eq!(*office.fetched.borrow(), [0, 10, 70]);
            office.until(672).await;
            assert_eq!(*office.fetched.borrow(), [0, 10, 70, 671], "ten minutes from the last");
        })
        .await;
    }

    #[tokio::test]
    async fn a_failed_fetch_leaves_the_keys_and_is_tried_again_soon() {
        in_time_that_is_not_real(async |office| {
            office.until(100).await;
            *office.works.borrow_mut() = false;
            office.until(730).await;
            assert_eq!(*office.fetched.borrow(), [0, 601, 662, 723]);
            assert!(office.keys.borrow().is_some(), "the old ones stay");
        })
        .await;
    }

    #[tokio::test]
    async fn it_ends_with_the_last_verifier() {
        in_time_that_is_not_real(async |office| {
            office.until(5).await;
            let Office { mut keys, asks, .. } = office;
            drop(asks);
            keys.mark_unchanged();
            assert!(keys.changed().await.is_err(), "nobody fetches any more");
        })
        .await;
    }
}
