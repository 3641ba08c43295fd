//! `tidegate bench plugin`: a fan-out whose every message a plugin handles first.

use anyhow::Result;
use clap::Args;

use super::options::{LoadOptions, OutputOptions, TargetOptions};
use super::plan::Plan;
use super::scenario::{self, Defaults};
use super::target::Needs;

#[derive(Args)]
pub struct Plugin {
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    subscribers: u32,
    /// A plugin in the folder that handles channels called `NAME:…` and lets messages pass
    #[arg(long, value_name = "NAME", default_value = "chat")]
    plugin: String,
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
        // The example plugin `chat` checks the text and signs it.
        let plugin = &*self.plugin;
        let plan = Plan { members: self.subscribers as usize, ..Plan::new(&format!("{plugin}:bench")) };
        let words = format!("1 → {}, the plugin {plugin} in the path", self.subscribers);
        let needs = Needs { plugins: &[plugin], ..Needs::default() };
        let defaults = Defaults { window: 64, messages: 20_000 };
        scenario::run("plugin", words, &plan, needs, defaults, (&self.target, &self.load, &self.output))
    }
}
