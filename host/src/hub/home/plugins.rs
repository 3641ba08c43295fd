//! Plugins come and go, and channels with them.

use std::sync::Arc;
use std::time::Instant;

use super::{Homes, handle, notices};
use crate::core::ChannelName;
use crate::core::clock::UnixMillis;
use crate::hub::letter::Letter;
use crate::hub::post::Post;
use crate::plugin::{Registry, Route};

impl Homes {
    /// A new set of plugins: every channel moves to its handler's new version at its next message.
    pub fn install(&mut self, registry: Arc<Registry>, post: &Post) {
        self.registry = registry;
        let names: Vec<ChannelName> = self.homes.keys().cloned().collect();
        for name in names {
            let route = self.registry.route(name.as_str());
            let rule = self.rules.find(name.as_str()).map(|(pattern, _)| pattern);
            let is_open = rule.is_some() || self.rules.unmatched(name.as_str()).is_some();
            let Some(home) = self.homes.get_mut(&name) else { continue };
            match route {
                Route::None if home.chain.is_empty() => {}
                Route::None if !is_open => self.close(&name, post),
                Route::Retired => self.close(&name, post),
                Route::Handled | Route::None => {
                    let before = home.chain.ids();
                    handle(&mut home.chain, &self.registry, &self.actors, rule, &name);
                    home.keep_timers();
                    // Those who have come since have never seen who is gone.
                    if !before.iter().any(|id| home.chain.get(*id).is_some()) {
                        home.graces = None;
                    }
                }
            }
        }
    }

    fn close(&mut self, name: &ChannelName, post: &Post) {
        let Some(mut home) = self.homes.remove(name) else { return };
        home.seal(post);
        self.refuse_held(&mut home, post);
        if let Some(board) = &self.board {
            notices::closed(board, &home);
        }
        for (shard, count) in post.mesh().shards().zip(&home.subscribers) {
            if *count > 0 {
                post.send(shard, Letter::ChannelGone(name.clone()));
            }
        }
    }

    /// Forgets channels that nobody has used for a while, and lets handlers rest that nobody has
    /// called. Called every so many seconds.
    pub fn sweep(&mut self, elapsed: u32) {
        self.repeats.forget_old(Instant::now());
        let now = UnixMillis::now();
        self.homes.retain(|_, home| {
            home.chain.iter().for_each(|link| link.actor.rest(elapsed));
            !home.is_forgotten(now, elapsed)
        });
    }
}
