//! Subscribers that are told how many they are: at every change, and of many only now and then.

use std::time::{Duration, Instant};

use super::Homes;
use crate::core::ChannelName;
use crate::hub::notice::What;
use crate::hub::post::Post;

/// With more subscribers than this, a change waits.
const OFTEN: u64 = 100;
/// How long, since they were last told.
const SELDOM: Duration = Duration::from_secs(5);

/// What a channel's subscribers know of their number.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    at: Option<Instant>,
    /// It has changed since, and waits for its time.
    pub due: bool,
}

impl Told {
    /// They are so many now. True: tell them.
    fn changed(&mut self, subscribers: u64, now: Instant) -> bool {
        let waits = subscribers > OFTEN && self.at.is_some_and(|at| now.duration_since(at) < SELDOM);
        self.due = waits;
        if !waits {
            self.at = Some(now);
        }
        !waits
    }
}

impl Homes {
    /// Somebody has subscribed to a channel, or has left it.
    pub(super) fn count(&mut self, channel: &ChannelName, post: &Post) {
        let Some(home) = self.homes.get_mut(channel).filter(|home| home.rule.counts) else { return };
        let subscribers = home.subscribed();
        let told = home.told.get_or_insert_default();
        let was_due = told.due;
        if !told.changed(subscribers, Instant::now()) {
            if !was_due {
                self.uncounted.push(home.name.clone());
            }
            return;
        }
        if let Some(board) = &self.board {
            board.put(channel, What::Subscribers(subscribers));
        }
        if subscribers == 0 {
            return;
        }
        if !home.has_open_turn() {
            self.dirty.push(home.name.clone());
            post.queue.wake();
        }
        self.open_messages += 1;
        home.push_count(self.wires, subscribers, post);
    }

    /// Tells those whose time has come. Called every second.
    pub fn tell_counts(&mut self, post: &Post) {
        for channel in std::mem::take(&mut self.uncounted) {
            let due = self.homes.get_mut(&channel).and_then(|home| home.told.as_mut());
            // Where it is not, its subscribers have been told since.
            if due.is_some_and(|told| std::mem::take(&mut told.due)) {
                self.count(&channel, post);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_told_every_five_seconds() {
        let mut told = Told::default();
        let began = Instant::now();
        let at = |millis| began + Duration::from_millis(millis);
        assert!(told.changed(100, at(0)) && told.changed(99, at(1)), "few are always told");
        assert!(!told.changed(101, at(2)) && told.due);
        assert!(!told.changed(102, at(5000)) && told.due);
        assert!(told.changed(103, at(5001)) && !told.due);
        assert!(!told.changed(104, at(10_000)));
        assert!(told.changed(100, at(10_001)) && !told.due, "few again");
    }
}
