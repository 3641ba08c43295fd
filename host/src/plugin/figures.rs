//! A plugin's own counters and gauges, as its effects have set them. They outlive its versions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use super::effects::{Effect, Metric};

/// Names of one plugin, of counters and gauges together.
const NAMES: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Count,
    Gauge,
}

/// Locked for reading only, but for a name's first time.
#[derive(Debug, Default)]
pub struct Figures {
    /// The bits of an `f64`.
    known: RwLock<BTreeMap<(Kind, Box<str>), AtomicU64>>,
    dropped: AtomicU64,
}

impl Figures {
    /// Takes the figures out of what a call of this plugin wants done.
    pub fn take(&self, plugin: &str, effects: &mut Vec<Effect>) {
        effects.retain(|effect| {
            let (kind, metric) = match effect {
                Effect::Count(metric) => (Kind::Count, metric),
                Effect::Gauge(metric) => (Kind::Gauge, metric),
                _ => return true,
            };
            if !self.put(kind, metric) {
                self.tell(plugin, &metric.name);
            }
            false
        });
    }

    /// False: there are too many names.
    fn put(&self, kind: Kind, metric: &Metric) -> bool {
        // Names are short, and looked up by their owners: there is no borrowed form of a pair.
        let key = (kind, metric.name.as_str().into());
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = known.get(&key) {
            change(kind, value, metric.value);
            return true;
        }
        drop(known);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= NAMES && !known.contains_key(&key) {
            return false;
        }
        change(kind, known.entry(key).or_default(), metric.value);
        true
    }

    /// The first, and then ever fewer of them.
    fn tell(&self, plugin: &str, name: &str) {
        let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
        if dropped.is_power_of_two() {
            tracing::warn!(
                plugin,
                dropped,
                "the metric `{name}` is dropped: the plugin has {NAMES} names of them"
            );
        }
    }

    /// In the order of their names.
    pub fn all(&self) -> Vec<(Kind, String, f64)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let value = |bits: &AtomicU64| f64::from_bits(bits.load(Ordering::Relaxed));
        known.iter().map(|((kind, name), bits)| (*kind, name.to_string(), value(bits))).collect()
    }
}

/// Both are finite, and so is what comes of them: a sum past all numbers is left out.
fn change(kind: Kind, bits: &AtomicU64, value: f64) {
    match kind {
        Kind::Gauge => bits.store(value.to_bits(), Ordering::Relaxed),
        Kind::Count => {
            let add = |before: u64| {
                let sum = f64::from_bits(before) + value;
                sum.is_finite().then_some(sum.to_bits())
            };
            // The only error is the sum that is none.
            let _ = bits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: impl ToString, value: f64) -> Metric {
        Metric { name: name.to_string(), value }
    }

    #[test]
    fn counters_add_and_gauges_are_set() {
        let figures = Figures::default();
        let mut effects = vec![
            Effect::Count(metric("a", 1.0)),
            Effect::CancelTimer(1),
            Effect::Count(metric("a", 2.5)),
            Effect::Gauge(metric("a", 7.0)),
            Effect::Gauge(metric("a", -1.0)),
            Effect::Count(metric("a", f64::MAX)),
            Effect::Count(metric("b", f64::MAX)),
            Effect::Count(metric("b", f64::MAX)),
        ];
        figures.take("x", &mut effects);
        assert!(matches!(effects[..], [Effect::CancelTimer(1)]), "the others are left: {effects:?}");
        let expected =
            [(Kind::Count, "a", 3.5 + f64::MAX), (Kind::Count, "b", f64::MAX), (Kind::Gauge, "a", -1.0)];
        assert_eq!(figures.all(), expected.map(|(kind, name, value)| (kind, name.to_owned(), value)));
    }

    #[test]
    fn a_plugin_has_so_many_names() {
        let figures = Figures::default();
        let mut effects = (0..NAMES + 10).map(|name| Effect::Count(metric(name, 1.0))).collect();
        figures.take("x", &mut effects);
        assert!(effects.is_empty());
        assert_eq!(figures.all().len(), NAMES);
        // Those that are known go on.
        figures.take("x", &mut vec![Effect::Count(metric(0, 1.0))]);
        assert_eq!(figures.all()[0].2, 2.0);
    }
}
