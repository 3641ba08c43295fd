//! Writes the bindings of a WIT world: what `wit-bindgen c` and `wit-bindgen go` do, of a version
//! that is pinned. For TypeScript the types of the interfaces of a package.

mod typescript;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use wit_bindgen_core::{Files, WorldGenerator};
use wit_parser::Resolve;

const USAGE: &str = "Usage: bindings c|go WITDIR WORLD OUTDIR, or bindings ts WITDIR OUTFILE";

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bindings: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (language, wit, world, out) = match arguments[..] {
        ["ts", wit, out] => return types(wit, out),
        [language, wit, world, out] => (language, wit, world, out),
        _ => bail!("{USAGE}"),
    };
    let mut generator: Box<dyn WorldGenerator> = match language {
        "c" => wit_bindgen_c::Opts::default().build(),
        "go" => wit_bindgen_go::Opts::default().build(),
        _ => bail!("{USAGE}"),
    };
    let mut resolve = Resolve::default();
    let (package, _) =
        resolve.push_dir(Path::new(wit)).with_context(|| format!("cannot read the WIT in {wit}"))?;
    let world = resolve.select_world(&[package], Some(world))?;
    let mut files = Files::default();
    generator.generate(&mut resolve, world, &mut files)?;
    for (name, contents) in files.iter() {
        let path = Path::new(out).join(name.trim_start_matches('/'));
        let folder = path.parent().unwrap_or(Path::new(out));
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&path, contents))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn types(wit: &str, out: &str) -> Result<()> {
    let mut resolve = Resolve::default();
    let (package, _) =
        resolve.push_dir(Path::new(wit)).with_context(|| format!("cannot read the WIT in {wit}"))?;
    std::fs::write(out, typescript::modules(&resolve, package)?)
        .with_context(|| format!("cannot write {out}"))
}
