//! `tidegate bench publish`: many publishers, hardly anybody who listens.

use anyhow::Result;
use clap::Args;

use super::options::{LoadOptions, OutputOptions, TargetOptions};
use super::plan::Plan;
use super::scenario::{self, Defaults};
use super::target::Needs;

#[derive(Args)]
pub struct Publish {
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    publishers: u32,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    subscribers: u32,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    load: LoadOptions,
    #[command(flatten)]
    output: OutputOptions,
}

impl Publish {
    pub fn run(&self) -> Result<()> {
        let (publishers, members) = (self.publishers as usize, self.subscribers as usize);
        let plan = Plan { publishers, members, ..Plan::new("bench") };
        let words = format!("{publishers} publishers → {members} in one channel");
        let defaults = Defaults { window: 16, messages: 500_000 };
        let options = (&self.target, &self.load, &self.output);
        scenario::run("publish", words, &plan, Needs::default(), defaults, options)
    }
}
