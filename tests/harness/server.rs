//! The real binary as a child process on a port of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::wait::{BOUND, eventually, eventually_in};
use super::{cli, http, plugins};

/// The first start of a test run compiles the plugins, of which Python is 18 MB; later ones find them in the
/// cache.
const START: Duration = Duration::from_secs(300);

/// What the server is started with.
#[derive(Default)]
pub struct Builder {
    plugins: Vec<(String, PathBuf)>,
    config: Option<String>,
    environment: Vec<(String, String)>,
    shards: Option<usize>,
    address: Option<SocketAddr>,
    flags: Vec<String>,
}

/// A running server; killed when dropped.
pub struct Server {
    pub address: SocketAddr,
    pub plugins_dir: PathBuf,
    child: Child,
    log: Arc<Log>,
    stopped: bool,
    _dir: TempDir,
}

impl Builder {
    /// Examples or fixtures.
    pub fn plugins(mut self, names: &[&str]) -> Self {
        self.plugins.extend(names.iter().map(|name| (name.to_string(), plugins::path(name))));
        self
    }

    /// One of them under other names.
    pub fn plugin_as(mut self, names: &[&str], of: &str) -> Self {
        self.plugins.extend(names.iter().map(|name| (name.to_string(), plugins::path(of))));
        self
    }

    /// Plugins out of a folder.
    pub fn plugins_from(mut self, folder: &Path, names: &[&str]) -> Self {
        for name in names {
            let path = plugins::path_in(folder, name);
            let path = path.unwrap_or_else(|| panic!("no {name}.wasm in {}", folder.display()));
            self.plugins.push((name.to_string(), path));
        }
        self
    }

    /// TOML. Without it every channel is open.
    pub fn config(mut self, toml: &str) -> Self {
        self.config = Some(toml.to_owned());
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// Where an earlier server was, rather than on a port of its own.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// More of the command line.
    pub fn flags(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|flag| flag.to_string()));
        self
    }

    pub fn start(self) -> Server {
        let dir = TempDir::new().unwrap();
        let plugins_dir = dir.path().join("plugins");
        std::fs::create_dir(&plugins_dir).unwrap();
        for (name, path) in &self.plugins {
            std::fs::copy(path, plugins_dir.join(format!("{name}.wasm"))).unwrap();
        }
        let mut command = cli::command();
        let address = self.address.map_or("127.0.0.1:0".to_owned(), |address| address.to_string());
        command.args(["--listen", &address]).arg("--plugins").arg(&plugins_dir);
        command.args(["--shards", &self.shards.unwrap_or(2).to_string()]);
        command.env("TIDEGATE_CACHE_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled"));
        if let Some(config) = &self.config {
            let file = dir.path().join("tidegate.toml");
            std::fs::write(&file, config).unwrap();
            command.arg("--config").arg(file);
        }
        command.envs(self.environment).args(self.flags);
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let log = Arc::new(Log::default());
        let stderr = child.stderr.take().unwrap();
        let kept = log.clone();
        std::thread::spawn(move || kept.gather(stderr));
        let Some(address) = log.address() else {
            let _ = child.kill();
            let ended = child.wait();
            panic!("the server did not start ({ended:?}):\n{}", log.lines().join("\n"));
        };
        Server { address, plugins_dir, child, log, stopped: false, _dir: dir }
    }
}

/// What the server writes to its standard error, as it comes.
#[derive(Default)]
struct Log {
    text: Mutex<Text>,
    more: Condvar,
}

#[derive(Default)]
struct Text {
    lines: Vec<String>,
    ended: bool,
}

impl Log {
    fn gather(&self, stderr: ChildStderr) {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            self.text.lock().unwrap().lines.push(line);
            self.more.notify_all();
        }
        self.text.lock().unwrap().ended = true;
        self.more.notify_all();
    }

    fn lines(&self) -> Vec<String> {
        self.text.lock().unwrap().lines.clone()
    }

    /// Where it listens; none if it ends or does not say so in time.
    fn address(&self) -> Option<SocketAddr> {
        let waits = |text: &mut Text| !text.ended && address_in(&text.lines).is_none();
        let (text, _) = self.more.wait_timeout_while(self.text.lock().unwrap(), START, waits).unwrap();
        address_in(&text.lines)
    }
}

fn address_in(lines: &[String]) -> Option<SocketAddr> {
    let rest = lines.iter().find_map(|line| line.split_once("listening on http://"))?.1;
    rest.split(' ').next()?.parse().ok()
}

impl Server {
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Two shards, every channel open, these plugins.
    pub fn with(plugins: &[&str]) -> Self {
        Self::builder().plugins(plugins).start()
    }

    pub fn url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where a plugin's file is watched.
    pub fn plugin(&self, name: &str) -> PathBuf {
        self.plugins_dir.join(format!("{name}.wasm"))
    }

    /// Its configuration file, which it looks at.
    pub fn config_file(&self) -> PathBuf {
        self._dir.path().join("tidegate.toml")
    }

    /// SIGHUP.
    pub fn hang_up(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }

    // === what it says of itself ===

    /// What it has logged so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lines()
    }

    /// Lines that have all of the words.
    pub fn logged(&self, words: &[&str]) -> Vec<String> {
        let has_all = |line: &String| words.iter().all(|word| line.contains(word));
        self.log().into_iter().filter(has_all).collect()
    }

    pub async fn wait_for_log(&self, text: &str) -> String {
        let what = format!("`{text}` in the log");
        eventually(&what, async || self.logged(&[text]).into_iter().next()).await
    }

    /// `GET /api/plugins`.
    pub async fn report(&self) -> Value {
        http::get(self, "/api/plugins").await.json()
    }

    /// Until `probe` finds what it looks for in `/api/plugins`.
    pub async fn wait_for_report<T>(
        &self,
        bound: Duration,
        what: &str,
        probe: impl Fn(&Value) -> Option<T>,
    ) -> T {
        let mut last = Value::Null;
        let began = Instant::now();
        eventually_in(bound + BOUND, what, async || {
            last = self.report().await;
            let found = probe(&last);
            assert!(
                found.is_some() || began.elapsed() < bound,
                "{what}: not within {bound:?}; the report is {last:#}\nand the log\n{}",
                self.log().join("\n")
            );
            found
        })
        .await
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.told_by_the_kernel("status", "VmRSS:")
    }

    /// Time that its threads of this name have had of a processor.
    pub fn thread_time(&self, name: &str) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs");
        let times = tasks.filter_map(|task| {
            let task = task.ok()?.path();
            let comm = std::fs::read_to_string(task.join("comm")).ok()?;
            let nanos = std::fs::read_to_string(task.join("schedstat")).ok()?;
            let nanos = nanos.split_whitespace().next()?.parse().ok()?;
            (comm.trim() == name).then(|| Duration::from_nanos(nanos))
        });
        times.sum()
    }

    /// Descriptors that the kernel's table of them has room for.
    pub fn descriptor_room(&self) -> u64 {
        self.told_by_the_kernel("status", "FDSize:")
    }

    /// Descriptors that it may hold.
    pub fn descriptor_limit(&self) -> u64 {
        self.told_by_the_kernel("limits", "Max open files")
    }

    /// The number that a line of a file in `/proc` begins with.
    fn told_by_the_kernel(&self, file: &str, line: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.pid())).unwrap();
        let rest = text.lines().find_map(|told| told.strip_prefix(line)).unwrap();
        rest.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Descriptors that it holds.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    // === its end ===

    pub fn assert_alive(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            self.stopped = true;
            panic!("the server died ({status}):\n{}", self.log().join("\n"));
        }
    }

    /// Asks it to go.
    pub fn terminate(&mut self) {
        self.stopped = true;
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    pub async fn ended(&mut self) -> ExitStatus {
        eventually("the server's end", async || self.child.try_wait().unwrap()).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let died = self.child.try_wait().ok().flatten().filter(|_| !self.stopped);
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = self.log().join("\n");
        if std::thread::panicking() {
            eprintln!("--- the server's log ---\n{log}");
        } else if let Some(status) = died {
            panic!("the server died ({status}):\n{log}");
        }
    }
}
