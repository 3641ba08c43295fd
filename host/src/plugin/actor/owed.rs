//! Departures arrive at least once: one that the handler fails to take is given to it again, on a
//! fresh instance, before anything else that happens in its channel.

use std::rc::Weak;
use std::time::Duration;

use super::runner::Runner;
use super::worker::Worker;
use super::{ActorSink, Departure, Job, Work};
use crate::core::Sender;
use crate::plugin::failure::PluginFailure;

/// Calls about one departure that may fail. Pauses of a plugin that fails again and again do not
/// count.
const TRIES: u32 = 3;
/// The second try comes at once; the next ones with the channel's next job, or after so long.
const AGAIN: Duration = Duration::from_secs(1);

/// Whether a quarantine is over, which nobody tells the channel.
const IN_QUARANTINE: Duration = Duration::from_secs(5);

/// A departure that the handler has not taken.
pub struct Owed<T> {
    job: Job,
    pub ticket: T,
    tries: u32,
}

impl<S: ActorSink> Runner<S> {
    pub(super) async fn owe(
        &mut self,
        channel: u32,
        who: Sender,
        why: Departure,
        ticket: S::Ticket,
        worker: &Weak<Worker<S>>,
    ) {
        let Some(room) = self.rooms.get_mut(&channel) else {
            let closed = PluginFailure::Other("the channel is closed".into());
            return self.sink.decided(ticket, Err(closed));
        };
        room.owed.push_back(Owed { job: Job::Unsubscribe { who, why }, ticket, tries: 0 });
        self.settle(channel, worker).await;
    }

    /// Tells the handler of all who have left, as far as it takes it.
    pub(super) async fn settle(&mut self, channel: u32, worker: &Weak<Worker<S>>) {
        while let Some(mut owed) = self.rooms.get_mut(&channel).and_then(|room| room.owed.pop_front()) {
            let again = match self.take(channel, &owed.job, None).await {
                Err(PluginFailure::Paused { retry_ms }) => Duration::from_millis(retry_ms.max(1)),
                Err(PluginFailure::Quarantined) => IN_QUARANTINE,
                Err(_) if owed.tries + 1 < TRIES => {
                    owed.tries += 1;
                    if owed.tries == 1 { Duration::ZERO } else { AGAIN }
                }
                answer => {
                    self.sink.decided(owed.ticket, answer);
                    continue;
                }
            };
            let Some(room) = self.rooms.get_mut(&channel) else { return };
            room.owed.push_front(owed);
            if again.is_zero() {
                continue;
            }
            if std::mem::replace(&mut room.retrying, true) {
                return;
            }
            let (worker, queue) = (worker.clone(), room.queue.clone());
            tokio::task::spawn_local(async move {
                tokio::time::sleep(again).await;
                if let (Some(worker), Some(queue)) = (worker.upgrade(), queue.upgrade()) {
                    worker.push(&queue, Work::Retry { channel });
                }
            });
            return;
        }
    }
}
