//! The Pusher protocol's own clients, from their registries, against the real server.

#[path = "../harness/mod.rs"]
mod harness;

mod sdks;

use std::time::Duration;

use harness::{Server, node};

const FOLDER: &str = "tests/pusher";
/// Each test waits for ten seconds at most.
const BOUND: Duration = Duration::from_secs(120);
const APP: &str = "
    [[pusher.app]]
    id = 1
    key = 'app-key'
    secret = 'app-secret'
    client_events = true
    subscription_count = true
";

#[tokio::test]
async fn pusher_js_works_as_it_is() {
    let server = Server::builder().config(APP).start();
    well(&server, "pusher-js.test.mjs").await;
}

async fn well(server: &Server, tests: &str) {
    let mut command = node::command("node", FOLDER);
    // The library leaves timers behind.
    command.args(["--test", "--test-force-exit", tests]);
    command
        .env("PUSHER_SERVER", format!("http://{}", server.address))
        .env("PUSHER_APP", "app-key:app-secret");
    let said = node::run(command, BOUND).await.unwrap_or_else(|how| panic!("{how}"));
    assert!(said.contains("# skipped 0") && said.contains("# fail 0"), "{said}");
}
