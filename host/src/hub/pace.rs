//! How long a shard's messages wait for company. A write to a socket costs the kernel about the
//! same whatever it carries, so a shard that is busy writing gains by carrying more a write;
//! one that is not has nothing to wait for.

use std::time::{Duration, Instant};

/// No message waits longer than this for others.
const MOST: Duration = Duration::from_millis(1);
/// A wait is at most this part of what the last turn's writing has cost.
const PART: u32 = 4;
/// Turns that cost less are not worth an alarm.
const WORTH: Duration = Duration::from_micros(400);

/// Remembers the last turn that sent messages on their way.
#[derive(Debug, Default)]
pub struct Pace(Option<Last>);

#[derive(Debug)]
struct Last {
    ended: Instant,
    cost: Duration,
    messages: usize,
}

impl Pace {
    /// Until when the messages that are here should wait; None: they leave now. As many as
    /// left last time need not wait: publishers that keep so many in flight send no more
    /// before they have heard of these.
    pub fn wait_until(&self, messages: usize, now: Instant) -> Option<Instant> {
        let last = self.0.as_ref()?;
        if messages == 0 || messages >= last.messages || last.cost < WORTH {
            return None;
        }
        let until = last.ended + (last.cost / PART).min(MOST);
        (until > now).then_some(until)
    }

    /// A turn that began with so many messages to send is over.
    pub fn turn_ended(&mut self, messages: usize, began: Instant, ended: Instant) {
        self.0 = Some(Last { ended, cost: ended - began, messages });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A turn of four messages that took so long; and when it ended.
    fn after(cost: Duration) -> (Pace, Instant) {
        let began = Instant::now();
        let mut pace = Pace::default();
        pace.turn_ended(4, began, began + cost);
        (pace, began + cost)
    }

    #[test]
    fn who_comes_alone_after_a_heavy_turn_waits_for_the_others() {
        let (pace, ended) = after(2 * MS);
        assert_eq!(pace.wait_until(1, ended), Some(ended + MS / 2));
        assert_eq!(pace.wait_until(3, ended + MS / 4), Some(ended + MS / 2));
        assert_eq!(pace.wait_until(4, ended), None, "nobody is missing");
        assert_eq!(pace.wait_until(1, ended + MS / 2), None, "it has waited");
    }

    #[test]
    fn no_wait_is_longer_than_its_bound() {
        let (pace, ended) = after(100 * MS);
        assert_eq!(pace.wait_until(1, ended), Some(ended + MOST));
    }

    #[test]
    fn a_shard_that_is_not_busy_does_not_wait() {
        assert_eq!(Pace::default().wait_until(1, Instant::now()), None);
        let (pace, ended) = after(MS / 10);
        assert_eq!(pace.wait_until(1, ended), None);
        let (pace, ended) = after(2 * MS);
        assert_eq!(pace.wait_until(1, ended + 10 * MS), None, "the last turn was long ago");
    }
}
