//! `tidegate bench slow`: a fan-out among whose subscribers are some that never read. Those
//! who do must get everything all the same.

use anyhow::Result;
use clap::Args;

use super::options::{LoadOptions, OutputOptions, TargetOptions};
use super::plan::Plan;
use super::scenario::{self, Defaults};
use super::target::Needs;

#[derive(Args)]
pub struct Slow {
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    subscribers: u32,
    /// Subscribers, besides, that never read
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    slow: u32,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    load: LoadOptions,
    #[command(flatten)]
    output: OutputOptions,
}

impl Slow {
    pub fn run(&self) -> Result<()> {
        let (members, slow) = (self.subscribers as usize, self.slow as usize);
        let plan = Plan { members, slow, ..Plan::new("bench") };
        let words = format!("1 → {members} who read and {slow} who do not");
        let defaults = Defaults { window: 64, messages: 20_000 };
        let options = (&self.target, &self.load, &self.output);
        scenario::run("slow", words, &plan, Needs::default(), defaults, options)
    }
}
