//! Who is in which channels, asked of their homes.

use super::Shard;
use super::ask::{Unanswered, gather};
use crate::core::{ChannelName, UserId};
use crate::hub::home::Occupancy;

impl Shard {
    /// How many are in each of these channels, in their order.
    pub async fn occupancies(&self, channels: Vec<ChannelName>) -> Result<Vec<Occupancy>, Unanswered> {
        let asked = channels.into_iter().map(|channel| {
            let home = self.post.mesh().home(&channel);
            self.ask(home, move |_, homes, answer| {
                // Who asked may have given up.
                let _ = answer.send(homes.occupancy(&channel));
            })
        });
        gather(asked.collect()).await
    }

    /// Channels that have subscribers and are wanted, by name: all of them, if they are not more
    /// than `most`; else more than that.
    pub async fn occupied(
        &self,
        wanted: impl Fn(&str) -> bool + Clone + Send + 'static,
        most: usize,
    ) -> Result<Vec<(ChannelName, Occupancy)>, Unanswered> {
        let found = self.ask_all(move |_, homes| homes.occupied(&wanted, most + 1)).await?;
        let mut all: Vec<_> = found.into_iter().flatten().collect();
        all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Ok(all)
    }

    /// The users in a channel, by name.
    pub async fn members(&self, channel: ChannelName) -> Result<Vec<UserId>, Unanswered> {
        let home = self.post.mesh().home(&channel);
        let asked = self.ask(home, move |_, homes, answer| {
            let _ = answer.send(homes.members(&channel));
        });
        Ok(gather(vec![asked]).await?.concat())
    }
}
