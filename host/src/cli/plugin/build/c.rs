//! C, by Zig's compiler, which has a C library for WebAssembly.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Project, tool};

const MISSING: &str =
    "a C compiler for WebAssembly is missing: `pip install ziglang`, or put `zig` of ziglang.org into PATH";

/// No stack protector: it would ask WASI for random numbers. A megabyte of stack is Zig's default.
const FLAGS: [&str; 10] = [
    "cc",
    "-target",
    "wasm32-wasi",
    "-mexec-model=reactor",
    "-Os",
    "-fno-stack-protector",
    "-Wall",
    "-Wextra",
    "-Wl,-z,stack-size=65536",
    "-Wl,--strip-debug",
];

pub fn build(project: &Project) -> Result<Vec<u8>> {
    let mut sources = Vec::new();
    for folder in [project.dir.clone(), project.dir.join("bindings")] {
        let entries = std::fs::read_dir(&folder).with_context(|| {
            format!(
                "cannot read {}: write it with `wit-bindgen c wit --world plugin --out-dir bindings`",
                folder.display()
            )
        })?;
        let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
        sources.extend(files.filter(|file| file.extension().is_some_and(|extension| extension == "c")));
    }
    sources.sort();
    let made = tempfile::tempdir()?;
    let module = made.path().join("module.wasm");
    // wit-bindgen would have an object with the component's type linked, which is put into the module
    // afterwards, so that no binary need lie beside the sources.
    let link = made.path().join("link.c");
    std::fs::write(&link, "void __component_type_object_force_link_plugin(void) {}\n")?;
    sources.push(link);
    let mut command = compiler(project)?;
    command.args(FLAGS).args(&sources).arg("-o").arg(&module);
    tool::run_with(&mut command, &project.dir)?;
    ensure!(module.is_file(), "the compiler has made no module");
    let module = std::fs::read(&module)?;
    tidegate_componentize::from_module_of(module, &project.dir.join("wit"), "plugin")
}

/// Zig by itself, or as Python's package has it.
fn compiler(project: &Project) -> Result<Command> {
    let own: Vec<PathBuf> = vec![project.dir.join(".venv/bin")];
    if let Some(zig) = tool::find("zig", &own) {
        return Ok(Command::new(zig));
    }
    if let Some(zig) = tool::find("python-zig", &own) {
        return Ok(Command::new(zig));
    }
    anyhow::bail!(MISSING)
}
