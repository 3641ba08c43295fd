//! `tidegate plugin bench`: what calls of a component cost, without a server around them.

use std::path::PathBuf;
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::{Value, json};

use super::file;
use crate::plugin::Generation;
use crate::plugin::offline::{Call, Offline};

#[derive(Args)]
#[command(after_help = "\
Each function that the component exports is called as long as --seconds says, by one thread: a server
has as many as it has shards. What it takes to look at the clock is taken off. Where a function wants other arguments than the usual ones, give them:
  tidegate plugin bench level.wasm --call filter '{\"params\":{\"min\":\"warn\"},\"messages\":[{\"data\":{}}]}'")]
pub struct Bench {
    /// The component
    file: PathBuf,
    /// A function and its arguments, as `tidegate plugin call` takes them, instead of the usual ones
    #[arg(long, num_args = 2, value_names = ["FUNCTION", "JSON"])]
    call: Vec<String>,
    /// How long each function is called
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// What the plugin reads of the server, as for `call`
    #[arg(long, value_name = "FILE")]
    host: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Calls before anything is counted, so that what is made once is there.
const WARM_UP: u32 = 100;
/// Looks at the clock, to tell what one takes.
const LOOKS: usize = 1001;
/// Instances that are made, to tell how long one takes.
const STARTS: usize = 20;
/// Messages in the batch that a filter judges.
const BATCH: usize = 100;

#[derive(Serialize)]
struct Report {
    file: String,
    compile_ms: f64,
    /// The median of 20.
    instantiate_us: f64,
    memory_bytes: usize,
    functions: Vec<Figures>,
}

#[derive(Serialize)]
struct Figures {
    function: String,
    calls: u64,
    calls_per_second: u64,
    p50_us: f64,
    p99_us: f64,
    /// What the first call gave; `failed` where it failed, and then nothing was counted.
    gave: Value,
}

impl Bench {
    pub fn run(self) -> Result<()> {
        anyhow::ensure!(
            self.seconds > 0.0 && self.seconds <= 600.0,
            "--seconds {}: more than 0 and at most 600",
            self.seconds
        );
        let recorded = file::recorded(self.host.as_deref())?;
        let report = file::block_on(async {
            let mut loaded = file::load(&self.file, recorded, None).await?;
            let generation = loaded.plugin.generation().clone();
            let calls = self.calls(&generation)?;
            let (instantiate_us, memory_bytes) = starts(&loaded.plugin).await?;
            let time = Duration::from_secs_f64(self.seconds);
            let mut functions = Vec::new();
            for (function, call) in &calls {
                functions.push(measure(&mut loaded.plugin, function, call, time).await?);
            }
            Ok(Report {
                file: self.file.display().to_string(),
                compile_ms: tenths(generation.compile_ms),
                instantiate_us,
                memory_bytes,
                functions,
            })
        })?;
        if self.json {
            println!("{:#}", serde_json::to_value(&report)?);
        } else {
            print!("{}", report.table());
        }
        Ok(())
    }

    /// What is called: what was given, and for what was not the usual.
    fn calls(&self, generation: &Generation) -> Result<Vec<(String, Call)>> {
        let given = self.call.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone()));
        let given: Vec<(String, String)> = given.collect();
        let usual = usual(generation);
        let usual =
            usual.into_iter().filter(|(function, _)| given.iter().all(|(other, _)| other != function));
        let all = usual.map(|(function, json)| (function.to_owned(), json.to_string()));
        let all: Vec<_> = all.chain(given.iter().cloned()).collect();
        let parse = |(function, json): (String, String)| {
            let call = Call::parse(&function, &json).with_context(|| format!("--call {function} {json}"))?;
            Ok((function, call))
        };
        all.into_iter().map(parse).collect()
    }
}

/// For each function that it exports.
fn usual(generation: &Generation) -> Vec<(&'static str, Value)> {
    // With its quotes and name 100 bytes.
    let data = json!({ "text": "x".repeat(89) });
    let channel = generation.routes.first().map(|route| sample(&route.to_string())).unwrap_or_default();
    let mut calls = Vec::new();
    for interface in generation.capabilities.names() {
        match interface {
            "channel-handler" => calls.extend([
                ("publish", json!({ "channel": channel, "user": "ada", "data": data })),
                ("subscribe", json!({ "channel": channel, "user": "ada", "respond": true })),
                ("unsubscribe", json!({ "channel": channel, "user": "ada" })),
            ]),
            "auth" => calls.extend([
                ("authenticate", json!({ "token": "a token that is none" })),
                ("authorize", json!({ "user": "ada", "action": "publish", "channel": "room" })),
            ]),
            "filter" => {
                calls.push(("filter", json!({ "messages": vec![json!({ "data": data }); BATCH] })));
            }
            "actions" => {
                let name = generation.actions.first().cloned().unwrap_or_default();
                calls.push(("action", json!({ "name": name, "user": "ada", "data": data })));
            }
            _ => {}
        }
    }
    calls
}

/// A channel that a pattern matches.
fn sample(pattern: &str) -> String {
    let mut name = String::new();
    let mut inside = false;
    for c in pattern.chars() {
        match c {
            '{' => {
                inside = true;
                name += "bench";
            }
            '}' => inside = false,
            '*' => name += "bench",
            c if !inside => name.push(c),
            _ => {}
        }
    }
    name
}

async fn starts(plugin: &Offline) -> Result<(f64, usize)> {
    let mut times = Vec::with_capacity(STARTS);
    let mut memory = 0;
    for _ in 0..STARTS {
        let (time, bytes) = plugin.start().await.context("it makes no instance")?;
        times.push(time);
        memory = bytes;
    }
    times.sort();
    Ok((tenths(times[STARTS / 2].as_secs_f64() * 1e6), memory))
}

/// Between two looks at the clock with nothing in between: the median.
fn look() -> Duration {
    let mut looks: Vec<Duration> = (0..LOOKS).map(|_| Instant::now()).map(|began| began.elapsed()).collect();
    looks.sort();
    looks[LOOKS / 2]
}

async fn measure(plugin: &mut Offline, function: &str, call: &Call, time: Duration) -> Result<Figures> {
    let mut figures = Figures {
        function: function.to_owned(),
        calls: 0,
        calls_per_second: 0,
        p50_us: 0.0,
        p99_us: 0.0,
        gave: Value::Null,
    };
    for n in 0..WARM_UP {
        match plugin.run(call).await {
            Ok(given) if n == 0 => figures.gave = given.json(),
            Ok(_) => {}
            Err(failure) => {
                figures.gave = json!({ "failed": failure.class(), "why": failure.to_string() });
                return Ok(figures);
            }
        }
    }
    // Nanoseconds, up to a minute.
    let mut times: Histogram<u64> = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
    let look = look();
    let began = Instant::now();
    let mut spent = Duration::ZERO;
    while began.elapsed() < time {
        let start = Instant::now();
        let given = pin!(plugin.run(call)).await;
        let took = start.elapsed().saturating_sub(look);
        if let Err(failure) = given {
            figures.gave = json!({ "failed": failure.class(), "why": failure.to_string() });
            break;
        }
        spent += took;
        figures.calls += 1;
        times.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1));
    }
    let seconds = spent.as_secs_f64();
    if seconds > 0.0 {
        figures.calls_per_second = (figures.calls as f64 / seconds) as u64;
    }
    figures.p50_us = times.value_at_quantile(0.5) as f64 / 1000.0;
    figures.p99_us = times.value_at_quantile(0.99) as f64 / 1000.0;
    Ok(figures)
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

impl Report {
    fn table(&self) -> String {
        let mut table = format!(
            "{}\n  compiled in {} ms; an instance takes {} µs and {} KiB\n\n",
            self.file,
            self.compile_ms,
            self.instantiate_us,
            self.memory_bytes / 1024
        );
        table += &format!("  {:<13}{:>12}{:>11}{:>11}   gave\n", "function", "calls/s", "p50 µs", "p99 µs");
        for line in &self.functions {
            let Figures { function, calls_per_second, p50_us, p99_us, .. } = line;
            let gave = short(&line.gave);
            table +=
                &format!("  {function:<13}{calls_per_second:>12}{p50_us:>11.2}{p99_us:>11.2}   {gave}\n");
        }
        table
    }
}

/// The beginning of what a call gave: enough to see whether it was the way that is to be measured.
fn short(gave: &Value) -> String {
    const SHOWN: usize = 60;
    let text = gave.to_string();
    if text.chars().count() <= SHOWN {
        return text;
    }
    text.chars().take(SHOWN).chain("…".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_of_a_pattern_is_a_channel_that_it_matches() {
        for (pattern, name) in
            [("chat:{room}", "chat:bench"), ("a.{b}.c:*", "a.bench.c:bench"), ("logs", "logs")]
        {
            assert_eq!(sample(pattern), name);
            assert!(crate::core::Pattern::parse(pattern).unwrap().matches(name));
        }
    }
}
