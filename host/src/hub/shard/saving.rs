//! What of a shard's channels outlives the process.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::Shard;
use crate::hub::home::Lost;
use crate::plugin::saved::SavedChannel;

/// How long handlers have for their last words.
const LAST_WORDS: Duration = Duration::from_secs(5);

impl Shard {
    /// Asks all handlers for what is to be kept. They are not called again.
    pub(super) async fn save(&self) -> Vec<SavedChannel> {
        let deadline = Instant::now() + LAST_WORDS;
        let asked = self.homes.borrow_mut().end();
        let mut ended = Vec::with_capacity(asked.len());
        for channel in asked {
            ended.push(channel.answered(deadline).await);
        }
        let late = ended.iter().filter(|channel| channel.late).count();
        if late > 0 {
            tracing::warn!(
                "{late} channels begin anew: their handlers have failed to save them, or not done it within {LAST_WORDS:?}"
            );
        }
        // What was told them before that, and they did not hear, is known once this is answered.
        self.until_done(deadline + LAST_WORDS, std::iter::once(self.post.me()), |_, _| ()).await;
        self.homes.borrow_mut().saved(ended)
    }

    /// What the server before this one has saved of the channels that are at home here: before its first turn.
    pub fn restore(self: &Rc<Self>, saved: Vec<SavedChannel>) {
        let mut lost = Lost::default();
        let mut homes = self.homes.borrow_mut();
        for channel in saved {
            homes.restore(channel, &mut lost, &self.post);
        }
        if lost.beyond_limit > 0 {
            tracing::warn!("{} channels begin anew: limits.channels allows no more here", lost.beyond_limit);
        }
        for (plugin, channels) in lost.unhandled {
            tracing::warn!(%plugin,
                "{channels} of its channels begin anew: it is not loaded, or does not handle them any more");
        }
    }
}
