//! `tidegate plugin rollback` and `resume`

use anyhow::Result;
use clap::Args;
use hyper::Method;

use super::api::Api;

#[derive(Args)]
pub struct Versioned {
    /// The plugin's name: its file's without .wasm
    name: String,
    #[command(flatten)]
    api: Api,
}

impl Versioned {
    /// `call` is the last part of the path; what the server answers is printed.
    pub fn run(self, call: &str) -> Result<()> {
        let answer = self.api.call(Method::POST, &format!("/api/plugins/{}/{call}", self.name), "")?;
        println!("{}", answer.trim_end());
        Ok(())
    }
}
