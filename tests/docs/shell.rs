//! A shell with the built `tidegate` on its path, in a folder of its own.

use std::fs::File;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::page::masked;
use super::wait;

const BOUND: Duration = Duration::from_secs(60);
/// What compiles a plugin may have its libraries to compile first.
const BUILDING: Duration = Duration::from_secs(600);

/// Where scripts/setup puts the compilers of other languages.
fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/languages/bin")
}

/// Is this program of theirs there?
pub fn has(program: &str) -> bool {
    tools().join(program).exists()
}

pub struct Shell {
    dir: TempDir,
    child: Child,
    stdin: ChildStdin,
    /// What the pages have as 8000.
    port: u16,
    /// Of the output, masked: what no line of the page has claimed yet.
    seen: usize,
    unclaimed: String,
    commands: usize,
}

impl Shell {
    pub fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
        for folder in ["plugins", "guest-sdk", "tests"] {
            std::os::unix::fs::symlink(root.join(folder), dir.path().join(folder)).unwrap();
        }
        let bin = Path::new(env!("CARGO_BIN_EXE_tidegate")).parent().unwrap();
        let path = format!("{}:{}:{}", bin.display(), tools().display(), std::env::var("PATH").unwrap());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let output = File::create(dir.path().join("output")).unwrap();
        let mut child = Command::new("bash")
            .current_dir(&dir)
            .env("PATH", path)
            .env("TIDEGATE_URL", format!("ws://127.0.0.1:{port}/ws"))
            .env("TIDEGATE_LISTEN", format!("127.0.0.1:{port}"))
            .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-plugins"))
            .env("TIDEGATE_CACHE_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled"))
            .stdin(Stdio::piped())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .process_group(0)
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        Self { dir, child, stdin, port, seen: 0, unclaimed: String::new(), commands: 0 }
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), self.local(text)).unwrap();
    }

    /// With this shell's port.
    pub fn local(&self, text: &str) -> String {
        text.replace("8000", &self.port.to_string())
    }

    /// Until the command has ended, or is in the background, and all that it shows was seen.
    pub async fn run(&mut self, line: &str, shows: &[String]) {
        let serves = line.contains("tidegate serve") || line.starts_with("cargo run");
        let line = match line.strip_prefix("cargo run --release") {
            Some(rest) => format!("tidegate serve{rest}"),
            None => self.local(line),
        };
        let line = if serves && !line.contains('&') { line + " &" } else { line };
        self.commands += 1;
        let done = format!("=done:{}=", self.commands);
        writeln!(self.stdin, "{line}\necho '{done}'").unwrap();
        self.claim(&line, &done).await;
        if serves {
            let listens = async || TcpStream::connect(("127.0.0.1", self.port)).ok();
            wait::eventually_in(BOUND, "the server listens", listens).await;
        }
        // The log's lines come with a time and a target before them.
        for shown in shows.iter().filter(|shown| !shown.trim().is_empty()) {
            let shown = shown.trim_start_matches("INFO ").trim_start_matches("WARN ");
            self.claim(&line, shown).await;
        }
    }

    async fn claim(&mut self, line: &str, shown: &str) {
        let wanted = masked(&self.local(shown));
        let began = Instant::now();
        let bound = if line.contains("plugin build") { BUILDING } else { BOUND };
        let what = format!("`{line}` shows `{shown}`");
        wait::eventually_in(bound, &what, async || {
            let output = std::fs::read_to_string(self.dir.path().join("output")).unwrap();
            if let Some(end) = output[self.seen..].rfind('\n') {
                let fresh = &output[self.seen..=self.seen + end];
                self.unclaimed += &masked(fresh);
                self.seen += fresh.len();
            }
            if let Some(at) = self.unclaimed.find(&wanted) {
                self.unclaimed.replace_range(at..at + wanted.len(), "|");
                return Some(());
            }
            assert!(began.elapsed() < bound, "`{line}` does not show\n{shown}\nbut:\n{output}");
            None
        })
        .await;
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}
