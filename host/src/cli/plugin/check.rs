//! `tidegate plugin check`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::file::{self, Loaded};
use super::grants::{Needed, needed};
use crate::plugin::CONTRACT;
use crate::plugin::offline::Recorded;

#[derive(Args)]
#[command(after_help = "Ends with 1 where a server would refuse the file.")]
pub struct Check {
    /// The component
    file: PathBuf,
    /// One JSON object, for scripts
    #[arg(long)]
    json: bool,
}

/// A component that a server would load.
#[derive(Serialize)]
struct Report {
    ok: bool,
    file: String,
    /// The name it would have in a server.
    name: String,
    /// What its file must be called first.
    #[serde(skip_serializing_if = "Option::is_none")]
    rename_to: Option<String>,
    version: String,
    summary: String,
    contract: &'static str,
    exports: Vec<&'static str>,
    channels: Vec<String>,
    actions: Vec<String>,
    imports: Vec<String>,
    grants: Vec<Needed>,
    bytes: u64,
    sha256: String,
    compile_ms: f64,
}

impl Check {
    /// For people to read.
    pub fn of(file: PathBuf) -> Self {
        Self { file, json: false }
    }

    pub fn run(self) -> Result<()> {
        let loaded = file::block_on(file::load(&self.file, Recorded::default(), None));
        match (loaded, self.json) {
            (Ok(loaded), true) => println!("{:#}", serde_json::to_value(report(&loaded))?),
            (Ok(loaded), false) => print!("{}", report(&loaded).table()),
            (Err(error), true) => {
                let (file, why) = (self.file.display().to_string(), format!("{error:#}"));
                println!("{:#}", json!({ "ok": false, "file": file, "error": why }));
                return Err(error);
            }
            (Err(error), false) => return Err(error),
        }
        Ok(())
    }
}

fn report(loaded: &Loaded) -> Report {
    let generation = loaded.plugin.generation();
    Report {
        ok: true,
        file: generation.file.display().to_string(),
        name: generation.name.to_string(),
        rename_to: loaded.renamed.clone(),
        version: generation.version.clone(),
        summary: generation.summary.clone(),
        contract: CONTRACT,
        exports: generation.capabilities.names(),
        channels: generation.routes.iter().map(ToString::to_string).collect(),
        actions: generation.actions.clone(),
        imports: generation.imports.clone(),
        grants: needed(&generation.imports),
        bytes: generation.size,
        sha256: generation.sha256.clone(),
        compile_ms: (generation.compile_ms * 10.0).round() / 10.0,
    }
}

impl Report {
    fn table(&self) -> String {
        let mut table = format!("{}: a server would load it as `{}`\n", self.file, self.name);
        let mut line = |title: &str, text: &str| {
            if !text.is_empty() {
                table += &format!("  {title:<10} {text}\n");
            }
        };
        line("version", &self.version);
        line("summary", &self.summary);
        line("contract", &format!("tidegate:plugin@{}", self.contract));
        line("exports", &self.exports.join(", "));
        line("channels", &self.channels.join(", "));
        line("actions", &self.actions.join(", "));
        // Types are nothing to call.
        let imports = self.imports.iter().map(|import| short(import)).filter(|name| *name != "types");
        let imports: Vec<&str> = imports.collect();
        line("imports", &if imports.is_empty() { "nothing".into() } else { imports.join(", ") });
        line("size", &format!("{:.1} KiB, sha256 {}", self.bytes as f64 / 1024.0, &self.sha256[..12]));
        line("compiled", &format!("in {} ms", self.compile_ms));
        if let Some(name) = &self.rename_to {
            line("rename", &format!("call it {name}: a plugin's name is a-z, 0-9 and -"));
        }
        if self.grants.is_empty() {
            line("grants", "none needed");
        }
        for Needed { interface, grant, without } in &self.grants {
            line("grants", &format!("{}: {grant}; without it {without}", short(interface)));
        }
        if !self.grants.is_empty() {
            table += &format!(
                "  Grants stand in the server's configuration, below [plugins.{}.grants].\n",
                self.name
            );
        }
        table
    }
}

/// An interface without its version, and the contract's without its package.
fn short(interface: &str) -> &str {
    let name = interface.split_once('@').map_or(interface, |(name, _)| name);
    name.strip_prefix("tidegate:plugin/").unwrap_or(name)
}
