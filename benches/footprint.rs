//! Start, memory of channels, large presence lists, and swaps, of the real server.
//!
//! cargo bench --workspace --bench footprint

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value;

fn main() {
    let plugins = plugins();
    start(&plugins);
    channels(&plugins);
    presence(&plugins);
    swaps(&plugins, Compiled::Anew);
    swaps(&plugins, Compiled::Before);
}

/// Channels with a history, and one message of 100 bytes in each.
fn channels(plugins: &Path) {
    const COUNT: usize = 100_000;
    let config = plugins.join("history.toml");
    std::fs::write(&config, "[[channel]]\npattern = \"*\"\nhistory = { messages = 100 }\n")
        .expect("a config");
    let server = Server::start_with(plugins, &["--config", config.to_str().expect("a path")]);
    let mut client = server.websocket();
    let before = server.resident_kib();
    let text = "x".repeat(100);
    let mut frames = Vec::new();
    // The last ones are answered: by then, so are all before them.
    for number in 0..COUNT {
        let id = if number + 20 >= COUNT { ",\"id\":1" } else { "" };
        frame(&format!(r#"{{"type":"publish","channel":"room:{number}","data":"{text}"{id}}}"#), &mut frames);
    }
    let mut writer = client.try_clone().expect("a socket");
    let sending = std::thread::spawn(move || writer.write_all(&frames).expect("publishes"));
    read_until(&mut client, b"published", 20);
    sending.join().expect("the writer");
    let mib = (server.resident_kib() - before) / 1024.0;
    println!(
        "resident memory of {COUNT} channels with a message of 100 bytes in their history: {mib:.0} MiB"
    );
}

/// What joining a channel and listing its members cost the server, by its CPU.
fn presence(plugins: &Path) {
    const MEMBERS: usize = 10_000;
    const LISTS: usize = 500;
    let server = Server::start(plugins);
    let mut crowd: Vec<TcpStream> = (0..MEMBERS).map(|_| server.websocket()).collect();
    let before = server.cpu_seconds();
    for (number, client) in crowd.iter_mut().enumerate() {
        let mut out = Vec::new();
        let join = r#"{"type":"join","channel":"hall","data":{"name":"#;
        frame(&format!(r#"{join}"member number {number}"}}}}"#), &mut out);
        client.write_all(&out).expect("a join");
    }
    crowd.iter_mut().for_each(|client| read_until(client, b"joined", 1));
    let each = (server.cpu_seconds() - before) / MEMBERS as f64 * 1e6;
    println!("a join among {MEMBERS} members: {each:.0} µs of server CPU, its frames and writes included");
    let before = server.cpu_seconds();
    let asker = &mut crowd[0];
    let mut ask = Vec::new();
    frame(r#"{"type":"presence","channel":"hall"}"#, &mut ask);
    for _ in 0..LISTS {
        asker.write_all(&ask).expect("a question");
        // The end of the list, and of its frame.
        read_until(asker, br#""}]}"#, 1);
    }
    let each = (server.cpu_seconds() - before) / LISTS as f64 * 1e6;
    println!("a list of {MEMBERS} members: {each:.0} µs of server CPU, its 0.8 MB of writes included");
}

/// A masked text frame; a mask of zeros leaves the bytes as they are.
fn frame(text: &str, out: &mut Vec<u8>) {
    out.push(0x81);
    match text.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(text.as_bytes());
}

/// Reads until a word has come so many times.
fn read_until(stream: &mut TcpStream, word: &[u8], mut times: usize) {
    let mut kept: Vec<u8> = Vec::new();
    let mut chunk = vec![0; 1 << 20];
    loop {
        while let Some(at) = kept.windows(word.len()).position(|window| window == word) {
            kept.drain(..at + word.len());
            times -= 1;
            if times == 0 {
                return;
            }
        }
        kept.drain(..kept.len().saturating_sub(word.len()));
        let read = stream.read(&mut chunk).expect("an answer");
        assert!(read > 0, "the server hung up");
        kept.extend_from_slice(&chunk[..read]);
    }
}

/// Has the server's cache seen the component's bytes?
#[derive(Clone, Copy, PartialEq)]
enum Compiled {
    Anew,
    Before,
}

/// From exec to listening, with components that the cache has.
fn start(plugins: &Path) {
    drop(Server::start(plugins));
    let mut times = Vec::new();
    for _ in 0..10 {
        let began = Instant::now();
        let _server = Server::start(plugins);
        times.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    print("start to listening, three cached plugins", &mut times, "ms");
}

/// Overwrites chat with another version and back: from the file's last write to the answer
/// of `GET /api/plugins` that shows it.
fn swaps(plugins: &Path, compiled: Compiled) {
    let server = Server::start(plugins);
    let versions = [component("tests/fixtures/chat-v2.wasm"), component("plugins/examples/chat/chat.wasm")];
    let (mut seen, mut told) = (Vec::new(), Vec::new());
    for round in 0..20 {
        let version = ["2.0.0", "1.0.0"][round % 2];
        let mut bytes = versions[round % 2].clone();
        if compiled == Compiled::Anew {
            bytes.extend_from_slice(&mark(round as u8));
        }
        let began = {
            let mut file = std::fs::File::create(plugins.join("chat.wasm")).expect("the plugin");
            file.write_all(&bytes).expect("the plugin");
            drop(file);
            Instant::now()
        };
        let entry = loop {
            let entry = server.plugin("chat");
            if entry["loaded"]["version"] == version {
                break entry;
            }
        };
        seen.push(began.elapsed().as_secs_f64() * 1000.0);
        told.extend(entry["swap"]["took_ms"].as_f64());
    }
    let which = match compiled {
        Compiled::Anew => "to a version never seen",
        Compiled::Before => "to a version in the cache",
    };
    print(&format!("swap {which}, from the file's last write to the API"), &mut seen, "ms");
    print(&format!("swap {which}, as the server tells it"), &mut told, "ms");
}

/// A custom section that makes the component's bytes new to this run's cache, and to the last's.
fn mark(round: u8) -> Vec<u8> {
    let now = std::time::UNIX_EPOCH.elapsed().expect("a clock").as_nanos().to_le_bytes();
    let mut section = vec![0, 22, 4, b'm', b'a', b'r', b'k', round];
    section.extend_from_slice(&now);
    section
}

fn print(label: &str, figures: &mut [f64], unit: &str) {
    figures.sort_by(f64::total_cmp);
    let (first, last) = (figures[0], figures[figures.len() - 1]);
    println!(
        "{label}: median {:.1} {unit} ({first:.1} to {last:.1}, {} runs)",
        figures[figures.len() / 2],
        figures.len()
    );
}

fn component(path: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).expect("a built component")
}

/// A folder of its own with the three examples.
fn plugins() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tidegate-footprint-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    for name in ["chat", "token-auth", "level-filter"] {
        let bytes = component(&format!("plugins/examples/{name}/{name}.wasm"));
        std::fs::write(folder.join(format!("{name}.wasm")), bytes).expect("a plugin");
    }
    folder
}

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(plugins: &Path) -> Self {
        Self::start_with(plugins, &[])
    }

    fn start_with(plugins: &Path, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.args(["--listen", "127.0.0.1:0", "--shards", "2", "--plugins"]).arg(plugins).args(more);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the server");
        let mut log = BufReader::new(child.stderr.take().expect("its log")).lines().map_while(Result::ok);
        let address = log
            .find_map(|line| {
                let rest = line.split_once("listening on http://")?.1;
                Some(rest.split_once(' ')?.0.to_owned())
            })
            .expect("the server listens");
        // Read on, so that the server never waits for its log.
        std::thread::spawn(move || log.for_each(drop));
        Self { child, address }
    }

    fn websocket(&self) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        let request = "GET /ws HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("a handshake");
        let mut head = [0; 512];
        let read = stream.read(&mut head).expect("an answer");
        assert!(head[..read].starts_with(b"HTTP/1.1 101"));
        stream
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address)
            .expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// What the server's API tells of a plugin.
    fn plugin(&self, plugin: &str) -> Value {
        let answer = self.get("/api/plugins");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let report: Value = serde_json::from_str(body).expect("JSON");
        let plugins = report["plugins"].as_array().expect("a list");
        plugins.iter().find(|entry| entry["name"] == plugin).expect("it is there").clone()
    }

    /// Seconds of user and system time so far.
    fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("/proc");
        let after_name = stat.rsplit_once(')').expect("a name").1;
        let ticks = after_name.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().expect("ticks"));
        ticks.sum::<u64>() as f64 / 100.0
    }

    fn resident_kib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("/proc");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
