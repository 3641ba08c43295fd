//! A server as a child process, and the CPU that it has used.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

pub struct Server {
    child: Child,
    pub port: u16,
}

/// What its channels keep.
#[derive(Clone, Copy, PartialEq)]
pub enum Kept {
    Nothing,
    /// A thousand messages.
    History,
}

impl Server {
    pub fn tidegate(shards: usize, kept: Kept) -> Self {
        let empty = std::env::temp_dir().join("tidegate-bench-no-plugins");
        std::fs::create_dir_all(&empty).expect("an empty folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.args(["--listen", "127.0.0.1:0", "--shards", &shards.to_string(), "--plugins"]).arg(&empty);
        // Costs nothing where nobody speaks its dialect.
        command.args(["--pusher-app", "1:bench:secret"]);
        if kept == Kept::History {
            let file = empty.join("history.toml");
            let rule = "[[channel]]\npattern = \"*\"\nhistory = { messages = 1000 }\n";
            std::fs::write(&file, rule).expect("a configuration");
            command.arg("--config").arg(file);
        }
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the server");
        let log = BufReader::new(child.stderr.take().expect("its log"));
        let port = port_in(log.lines().map_while(Result::ok));
        Self { child, port }
    }

    /// Needs `npm install` in benches/peers/bun.
    pub fn bun() -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/peers/bun");
        let mut command = Command::new(format!("{folder}/node_modules/.bin/bun"));
        let mut child = command
            .args(["run", "server.js"])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .spawn()
            .expect("bun: run `npm install` in benches/peers/bun");
        let log = BufReader::new(child.stdout.take().expect("its log"));
        let port = port_in(log.lines().map_while(Result::ok));
        Self { child, port }
    }

    /// Seconds of user and system time so far.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("/proc");
        let after_name = stat.rsplit_once(')').expect("a name").1;
        let ticks: u64 =
            after_name.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().expect("ticks")).sum();
        // Linux counts in hundredths on every architecture that matters here.
        ticks as f64 / 100.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The port in the first line that names an address.
fn port_in(lines: impl Iterator<Item = String>) -> u16 {
    for line in lines {
        if let Some((_, rest)) = line.split_once("http://127.0.0.1:") {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            return digits.parse().expect("a port");
        }
    }
    panic!("the server ended without listening");
}
