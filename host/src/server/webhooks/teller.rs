//! One webhook: a queue of events, and a task that tells them in their order, some at a time.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Method;
use hyper::header::CONTENT_TYPE;
use serde_json::value::RawValue;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::outbound::{Bounds, Client, Reach};
use crate::config::HttpUrl;
use crate::core::bounded::{Bound, Bounded};
use crate::core::clock::UnixMillis;
use crate::dialect::pusher::webhook;
use crate::hub::notice::Wanted;
use crate::session::pusher::App;

/// Events that wait for one webhook; past it the oldest go.
const WAITING: Bound = Bound { items: 10_000, bytes: 8 << 20 };
/// Of one request.
const BATCH: Bound = Bound { items: 100, bytes: 256 << 10 };
/// How long more events are waited for when the first has come.
const GATHER: Duration = Duration::from_millis(50);
/// A request and its answer.
const BOUNDS: Bounds = Bounds { patience: Duration::from_secs(10), body: 64 << 10 };
/// Between two tries: at first, doubled with each, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// From its first try on, a request is tried so long.
const TRIED_FOR: Duration = Duration::from_secs(300);

/// Cheap to clone.
#[derive(Clone)]
pub struct Teller(Rc<Inner>);

struct Inner {
    app: Arc<App>,
    wanted: Wanted,
    client: Client,
    queue: RefCell<Bounded<Box<RawValue>>>,
    more: Notify,
}

impl Teller {
    /// `key`: the setting, for errors.
    ///
    /// # Errors
    /// https could never work here.
    pub fn new(app: Arc<App>, wanted: Wanted, key: &str, url: HttpUrl) -> Result<Self> {
        let client = Client::new(key, url, Reach::Anywhere, BOUNDS)?;
        let queue = RefCell::new(Bounded::new(WAITING));
        Ok(Self(Rc::new(Inner { app, wanted, client, queue, more: Notify::new() })))
    }

    pub fn is_for(&self, app: usize, kind: Wanted) -> bool {
        self.0.app.number == app && self.0.wanted.includes(kind)
    }

    pub fn push(&self, event: Box<RawValue>) {
        let bytes = event.get().len();
        self.0.queue.borrow_mut().push(event, bytes);
        self.0.more.notify_one();
    }

    /// Tells what comes, for ever.
    pub async fn run(self) {
        loop {
            while self.0.queue.borrow().is_empty() {
                self.0.more.notified().await;
            }
            tokio::time::sleep(GATHER).await;
            let events = self.0.queue.borrow_mut().take(BATCH);
            self.tell(&events).await;
            let dropped = self.0.queue.borrow_mut().take_dropped();
            if dropped > 0 {
                let (app, to) = (&self.0.app.id, self.0.client.authority());
                tracing::warn!(app, to, dropped, "a webhook is too slow: its oldest events were dropped");
            }
        }
    }

    async fn tell(&self, events: &[Box<RawValue>]) {
        let Inner { app, client, .. } = &*self.0;
        let (app_id, to) = (&app.id, client.authority());
        let body = match webhook::body(UnixMillis::now().0, events) {
            Ok(body) => body,
            Err(error) => return tracing::error!(%error, "a webhook's events have no JSON"),
        };
        let (began, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            let Err(error) = self.send(&body).await else { return };
            if began.elapsed() + pause > TRIED_FOR {
                let dropped = events.len();
                return tracing::warn!(
                    app = app_id,
                    to,
                    dropped,
                    "a webhook has failed for 5 minutes: {error:#}; its events are dropped"
                );
            }
            if pause == FIRST_PAUSE {
                tracing::warn!(app = app_id, to, "a webhook has failed and is tried again: {error:#}");
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    async fn send(&self, body: &str) -> Result<()> {
        let Inner { app, client, .. } = &*self.0;
        // The type exactly so: an SDK takes no other.
        let request = client
            .request(Method::POST)
            .header(CONTENT_TYPE, "application/json")
            .header("X-Pusher-Key", &app.key)
            .header("X-Pusher-Signature", app.signing.webhook(body).to_string())
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))?;
        // What it says beside its status is of no interest.
        let status = client.send(request).await?.status;
        ensure!(status.is_success(), "the answer is {status}");
        Ok(())
    }
}
