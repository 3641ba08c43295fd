//! A limit of messages and bytes a second, and what happens past it.

use std::time::Duration;

use super::clock::Nanos;
use super::rate::{Rate, TokenBucket};
use super::refusal::Refusal;

/// Messages are counted in parts, because a ping is less than a message.
const PARTS: u32 = 10;

/// What happens to a message past a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExcess {
    /// It is answered with `rate_limited` and costs nothing.
    #[default]
    Refuse,
    /// The connection is closed with 4002.
    Disconnect,
}

/// One limit; at least one of the rates is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    messages: Option<Rate>,
    bytes: Option<Rate>,
    on_excess: OnExcess,
}

impl Limit {
    /// Messages a second.
    pub const MESSAGES_PER_SEC: std::ops::RangeInclusive<f64> = 0.0001..=1e6;

    /// None: a rate is out of its range, or there is neither.
    pub fn new(
        messages_per_sec: Option<f64>,
        bytes_per_sec: Option<f64>,
        burst_secs: f64,
        on_excess: OnExcess,
    ) -> Option<Self> {
        let messages = match messages_per_sec {
            Some(n) if Self::MESSAGES_PER_SEC.contains(&n) => {
                Some(Rate::new(n * f64::from(PARTS), burst_secs)?)
            }
            Some(_) => return None,
            None => None,
        };
        let bytes = match bytes_per_sec {
            Some(n) => Some(Rate::new(n, burst_secs)?),
            None => None,
        };
        (messages.is_some() || bytes.is_some()).then_some(Self { messages, bytes, on_excess })
    }
}

/// What one message takes from a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    parts: u64,
    bytes: u64,
}

impl Cost {
    pub fn message(bytes: usize) -> Self {
        Self { parts: PARTS.into(), bytes: bytes as u64 }
    }

    /// A tenth of a message: who only keeps its connection alive takes little from itself.
    pub fn ping(bytes: usize) -> Self {
        Self { parts: 1, bytes: bytes as u64 }
    }
}

/// A limit was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    wait: Duration,
    pub on_excess: OnExcess,
}

impl Excess {
    /// Of two limits that refuse the same message: the longer wait, the harder consequence.
    pub fn and(self, other: Self) -> Self {
        let disconnect = [self.on_excess, other.on_excess].contains(&OnExcess::Disconnect);
        let on_excess = if disconnect { OnExcess::Disconnect } else { OnExcess::Refuse };
        Self { wait: self.wait.max(other.wait), on_excess }
    }

    /// Seconds after which the same message passes, if nobody else takes from the same limit;
    /// whole milliseconds, rounded up.
    pub fn retry_after_secs(&self) -> f64 {
        self.wait.as_nanos().div_ceil(1_000_000) as f64 / 1000.0
    }

    pub fn refusal(&self) -> Refusal {
        Refusal::RateLimited { retry_after_secs: self.retry_after_secs() }
    }

    /// For a close frame with 4002.
    pub fn reason(&self) -> String {
        format!("Rate limit exceeded. retry_after={}", self.retry_after_secs())
    }
}

/// A limit's buckets. Any thread may take.
#[derive(Debug)]
pub struct Meter {
    messages: Option<TokenBucket>,
    bytes: Option<TokenBucket>,
    on_excess: OnExcess,
}

impl Meter {
    pub fn new(limit: Limit) -> Self {
        Self {
            messages: limit.messages.map(TokenBucket::new),
            bytes: limit.bytes.map(TokenBucket::new),
            on_excess: limit.on_excess,
        }
    }

    /// Takes a message's cost, or nothing.
    ///
    /// # Errors
    /// The limit is exceeded.
    pub fn take(&self, cost: Cost, now: Nanos) -> Result<(), Excess> {
        let ask = |bucket: &Option<TokenBucket>, units| match bucket {
            Some(bucket) => bucket.take(units, now).err(),
            None => None,
        };
        let wait = match (ask(&self.messages, cost.parts), ask(&self.bytes, cost.bytes)) {
            (None, None) => return Ok(()),
            (Some(one), Some(other)) => one.max(other),
            (Some(wait), None) => {
                self.bytes.iter().for_each(|bucket| bucket.give_back(cost.bytes));
                wait
            }
            (None, Some(wait)) => {
                self.messages.iter().for_each(|bucket| bucket.give_back(cost.parts));
                wait
            }
        };
        Err(Excess { wait, on_excess: self.on_excess })
    }

    /// Undoes a [`Meter::take`].
    pub fn give_back(&self, cost: Cost) {
        self.messages.iter().for_each(|bucket| bucket.give_back(cost.parts));
        self.bytes.iter().for_each(|bucket| bucket.give_back(cost.bytes));
    }

    /// From when on it is as good as new.
    pub fn full_at(&self) -> Nanos {
        let all = self.messages.iter().chain(&self.bytes);
        all.map(TokenBucket::full_at).max().unwrap_or(Nanos(0))
    }
}

/// Takes from all meters or from none; refused, the wait is the longest that any of them asks
/// for, so that after it all let the message pass.
///
/// # Errors
/// Some limit is exceeded.
pub fn take_all<'a>(
    meters: impl Iterator<Item = &'a Meter> + Clone,
    cost: Cost,
    now: Nanos,
) -> Result<(), Excess> {
    let mut refused: Option<Excess> = None;
    // Bit by bit which have let it pass: there are at most three.
    let mut passed = 0_u8;
    for (index, meter) in meters.clone().enumerate() {
        match meter.take(cost, now) {
            Ok(()) => passed |= 1 << index,
            Err(excess) => refused = Some(refused.map_or(excess, |before| before.and(excess))),
        }
    }
    let Some(excess) = refused else { return Ok(()) };
    for (_, meter) in meters.enumerate().filter(|(index, _)| passed & (1 << index) != 0) {
        meter.give_back(cost);
    }
    Err(excess)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(messages: Option<f64>, bytes: Option<f64>, on_excess: OnExcess) -> Meter {
        Meter::new(Limit::new(messages, bytes, 1.0, on_excess).unwrap())
    }

    #[test]
    fn a_message_refused_for_its_bytes_takes_no_message() {
        let meter = meter(Some(2.0), Some(100.0), OnExcess::Refuse);
        meter.take(Cost::message(100), Nanos(0)).unwrap();
        for _ in 0..10 {
            let excess = meter.take(Cost::message(50), Nanos(0)).unwrap_err();
            assert_eq!(excess.refusal(), Refusal::RateLimited { retry_after_secs: 0.5 });
        }
        meter.take(Cost::message(0), Nanos(0)).unwrap();
        assert_eq!(meter.take(Cost::message(0), Nanos(0)).unwrap_err().retry_after_secs(), 0.5);
    }

    #[test]
    fn ten_pings_are_a_message() {
        let meter = meter(Some(2.0), None, OnExcess::Refuse);
        for _ in 0..10 {
            meter.take(Cost::ping(0), Nanos(0)).unwrap();
        }
        meter.take(Cost::message(0), Nanos(0)).unwrap();
        assert_eq!(meter.take(Cost::ping(0), Nanos(0)).unwrap_err().retry_after_secs(), 0.05);
    }

    #[test]
    fn of_several_meters_the_longest_wait_and_the_hardest_consequence_count() {
        let strict = meter(Some(1.0), None, OnExcess::Refuse);
        let hard = meter(Some(4.0), None, OnExcess::Disconnect);
        let wide = meter(Some(1000.0), None, OnExcess::Refuse);
        let all = [&wide, &strict, &hard];
        let take = |at| take_all(all.into_iter(), Cost::message(0), Nanos(at));
        take(0).unwrap();
        let excess = take(0).unwrap_err();
        assert_eq!((excess.retry_after_secs(), excess.on_excess), (1.0, OnExcess::Refuse));
        for _ in 0..3 {
            hard.take(Cost::message(0), Nanos(0)).unwrap();
        }
        let excess = take(0).unwrap_err();
        assert_eq!((excess.retry_after_secs(), excess.on_excess), (1.0, OnExcess::Disconnect));
        assert_eq!(excess.reason(), "Rate limit exceeded. retry_after=1");
        take(1_000_000_000).unwrap();
        assert_eq!(wide.full_at(), Nanos(1_001_000_000), "what others refused was given back");
    }
}
