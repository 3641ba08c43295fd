//! `tidegate api-key`

use anyhow::{Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use clap::Args;
use serde::Serialize;

use crate::config::{ApiKeyConfig, Grant, KeyHash};

/// So that a key is known for one where it should not be: in a log, in a repository.
const PREFIX: &str = "tg_";

#[derive(Args)]
pub struct ApiKey {
    /// What people call it
    name: String,
    /// What it may do; everything, if left out; may be repeated
    #[arg(long, value_name = "GRANT")]
    allow: Vec<Grant>,
}

#[derive(Serialize)]
struct Lines {
    api_key: [ApiKeyConfig; 1],
}

impl ApiKey {
    /// Prints the key on the first line, then what the configuration takes.
    pub fn run(mut self) -> Result<()> {
        ensure!((1..=64).contains(&self.name.len()), "a key's name is 1 to 64 bytes");
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)
            .map_err(|error| anyhow::anyhow!("the system has no randomness: {error}"))?;
        let key = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(secret));
        self.allow.dedup();
        let allow = if self.allow.is_empty() { Grant::all() } else { self.allow };
        let lines = Lines { api_key: [ApiKeyConfig { name: self.name, sha256: KeyHash::of(&key), allow }] };
        println!("{key}\n");
        eprintln!("This key is kept nowhere. The configuration takes the lines below it:\n");
        print!("{}", toml::to_string(&lines)?);
        Ok(())
    }
}
