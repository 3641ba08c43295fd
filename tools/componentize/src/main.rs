//! Turns a core module that wit-bindgen produced into a component, or makes a
//! component of a WIT world whose functions all trap (for tests of version skew).
//! It needs no adapter, because such modules import nothing of WASI.

mod dummy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use tidegate_componentize::{encode, from_module};

const USAGE: &str = "\
Usage: componentize IN.wasm OUT.wasm
       componentize --dummy WITDIR WORLD OUT.wasm";

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
        [input, out] if !input.starts_with('-') => {
            let module = std::fs::read(input).with_context(|| format!("cannot read {input}"))?;
            let component = from_module(&module).with_context(|| input.to_owned())?;
            (component, PathBuf::from(out))
        }
        _ => bail!("{USAGE}"),
    };
    replace(&out, &component).with_context(|| format!("cannot write {}", out.display()))
}

/// By rename, so that a server watching the folder never sees half a file.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".tmp");
    std::fs::write(&unfinished, bytes)?;
    std::fs::rename(&unfinished, path)
}
