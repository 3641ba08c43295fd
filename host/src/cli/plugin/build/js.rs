//! JavaScript, and TypeScript once its types are checked and gone, by QuickJS: without WASI, because the engine would import all of it, and without
//! asynchronous functions, which the server does not offer.

use std::ffi::OsStr;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Project, tool};

/// As its `tsconfig.json` says.
pub fn build_typed(project: &Project) -> Result<Vec<u8>> {
    tool::run(&find(project, "tsc")?, &project.dir, &[])?;
    build(project, ".build/plugin.js")
}

pub fn build(project: &Project, entry: &str) -> Result<Vec<u8>> {
    let program = find(project, "componentize-qjs")?;
    let made = tempfile::NamedTempFile::new()?;
    let arguments = ["--wit", "wit", "--world", "plugin", "--js", entry, "--sync", "--stub-wasi", "-o"];
    let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).chain([made.path().as_os_str()]).collect();
    tool::run(&program, &project.dir, &arguments)?;
    std::fs::read(made.path()).context("componentize-qjs has made no component")
}

fn find(project: &Project, name: &str) -> Result<PathBuf> {
    tool::find(name, &[project.dir.join("node_modules/.bin")])
        .with_context(|| format!("{name} is missing: run `npm install` in the project's folder"))
}
