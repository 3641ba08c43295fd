//! How long things took, in a histogram of constant size.

use anyhow::{Context, Result};
use hdrhistogram::Histogram;

/// What is counted in, in nanoseconds.
const UNIT: u64 = 100;
/// Three digits hold from a unit to ten minutes; what is longer counts as that.
const LONGEST: u64 = 600_000_000_000 / UNIT;

pub struct Latency(Histogram<u64>);

impl Latency {
    pub fn new() -> Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, LONGEST, 3).context("a histogram")?))
    }

    /// Something that took from one point of the load's clock to another, in nanoseconds.
    pub fn took(&mut self, from: u64, to: u64) {
        self.0.saturating_record(to.saturating_sub(from) / UNIT);
    }

    pub fn clear(&mut self) {
        self.0.reset();
    }

    /// In microseconds.
    pub fn at(&self, quantile: f64) -> f64 {
        micros(self.0.value_at_quantile(quantile))
    }

    pub fn longest(&self) -> f64 {
        micros(self.0.max())
    }
}

fn micros(units: u64) -> f64 {
    (units * UNIT) as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let mut latency = Latency::new().unwrap();
        (1..=1000).for_each(|micros| latency.took(5000, 5000 + micros * 1000));
        let near = |quantile, micros: f64| (latency.at(quantile) - micros).abs() <= micros / 500.0;
        assert!(near(0.5, 500.0) && near(0.99, 990.0) && near(1.0, 1000.0));
        assert!((latency.longest() - 1000.0).abs() <= 1.0);
        latency.took(9, 1);
        latency.took(0, u64::MAX);
        assert!(latency.longest() >= 600_000_000.0);
    }
}
