//! `tidegate bench fan-out`: one publisher, many subscribers.

use anyhow::Result;
use clap::Args;

use super::options::{LoadOptions, OutputOptions, TargetOptions};
use super::scenario::{self, Defaults};
use super::target::Needs;
use super::traffic::Plan;

#[derive(Args)]
pub struct FanOut {
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    subscribers: u32,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    load: LoadOptions,
    #[command(flatten)]
    output: OutputOptions,
}

impl FanOut {
    pub fn run(&self) -> Result<()> {
        let plan = Plan { members: self.subscribers as usize, ..Plan::new("bench") };
        let words = format!("1 → {}", self.subscribers);
        let defaults = Defaults { window: 64, messages: 20_000 };
        let options = (&self.target, &self.load, &self.output);
        scenario::run("fan-out", words, &plan, Needs::default(), defaults, options)
    }
}
