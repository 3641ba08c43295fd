//! The commands, run as a person runs them.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::harness::cli::{self, command, run, run_with};
use crate::harness::{Client, Server, within};

/// `tidegate subscribe`, while it prints.
struct Subscriber {
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Subscriber {
    fn new(server: &Server, arguments: &[&str]) -> Self {
        let mut command = Command::from(command());
        command.arg("subscribe").args(arguments).args(["--url", &server.url("/ws")]);
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { lines, _child: child }
    }

    async fn next(&mut self) -> Value {
        let line = within("a line", self.lines.next_line()).await.unwrap().expect("it goes on");
        serde_json::from_str(&line).unwrap()
    }
}

// === publish, subscribe ===

#[tokio::test]
async fn publish_says_what_became_of_it_and_subscribe_prints_it() {
    let server = Server::with(&[]);
    let url = server.url("/ws");
    let mut subscriber = Subscriber::new(&server, &["room", "other"]);
    assert_eq!(subscriber.next().await, json!({ "type": "subscribed", "channel": "room" }));
    assert_eq!(subscriber.next().await, json!({ "type": "subscribed", "channel": "other" }));

    let said = run(&["publish", "room", r#"{"text":"hi"}"#, "--event", "said", "--url", &url]);
    assert_eq!((said.code, &*said.stderr), (Some(0), ""));
    let answer: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(answer, json!({ "type": "published", "channel": "room", "offset": 1, "id": 1 }));
    let got = subscriber.next().await;
    assert_eq!((&got["data"], &got["event"]), (&json!({ "text": "hi" }), &json!("said")), "{got}");

    run(&["publish", "other", "just words", "--url", &url]);
    assert_eq!(subscriber.next().await["data"], "just words");
}

#[tokio::test]
async fn subscribe_takes_a_filter() {
    let server = Server::with(&["level-filter"]);
    let mut subscriber = Subscriber::new(&server, &["logs", "--filter", "level", r#"{"min":"error"}"#]);
    subscriber.next().await;
    let mut client = Client::connect(&server).await;
    client.publish("logs", json!({ "level": "info" })).await;
    client.publish("logs", json!({ "level": "error" })).await;
    assert_eq!(subscriber.next().await["data"]["level"], "error");
}

#[tokio::test]
async fn subscribe_takes_a_policy() {
    let config = "[[channel]]\npattern = 'feed'\nslow_choice = false";
    let server = Server::builder().config(config).start();
    let mut subscriber = Subscriber::new(&server, &["feed", "--policy", "latest"]);
    assert_eq!(subscriber.next().await["code"], "invalid_params");
    let mut subscriber = Subscriber::new(&server, &["feed", "--policy", "disconnect"]);
    assert_eq!(subscriber.next().await["type"], "subscribed");
    let said = run(&["subscribe", "feed", "--policy", "pause"]);
    assert!(said.stderr.contains("[possible values: disconnect, drop_oldest, latest]"), "{said:?}");
}

#[tokio::test]
async fn a_token_names_who_publishes() {
    let server = Server::with(&["token-auth"]);
    let url = server.url("/ws");
    let mut client = Client::connect(&server).await;
    client.subscribe("room").await;
    let token = cli::token(&["ada"]);
    run(&["publish", "room", "1", "--token", &token, "--url", &url]);
    assert_eq!(client.expect("data").await["sender"], "ada");
    run_with(&["publish", "room", "2", "--url", &url], &[("TIDEGATE_TOKEN", &token)]);
    assert_eq!(client.expect("data").await["sender"], "ada");
}

#[tokio::test]
async fn a_token_may_end() {
    let server = Server::with(&["token-auth"]);
    let mut client = Client::with_token(&server, &cli::token(&["ada", "--expires-in", "2"])).await;
    client.expect("expiring").await;
    assert_eq!(client.closed().await.0, 4001);
}

// === errors, read aloud ===

fn fails_with(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let said = run_with(arguments, environment);
    assert_eq!((said.code, &*said.stdout), (Some(1), ""), "{said:?}");
    said.stderr
}

#[tokio::test]
async fn what_the_server_refuses_is_said_in_its_words() {
    let server = Server::with(&["chat", "token-auth"]);
    let url = server.url("/ws");
    assert_eq!(
        fails_with(&["publish", "chat:a", r#"{"text":""}"#, "--url", &url], &[]),
        "tidegate: Say something: the text is empty.\n"
    );
    assert_eq!(
        fails_with(&["publish", "room", "1", "--token", "nonsense", "--url", &url], &[]),
        "tidegate: the server closed the connection with 4001: The token is malformed.\n"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_to_be_missing() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = fails_with(&["publish", "room", "1", "--url", &format!("ws://{free}/ws")], &[]);
    assert!(text.starts_with(&format!("tidegate: cannot reach {free}: is the server running?: ")), "{text}");
    assert_eq!(
        fails_with(&["subscribe", "room", "--url", "http://localhost/ws"], &[]),
        "tidegate: http://localhost/ws does not begin with ws://\n"
    );
    let server = Server::with(&[]);
    let text = fails_with(&["publish", "room", "1", "--url", &server.url("/nothing")], &[]);
    assert!(text.starts_with("tidegate: ws://") && text.contains("is no WebSocket"), "{text}");
}

#[tokio::test]
async fn a_filter_that_is_no_json_is_said_so() {
    let text = fails_with(&["subscribe", "logs", "--filter", "level", "{"], &[]);
    assert!(text.starts_with("tidegate: the filter's parameters are not JSON: "), "{text}");
}

#[tokio::test]
async fn two_servers_on_one_port_are_an_error() {
    let server = Server::with(&[]);
    let address = server.address.to_string();
    let plugins = server.plugins_dir.to_str().unwrap();
    let text = fails_with(&["--listen", &address, "--plugins", plugins], &[]);
    assert!(
        text.contains(&format!("cannot listen on {address}: is another server running there?")),
        "{text}"
    );
    Client::connect(&server).await.ping().await;
}

// === configuration ===

#[tokio::test]
async fn the_default_configuration_is_printed_and_valid() {
    let said = run(&["config", "default"]);
    assert_eq!((said.code, &*said.stderr), (Some(0), ""));
    let defaults: toml::Table = said.stdout.parse().unwrap();
    assert_eq!(defaults["limits"]["message_bytes"].as_integer(), Some(65_536));

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tidegate.toml");
    std::fs::write(&file, &said.stdout).unwrap();
    let said = run(&["config", "check", file.to_str().unwrap()]);
    assert_eq!((said.code, &*said.stdout, &*said.stderr), (Some(0), "The configuration is valid.\n", ""));
}

#[tokio::test]
async fn a_wrong_configuration_names_what_is_wrong_and_where() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tidegate.toml");
    let path = file.to_str().unwrap();
    for (toml, words) in [
        ("listn = 'x'", &["tidegate.toml", "listn", "line 1"][..]),
        ("[limits]\nmessage_bytes = 'many'", &["tidegate.toml", "message_bytes", "line 2"]),
        ("[limits]\nmessage_bytes = 0", &["limits.message_bytes", "at least 1"]),
        ("listen = 'here'", &["listen", "here", "127.0.0.1:8000"]),
        ("shards = 0", &["shards", "1 to 256"]),
        ("[[channel]]\npattern = 'a*b'", &["a*b", "no channel pattern"]),
        ("[[channel]]\npattern = '*'\nslow = 'never'", &["never", "disconnect", "drop_oldest"]),
        ("[[channel]]\npattern = '*'\nlatest_key = 'symbol'", &["`*` latest_key", "symbol", "JSON pointer"]),
        (
            "[[channel]]\npattern = '*'\nslow_choice = false\nlatest_key = '/symbol'",
            &["`*` latest_key", "slow_choice"],
        ),
        (
            "[[channel]]\npattern = '*'\nslow = 'latest'\npayloads = ['text']\nlatest_key = '/symbol'",
            &["`*` latest_key", "payloads"],
        ),
        ("[plugins.Chat]\nstores = 1", &["plugins.Chat", "a-z"]),
        ("[plugins.chat]\nleave_grace_secs = 0", &["plugins.chat.leave_grace_secs", "1 to 3600"]),
        ("[plugins.chat]\nleave_grace_secs = 3601", &["plugins.chat.leave_grace_secs", "1 to 3600"]),
        ("= 1", &["tidegate.toml"]),
    ] {
        std::fs::write(&file, toml).unwrap();
        let text = fails_with(&["config", "check", path], &[]);
        assert!(text.starts_with("tidegate: "), "{text}");
        for word in words {
            assert!(text.contains(word), "`{word}` for {toml}: {text}");
        }
    }
    let text = fails_with(&["config", "check", "/nowhere/tidegate.toml"], &[]);
    assert!(
        text.starts_with("tidegate: cannot read the configuration file /nowhere/tidegate.toml"),
        "{text}"
    );
}

#[tokio::test]
async fn a_wrong_variable_is_named() {
    for (name, value) in
        [("TIDEGATE_LISTN", "x"), ("TIDEGATE_LIMITS__MESSAGE_BYTES", "many"), ("TIDEGATE_LIMITS", "5")]
    {
        let text = fails_with(&["config", "check"], &[(name, value)]);
        assert!(text.contains(name), "{text}");
    }
    let said = run_with(&["config", "check"], &[("TIDEGATE_LIMITS__MESSAGE_BYTES", "1024")]);
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[tokio::test]
async fn help_shows_how_it_is_used() {
    let said = run(&["--help"]);
    assert_eq!(said.code, Some(0));
    for word in ["serve", "publish", "subscribe", "token", "config", "tidegate subscribe chat:lobby"] {
        assert!(said.stdout.contains(word), "{word}");
    }
    assert!(run(&["--version"]).stdout.starts_with("tidegate "));
}
