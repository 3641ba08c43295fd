//! Python, by CPython in the component.

use std::ffi::OsStr;

use anyhow::{Context, Result};

use super::{Project, tool};

const MISSING: &str = "componentize-py is missing: run `python3 -m venv .venv && .venv/bin/pip install -r \
                       requirements.txt` in the project's folder";

pub fn build(project: &Project) -> Result<Vec<u8>> {
    let program = tool::find("componentize-py", &[project.dir.join(".venv/bin")]).context(MISSING)?;
    let made = tempfile::NamedTempFile::new()?;
    let arguments =
        ["-q", "-d", "wit", "-w", "plugin", "componentize", "plugin", "-p", ".", "--stub-wasi", "-o"];
    let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).chain([made.path().as_os_str()]).collect();
    tool::run(&program, &project.dir, &arguments)?;
    std::fs::read(made.path()).context("componentize-py has made no component")
}
