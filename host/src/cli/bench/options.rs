//! Options that scenarios share.

use std::path::PathBuf;

use clap::Args;

use super::dialect::Dialect;

/// Which server is measured. Without `--url` one is started for each run and ended after it.
#[derive(Args, Clone, Debug)]
pub struct TargetOptions {
    /// A server that runs already, such as ws://127.0.0.1:8000/ws; without a path the dialect's own
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Its process on this machine, to read CPU and memory from
    #[arg(long, requires = "url")]
    pub pid: Option<u32>,
    /// What it is spoken to in
    #[arg(long, value_enum, default_value = "native", requires = "url")]
    pub dialect: Dialect,
    /// A token of who the clients are
    #[arg(long, env = "TIDEGATE_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// A Pusher application's key and secret
    #[arg(long, value_name = "KEY:SECRET", default_value = "app-key:app-secret")]
    pub secret: String,
    /// Threads of the server that is started: with one, the client has the other core of two
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "url")]
    pub shards: usize,
    /// The configuration of the server that is started, instead of the scenario's own
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    pub config: Option<PathBuf>,
    /// Where the plugins are that a scenario needs
    #[arg(long, value_name = "DIR", default_value = "plugins/examples", conflicts_with = "url")]
    pub plugins: PathBuf,
}

/// How messages are published.
#[derive(Args, Clone, Debug)]
pub struct LoadOptions {
    /// Closed loop: messages in flight, of each publisher [default: 64]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000), conflicts_with = "rate")]
    pub window: Option<u64>,
    /// Open loop: messages a second, of all publishers together, whatever becomes of them.
    /// Latencies count from when a message was due, not from when it could be sent
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub rate: Option<u64>,
    /// Messages a run, after a tenth of it as warm-up
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000), conflicts_with = "seconds")]
    pub messages: Option<u64>,
    /// Seconds a run instead, after a tenth of it as warm-up; the load keeps 8 bytes a message
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: Option<u64>,
    /// Bytes of a message's data
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(64..=60_000))]
    pub bytes: u32,
}

/// What is printed.
#[derive(Args, Clone, Debug)]
pub struct OutputOptions {
    /// So many runs; the table shows medians and the spread
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub runs: u32,
    /// One JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Connections on their way in, at most.
#[derive(Args, Clone, Debug)]
pub struct CrowdOptions {
    /// Connections on their way in at once
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub at_once: u32,
}
