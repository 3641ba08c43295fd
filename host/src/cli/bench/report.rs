//! The runs of a scenario, as a table or as JSON.

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::figures::{Figures, spreads};
use super::options::OutputOptions;

/// What was measured, in words and as data.
pub struct Subject {
    pub scenario: &'static str,
    /// One line: `1 → 1000, window 64, 20000 messages of 100 bytes`.
    pub words: String,
    pub settings: Value,
}

/// Runs a scenario so many times and prints what came of it.
///
/// # Errors
/// With the first run that fails.
pub fn runs(
    subject: &Subject,
    output: &OutputOptions,
    mut run: impl FnMut(String) -> Result<Figures>,
) -> Result<()> {
    let mut all = Vec::new();
    for number in 1..=output.runs {
        all.push(run(format!("{} {number}/{}", subject.scenario, output.runs))?);
    }
    if output.json {
        println!("{}", json(subject, &all));
    } else {
        print!("{}", table(subject, &all));
    }
    Ok(())
}

fn json(subject: &Subject, runs: &[Figures]) -> Value {
    let mut figures = Map::new();
    spreads(runs).into_iter().for_each(|spread| spread.json(&mut figures));
    json!({
        "scenario": subject.scenario,
        "version": env!("CARGO_PKG_VERSION"),
        "settings": subject.settings,
        "figures": figures,
        "runs": runs.iter().map(Figures::json).collect::<Value>(),
    })
}

fn table(subject: &Subject, runs: &[Figures]) -> String {
    let mut text = format!("{}: {}\n", subject.scenario, subject.words);
    let several = runs.len() > 1;
    if several {
        text +=
            &format!("{:>34} {:>12} {:>12} {:>12}\n", format!("{} runs", runs.len()), "median", "min", "max");
    }
    for spread in spreads(runs) {
        let show = |figure| spread.metric.show(figure);
        text += &format!("{:>34} {:>12}", spread.metric.label, show(spread.median));
        if several {
            text += &format!(" {:>12} {:>12}", show(spread.least), show(spread.greatest));
        }
        text += "\n";
    }
    text += "Every subscriber got what it should: each message once, in order.\n";
    text
}

#[cfg(test)]
mod tests {
    use super::super::figures::{DELIVERIES, P50};
    use super::*;

    #[test]
    fn runs_are_a_table_of_medians_and_spread_or_json_with_all_of_them() {
        let subject =
            Subject { scenario: "fan-out", words: "1 → 2".into(), settings: json!({ "bytes": 100 }) };
        let runs = [10.0, 30.0, 20.0].map(|figure| {
            let mut figures = Figures::default();
            figures.add(DELIVERIES, figure * 1e3);
            figures.add(P50, figure);
            figures
        });
        let table = table(&subject, &runs);
        let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[1], ["3", "runs", "median", "min", "max"]);
        assert_eq!(rows[2], ["deliveries/s", "20.0", "k", "10.0", "k", "30.0", "k"]);
        assert_eq!(rows[3], ["latency", "p50", "20.0", "µs", "10.0", "µs", "30.0", "µs"]);
        let json = json(&subject, &runs);
        assert_eq!(json["figures"]["latency_p50_us"], json!({ "median": 20.0, "min": 10.0, "max": 30.0 }));
        assert_eq!(json["runs"][1]["deliveries_per_second"], 30_000.0);
        assert_eq!(json["settings"]["bytes"], 100);
    }
}
