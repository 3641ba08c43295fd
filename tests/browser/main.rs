//! The playground page in a real browser: what a person sees who tries the server.

#[path = "../harness/mod.rs"]
mod harness;

use std::time::Duration;

use harness::{Server, cli, node, plugins};

/// A little more than the browser gets: see `tests/browser/chromium`.
const BOUND: Duration = Duration::from_secs(75);

#[tokio::test]
async fn two_people_use_the_playground() {
    let server = Server::with(&["chat", "token-auth", "level-filter"]);
    let mut command = node::command("node", "tests/browser");
    command.arg("playground.mjs").arg(format!("http://{}/", server.address));
    command.arg("--chat").arg(server.plugin("chat")).arg("--next").arg(plugins::path("chat-v2"));
    command.args([cli::token(&["ada"]), cli::token(&["bob"])]);
    if let Err(how) = node::run(command, BOUND).await {
        panic!("{how}");
    }
}
