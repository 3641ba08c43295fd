//! Jobs for a handler's actor, without the hub.

use std::cell::{Cell, RefCell};

use tidegate::plugin::{ActorSink, Answer, PluginFailure, Ready};
use tokio::sync::Notify;

/// Counts answers.
#[derive(Default)]
pub struct Jobs {
    left: Cell<usize>,
    failed: RefCell<Option<PluginFailure>>,
    done: Notify,
    /// While jobs are sent, as in a shard's turn.
    ready: RefCell<Option<Vec<Ready>>>,
}

impl ActorSink for Jobs {
    type Ticket = ();

    fn ready(&self, store: Ready) {
        if let Some(ready) = &mut *self.ready.borrow_mut() {
            return ready.push(store);
        }
        store.work();
    }

    fn decided(&self, (): (), answer: Result<Answer, PluginFailure>) {
        if let Err(failure) = answer {
            *self.failed.borrow_mut() = Some(failure);
        }
        self.left.set(self.left.get() - 1);
        if self.left.get() == 0 {
            self.done.notify_one();
        }
    }
}

impl Jobs {
    /// Sends so many jobs, and waits until all are answered.
    pub async fn wait(&self, jobs: usize, send: impl FnOnce()) {
        self.left.set(jobs);
        self.ready.replace(Some(Vec::new()));
        send();
        // Some have so much to do that they are ready again.
        while let Some(ready) = self.ready.replace(Some(Vec::new())).filter(|ready| !ready.is_empty()) {
            ready.into_iter().for_each(Ready::work);
        }
        self.ready.replace(None);
        self.done.notified().await;
        if let Some(failure) = self.failed.take() {
            panic!("{failure}");
        }
    }
}
