//! Rust, by cargo: for wasm32-unknown-unknown where that can be had, else for wasm32-wasip2.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{Project, tool};

const PLAIN: &str = "wasm32-unknown-unknown";
/// Its linker makes a component, which imports some of WASI.
const WASI: &str = "wasm32-wasip2";

const NO_CARGO: &str = "cargo is missing: get Rust from https://rustup.rs";
const NO_TARGET: &str = "this Rust does not build for WebAssembly: run `rustup target add wasm32-unknown-unknown` \
                         (on Debian without rustup: apt-get install rustc-web cargo-web rust-web-src lld)";

/// A cargo, and what it must be told.
struct Toolchain {
    cargo: PathBuf,
    target: &'static str,
    /// Debian's Rust has the standard library as sources, which cargo builds with the plugin.
    from_source: bool,
}

pub fn build(project: &Project) -> Result<Vec<u8>> {
    let toolchain = Toolchain::find()?;
    let mut command = toolchain.command();
    command.args(["build", "--release", "--lib", "--message-format=json-render-diagnostics"]);
    command.args(["--target", toolchain.target]);
    if toolchain.from_source {
        command.args(["-Z", "build-std=std,panic_abort"]);
    }
    // Where the file lies is for cargo to say: settings of a workspace or the environment may move it.
    command.current_dir(&project.dir).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().with_context(|| format!("cannot run {}", toolchain.cargo.display()))?;
    if !output.status.success() {
        bail!("{} ended with {}", toolchain.cargo.display(), output.status);
    }
    let file = artifact(&output.stdout, &project.dir)
        .context("cargo has made no .wasm file: does Cargo.toml say `crate-type = [\"cdylib\"]`?")?;
    let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    if toolchain.target == WASI {
        return Ok(bytes);
    }
    tidegate_componentize::from_module(&bytes).with_context(|| file.display().to_string())
}

/// The last .wasm file that cargo says it has made of the project itself.
fn artifact(said: &[u8], dir: &Path) -> Option<PathBuf> {
    let lines =
        said.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let made = lines.filter(|line| line["reason"] == "compiler-artifact");
    let own =
        made.filter(|line| line["manifest_path"].as_str().map(Path::new) == Some(&dir.join("Cargo.toml")));
    let files = own.flat_map(|line| line["filenames"].as_array().cloned().unwrap_or_default());
    files
        .filter_map(|file| Some(PathBuf::from(file.as_str()?)))
        .rfind(|file| file.extension().is_some_and(|e| e == "wasm"))
}

impl Toolchain {
    fn find() -> Result<Self> {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let cargo = tool::find("cargo", &[]).or_else(|| tool::find("cargo", &[home.join(".cargo/bin")]));
        let usual = cargo.clone().zip(tool::find("rustc", &[home.join(".cargo/bin")]));
        for target in [PLAIN, WASI] {
            if let Some((cargo, rustc)) = &usual
                && has(rustc, target)
            {
                return Ok(Self { cargo: cargo.clone(), target, from_source: false });
            }
        }
        let (cargo_of_system, rustc) = (PathBuf::from("/usr/bin/cargo"), Path::new("/usr/bin/rustc"));
        if cargo_of_system.is_file() && has_sources(rustc) && linker().is_some() {
            return Ok(Self { cargo: cargo_of_system, target: PLAIN, from_source: true });
        }
        bail!(if cargo.is_none() { NO_CARGO } else { NO_TARGET })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.cargo);
        if self.from_source {
            command.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
            if let Some(linker) = linker() {
                command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
            }
        }
        command
    }
}

fn has(rustc: &Path, target: &str) -> bool {
    // It names the folder also where there is none, or an empty one.
    let folder = print(rustc, &["--print", "target-libdir", "--target", target]);
    folder.is_some_and(|folder| std::fs::read_dir(folder).is_ok_and(|mut files| files.next().is_some()))
}

fn has_sources(rustc: &Path) -> bool {
    print(rustc, &["--print", "sysroot"])
        .is_some_and(|sysroot| sysroot.join("lib/rustlib/src/rust/library").is_dir())
}

fn print(rustc: &Path, arguments: &[&str]) -> Option<PathBuf> {
    let output = Command::new(rustc).args(arguments).stdin(Stdio::null()).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !said.trim().is_empty()).then(|| PathBuf::from(said.trim()))
}

/// Debian names it with its version.
fn linker() -> Option<PathBuf> {
    let versions = (14..40).rev().map(|version| format!("wasm-ld-{version}"));
    std::iter::once("wasm-ld".to_owned()).chain(versions).find_map(|name| tool::find(&name, &[]))
}
