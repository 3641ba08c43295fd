//! `tidegate plugin record`

use anyhow::{Context, Result};
use clap::Args;
use hyper::Method;
use serde_json::{Value, json};

use super::api::Api;

#[derive(Args)]
#[command(after_help = "\
A line of JSON each: first what was recorded, then the calls with what came of them, as they were.
It has what clients sent, tokens among it: keep it as you would keep those.")]
pub struct Record {
    /// The plugin's name: its file's without .wasm
    name: String,
    /// At most so many calls, 1 to 10,000
    #[arg(long, default_value_t = 1000)]
    calls: u32,
    /// At most so many seconds, 1 to 300
    #[arg(long, default_value_t = 10)]
    secs: u32,
    #[command(flatten)]
    api: Api,
}

impl Record {
    pub fn run(self) -> Result<()> {
        let wanted = json!({ "calls": self.calls, "secs": self.secs }).to_string();
        let path = format!("/api/plugins/{}/record", self.name);
        let answer = self.api.call(Method::POST, &path, &wanted)?;
        let mut recording: Value = serde_json::from_str(&answer).context("the answer is not JSON")?;
        let calls = recording["calls"].take();
        let head = recording.as_object().context("the answer is no recording")?;
        let head: Value =
            head.iter().filter(|(key, _)| *key != "calls").map(|(k, v)| (k.clone(), v.clone())).collect();
        println!("{}", json!({ "recorded": head }));
        for call in calls.as_array().into_iter().flatten() {
            println!("{call}");
        }
        Ok(())
    }
}
