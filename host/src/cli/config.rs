//! `tidegate config`

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::config::{self, Overrides};
use crate::server;

#[derive(Args)]
pub struct Config {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check a file together with the environment, and the key files it names
    Check { file: Option<PathBuf> },
    /// Print the commented default file
    Default,
}

impl Config {
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Default => print!("{}", config::default_file()),
            Command::Check { file } => {
                let config = config::load(file.as_deref(), config::environment(), &Overrides::default())?;
                server::check(&config)?;
                println!("The configuration is valid.");
            }
        }
        Ok(())
    }
}
