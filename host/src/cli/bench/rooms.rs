//! `tidegate bench rooms`: many rooms, in each a publisher and some subscribers.

use anyhow::Result;
use clap::Args;

use super::options::{LoadOptions, OutputOptions, TargetOptions};
use super::plan::Plan;
use super::scenario::{self, Defaults};
use super::target::Needs;

#[derive(Args)]
pub struct Rooms {
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=99_999))]
    rooms: u32,
    /// Subscribers of a room
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    members: u32,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    load: LoadOptions,
    #[command(flatten)]
    output: OutputOptions,
}

impl Rooms {
    pub fn run(&self) -> Result<()> {
        let (rooms, members) = (self.rooms as usize, self.members as usize);
        let plan = Plan { rooms, members, ..Plan::new("bench") };
        let words = format!("{rooms} rooms of {members}, a publisher each");
        let defaults = Defaults { window: 64, messages: 500_000 };
        let options = (&self.target, &self.load, &self.output);
        scenario::run("rooms", words, &plan, Needs::default(), defaults, options)
    }
}
