//! `tidegate plugin`: for those who write plugins and who run them, one file each.

mod api;
mod bench;
pub mod build;
mod call;
mod check;
mod file;
mod grants;
mod new;
mod record;
mod replay;
mod test;
mod versions;

use anyhow::Result;
use clap::{Args, Subcommand};

#[derive(Args)]
pub struct Plugin {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print a plugin's calls and what came of them, on a running server
    Record(record::Record),
    /// Make recorded calls of another component, and show what differs
    Replay(replay::Replay),
    /// Go back to a plugin's version before, on a running server; or end the trial of a new one
    Rollback(versions::Versioned),
    /// Let a plugin out of quarantine, on a running server
    Resume(versions::Versioned),
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
            Command::Record(record) => record.run(),
            Command::Replay(replay) => replay.run(),
            Command::Rollback(versioned) => versioned.run("rollback"),
            Command::Resume(versioned) => versioned.run("resume"),
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
