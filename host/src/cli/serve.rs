//! `tidegate serve`

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::live::{self, Live};
use crate::config::{self, Overrides};
use crate::server::{self, Server};

#[derive(Args)]
pub struct Serve {
    /// Address and port [default: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The folder of plugins, watched [default: plugins/examples]
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
    /// A configuration file; `tidegate config default` prints one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Threads [default: one a core]
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
    /// Serve this application in the Pusher Channels protocol, for a quick start
    #[arg(long, value_name = "ID:KEY:SECRET")]
    pusher_app: Option<String>,
}

impl Serve {
    pub fn run(self) -> Result<()> {
        let began = Instant::now();
        log_to_stderr();
        let flags = Overrides {
            listen: self.listen,
            plugins_dir: self.plugins,
            shards: self.shards,
            pusher_app: self.pusher_app,
        };
        let live = self.config.clone().map(|file| Live::new(file, flags.clone()));
        let config = config::load(self.config.as_deref(), config::environment(), &flags)?;
        crate::cli::descriptors::raise_limit();
        let goodbye = Goodbye::listen()?;
        let server = server::serve(&config)?;
        tracing::info!(
            "listening on http://{} (playground there, WebSocket at ws://{}/ws), ready in {} ms",
            server.address,
            server.address,
            began.elapsed().as_millis()
        );
        goodbye.wait(live, &server);
        tracing::info!("going away: telling the clients");
        server.stop()
    }
}

pub fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("TIDEGATE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
}

/// SIGTERM or Ctrl-C, and SIGHUP, on which the configuration is read again. Heard from before the server
/// says that it is there.
pub struct Goodbye {
    runtime: tokio::runtime::Runtime,
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Goodbye {
    pub fn listen() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let inside = runtime.enter();
        let terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
        let hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
        drop(inside);
        Ok(Self { runtime, terminate, interrupt, hangup })
    }

    /// Meanwhile the configuration file is looked at, if there is one.
    pub fn wait(mut self, mut live: Option<Live>, server: &Server) {
        self.runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = self.terminate.recv() => return,
                    _ = self.interrupt.recv() => return,
                    _ = self.hangup.recv() => match &mut live {
                        Some(live) => live.read(server),
                        // Nothing to read: it means what it always has, that the terminal is gone.
                        None => return,
                    },
                    () = tokio::time::sleep(live::EVERY), if live.is_some() => {
                        if let Some(live) = &mut live {
                            live.look(server);
                        }
                    }
                }
            }
        });
    }
}
