//! What a run measured, and what several runs come to.

use serde_json::{Map, Value, json};

/// One thing that is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Its name in JSON, with its unit.
    pub key: &'static str,
    /// Its name in the table.
    pub label: &'static str,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Unit {
    /// Large numbers.
    Count,
    Seconds,
    Micros,
    Bytes,
    /// A part of one core.
    Share,
}

const fn metric(key: &'static str, label: &'static str, unit: Unit) -> Metric {
    Metric { key, label, unit }
}

pub const DELIVERIES: Metric = metric("deliveries_per_second", "deliveries/s", Unit::Count);
pub const PUBLISHED: Metric = metric("published_per_second", "published/s", Unit::Count);
pub const CHANGES: Metric = metric("changes_per_second", "joins and leaves/s", Unit::Count);
pub const CONNECTIONS: Metric = metric("connections_per_second", "connections/s", Unit::Count);
pub const RECOVERIES: Metric = metric("recoveries_per_second", "recoveries/s", Unit::Count);
pub const CPU_A_MILLION: Metric =
    metric("server_cpu_seconds_per_million", "server CPU a million deliveries", Unit::Seconds);
pub const CPU_A_CONNECTION: Metric =
    metric("server_cpu_us_per_connection", "server CPU a connection", Unit::Micros);
pub const P50: Metric = metric("latency_p50_us", "latency p50", Unit::Micros);
pub const P99: Metric = metric("latency_p99_us", "latency p99", Unit::Micros);
pub const P999: Metric = metric("latency_p999_us", "latency p99.9", Unit::Micros);
pub const LONGEST: Metric = metric("latency_max_us", "latency max", Unit::Micros);
pub const RESIDENT: Metric = metric("server_resident_bytes", "server memory", Unit::Bytes);
pub const A_CONNECTION: Metric =
    metric("resident_bytes_per_connection", "server memory a connection", Unit::Bytes);
pub const SERVER_BUSY: Metric = metric("server_cores", "server, cores busy", Unit::Share);
pub const CLIENT_BUSY: Metric = metric("client_cores", "this client, cores busy", Unit::Share);
pub const SLOW_CLOSED: Metric = metric("slow_closed", "slow consumers closed", Unit::Count);

/// One run's figures, in the order of the table.
#[derive(Clone, Debug, Default)]
pub struct Figures(Vec<(Metric, f64)>);

impl Figures {
    pub fn add(&mut self, metric: Metric, figure: f64) {
        self.0.push((metric, figure));
    }

    /// One that may not be known.
    pub fn add_known(&mut self, metric: Metric, figure: Option<f64>) {
        self.0.extend(figure.filter(|figure| figure.is_finite()).map(|figure| (metric, figure)));
    }

    fn get(&self, metric: Metric) -> Option<f64> {
        self.0.iter().find(|(one, _)| *one == metric).map(|(_, figure)| *figure)
    }

    pub fn json(&self) -> Value {
        self.0.iter().map(|(metric, figure)| (metric.key.to_owned(), rounded(*figure))).collect()
    }
}

/// Median, least and greatest of a metric's figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub metric: Metric,
    pub median: f64,
    pub least: f64,
    pub greatest: f64,
}

/// Of everything that every run knows.
pub fn spreads(runs: &[Figures]) -> Vec<Spread> {
    let Some(first) = runs.first() else { return Vec::new() };
    let spread = |metric: Metric| {
        let mut all = runs.iter().map(|run| run.get(metric)).collect::<Option<Vec<f64>>>()?;
        all.sort_by(f64::total_cmp);
        let (least, greatest) = (*all.first()?, *all.last()?);
        let median = (all[(all.len() - 1) / 2] + all[all.len() / 2]) / 2.0;
        Some(Spread { metric, median, least, greatest })
    };
    first.0.iter().filter_map(|(metric, _)| spread(*metric)).collect()
}

impl Spread {
    pub fn json(self, into: &mut Map<String, Value>) {
        let figures = json!({
            "median": rounded(self.median), "min": rounded(self.least), "max": rounded(self.greatest),
        });
        into.insert(self.metric.key.to_owned(), figures);
    }
}

/// Six digits after the point are more than anything here is measured to.
fn rounded(figure: f64) -> Value {
    json!((figure * 1e6).round() / 1e6)
}

impl Metric {
    /// A figure as people read it.
    pub fn show(self, figure: f64) -> String {
        match self.unit {
            Unit::Count if figure >= 1e6 => format!("{:.2} M", figure / 1e6),
            Unit::Count if figure >= 1e4 => format!("{:.1} k", figure / 1e3),
            Unit::Count => format!("{figure:.0}"),
            Unit::Seconds => format!("{figure:.3} s"),
            Unit::Micros if figure >= 1e6 => format!("{:.2} s", figure / 1e6),
            Unit::Micros if figure >= 1e3 => format!("{:.2} ms", figure / 1e3),
            Unit::Micros if figure >= 1e2 => format!("{figure:.0} µs"),
            Unit::Micros => format!("{figure:.1} µs"),
            Unit::Bytes if figure >= 1e6 => format!("{:.1} MiB", figure / f64::from(1 << 20)),
            Unit::Bytes => format!("{:.1} KiB", figure / 1024.0),
            Unit::Share => format!("{figure:.2}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_and_what_one_run_lacks_is_left_out() {
        let run = |deliveries: f64, p50: Option<f64>| {
            let mut figures = Figures::default();
            figures.add(DELIVERIES, deliveries);
            figures.add_known(P50, p50);
            figures
        };
        let all = spreads(&[run(3.0, Some(1.0)), run(1.0, None), run(2.0, Some(f64::NAN)), run(9.0, None)]);
        let expected = Spread { metric: DELIVERIES, median: 2.5, least: 1.0, greatest: 9.0 };
        assert_eq!(all, [expected]);
        assert_eq!(spreads(&[]), []);
    }

    #[test]
    fn figures_are_shown_in_their_units() {
        assert_eq!(DELIVERIES.show(2_345_678.0), "2.35 M");
        assert_eq!(CONNECTIONS.show(987.4), "987");
        assert_eq!(P99.show(1234.0), "1.23 ms");
        assert_eq!((&*P99.show(123.4), &*P99.show(12.34)), ("123 µs", "12.3 µs"));
        assert_eq!(A_CONNECTION.show(3788.8), "3.7 KiB");
        assert_eq!(CPU_A_MILLION.show(0.2664), "0.266 s");
    }
}
