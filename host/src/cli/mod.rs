//! The commands, one file each.

mod api_key;
mod bench;
mod client;
mod config;
mod descriptors;
mod dev;
mod live;
mod plugin;
mod publish;
mod serve;
mod subscribe;
mod token;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// A realtime server: WebSocket channels whose logic is WebAssembly components, replaced
/// while it runs.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Without a command the server is started: these are the options of `serve`.
    #[command(flatten)]
    serve: serve::Serve,
}

const EXAMPLES: &str = "\
Examples:
  tidegate                                       serve on 127.0.0.1:8000 with the example plugins
  tidegate subscribe chat:lobby                  print what the channel says
  tidegate publish chat:lobby '{\"text\":\"hi\"}'    say something
  tidegate subscribe logs --filter level '{\"min\":\"error\"}'";

#[derive(Subcommand)]
enum Command {
    /// Start the server
    Serve(serve::Serve),
    /// Subscribe to channels and print every message, one JSON object a line
    Subscribe(subscribe::Subscribe),
    /// Publish a message and print what became of it
    Publish(publish::Publish),
    /// Make a token that `[jwt]` or the plugin `token-auth` accepts
    Token(token::Token),
    /// Make a key of the server API, and the lines of configuration for it
    ApiKey(api_key::ApiKey),
    /// Put a server under load, and measure it
    Bench(bench::Bench),
    /// Make, check, try, test and measure a plugin
    Plugin(plugin::Plugin),
    /// Serve the plugins of a folder as they are saved: builds, reloads, shows their log
    Dev(dev::Dev),
    /// Check a configuration, or print the default one
    Config(config::Config),
}

/// Runs what the command line asks for.
pub fn run() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.command.unwrap_or(Command::Serve(arguments.serve)) {
        Command::Serve(serve) => serve.run(),
        Command::Subscribe(subscribe) => subscribe.run(),
        Command::Publish(publish) => publish.run(),
        Command::Token(token) => token.run(),
        Command::ApiKey(key) => key.run(),
        Command::Bench(bench) => bench.run(),
        Command::Plugin(plugin) => plugin.run(),
        Command::Dev(dev) => dev.run(),
        Command::Config(config) => config.run(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        super::Arguments::command().debug_assert();
    }
}
