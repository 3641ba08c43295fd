//! Parses, runs, and turns an error into one line and an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    match tidegate::cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidegate: {error:#}");
            ExitCode::FAILURE
        }
    }
}
