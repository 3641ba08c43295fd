//! How long a shard's messages wait for company. A write to a socket costs the kernel about the
//! same whatever it carries, so a shard that is busy writing gains by carrying more a write;
//! one that is not has nothing to wait for.

use std::time::{Duration, Instant};

/// No message waits longer than this for others, as a rule.
pub const MOST: Duration = Duration::from_millis(1);
/// A wait is at most this part of what the last turn's writing has cost.
const PART: u32 = 2;
/// Turns that cost less are not worth an alarm.
const WORTH: Duration = Duration::from_micros(400);
/// Turns from one attempt to gather more to the next: twice as many after each in vain.
const ATTEMPTS: std::ops::RangeInclusive<u32> = 8..=512;

/// How many messages come together, learned from the turns so far.
#[derive(Debug)]
pub struct Pace {
    most: Duration,
    /// The last turn that sent messages on their way: when it ended, and its cost.
    last: Option<(Instant, Duration)>,
    /// When the first of the messages came that wait, or might.
    first: Option<Instant>,
    /// So many are waited for. Where publishers keep so many in flight, no more come before these
    /// have been heard of.
    company: usize,
    /// Turns until more are waited for than that: half of what is in flight may be on its way out
    /// while the other half comes in, turn after turn.
    until_attempt: u32,
    every: u32,
}

impl Pace {
    /// No message waits longer than `most`.
    pub fn new(most: Duration) -> Self {
        Self {
            most,
            last: None,
            first: None,
            company: 0,
            until_attempt: *ATTEMPTS.start(),
            every: *ATTEMPTS.start(),
        }
    }

    /// Until when the messages that are here should wait; None: they leave now.
    pub fn wait_until(&mut self, messages: usize, now: Instant) -> Option<Instant> {
        let (ended, cost) = self.last?;
        let enough = messages >= self.company && self.until_attempt > 0;
        if messages == 0 || enough || cost < WORTH {
            return None;
        }
        let first = *self.first.get_or_insert(now);
        // With more rest than work the shard is not busy.
        let is_busy = first.saturating_duration_since(ended) <= cost;
        let until = first + (cost / PART).min(self.most);
        (is_busy && until > now).then_some(until)
    }

    /// A turn that began with so many messages to send is over.
    pub fn turn_ended(&mut self, messages: usize, began: Instant, ended: Instant) {
        let cost = ended - began;
        self.last = Some((ended, cost));
        self.first = None;
        if self.until_attempt == 0 {
            let gained = messages > self.company + self.company / 4;
            self.every = if gained { *ATTEMPTS.start() } else { (self.every * 2).min(*ATTEMPTS.end()) };
            self.until_attempt = self.every;
        } else if cost >= WORTH {
            self.until_attempt -= 1;
        }
        // Up at once, down bit by bit.
        self.company = match self.company.saturating_sub(messages) {
            0 => messages,
            fewer => self.company - fewer.div_ceil(8),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A turn of four messages that took so long; and when it ended.
    fn after(cost: Duration) -> (Pace, Instant) {
        let began = Instant::now();
        let mut pace = Pace::new(MOST);
        pace.turn_ended(4, began, began + cost);
        (pace, began + cost)
    }

    #[test]
    fn who_comes_alone_after_a_heavy_turn_waits_for_the_others() {
        let (mut pace, ended) = after(MS);
        assert_eq!(pace.wait_until(1, ended), Some(ended + MS / 2));
        assert_eq!(pace.wait_until(3, ended + MS / 4), Some(ended + MS / 2));
        assert_eq!(pace.wait_until(4, ended), None, "nobody is missing");
        assert_eq!(pace.wait_until(1, ended + MS / 2), None, "it has waited");
    }

    #[test]
    fn no_wait_is_longer_than_its_bound() {
        let (mut pace, ended) = after(100 * MS);
        assert_eq!(pace.wait_until(1, ended + MS), Some(ended + MS + MOST), "it came then");
        assert_eq!(pace.wait_until(2, ended + MS + MOST), None);
    }

    #[test]
    fn a_shard_that_is_not_busy_does_not_wait() {
        assert_eq!(Pace::new(MOST).wait_until(1, Instant::now()), None);
        let (mut pace, ended) = after(MS / 10);
        assert_eq!(pace.wait_until(1, ended), None);
        let (mut pace, ended) = after(2 * MS);
        assert_eq!(pace.wait_until(1, ended + 10 * MS), None, "the last turn was long ago");
    }

    /// Publishers that keep `in_flight` on their way: half of them come with each turn, and the
    /// other half when a wait is as long as a turn's. How many turns waited.
    fn halves(pace: &mut Pace, in_flight: usize, turns: usize) -> (usize, usize) {
        let (mut now, mut waited, mut largest) = (Instant::now(), 0, 0);
        for _ in 0..turns {
            let waits = pace.wait_until(in_flight / 2, now).is_some();
            let messages = if waits { in_flight } else { in_flight / 2 };
            waited += usize::from(waits);
            largest = largest.max(messages);
            pace.turn_ended(messages, now, now + 2 * MS);
            now += 2 * MS;
        }
        (waited, largest)
    }

    #[test]
    fn two_halves_become_one_whole() {
        let mut pace = Pace::new(MOST);
        assert_eq!(halves(&mut pace, 64, 100), (92, 64), "the first attempt comes after eight turns");
    }

    #[test]
    fn attempts_in_vain_become_rare() {
        let (mut pace, mut now) = (Pace::new(MOST), Instant::now());
        let mut waited = 0;
        for _ in 0..4096 {
            waited += usize::from(pace.wait_until(4, now).is_some());
            pace.turn_ended(4, now, now + 2 * MS);
            now += 2 * MS;
        }
        assert!((8..=16).contains(&waited), "{waited}");
    }

    #[test]
    fn fewer_are_waited_for_when_fewer_come() {
        let (mut pace, mut now) = (Pace::new(MOST), Instant::now());
        pace.turn_ended(64, now, now + MS);
        for _ in 0..30 {
            pace.turn_ended(4, now, now + MS);
            now += MS;
        }
        assert_eq!(pace.company, 4);
    }
}
