//! The fuzz targets without a fuzzer: every seed of their corpora, then a stream of changed and
//! made-up inputs that is the same in every run.

#[path = "../../fuzz/targets.rs"]
mod targets;

mod mutate;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use mutate::Mutator;
use targets::{TARGETS, Target};

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name)
}

/// In the order of their names.
fn seeds(name: &str) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(corpus(name)).unwrap().map(|entry| entry.unwrap().path());
    let mut seeds: Vec<_> = files
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "{name} has no seeds");
    seeds
}

/// A failure leaves its input where it can be looked at, and made a seed.
fn run(target: Target, name: &str, input: &[u8], what: &str) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
        std::fs::write(&kept, input).unwrap();
        eprintln!("{name} breaks on {what}: its {} bytes are kept in {}", input.len(), kept.display());
        resume_unwind(panic);
    }
}

fn fuzz(name: &str, inputs: usize) {
    let (_, target) = TARGETS.into_iter().find(|(known, _)| *known == name).unwrap();
    let began = Instant::now();
    let seeds = seeds(name);
    for (file, seed) in &seeds {
        run(target, name, seed, &format!("its seed {file}"));
    }
    let mut mutator = Mutator::new(name, seeds.into_iter().map(|(_, seed)| seed).collect());
    for number in 0..inputs {
        let input = mutator.next();
        run(target, name, &input, &format!("input {number}"));
    }
    println!("{name}: {inputs} inputs in {:?}", began.elapsed());
}

/// One test a target, so that they share the cores.
macro_rules! tests {
    ($($name:ident: $inputs:literal,)*) => {
        $(#[test]
        fn $name() {
            fuzz(stringify!($name), $inputs);
        })*

        #[test]
        fn every_target_is_run() {
            let run = [$(stringify!($name)),*];
            assert_eq!(TARGETS.map(|(name, _)| name), run);
        }
    };
}

tests! {
    component: 60,
    config: 5_000,
    dialects: 20_000,
    effects: 20_000,
    filter_bits: 20_000,
    frames: 50_000,
    handshake: 50_000,
    names_and_patterns: 20_000,
    native_decode: 50_000,
    native_encode: 5_000,
    pusher: 20_000,
    pusher_request: 20_000,
    saved_state: 20_000,
}
