//! Questions to other shards: one letter a shard, the answers by their own way, bounded in time.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::Shard;
use crate::core::ShardId;
use crate::hub::home::Homes;
use crate::hub::letter::Letter;

/// A shard that has not answered by then is stuck, or the server is going away.
const PATIENCE: Duration = Duration::from_secs(5);
const CONGESTION_LOOK: Duration = Duration::from_millis(1);

/// Some shard did not answer in time; what was asked of it may yet be done.
#[derive(Debug, thiserror::Error)]
#[error("a part of the server did not answer within {PATIENCE:?}")]
pub struct Unanswered;

impl Shard {
    /// What every shard answers, in the shards' order. See [`crate::hub::letter::Question`] for
    /// what a question may do.
    pub(super) async fn ask_all<T: Send + 'static>(
        &self,
        question: impl Fn(&Rc<Shard>, &mut Homes) -> T + Clone + Send + 'static,
    ) -> Result<Vec<T>, Unanswered> {
        let asked: Vec<_> = self
            .post
            .mesh()
            .shards()
            .map(|shard| {
                let question = question.clone();
                self.ask(shard, move |there, homes, answer| {
                    // Who asked may have given up.
                    let _ = answer.send(question(there, homes));
                })
            })
            .collect();
        gather(asked).await
    }

    /// Asks one shard, which answers when it can. A shard that does not exist never does.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        shard: ShardId,
        question: impl FnOnce(&Rc<Shard>, &mut Homes, oneshot::Sender<T>) + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (answer, receiver) = oneshot::channel();
        self.post.send(shard, Letter::Ask(Box::new(move |there, homes| question(there, homes, answer))));
        receiver
    }

    pub(super) fn every_shard(&self) -> impl Iterator<Item = ShardId> + use<> {
        self.post.mesh().shards()
    }

    /// Until no shard lags behind with its letters: what clients have their credit for, the
    /// server's API waits for here.
    pub async fn until_uncongested(&self) -> Result<(), Unanswered> {
        let deadline = Instant::now() + PATIENCE;
        while self.post.mesh().is_congested() {
            if Instant::now() >= deadline {
                return Err(Unanswered);
            }
            tokio::time::sleep(CONGESTION_LOOK).await;
        }
        Ok(())
    }
}

/// All answers, within the one bound.
pub(super) async fn gather<T>(asked: Vec<oneshot::Receiver<T>>) -> Result<Vec<T>, Unanswered> {
    let deadline = Instant::now() + PATIENCE;
    let mut answers = Vec::with_capacity(asked.len());
    for answer in asked {
        match timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => answers.push(answer),
            Ok(Err(_)) | Err(_) => return Err(Unanswered),
        }
    }
    Ok(answers)
}
