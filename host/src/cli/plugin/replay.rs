//! `tidegate plugin replay`

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::file;
use crate::core::ChannelName;
use crate::plugin::offline::{Call, Offline};

/// Instances beside each other; beyond it the oldest recording's channels begin anew.
const MOST_PLACES: usize = 1000;

#[derive(Args)]
#[command(after_help = "\
Each channel has an instance of its own, which begins with the state that the channel had when the
recording began. Ends with 1 where a call gives anything else than it gave, or a line is no call.")]
pub struct Replay {
    /// What `tidegate plugin record` printed
    recording: PathBuf,
    /// The component that is called in the recorded one's place
    #[arg(long, value_name = "FILE")]
    component: PathBuf,
    /// What the plugin reads of the server, as JSON: config, store, presence, history, groups, trace
    #[arg(long, value_name = "FILE")]
    host: Option<PathBuf>,
}

/// One line of a recording.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, untagged)]
enum Line {
    Call {
        function: String,
        call: Value,
        said: Option<Value>,
        failed: Option<Failed>,
    },
    Head {
        #[allow(dead_code, reason = "for people")]
        recorded: Value,
    },
}

#[derive(Deserialize)]
struct Failed {
    class: String,
    #[allow(dead_code, reason = "for people")]
    why: String,
}

impl Replay {
    pub fn run(self) -> Result<()> {
        file::log_to_stderr("warn,plugin=warn");
        let said = self.recording.display();
        let recording =
            std::fs::File::open(&self.recording).with_context(|| format!("cannot read {said}"))?;
        let recorded = file::recorded(self.host.as_deref())?;
        let (same, differ) = file::block_on(async {
            let loaded = file::load(&self.component, recorded, None).await?;
            let mut places: HashMap<Option<ChannelName>, Offline> = HashMap::new();
            let (mut same, mut differ) = (0, 0);
            for (line, number) in BufReader::new(recording).lines().zip(1..) {
                let at = || format!("{said}, line {number}");
                let line = line.with_context(at)?;
                let read = serde_json::from_str(&line)
                    .with_context(|| format!("{}: it is no recorded call", at()))?;
                let Line::Call { function, call, said: was, failed } = read else { continue };
                let parsed = Call::parse(&function, &call.to_string()).with_context(at)?;
                if places.len() >= MOST_PLACES {
                    places.clear();
                }
                let place = places.entry(parsed.channel().cloned()).or_insert_with(|| loaded.plugin.beside());
                let now = match place.call(&parsed).await {
                    Ok(said) => said,
                    Err(failure) => json!({ "failed": failure.class() }),
                };
                let was = match (was, failed) {
                    (Some(said), None) => said,
                    (None, Some(failed)) => json!({ "failed": failed.class }),
                    _ => bail!("{}: a call has either `said` or `failed`", at()),
                };
                if was == now {
                    same += 1;
                } else {
                    differ += 1;
                    println!("line {number}: {function} {call}\n  was {was}\n  now {now}");
                }
            }
            Ok((same, differ))
        })?;
        println!("{} calls: {same} the same, {differ} differ", same + differ);
        ensure!(differ == 0, "{} does not answer as was recorded", self.component.display());
        Ok(())
    }
}
