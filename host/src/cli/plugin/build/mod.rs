//! `tidegate plugin build`: a project's own tools, and then a component that is checked.

mod c;
mod go;
mod js;
mod python;
mod rust;
mod tool;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::check::Check;
use super::file;
use super::new::Language;
use crate::core::PluginName;

#[derive(Args)]
pub struct Build {
    /// The project's folder
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// The component [default: NAME.wasm in the project's folder]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Build {
    pub fn run(self) -> Result<()> {
        file::log_to_stderr("warn,plugin=trace");
        let project = Project::find(&self.dir)?;
        let out = self.out.unwrap_or_else(|| project.dir.join(project.file_name()));
        project.build(&out)?;
        Check::of(out).run()
    }
}

/// A folder with a plugin's sources.
#[derive(Clone, Debug)]
pub struct Project {
    pub dir: PathBuf,
    pub language: Language,
    pub name: PluginName,
}

/// The file by which a project's language is known, and the language.
const SIGNS: [(&str, Language); 6] = [
    ("Cargo.toml", Language::Rust),
    // It has a package.json too.
    ("tsconfig.json", Language::Ts),
    ("package.json", Language::Js),
    ("export_tidegate_plugin_info", Language::Go),
    ("plugin.py", Language::Python),
    ("plugin.c", Language::C),
];

impl Project {
    /// # Errors
    /// It is none, with the files that were looked for.
    pub fn find(dir: &Path) -> Result<Self> {
        let language = SIGNS.iter().find_map(|(file, language)| dir.join(file).exists().then_some(*language));
        let Some(language) = language else {
            let files = SIGNS.map(|(file, _)| file).join(", ");
            bail!(
                "{} is no plugin's project: there is none of {files}; `tidegate plugin new` makes one",
                dir.display()
            );
        };
        let dir = dir.canonicalize().with_context(|| dir.display().to_string())?;
        let said = match language {
            Language::Rust => table(&dir.join("Cargo.toml"))?["package"]["name"].as_str().map(str::to_owned),
            Language::Js | Language::Ts => {
                object(&dir.join("package.json"))?["name"].as_str().map(str::to_owned)
            }
            Language::Go | Language::Python | Language::C => None,
        };
        let folder = dir.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = said.or(folder).unwrap_or_default().to_ascii_lowercase().replace('_', "-");
        let Some(plugin) = PluginName::parse(&name) else {
            bail!("{}: `{name}` is no plugin's name: use a-z, 0-9 and -, at most 64", dir.display());
        };
        Ok(Self { dir, language, name: plugin })
    }

    pub fn file_name(&self) -> String {
        format!("{}.wasm", self.name)
    }

    /// Makes the component, by rename: a server that watches its folder never sees half of it.
    ///
    /// # Errors
    /// A tool that is missing, and how to get it, or one that has ended badly, which has said why itself.
    pub fn build(&self, out: &Path) -> Result<()> {
        let component = match self.language {
            Language::Rust => rust::build(self),
            Language::Js => js::build(self, "plugin.js"),
            Language::Ts => js::build_typed(self),
            Language::Python => python::build(self),
            Language::Go => go::build(self),
            Language::C => c::build(self),
        }?;
        let mut unfinished = out.as_os_str().to_owned();
        unfinished.push(".tmp");
        std::fs::write(&unfinished, component)
            .and_then(|()| std::fs::rename(&unfinished, out))
            .with_context(|| format!("cannot write {}", out.display()))
    }
}

fn table(file: &Path) -> Result<toml::Value> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let table: toml::Value = toml::from_str(&text).with_context(|| file.display().to_string())?;
    // Its name is asked for by index, which panics where there is no table.
    if table.get("package").and_then(|package| package.get("name")).is_none() {
        bail!("{} has no `package.name`: name the folder of one plugin", file.display());
    }
    Ok(table)
}

fn object(file: &Path) -> Result<serde_json::Value> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| file.display().to_string())
}
