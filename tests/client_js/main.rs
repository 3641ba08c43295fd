//! The client library in `clients/js`: its own tests, then the same scenarios with a real server
//! in Node and in a real browser.

#[path = "../harness/mod.rs"]
mod harness;

use std::time::Duration;

use tokio::process::Command;
use tokio::sync::OnceCell;

use harness::{Server, node, plugins};

const FOLDER: &str = "clients/js";
/// Compiles, checks types, and runs tests that wait for real timers here and there.
const NPM: Duration = Duration::from_secs(180);
/// A little more than the browser gets: see `tests/browser/chromium`.
const LIVE: Duration = Duration::from_secs(75);
/// The tokens of two users, for `test-auth`.
const TOKENS: &str = "ada bob";

#[tokio::test]
async fn its_own_tests_pass() {
    if let Err(how) = npm_test().await {
        panic!("{how}");
    }
}

#[tokio::test]
async fn a_page_downloads_no_more_than_the_budget_says() {
    built().await;
    let mut command = node::command("node", FOLDER);
    command.arg("scripts/size.mjs");
    well(command, LIVE).await;
}

#[tokio::test]
async fn the_playground_has_the_client_as_it_is_now() {
    built().await;
    let fresh = std::fs::read(plugins::root().join(FOLDER).join("dist/tidegate.js")).unwrap();
    let served = std::fs::read(plugins::root().join("host/src/server/console/tidegate.js")).unwrap();
    assert!(fresh == served, "the playground's client is another: `npm run console` in {FOLDER}");
}

#[tokio::test]
async fn clients_in_node_keep_their_promises() {
    built().await;
    let server = server();
    let mut command = node::command("node", FOLDER);
    command.args(["--test", "test/live.test.mjs"]);
    command.env("TIDEGATE_URL", server.url("/ws")).env("TIDEGATE_TOKENS", TOKENS);
    let said = well(command, LIVE).await;
    assert!(said.contains("# skipped 0"), "{said}");
}

#[tokio::test]
async fn clients_in_a_browser_keep_their_promises() {
    built().await;
    let server = server();
    let mut command = node::command("node", "tests/browser");
    command.arg("../client_js/browser.mjs").arg(format!("http://{}/", server.address)).arg(TOKENS);
    well(command, LIVE).await;
}

/// The channels that `clients/js/test/scenarios.mjs` asks for.
fn server() -> Server {
    let config = r#"
        [[channel]]
        pattern = "room:*"
        history = { messages = 10000, bytes = 33554432 }
        [[channel]]
        pattern = "ring:*"
        history = { messages = 5 }
        [[channel]]
        pattern = "$user:*"
        publish = "anyone"
        history = { messages = 100 }
        [users.queue]
    "#;
    Server::builder().plugins(&["test-auth"]).config(config).start()
}

/// `npm test` builds what the other tests load: once, and before them.
async fn npm_test() -> &'static Result<String, String> {
    static BUILT: OnceCell<Result<String, String>> = OnceCell::const_new();
    let npm = async || {
        let mut command = node::command("npm", FOLDER);
        command.arg("test").env_remove("TIDEGATE_URL");
        node::run(command, NPM).await
    };
    BUILT.get_or_init(npm).await
}

async fn built() {
    assert!(npm_test().await.is_ok(), "`npm test` failed: `its_own_tests_pass` says how");
}

async fn well(command: Command, bound: Duration) -> String {
    node::run(command, bound).await.unwrap_or_else(|how| panic!("{how}"))
}
