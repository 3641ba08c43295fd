//! JavaScript, by QuickJS: without WASI, because the engine would import all of it, and without
//! asynchronous functions, which the server does not offer.

use std::ffi::OsStr;

use anyhow::{Context, Result};

use super::{Project, tool};

const MISSING: &str = "componentize-qjs is missing: run `npm install` in the project's folder";

pub fn build(project: &Project) -> Result<Vec<u8>> {
    let program =
        tool::find("componentize-qjs", &[project.dir.join("node_modules/.bin")]).context(MISSING)?;
    let made = tempfile::NamedTempFile::new()?;
    let arguments = ["--wit", "wit", "--world", "plugin", "--js", "plugin.js", "--sync", "--stub-wasi", "-o"];
    let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).chain([made.path().as_os_str()]).collect();
    tool::run(&program, &project.dir, &arguments)?;
    std::fs::read(made.path()).context("componentize-qjs has made no component")
}
