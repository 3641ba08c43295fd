//! A new version on trial: it gets a share of channels, clients and calls, and is judged by how
//! often it fails beside the version that it would replace.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::conduct::Tally;
use super::generation::Generation;
use super::lot::Share;
use crate::core::clock::UnixMillis;

/// How a plugin's new versions are tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialSettings {
    pub share: Share,
    pub time: Duration,
    /// Fewer failures than this say nothing.
    pub errors: u64,
}

#[derive(Clone, Debug)]
pub struct Trial {
    pub canary: Arc<Generation>,
    pub stable: Arc<Generation>,
    pub settings: TrialSettings,
    pub until: Instant,
    pub ends_at: UnixMillis,
    canary_before: Tally,
    stable_before: Tally,
}

/// What becomes of a version on trial.
#[derive(Debug, PartialEq, Eq)]
pub enum Ruling {
    Wait,
    /// Why, for people.
    TakeBack(String),
    Promote,
}

impl Trial {
    pub fn begin(canary: Arc<Generation>, stable: Arc<Generation>, settings: TrialSettings) -> Self {
        for generation in [&canary, &stable] {
            generation.conduct.compare(true);
        }
        let (canary_before, stable_before) = (canary.conduct.tally(), stable.conduct.tally());
        let until = Instant::now() + settings.time;
        let ends_at = UnixMillis(UnixMillis::now().0.saturating_add(settings.time.as_millis() as u64));
        Self { canary, stable, settings, until, ends_at, canary_before, stable_before }
    }

    /// Nobody counts any more on its account.
    pub fn end(&self) {
        for generation in [&self.canary, &self.stable] {
            generation.conduct.compare(false);
        }
    }

    /// Of the new version, and of the one in use, since the trial began.
    pub fn tallies(&self) -> (Tally, Tally) {
        let (canary, stable) = (self.canary.conduct.tally(), self.stable.conduct.tally());
        (canary.since(self.canary_before), stable.since(self.stable_before))
    }

    pub fn judge(&self, now: Instant) -> Ruling {
        let (canary, stable) = self.tallies();
        rule(canary, stable, self.settings.errors, now >= self.until)
    }
}

fn rule(canary: Tally, stable: Tally, errors: u64, is_over: bool) -> Ruling {
    if canary.failed >= errors && canary.is_worse_than(stable) {
        return Ruling::TakeBack(format!(
            "{} of its {} calls failed, {} of {} of the version in use",
            canary.failed, canary.calls, stable.failed, stable.calls
        ));
    }
    if is_over { Ruling::Promote } else { Ruling::Wait }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worse_is_taken_back_at_once_and_the_rest_promoted_in_time() {
        let tally = |failed, calls| Tally { calls, failed };
        assert_eq!(rule(tally(2, 2), tally(0, 100), 3, false), Ruling::Wait, "too few to say");
        let Ruling::TakeBack(why) = rule(tally(3, 10), tally(1, 90), 3, false) else { panic!() };
        assert_eq!(why, "3 of its 10 calls failed, 1 of 90 of the version in use");
        assert_eq!(rule(tally(3, 10), tally(40, 90), 3, false), Ruling::Wait, "the old one is worse");
        assert_eq!(rule(tally(3, 10), tally(40, 90), 3, true), Ruling::Promote);
        assert_eq!(rule(tally(2, 2), tally(0, 100), 3, true), Ruling::Promote);
    }
}
