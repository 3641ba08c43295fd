//! `tidegate bench plugin`: a fan-out whose every message a plugin handles first.

use anyhow::Result;
use clap::Args;

use super::options::{LoadOptions, OutputOptions, TargetOptions};
use super::scenario::{self, Defaults};
use super::target::Needs;
use super::traffic::Plan;

#[derive(Args)]
pub struct Plugin {
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    subscribers: u32,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    load: LoadOptions,
    #[command(flatten)]
    output: OutputOptions,
}

impl Plugin {
    pub fn run(&self) -> Result<()> {
        self.target.dialect.needs_native("a plugin")?;
        // The example plugin `chat`: checks the text and signs it.
        let plan = Plan { members: self.subscribers as usize, ..Plan::new("chat:bench") };
        let words = format!("1 → {}, the plugin chat in the path", self.subscribers);
        let needs = Needs { plugins: &["chat"], ..Needs::default() };
        let defaults = Defaults { window: 64, messages: 20_000 };
        scenario::run("plugin", words, &plan, needs, defaults, (&self.target, &self.load, &self.output))
    }
}
