//! The server under load: one that runs, or this program's own, started for a run.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::options::TargetOptions;
use super::process::Process;
use super::swarm::Door;

/// What a scenario needs of a server that is started for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs<'a> {
    /// Plugins, by their files' names without `.wasm`.
    pub plugins: &'a [&'a str],
    /// TOML.
    pub config: &'static str,
}

/// A server while it is measured.
pub struct Target {
    pub process: Option<Process>,
    address: SocketAddr,
    request: Vec<u8>,
    _own: Option<Own>,
}

/// A server of ours, ended when dropped.
struct Own {
    child: Child,
    dir: PathBuf,
}

impl Target {
    /// # Errors
    /// If the URL is none, the process is not there, or the server does not start.
    pub fn reach(options: &TargetOptions, needs: Needs<'_>) -> Result<Self> {
        let Some(url) = &options.url else {
            let (own, address) = Own::start(options, needs)?;
            let process = Some(Process::of(own.child.id()));
            let request = request(&address.to_string(), options.dialect.path(), options.token.as_deref());
            return Ok(Self { process, address, request, _own: Some(own) });
        };
        let uri: hyper::Uri = url.parse().with_context(|| format!("{url} is not a URL"))?;
        ensure!(uri.scheme_str() == Some("ws"), "{url} does not begin with ws://");
        let host = uri.host().with_context(|| format!("{url} names no host"))?;
        let port = uri.port_u16().unwrap_or(80);
        let address = (host.trim_matches(['[', ']']), port)
            .to_socket_addrs()
            .with_context(|| format!("{host} is not known"))?
            .next()
            .with_context(|| format!("{host} has no address"))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path = if path == "/" { options.dialect.path() } else { path };
        let process = match options.pid {
            Some(pid) if !Process::of(pid).is_there() => bail!("no process {pid} is known on this machine"),
            pid => pid.map(Process::of),
        };
        let request = request(&format!("{host}:{port}"), path, options.token.as_deref());
        Ok(Self { process, address, request, _own: None })
    }

    pub fn door(&self) -> Door {
        Door { address: self.address, request: self.request.clone() }
    }
}

/// A handshake; the key is the one of RFC 6455's example, because nobody here checks the answer's.
fn request(host: &str, path: &str, token: Option<&str>) -> Vec<u8> {
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{authorization}\r\n"
    )
    .into_bytes()
}

impl Own {
    fn start(options: &TargetOptions, needs: Needs<'_>) -> Result<(Self, SocketAddr)> {
        let dir = folder()?;
        for name in needs.plugins {
            let file = plugin(&options.plugins, name)?;
            std::fs::copy(&file, dir.join(format!("{name}.wasm")))
                .with_context(|| format!("cannot copy {}", file.display()))?;
        }
        let program = std::env::current_exe().context("this program's file is not known")?;
        let mut command = Command::new(program);
        command.args(["serve", "--listen", "127.0.0.1:0", "--shards", &options.shards.to_string()]);
        command.arg("--plugins").arg(&dir);
        if let Some(config) = &options.config {
            command.arg("--config").arg(config);
        } else if !needs.config.is_empty() {
            let file = dir.join("bench.toml");
            std::fs::write(&file, needs.config)?;
            command.arg("--config").arg(file);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start a server")?;
        let mut own = Self { child, dir };
        let address = own.listening()?;
        Ok((own, address))
    }

    fn listening(&mut self) -> Result<SocketAddr> {
        let log = self.child.stderr.take().context("a server without a log")?;
        let mut lines = BufReader::new(log).lines().map_while(Result::ok);
        let mut said = Vec::new();
        let address = lines.find_map(|line| {
            let address = line.split_once("listening on http://").map(|(_, rest)| rest.to_owned());
            said.push(line);
            address
        });
        let Some(address) = address else { bail!("the server did not start:\n{}", said.join("\n")) };
        // It serves without a plugin that it refuses, and would be measured without it.
        let refusal = said.iter().find_map(|line| line.split_once(": refused ").map(|(_, why)| why));
        if let Some(why) = refusal {
            bail!("the server refuses a plugin: {why}");
        }
        // Read on, so that the server never waits for its log.
        std::thread::spawn(move || lines.for_each(drop));
        let address = address.split(' ').next().unwrap_or_default();
        address.parse().with_context(|| format!("the server listens on {address}, which is no address"))
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A new folder for a server's plugins.
fn folder() -> Result<PathBuf> {
    for n in 0..1000 {
        let dir = std::env::temp_dir().join(format!("tidegate-bench-{}-{n}", std::process::id()));
        match std::fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("cannot make {}", dir.display())),
        }
    }
    bail!("{} is full of folders of former benchmarks", std::env::temp_dir().display())
}

/// A plugin's file: in the folder, or in one of its own there, as the examples are.
fn plugin(folder: &Path, name: &str) -> Result<PathBuf> {
    let file = format!("{name}.wasm");
    let places = [folder.join(&file), folder.join(name).join(&file)];
    let found = places.iter().find(|place| place.is_file());
    found.cloned().with_context(|| {
        format!("no {file} in {}: run scripts/build-plugins, or say --plugins DIR", folder.display())
    })
}
