//! The instructions that the hot paths take, counted by valgrind, held against
//! `benches/budget.toml`: more than 5 % above it is an error. Counts do not depend on what else
//! the machine does; they do on the compiler and on what of its instructions valgrind offers.
//!
//! cargo bench --profile tests --workspace --bench instructions [-- --write]
//!
//! `--write` puts what was counted into the budget. Takes some seconds, beside the build.

mod budget;
mod counted;
mod fan_out;
mod frames;
#[path = "../parts/jobs.rs"]
mod jobs;
#[path = "../parts/open_socket.rs"]
mod open_socket;
mod plugins;
mod rooms;

use std::process::ExitCode;

/// What is counted, in this order. `per`: how many of the thing one count is of.
pub struct Path {
    pub name: &'static str,
    pub per: u64,
}

/// By name; each runs its preparation, then [`counted::counted`] once.
const PATHS: [Path; 8] = [
    Path { name: "decode-publish", per: frames::FRAMES },
    Path { name: "encode-data", per: frames::FRAMES },
    Path { name: "fan-out-1000", per: fan_out::MESSAGES },
    Path { name: "publish-rooms", per: rooms::PUBLISHES },
    Path { name: "filter-batch", per: plugins::BATCHES },
    Path { name: "yielding-call", per: plugins::CALLS },
    Path { name: "handler-call", per: plugins::CALLS },
    Path { name: "chat-call", per: plugins::CALLS },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == counted::INSIDE) {
        frames::decode();
        frames::encode();
        fan_out::run();
        rooms::run();
        plugins::filters();
        plugins::handler("tests/fixtures/pass.wasm", plugins::NEW);
        plugins::handler("tests/fixtures/pass.wasm", plugins::KNOWN_TO_BE_QUICK);
        plugins::handler("plugins/examples/chat/chat.wasm", plugins::KNOWN_TO_BE_QUICK);
        return ExitCode::SUCCESS;
    }
    let write = arguments.iter().any(|argument| argument == "--write");
    let counts: Vec<f64> = match counted::count(PATHS.len()) {
        Ok(counts) => {
            counts.iter().zip(&PATHS).map(|(count, path)| *count as f64 / path.per as f64).collect()
        }
        Err(error) => {
            eprintln!("instructions: {error}");
            return ExitCode::FAILURE;
        }
    };
    let counts: Vec<(&str, f64)> = PATHS.iter().map(|path| path.name).zip(counts).collect();
    match if write { budget::write(&counts) } else { budget::compare(&counts) } {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}
