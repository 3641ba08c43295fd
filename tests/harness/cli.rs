//! The server's binary as a command: run to its end, or spawned.

use std::process::{Command, Stdio};

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub stdout: String,
    pub stderr: String,
    pub code: Option<i32>,
}

/// `tidegate` without any setting of the machine that the tests run on.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TIDEGATE_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Runs `tidegate` with arguments to its end.
pub fn run(arguments: &[&str]) -> Said {
    run_with(arguments, &[])
}

pub fn run_with(arguments: &[&str], environment: &[(&str, &str)]) -> Said {
    let output = command().args(arguments).envs(environment.iter().copied()).output().unwrap();
    Said {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code(),
    }
}

/// A token for `token-auth` without a configured secret.
pub fn token(arguments: &[&str]) -> String {
    let said = run(&[&["token"], arguments].concat());
    assert_eq!(said.code, Some(0), "{said:?}");
    said.stdout.trim().to_owned()
}
