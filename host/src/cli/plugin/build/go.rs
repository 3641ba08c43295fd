//! Go: what `wit-bindgen go` writes and the project's own packages, put together in a folder of their
//! own, because the bindings want the code of an interface in their own packages.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Project, tool};

const NO_GO: &str = "Go is missing: get 1.25 or newer from https://go.dev/dl";
const NO_BINDGEN: &str = "wit-bindgen is missing: `cargo install wit-bindgen-cli@0.63.0`, or a release of \
                          https://github.com/bytecodealliance/wit-bindgen";

pub fn build(project: &Project) -> Result<Vec<u8>> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let go = tool::find("go", &["/usr/local/go/bin".into()]).context(NO_GO)?;
    let bindgen = tool::find("wit-bindgen", &[home.join(".cargo/bin")]).context(NO_BINDGEN)?;
    // Kept, so that Go finds what it has compiled.
    let made = project.dir.join(".build");
    let _ = std::fs::remove_dir_all(&made);
    let arguments = ["go", "wit", "--world", "plugin", "--out-dir", ".build"].map(OsStr::new);
    tool::run(&bindgen, &project.dir, &arguments)?;
    copy_packages(&project.dir, &made)?;
    let module = made.join("module.wasm");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&go);
        command.args(arguments).env("GOOS", "wasip1").env("GOARCH", "wasm").env("GOFLAGS", "-mod=mod");
        tool::run_with(&mut command, &made)
    };
    run(&["mod", "tidy"])?;
    run(&[
        "build",
        "-buildmode=c-shared",
        "-trimpath",
        "-ldflags=-s -w -checklinkname=0",
        "-o",
        "module.wasm",
        ".",
    ])?;
    ensure!(module.is_file(), "go has made no module");
    let module = std::fs::read(&module)?;
    tidegate_componentize::from_module_of(module, &project.dir.join("wit"), "plugin")
}

/// All folders but hidden ones, tests and the WIT.
fn copy_packages(from: &Path, to: &Path) -> Result<()> {
    let entries = std::fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
    for entry in entries.filter_map(Result::ok) {
        let (path, name) = (entry.path(), entry.file_name());
        let copied = to.join(&name);
        if path.is_dir() && name != "wit" && !name.to_string_lossy().starts_with('.') {
            std::fs::create_dir_all(&copied)?;
            copy_packages(&path, &copied)?;
        } else if path.extension().is_some_and(|extension| extension == "go") {
            std::fs::copy(&path, &copied).with_context(|| format!("cannot copy {}", path.display()))?;
        }
    }
    Ok(())
}
