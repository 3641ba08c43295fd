//! Turns a core module that wit-bindgen produced into a component, or makes a
//! component of a WIT world whose functions all trap (for tests of version skew).
//! Modules that import WASI 0.1 get the adapter to 0.2.

mod dummy;
mod strip;
mod world;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::ComponentEncoder;

const USAGE: &str = "\
Usage: componentize IN.wasm OUT.wasm
       componentize --wit WITDIR WORLD IN.wasm OUT.wasm    (a module that does not say its world)
       componentize --dummy WITDIR WORLD OUT.wasm";

/// Above this many bytes a component goes without the names of its functions.
const SIZE_WITH_NAMES: usize = 150_000;

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("componentize: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (component, out) = match arguments[..] {
        ["--dummy", wit, world, out] => (encode(&dummy::module(Path::new(wit), world)?)?, PathBuf::from(out)),
        ["--wit", wit, world, input, out] => {
            let mut module = read(input)?;
            world::embed(&mut module, Path::new(wit), world)?;
            (from_module(&module).with_context(|| input.to_owned())?, PathBuf::from(out))
        }
        [input, out] if !input.starts_with('-') => {
            (from_module(&read(input)?).with_context(|| input.to_owned())?, PathBuf::from(out))
        }
        _ => bail!("{USAGE}"),
    };
    replace(&out, &component).with_context(|| format!("cannot write {}", out.display()))
}

fn read(input: &str) -> Result<Vec<u8>> {
    std::fs::read(input).with_context(|| format!("cannot read {input}"))
}

/// With the functions' names, for backtraces, as long as they do not make it large.
fn from_module(module: &[u8]) -> Result<Vec<u8>> {
    let named = encode(&strip::custom_sections(module, strip::Names::Functions)?)?;
    if named.len() <= SIZE_WITH_NAMES {
        return Ok(named);
    }
    encode(&strip::custom_sections(module, strip::Names::Nothing)?)
}

fn encode(module: &[u8]) -> Result<Vec<u8>> {
    ComponentEncoder::default()
        .validate(true)
        .module(module)
        .context("not a core module with a component type inside (is it built with wit-bindgen?)")?
        // Left out where nothing of it is imported.
        .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?
        .encode()
        .context("cannot make a component of it")
}

/// By rename, so that a server watching the folder never sees half a file.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".tmp");
    std::fs::write(&unfinished, bytes)?;
    std::fs::rename(&unfinished, path)
}
