//! `tidegate publish`

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::client::{self, Client, Target};

#[derive(Args)]
pub struct Publish {
    channel: String,
    /// The message: JSON as it is, anything else as a JSON string
    data: String,
    /// The event's name
    #[arg(long)]
    event: Option<String>,
    #[command(flatten)]
    target: Target,
}

impl Publish {
    pub fn run(self) -> Result<()> {
        let data = serde_json::from_str(&self.data).unwrap_or(Value::String(self.data));
        client::block_on(async {
            let mut client = Client::connect(&self.target).await?;
            let frame = json!({
                "type": "publish", "id": 1, "channel": self.channel, "data": data, "event": self.event,
            });
            client.send(&frame).await?;
            let answer = client.next().await?;
            let said: Value = serde_json::from_str(&answer)?;
            if said["type"] == "error" {
                bail!("{}", said["message"].as_str().unwrap_or(&answer));
            }
            println!("{answer}");
            Ok(())
        })
    }
}
