//! What publishers hear of their messages.
//!
//! The server's API is answered when the message has left for every shard with subscribers: whatever its caller
//! does next, to the same clients too, comes after it. Clients hear of theirs at once.

use std::time::Instant;

use tokio::sync::oneshot;

use super::Homes;
use crate::core::{ChannelName, Refusal, ShardId};
use crate::hub::letter::{Letter, Origin, Published};
use crate::hub::mesh::Mesh;
use crate::hub::post::Post;
use crate::hub::tally::Receipt;

/// Those that wait.
#[derive(Default)]
pub(super) struct Answers {
    /// Clients' acknowledgements, while some shard lags behind. Bounded by their credit.
    withheld: Vec<(ShardId, Letter)>,
    /// The API's, until [`Homes::seal_all`]: at most those of one turn.
    behind: Vec<(oneshot::Sender<Result<Published, Refusal>>, Published)>,
}

impl Answers {
    /// Does any wait for messages to leave?
    pub fn are_behind(&self) -> bool {
        !self.behind.is_empty()
    }

    /// The messages have left: so may what waited for them.
    pub fn send_behind(&mut self) {
        for (answer, published) in self.behind.drain(..) {
            // The caller may have hung up.
            let _ = answer.send(Ok(published));
        }
    }
}

impl Homes {
    pub(super) fn answer(
        &mut self,
        channel: ChannelName,
        origin: Origin,
        result: Result<Published, Refusal>,
        post: &Post,
    ) {
        match origin {
            Origin::Client { sender, request, .. } => {
                let shard = sender.client.shard();
                let letter = Letter::Published { channel, client: sender.client, request, result };
                if post.mesh().is_congested() {
                    self.answers.withheld.push((shard, letter));
                } else {
                    post.send(shard, letter);
                }
            }
            Origin::Server { answer, .. } => match result {
                Ok(published) => {
                    self.answers.behind.push((answer, published));
                    post.queue.wake();
                }
                Err(refusal) => {
                    // The caller may have hung up.
                    let _ = answer.send(Err(refusal));
                }
            },
            Origin::Keyed { key, .. } => {
                for origin in self.repeats.finish(&key, &result, Instant::now()) {
                    self.answer(channel.clone(), origin, result.clone(), post);
                }
            }
            Origin::Plugin => {
                if let Err(refusal) = result {
                    // Quoted: the reason may be another plugin's.
                    tracing::warn!(%channel, refusal = refusal.to_string(), "a plugin's publication was refused");
                }
            }
        }
    }

    /// How many a message with a key has reached is known: whoever waits for its answer hears it.
    pub fn counted(&mut self, channel: ChannelName, origin: Origin, published: Published, post: &Post) {
        self.answer(channel, origin, Ok(published), post);
    }

    /// Sends the acknowledgements that were held back. False: still congested.
    pub fn release_withheld(&mut self, post: &Post) -> bool {
        if self.answers.withheld.is_empty() {
            return true;
        }
        if post.mesh().is_congested() {
            return false;
        }
        for (shard, letter) in self.answers.withheld.drain(..) {
            post.send(shard, letter);
        }
        true
    }
}

/// Tells whoever published a message how many it reached.
pub(super) fn report(
    channel: ChannelName,
    origin: Origin,
    published: Published,
    mesh: Mesh,
) -> impl FnOnce(Receipt) + Send + Sync {
    move |receipt| {
        let published = Published { receipt: Some(receipt), ..published };
        match origin {
            Origin::Client { sender, request, .. } => {
                let client = sender.client;
                let letter = Letter::Published { channel, client, request, result: Ok(published) };
                mesh.post(client.shard(), vec![letter]);
            }
            Origin::Server { answer, .. } => {
                let _ = answer.send(Ok(published));
            }
            Origin::Keyed { .. } => {
                let home = mesh.home(&channel);
                mesh.post(home, vec![Letter::Counted { channel, origin, published }]);
            }
            Origin::Plugin => {}
        }
    }
}
