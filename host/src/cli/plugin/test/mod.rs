//! `tidegate plugin test`: conversations with a real server in this process.

mod api;
mod matching;
mod script;
mod settings;
mod stage;
mod talker;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use script::Script;
use stage::Stage;

use super::file;

#[derive(Args)]
#[command(after_help = EXAMPLE)]
pub struct Test {
    /// The component
    file: PathBuf,
    /// Conversations, each with a server of its own
    #[arg(required = true)]
    scripts: Vec<PathBuf>,
    /// More plugins for that server
    #[arg(long, value_name = "FILE")]
    with: Vec<PathBuf>,
    /// What the plugins write to their log is shown
    #[arg(long)]
    log: bool,
}

const EXAMPLE: &str = "\
A script is a line for each step; `#` begins a comment, and settings of the server may stand
above, between two lines `---`, as TOML:

  ---
  [plugins.chat.config]
  greeting = \"Hello\"
  ---
  ada subscribe chat:lobby
  bo publish chat:lobby {\"text\":\"hi\"}
  ada gets chat:lobby {\"text\":\"hi\",\"from\":\"bo\"}
  bo publish chat:lobby {\"text\":\"\"} refused {\"code\":\"rejected\",\"reason_code\":1}
  ada gets nothing

Ends with 1 at the first line of a script that does not hold, which is shown with what was
expected and what came. All verbs: docs/plugin-tools.md.";

impl Test {
    pub fn run(self) -> Result<()> {
        file::log_to_stderr(if self.log { "warn,plugin=trace" } else { "error" });
        // All of them are read before the first is run: a typing error costs no time.
        let scripts = self.scripts.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
        let mut failed = 0;
        for (path, script) in self.scripts.iter().zip(&scripts) {
            match self.play(path, script) {
                Ok(()) => println!("ok      {}: {} steps", path.display(), script.steps.len()),
                Err(error) => {
                    failed += 1;
                    // Where, why, and what came: a line each.
                    let said: Vec<String> = error.chain().map(ToString::to_string).collect();
                    println!("FAILED  {}:{}", path.display(), said.join("\n  "));
                }
            }
        }
        match (failed, scripts.len()) {
            (0, _) => Ok(()),
            (_, 1) => bail!("the script does not hold"),
            (failed, all) => bail!("{failed} of {all} scripts do not hold"),
        }
    }

    fn play(&self, path: &Path, script: &Script) -> Result<()> {
        let stage = Stage::set(&self.file, &self.with, script).context(" no server for it");
        let mut stage = stage?;
        // What a script names lies beside it.
        stage.folder = path.parent().map(Path::to_owned).unwrap_or_default();
        let played = file::block_on(async {
            for step in &script.steps {
                let here = || format!("{}: {}", step.line, step.text);
                stage.play(step).await.with_context(here)?;
            }
            Ok(())
        });
        let ended = stage.end();
        played.and(ended)
    }
}

fn read(path: &Path) -> Result<Script> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Script::parse(&text).map_err(|error| anyhow::anyhow!("{}:{error}", path.display()))
}
