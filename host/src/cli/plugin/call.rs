//! `tidegate plugin call`

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::PoisonError;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::file;
use crate::config::{self, Overrides};
use crate::plugin::offline;
use crate::server;

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Call {
    /// The component
    file: PathBuf,
    /// What to call
    #[arg(value_parser = offline::Call::FUNCTIONS)]
    function: String,
    /// The call's arguments as JSON. Several are so many calls of one instance, in their order
    #[arg(long, required = true)]
    json: Vec<String>,
    /// What the plugin reads of the server, as JSON: config, store, presence, history, groups, trace
    #[arg(long, value_name = "FILE")]
    host: Option<PathBuf>,
}

const EXAMPLES: &str = "\
What comes of each call is one line of JSON; the plugin's log goes to stderr.

Examples:
  tidegate plugin call chat.wasm publish --json '{\"channel\":\"chat:a\",\"user\":\"ada\",\"data\":{\"text\":\"hi\"}}'
  tidegate plugin call auth.wasm authenticate --json '{\"token\":\"…\"}'
  tidegate plugin call level.wasm filter --json '{\"params\":{\"min\":\"warn\"},\"messages\":[{\"data\":{}}]}'
  tidegate plugin call tools.wasm action --json '{\"name\":\"add\",\"data\":[1,2]}' --host host.json

Ends with 1 where a call fails as it would on a server: a trap, too late, an answer that
breaks the contract. A refusal that the plugin means is no failure.";

impl Call {
    pub fn run(self) -> Result<()> {
        file::log_to_stderr("warn,plugin=trace");
        let parse = |json: &String| {
            offline::Call::parse(&self.function, json).with_context(|| format!("--json {json}"))
        };
        let calls = self.json.iter().map(parse).collect::<Result<Vec<_>>>()?;
        let recorded = file::recorded(self.host.as_deref())?;
        let settings = config::load(None, file::cache_setting(), &Overrides::default())?;
        let cache = server::cache_dir(&settings);
        file::block_on(async {
            let mut loaded = file::load(&self.file, recorded, cache.as_deref()).await?;
            for call in &calls {
                let said = loaded.plugin.call(call).await;
                let written = {
                    let mut recorded = loaded.recording.lock().unwrap_or_else(PoisonError::into_inner);
                    std::mem::take(&mut recorded.written)
                };
                match said {
                    Ok(mut said) => {
                        if !written.is_empty() {
                            said["store"] = stored(written);
                        }
                        println!("{said}");
                    }
                    Err(failure) => {
                        println!("{}", json!({ "failed": failure.class(), "why": failure.to_string() }));
                        bail!("{} of {}: {failure}", self.function, self.file.display());
                    }
                }
            }
            Ok(())
        })
    }
}

/// The last that was written to each key; null: deleted.
fn stored(written: Vec<(String, Option<bytes::Bytes>)>) -> Value {
    let last: BTreeMap<_, _> = written.into_iter().collect();
    let value = |value: Option<bytes::Bytes>| value.map_or(Value::Null, |value| offline::bytes(&value));
    Value::Object(last.into_iter().map(|(key, written)| (key, value(written))).collect())
}
