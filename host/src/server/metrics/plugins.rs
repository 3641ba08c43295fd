//! What `/metrics` has of plugins. Labels are names of plugins, of the contract's functions, and of
//! the 64 figures that a plugin may have.

use std::fmt;
use std::sync::atomic::AtomicU64;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::plugin::{AtWork, CallTimes, PluginState, PluginsReport};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Plugin {
    plugin: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Failed {
    plugin: String,
    class: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Shadowed {
    plugin: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Called {
    plugin: String,
    function: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CallFailed {
    plugin: String,
    function: &'static str,
    class: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Figure {
    plugin: String,
    name: String,
}

pub fn plugins(registry: &mut Registry, report: PluginsReport) {
    let (generation, failures) = (Family::<Plugin, Gauge>::default(), Family::<Failed, Counter>::default());
    let (refused, shadows) = (Family::<Plugin, Gauge>::default(), Family::<Shadowed, Counter>::default());
    let (paused, quarantined) = (Family::<Plugin, Gauge>::default(), Family::<Plugin, Gauge>::default());
    for plugin in &report.plugins {
        let name = Plugin { plugin: plugin.name.clone() };
        refused.get_or_create(&name).set(i64::from(plugin.error.is_some()));
        let is_quarantined = plugin.state == PluginState::Quarantined;
        quarantined.get_or_create(&name).set(i64::from(is_quarantined));
        if let Some(shadow) = &plugin.shadow {
            let outcomes = [("same", shadow.same), ("differ", shadow.differ), ("missed", shadow.missed)];
            for (outcome, calls) in outcomes {
                let of = Shadowed { plugin: plugin.name.clone(), outcome };
                shadows.get_or_create(&of).inc_by(calls);
            }
        }
        let Some(loaded) = &plugin.loaded else { continue };
        generation.get_or_create(&name).set(i64::try_from(loaded.generation).unwrap_or(i64::MAX));
        paused.get_or_create(&name).set(i64::from(loaded.paused_ms.is_some()));
        for (class, times) in &loaded.failures {
            let failed = Failed { plugin: plugin.name.clone(), class: (*class).to_owned() };
            failures.get_or_create(&failed).inc_by(*times);
        }
    }
    registry.register("plugin_generation", "Which load of the plugin is in use", generation);
    registry.register("plugin_file_refused", "1: the plugin's file is not what runs", refused);
    registry.register("plugin_failures", "Failed calls of the generation in use", failures);
    registry.register("plugin_paused", "1: the version in use pauses as a whole", paused);
    registry.register("plugin_quarantined", "1: the plugin is in quarantine", quarantined);
    let help = "Calls of the version in the shadow, beside what the one in use gave";
    registry.register("plugin_shadow_calls", help, shadows);
    let at_work: Vec<(String, AtWork)> =
        report.plugins.into_iter().filter_map(|plugin| Some((plugin.name, plugin.at_work?))).collect();
    instances(registry, &at_work);
    figures(registry, &at_work);
    calls(registry, at_work);
}

fn instances(registry: &mut Registry, plugins: &[(String, AtWork)]) {
    let mut gauge = |name: &str, help: &str, unit: Option<Unit>, value: fn(&AtWork) -> usize| {
        let family = Family::<Plugin, Gauge>::default();
        for (plugin, at_work) in plugins {
            let value = i64::try_from(value(at_work)).unwrap_or(i64::MAX);
            family.get_or_create(&Plugin { plugin: plugin.clone() }).set(value);
        }
        match unit {
            Some(unit) => registry.register_with_unit(name, help, unit, family),
            None => registry.register(name, help, family),
        }
    };
    let bytes = || Some(Unit::Bytes);
    gauge("plugin_instances", "Instances of the plugin", None, |at_work| at_work.instances.now);
    gauge("plugin_memory", "Linear memory of its instances", bytes(), |at_work| {
        at_work.instances.memory_bytes
    });
    gauge("plugin_memory_peak", "The most at a time", bytes(), |at_work| at_work.instances.memory_peak_bytes);
    gauge("plugin_store_keys", "Keys in the plugin's store", None, |at_work| at_work.store.keys);
    gauge("plugin_store", "What its store counts of its share", bytes(), |at_work| at_work.store.bytes);
}

fn figures(registry: &mut Registry, plugins: &[(String, AtWork)]) {
    let (counts, gauges) =
        (Family::<Figure, Counter<f64>>::default(), Family::<Figure, Gauge<f64, AtomicU64>>::default());
    for (plugin, at_work) in plugins {
        let figure = |name: &String| Figure { plugin: plugin.clone(), name: name.clone() };
        for (name, value) in &at_work.counts {
            counts.get_or_create(&figure(name)).inc_by(*value);
        }
        for (name, value) in &at_work.gauges {
            gauges.get_or_create(&figure(name)).set(*value);
        }
    }
    registry.register("plugin_count", "The plugin's own counters", counts);
    registry.register("plugin_gauge", "The plugin's own gauges", gauges);
}

fn calls(registry: &mut Registry, plugins: Vec<(String, AtWork)>) {
    let (all, failed) = (Family::<Called, Counter>::default(), Family::<CallFailed, Counter>::default());
    let mut times = Vec::new();
    for (plugin, at_work) in plugins {
        for (function, calls) in at_work.calls {
            let called = Called { plugin: plugin.clone(), function };
            all.get_or_create(&called).inc_by(calls.calls);
            for (class, count) in calls.failures {
                let failure = CallFailed { plugin: plugin.clone(), function, class };
                failed.get_or_create(&failure).inc_by(count);
            }
            times.push((called, calls.times));
        }
    }
    registry.register("plugin_calls", "Calls of the plugin's functions", all);
    registry.register("plugin_call_failures", "Calls that came to nothing, by why", failed);
    registry.register_collector(Box::new(Durations(times)));
}

/// Histograms that are counted elsewhere.
struct Durations(Vec<(Called, CallTimes)>);

impl fmt::Debug for Durations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Durations of {} functions", self.0.len())
    }
}

impl Collector for Durations {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let help = "How long calls took; of on-publish one in 64 is timed";
        let mut metric =
            encoder.encode_descriptor("plugin_call", help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for (called, times) in &self.0 {
            let (mut up_to, mut buckets) = (0, Vec::new());
            for (bound, count) in times.cumulated() {
                // The library cumulates them again.
                buckets.push((bound, count - up_to));
                up_to = count;
            }
            let mut family = metric.encode_family(called)?;
            family.encode_histogram::<NoLabelSet>(times.seconds(), times.count(), &buckets, None)?;
        }
        Ok(())
    }
}
