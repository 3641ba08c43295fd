//! What `GET /api/plugins` and `/metrics` tell of a plugin's calls, instances, store and figures.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::calls::{FunctionCounted, Times};
use super::figures::Kind;
use super::lasting::Seen;

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AtWork {
    /// Those of its functions that have been called, by their names in the contract.
    pub calls: BTreeMap<&'static str, CallsReport>,
    pub instances: InstancesReport,
    pub store: StoreReport,
    /// The plugin's own.
    pub counts: BTreeMap<String, f64>,
    pub gauges: BTreeMap<String, f64>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CallsReport {
    pub calls: u64,
    /// Calls that came to nothing, by why.
    pub failures: BTreeMap<&'static str, u64>,
    /// Of those, the calls that have ended their instance.
    pub traps: u64,
    /// Microseconds from the call to its answer that half of the calls did not take longer than, to
    /// an eighth; of `on-publish` one call in 64 is timed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_us: Option<f64>,
    /// The same for 99 of 100 calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_us: Option<f64>,
    #[serde(skip)]
    pub times: Times,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct InstancesReport {
    pub now: usize,
    /// Linear memory of all instances together, in bytes.
    pub memory_bytes: usize,
    /// The most that there has been at a time.
    pub memory_peak_bytes: usize,
}

/// What the plugin keeps by key.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StoreReport {
    pub keys: usize,
    pub bytes: usize,
}

/// Failures of a call that leave its instance as it was.
const NO_TRAPS: [&str; 1] = ["bad_output"];

impl AtWork {
    pub(super) fn of(seen: &Seen) -> Self {
        let of = |wanted: Kind| {
            let figures = seen.figures.iter().filter(move |(kind, ..)| *kind == wanted);
            figures.map(|(_, name, value)| (name.clone(), *value)).collect()
        };
        let counted = &seen.counted;
        let calls = counted.functions.iter();
        Self {
            calls: calls.map(|(function, counted)| (function.name(), CallsReport::of(counted))).collect(),
            instances: InstancesReport {
                now: counted.instances,
                memory_bytes: counted.memory,
                memory_peak_bytes: counted.memory_peak,
            },
            store: StoreReport { keys: seen.key_values.keys, bytes: seen.key_values.bytes },
            counts: of(Kind::Count),
            gauges: of(Kind::Gauge),
        }
    }
}

impl CallsReport {
    fn of(counted: &FunctionCounted) -> Self {
        let micros = |part| counted.times.quantile(part).map(|nanos| nanos as f64 / 1000.0);
        let traps = counted.failures.iter().filter(|(class, _)| !NO_TRAPS.contains(class));
        Self {
            calls: counted.calls,
            failures: counted.failures.clone(),
            traps: traps.map(|(_, times)| times).sum(),
            p50_us: micros(0.5),
            p99_us: micros(0.99),
            times: counted.times.clone(),
        }
    }
}
