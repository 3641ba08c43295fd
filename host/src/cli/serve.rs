//! `tidegate serve`

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::config::{self, Overrides};
use crate::server;

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
        let config = config::load(self.config.as_deref(), config::environment(), &flags)?;
        super::raise_descriptor_limit();
        let goodbye = Goodbye::listen()?;
        let server = server::serve(&config)?;
        tracing::info!(
            "listening on http://{} (playground there, WebSocket at ws://{}/ws), ready in {} ms",
            server.address,
            server.address,
            began.elapsed().as_millis()
        );
        goodbye.wait();
        tracing::info!("going away: telling the clients");
        server.stop();
        Ok(())
    }
}

pub fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("TIDEGATE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
}

/// SIGTERM or Ctrl-C. Heard from before the server says that it is there.
pub struct Goodbye {
    runtime: tokio::runtime::Runtime,
    terminate: Signal,
    interrupt: Signal,
}

impl Goodbye {
    pub fn listen() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let inside = runtime.enter();
        let terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
        drop(inside);
        Ok(Self { runtime, terminate, interrupt })
    }

    pub fn wait(mut self) {
        self.runtime.block_on(async {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
        });
    }
}
