//! `tidegate plugin`: for those who write plugins, one file each.

mod call;
mod check;
mod file;
mod grants;
mod test;

use anyhow::Result;
use clap::{Args, Subcommand};

#[derive(Args)]
pub struct Plugin {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say what a component exports, imports and needs, or why a server would refuse it
    Check(check::Check),
    /// Call one function of a component, without a server
    Call(call::Call),
    /// Play scripted conversations with a server that has the component
    Test(test::Test),
}

impl Plugin {
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Check(check) => check.run(),
            Command::Call(call) => call.run(),
            Command::Test(test) => test.run(),
        }
    }
}
