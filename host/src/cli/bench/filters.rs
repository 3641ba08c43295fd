//! `tidegate bench filters`: a fan-out in which every subscriber has a filter. Without
//! `--mixed` each filter lets everything pass, so that the figures stand beside those of
//! `fan-out`; with it the messages are of five levels and the filters of as many.

use anyhow::Result;
use clap::Args;

use super::check::Sees;
use super::options::{LoadOptions, OutputOptions, TargetOptions};
use super::plan::{Plan, padded};
use super::scenario::{self, Defaults};
use super::target::Needs;

/// Of the example plugin `level-filter`, ascending.
const LEVELS: [&str; 5] = ["debug", "info", "warn", "error", "fatal"];

#[derive(Args)]
pub struct Filters {
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    subscribers: u32,
    /// How many of the subscribers' filters differ
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    filters: u32,
    /// Messages of five levels, and filters that refuse some
    #[arg(long)]
    mixed: bool,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    load: LoadOptions,
    #[command(flatten)]
    output: OutputOptions,
}

impl Filters {
    pub fn run(&self) -> Result<()> {
        self.target.dialect.needs_native("a filter")?;
        let plan = Plan {
            members: self.subscribers as usize,
            filters: self.filters as usize,
            mixed: self.mixed,
            more: |plan, at| {
                let filter = at % plan.filters;
                let level = if plan.mixed { LEVELS[filter % LEVELS.len()] } else { LEVELS[0] };
                // The number makes it another filter and is nothing to the plugin.
                format!(r#","filter":{{"plugin":"level","params":{{"min":"{level}","n":{filter}}}}}"#)
            },
            sees: |plan, at| match plan.mixed {
                true => Sees::from_kind((at % plan.filters % LEVELS.len()) as u32, LEVELS.len() as u32),
                false => Sees::ALL,
            },
            texts: |plan, dialect, channel, mark, bytes| {
                let levels = if plan.mixed { &LEVELS[..] } else { &LEVELS[3..4] };
                let text = |level| padded(&format!(r#"{{"level":"{level}","text":""#), mark, bytes);
                levels.iter().map(|level| dialect.publish(channel, &text(level))).collect()
            },
            ..Plan::new("bench")
        };
        let which = if self.mixed { "that refuse some messages" } else { "that let everything pass" };
        let words = format!("1 → {}, {} filters {which}", self.subscribers, self.filters);
        let needs = Needs { plugins: &["level-filter"], ..Needs::default() };
        let defaults = Defaults { window: 64, messages: 20_000 };
        scenario::run("filters", words, &plan, needs, defaults, (&self.target, &self.load, &self.output))
    }
}
