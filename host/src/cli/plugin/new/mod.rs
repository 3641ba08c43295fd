//! `tidegate plugin new` and `tidegate plugin wit`: files that a plugin's author begins with.

mod templates;
pub mod wit;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use templates::Template;

use crate::core::PluginName;

#[derive(Args)]
pub struct New {
    /// The plugin's name: a-z, 0-9 and -, at most 64; the folder is called so
    name: String,
    /// The language that it is written in
    #[arg(long)]
    lang: Language,
    /// Where the folder is made
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// For Rust: a folder with the crate `tidegate-guest` (`guest-sdk` of Tidegate's sources), instead of
    /// this version of it on crates.io
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    Rust,
    Js,
    Ts,
    Python,
    Go,
    C,
}

#[derive(Args)]
pub struct Wit {
    /// The folder
    dir: PathBuf,
}

impl New {
    pub fn run(self) -> Result<()> {
        let name = PluginName::parse(&self.name);
        let name = name.with_context(|| {
            format!("`{}` is no plugin's name: use a-z, 0-9 and -, at most 64", self.name)
        })?;
        let begins_well = name.as_str().starts_with(|c: char| c.is_ascii_lowercase());
        ensure!(begins_well, "`{name}` does not begin with a letter, as packages must in most languages");
        ensure!(
            self.sdk.is_none() || self.lang == Language::Rust,
            "--sdk is for --lang rust; other languages need no SDK"
        );
        let folder = self.dir.join(name.as_str());
        let is_free = !folder.exists() || folder.read_dir().is_ok_and(|mut files| files.next().is_none());
        ensure!(is_free, "{} is there already: choose another name, or --dir", folder.display());
        let sdk = self.sdk.as_deref().map(sdk).transpose()?;
        let template = Template::of(self.lang, &name, sdk.as_deref());
        for (path, text) in template.files() {
            write(&folder.join(path), &text)?;
        }
        if self.lang != Language::Rust {
            wit::write(&folder.join("wit/deps/tidegate"))?;
        }
        println!("{} is a plugin in {}. What comes next:\n", folder.display(), template.language());
        println!("  cd {}", folder.display());
        for line in template.first() {
            println!("  {line}");
        }
        println!("  tidegate plugin build");
        println!("  tidegate plugin test {name}.wasm {name}.test");
        Ok(())
    }
}

impl Wit {
    pub fn run(self) -> Result<()> {
        wit::write(&self.dir)?;
        println!("The contract tidegate:plugin@{} is in {}", crate::plugin::CONTRACT, self.dir.display());
        Ok(())
    }
}

/// As a path that holds from anywhere.
fn sdk(folder: &Path) -> Result<PathBuf> {
    let there = folder.join("Cargo.toml").is_file();
    ensure!(there, "--sdk {}: there is no Cargo.toml: name the folder of tidegate-guest", folder.display());
    folder.canonicalize().with_context(|| folder.display().to_string())
}

pub fn write(path: &Path, text: &str) -> Result<()> {
    let written =
        path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(path, text));
    written.with_context(|| format!("cannot write {}", path.display()))
}
