//! Turns a core module that wit-bindgen produced into a component, or makes a
//! component of a WIT world whose functions all trap (for tests of version skew).
//! Modules that import WASI 0.1 get the adapter to 0.2.

mod dummy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use tidegate_componentize::{encode, from_module, from_module_of};

const USAGE: &str = "\
Usage: componentize IN.wasm OUT.wasm
       componentize --wit WITDIR WORLD IN.wasm OUT.wasm    (a module that does not say its world)
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
        ["--wit", wit, world, input, out] => {
            let component = from_module_of(read(input)?, Path::new(wit), world);
            (component.with_context(|| input.to_owned())?, PathBuf::from(out))
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

/// By rename, so that a server watching the folder never sees half a file.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".tmp");
    std::fs::write(&unfinished, bytes)?;
    std::fs::rename(&unfinished, path)
}
