//! `tidegate plugin …`: what concerns one plugin, a file each.

mod api;
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
    /// Go back to a plugin's version before, on a running server; or end the trial of a new one
    Rollback(versions::Versioned),
    /// Let a plugin out of quarantine, on a running server
    Resume(versions::Versioned),
}

impl Plugin {
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Rollback(versioned) => versioned.run("rollback"),
            Command::Resume(versioned) => versioned.run("resume"),
        }
    }
}
