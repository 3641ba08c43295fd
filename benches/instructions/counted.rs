//! This program again, under callgrind, which writes down its counts whenever a certain function
//! is entered: what lies between two of those is what a path took.

use std::hint::black_box;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Said to the program that valgrind runs.
pub const INSIDE: &str = "--inside-valgrind";

/// Valgrind knows it by this name.
#[inline(never)]
pub fn callgrind_writes_its_counts_here() {
    black_box(());
}

/// What happens in here is counted.
pub fn counted(path: impl FnOnce()) {
    callgrind_writes_its_counts_here();
    path();
    callgrind_writes_its_counts_here();
}

/// The counts of so many paths, in order.
pub fn count(paths: usize) -> Result<Vec<u64>, String> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("instructions");
    let _ = std::fs::remove_dir_all(folder.join("counts"));
    std::fs::create_dir_all(folder.join("counts")).map_err(|error| error.to_string())?;
    let out = folder.join("counts/callgrind");
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--read-inline-info=no"])
        .arg("--dump-before=*callgrind_writes_its_counts_here*")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(this)
        .arg(INSIDE)
        // What Cranelift makes for valgrind's processor is kept apart from what it makes for the real one.
        .env("TIDEGATE_INSTRUCTIONS_CACHE", folder.join("compiled"))
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("cannot run valgrind: {error}: run scripts/setup"))?;
    if !status.success() {
        return Err(format!("the program under valgrind ended with {status}"));
    }
    // Written before a path and after it, so the even ones are the paths'.
    (1..=paths).map(|path| total(&PathBuf::from(format!("{}.{}", out.display(), path * 2)))).collect()
}

/// The instructions that a file of callgrind's sums up to.
fn total(file: &PathBuf) -> Result<u64, String> {
    let text = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let text = String::from_utf8_lossy(&text);
    let totals = text.lines().rev().find_map(|line| line.strip_prefix("totals: "));
    totals
        .and_then(|totals| totals.trim().parse().ok())
        .ok_or_else(|| format!("{} has no totals", file.display()))
}
