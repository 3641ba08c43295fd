//! The command line of those who write plugins, run as they run it.

#[path = "../harness/mod.rs"]
mod harness;

mod bench;
mod call;
mod check;
mod dev;
mod projects;
mod test;

use harness::cli::{Said, run};
use harness::plugins;

/// `tidegate plugin COMMAND FILE ARGUMENTS`
fn plugin(command: &str, name: &str, arguments: &[&str]) -> Said {
    let file = plugins::path(name).display().to_string();
    run(&[&["plugin", command, &file], arguments].concat())
}
