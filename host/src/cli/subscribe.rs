//! `tidegate subscribe`

use std::io::Write;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};

use super::client::{self, Client, Target};

#[derive(Args)]
pub struct Subscribe {
    /// Channels
    #[arg(required = true)]
    channels: Vec<String>,
    /// Parameters of the subscription as JSON
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    params: Option<Value>,
    /// A filter plugin and its parameters as JSON
    #[arg(long, num_args = 2, value_names = ["PLUGIN", "PARAMS"])]
    filter: Option<Vec<String>>,
    /// The last so many messages that the channel keeps come first
    #[arg(long, default_value_t = 0)]
    history: u64,
    /// Who is there, and who comes and goes
    #[arg(long)]
    presence: bool,
    /// What the server does when this reads too slowly; left out, what the channel's rule says
    #[arg(long, value_parser = ["disconnect", "drop_oldest", "latest"])]
    policy: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// Without it, clap would take any text for a JSON string.
fn json_value(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text)
}

impl Subscribe {
    pub fn run(self) -> Result<()> {
        let filter = match self.filter.as_deref() {
            Some([plugin, params]) => {
                let params: Value =
                    serde_json::from_str(params).context("the filter's parameters are not JSON")?;
                Some(json!({ "plugin": plugin, "params": params }))
            }
            _ => None,
        };
        client::block_on(async {
            let mut client = Client::connect(&self.target).await?;
            for channel in &self.channels {
                let frame = json!({
                    "type": "subscribe", "channel": channel, "data": self.params, "filter": filter,
                    "history": self.history, "presence": self.presence, "policy": self.policy,
                });
                client.send(&frame).await?;
            }
            loop {
                let frame = client.next().await?;
                // `tidegate subscribe … | head -1` ends quietly.
                if writeln!(std::io::stdout(), "{frame}").is_err() {
                    return Ok(());
                }
            }
        })
    }
}
