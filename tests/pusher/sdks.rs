//! The SDKs for servers and Laravel Echo, from their registries, against the real server.

use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::process::Command;

use super::harness::plugins::root;
use super::harness::wait::{LONG, eventually_in};
use super::harness::{Client, Server, http, node};
use super::{BOUND, FOLDER, well};

/// Takes a token for a user's name: what `/broadcasting/auth` asks.
const AUTH: &str = "test-auth";

fn server(more: &str) -> Server {
    let app = super::APP;
    Server::builder().config(&format!("{app}\nauth_endpoint = true\n{more}")).plugins(&[AUTH]).start()
}

#[tokio::test]
async fn the_sdk_for_node_works_as_it_is() {
    // Free now, and taken by the test's own server at once.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = server(&format!("webhooks = [{{ url = 'http://127.0.0.1:{port}/hooks' }}]"));
    let mut command = command("node", &server);
    command.args(["--test", "server-sdk.test.mjs"]).env("WEBHOOK_PORT", port.to_string());
    let said = node::run(command, BOUND).await.unwrap_or_else(|how| panic!("{how}"));
    assert!(said.contains("# skipped 0") && said.contains("# fail 0"), "{said}");
}

#[tokio::test]
async fn the_sdk_for_python_works_as_it_is() {
    let python = root().join("target/pusher-python/bin/python");
    assert!(python.is_file(), "no {}: run scripts/setup", python.display());
    let server = server("");
    let mut listener = Listener::start(&server).await;
    let mut command = command(python.to_str().unwrap(), &server);
    command.arg("sdk.py");
    let said = node::run(command, BOUND).await.unwrap_or_else(|how| panic!("{how}"));
    assert!(said.contains("all of it works"), "{said}");
    listener.expect_what_the_sdks_send().await;
}

/// Packagist is not to be reached from everywhere, so the SDK may not be there.
#[tokio::test]
async fn the_sdk_for_php_works_as_it_is() {
    let autoload: PathBuf = root().join("target/pusher-php/vendor/autoload.php");
    if !autoload.is_file() {
        // Past the test runner, which keeps what passing tests say.
        let words =
            "SKIPPED: the SDK for PHP is not here; with composer and Packagist, scripts/setup installs it\n";
        return std::io::stderr().write_all(words.as_bytes()).unwrap();
    }
    let server = server("");
    let mut listener = Listener::start(&server).await;
    let mut command = command("php", &server);
    command.arg("sdk.php").env("PUSHER_AUTOLOAD", autoload);
    let said = node::run(command, BOUND).await.unwrap_or_else(|how| panic!("{how}"));
    assert!(said.contains("all of it works"), "{said}");
    listener.expect_what_the_sdks_send().await;
}

#[tokio::test]
async fn laravel_echo_works_in_node_as_it_is() {
    well(&server(""), "echo.test.mjs").await;
}

#[tokio::test]
async fn laravel_echo_works_in_a_browser_as_it_is() {
    let server = server("");
    let mut command = command("node", &server);
    command.arg("echo.browser.mjs");
    node::run(command, BOUND).await.unwrap_or_else(|how| panic!("{how}"));
}

#[tokio::test]
async fn clients_come_back_or_stay_away_as_the_code_says() {
    let quota = format!("{}\nmax_connections = 1", super::APP);
    let full = format!("{}\n[limits]\nconnections = 1", super::APP);
    for (config, code) in [(quota, "4004"), (full, "4100")] {
        let server = Server::builder().config(&config).shards(1).start();
        let mut command = command("node", &server);
        command.args(["--test", "--test-force-exit", "reconnect.test.mjs"]).env("RECONNECT", code);
        let said = node::run(command, BOUND).await.unwrap_or_else(|how| panic!("{code}: {how}"));
        assert!(said.contains("# pass 1") && said.contains("# fail 0"), "{said}");
    }
}

#[tokio::test]
async fn clients_come_back_to_a_server_that_was_started_again() {
    let mut server = server("");
    let mut command = command("node", &server);
    // The library waits for 15 seconds where nobody listens.
    command.args(["--test", "--test-force-exit", "restart.test.mjs"]).env("BOUND_MS", "60000");
    let client = tokio::spawn(async move { node::run(command, BOUND).await });
    until_subscribed(&server).await;
    server.terminate();
    server.ended().await;

    let server = Server::builder().config(super::APP).listen(server.address).start();
    until_subscribed(&server).await;
    let news = json!({ "channel": "my-channel", "event": "news", "data": { "n": 1 } });
    http::post(&server, "/api/publish", &news.to_string()).await;
    let said = client.await.unwrap().unwrap_or_else(|how| panic!("{how}"));
    assert!(said.contains("# pass 1") && said.contains("# fail 0"), "{said}");
}

async fn until_subscribed(server: &Server) {
    eventually_in(LONG, "a subscriber", async || {
        let channels = http::get(server, "/api/channels").await.json();
        (channels["channels"][0]["subscribers"] == 1).then_some(())
    })
    .await;
}

fn command(program: &str, server: &Server) -> Command {
    let mut command = node::command(program, FOLDER);
    command
        .env("PUSHER_SERVER", format!("http://{}", server.address))
        .env("PUSHER_APP", "app-key:app-secret");
    command
}

/// Native clients, in the channels that `sdk.py` and `sdk.php` speak of.
struct Listener {
    room: Client,
    _members: Vec<Client>,
}

impl Listener {
    async fn start(server: &Server) -> Self {
        let mut room = Client::connect(server).await;
        room.subscribe("room").await;
        let mut members = Vec::new();
        for user in ["ada", "ada", "bob"] {
            let mut member = Client::with_token(server, user).await;
            member.subscribe("presence-room").await;
            member.ask(json!({ "type": "join", "channel": "presence-room" })).await;
            members.push(member);
        }
        Self { room, _members: members }
    }

    async fn expect_what_the_sdks_send(&mut self) {
        let said = |event: &str, data: Value| (event.to_owned(), data);
        let mut expected =
            vec![said("App\\Events\\Said", json!({ "list": [1, "ü"] })), said("e", json!("just text"))];
        expected.extend((0..3).map(|n| said("b", json!({ "n": n }))));
        for one in expected {
            let mut frame = self.room.expect("data").await;
            assert_eq!((frame["event"].as_str().unwrap().to_owned(), frame["data"].take()), one);
        }
        self.room.ping().await;
        assert!(self.room.left_over().is_empty());
    }
}
