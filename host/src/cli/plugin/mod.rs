//! `tidegate plugin`: for those who write plugins, one file each.

mod bench;
pub mod build;
mod call;
mod check;
mod file;
mod grants;
mod new;
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
    /// Make a small, complete project
    New(new::New),
    /// Build a project with its language's tools, and check what comes of it
    Build(build::Build),
    /// Say what a component exports, imports and needs, or why a server would refuse it
    Check(check::Check),
    /// Call one function of a component, without a server
    Call(call::Call),
    /// Play scripted conversations with a server that has the component
    Test(test::Test),
    /// Measure what calls of a component cost
    Bench(bench::Bench),
    /// Write the contract with plugins (WIT) into a folder
    Wit(new::Wit),
}

impl Plugin {
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::New(new) => new.run(),
            Command::Build(build) => build.run(),
            Command::Wit(wit) => wit.run(),
            Command::Check(check) => {
                file::log_to_stderr("warn,plugin=trace");
                check.run()
            }
            Command::Call(call) => call.run(),
            Command::Bench(bench) => {
                file::log_to_stderr("error");
                bench.run()
            }
            Command::Test(test) => test.run(),
        }
    }
}
