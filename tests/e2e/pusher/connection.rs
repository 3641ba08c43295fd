//! Connecting, staying and being sent away.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{KEY, PATH, Pusher, SECRET, config, server};
use crate::harness::client::Arrived;
use crate::harness::wait::eventually;
use crate::harness::{Client, Raw, Server, cli, http, raw};

#[tokio::test]
async fn the_first_frame_says_who_one_is() {
    let server = Server::builder().config(&config("activity_timeout_secs = 77")).start();
    let (mut client, _) = Client::open(&server, PATH, &[]).await;
    let hello = client.next_json().await;
    let data: Value = serde_json::from_str(hello["data"].as_str().unwrap()).unwrap();
    assert_eq!(data["activity_timeout"], 77);
    let id = data["socket_id"].as_str().unwrap();
    let (one, two) = id.split_once('.').unwrap();
    assert!(
        [one, two].iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())),
        "{id}"
    );
    let other = Pusher::connect(&server).await;
    assert_ne!(other.socket_id, id);
}

#[tokio::test]
async fn pings_of_both_kinds_are_answered() {
    let server = server();
    let mut pusher = Pusher::connect(&server).await;
    pusher.silent().await;
    // An answer to the server's own ping is nothing to answer.
    pusher.send("pusher:pong", json!({})).await;
    pusher.silent().await;
    let mut raw = Raw::tcp(&server).await;
    raw.write(raw::handshake().replace("/ws", PATH).as_bytes()).await;
    raw.read_head().await;
    raw.next().await;
    raw.send(raw::PING, b"here?").await;
    let pong = raw.next().await;
    assert_eq!((pong.opcode(), &pong.payload[..]), (raw::PONG, &b"here?"[..]));
}

/// Why it is sent away: the error frame and the close say the same.
async fn turned_away(server: &Server, path: &str) -> u16 {
    let (mut client, _) = Client::open(server, path, &[]).await;
    let error = client.next_json().await;
    assert_eq!(error["event"], "pusher:error", "{error}");
    let Arrived::Closed(code, reason) = client.next().await else { panic!("no close") };
    assert_eq!(error["data"], json!({ "code": code, "message": reason }));
    code
}

#[tokio::test]
async fn who_cannot_be_served_is_told_so_after_the_upgrade() {
    let server = server();
    for (path, code) in [
        ("/app/unknown?protocol=7", 4001),
        (&format!("/app/{KEY}x?protocol=7"), 4001),
        (&format!("/app/{KEY}"), 4008),
        (&format!("/app/{KEY}?protocol=seven"), 4006),
        (&format!("/app/{KEY}?protocol=4"), 4007),
        (&format!("/app/{KEY}?protocol=8"), 4007),
    ] {
        assert_eq!(turned_away(&server, path).await, code, "{path}");
    }
    for version in [5, 6, 7] {
        Pusher::at(&server, &format!("/app/{KEY}?protocol={version}&other=1")).await;
    }
}

#[tokio::test]
async fn one_more_than_the_quota_is_turned_away_until_one_leaves() {
    let server = Server::builder().config(&config("max_connections = 2")).start();
    let (first, _second) = (Pusher::connect(&server).await, Pusher::connect(&server).await);
    assert_eq!(turned_away(&server, PATH).await, 4004);
    first.gone().await;
    // The client's end may be the first to know.
    eventually("a place that is free again", async || {
        let (mut client, _) = Client::open(&server, PATH, &[]).await;
        (client.next_json().await["event"] == "pusher:connection_established").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_full_server_asks_to_come_back_in_a_while() {
    let server =
        Server::builder().config(&format!("{}[limits]\nconnections = 1", config(""))).shards(1).start();
    let _first = Pusher::connect(&server).await;
    assert_eq!(turned_away(&server, PATH).await, 4100);
}

#[tokio::test]
async fn without_an_app_nothing_is_served() {
    let server = Server::with(&[]);
    assert_eq!(http::get(&server, PATH).await.status, 404);
    assert!(Client::try_open(&server, PATH, &[]).await.is_err());
}

#[tokio::test]
async fn the_path_is_a_websocket_alone() {
    let server = server();
    assert_eq!(http::get(&server, PATH).await.status, 426);
    assert_eq!(http::post(&server, PATH, "").await.status, 405);
    assert_eq!(http::get(&server, "/app/").await.status, 404);
    assert_eq!(http::get(&server, &format!("/app/{KEY}/x")).await.status, 404);
}

#[tokio::test]
async fn a_server_that_goes_away_asks_to_come_back_at_once() {
    let mut server = server();
    let mut pusher = Pusher::connect(&server).await;
    server.terminate();
    let (code, _) = pusher.error().await;
    assert_eq!(code, Some(4200));
    assert!(matches!(pusher.client.next().await, Arrived::Closed(4200, _)));
    assert!(server.ended().await.success());
}

#[tokio::test]
async fn who_does_not_answer_is_gone_with_4201() {
    let more = "[heartbeat]\ninterval_secs = 1\nmissed = 1";
    let server = Server::builder().config(&format!("{}{more}", config(""))).start();
    let mut raw = Raw::tcp(&server).await;
    raw.write(raw::handshake().replace("/ws", PATH).as_bytes()).await;
    raw.read_head().await;
    assert_eq!(raw.next().await.json()["event"], "pusher:connection_established");
    assert_eq!(raw.next().await.json()["data"]["code"], 4201);
    assert_eq!(raw.closed().await.0, 4201);
}

#[tokio::test]
async fn a_clients_own_close_comes_back_with_its_code() {
    use tokio_tungstenite::tungstenite::protocol::CloseFrame;
    let server = server();
    let mut pusher = Pusher::connect(&server).await;
    let close = CloseFrame { code: 1001.into(), reason: "".into() };
    pusher.client.send_message(Message::Close(Some(close))).await;
    assert_eq!(pusher.client.next().await, Arrived::Closed(1001, String::new()));
}

#[tokio::test]
async fn the_api_disconnects_for_good() {
    let server = server();
    let mut pusher = Pusher::connect(&server).await;
    let list = http::get(&server, "/api/connections").await.json();
    let client = list["connections"][0]["client"].clone();
    let answer = http::post(&server, "/api/disconnect", &json!({ "client": client }).to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(pusher.error().await.0, Some(4009));
    assert!(matches!(pusher.client.next().await, Arrived::Closed(4009, _)));
}

#[tokio::test]
async fn a_flag_is_enough_for_a_quick_start() {
    let app = format!("3:{KEY}:{SECRET}");
    let server = Server::builder().flags(&["--pusher-app", &app]).start();
    let (mut ada, mut bob) = (Pusher::connect(&server).await, Pusher::connect(&server).await);
    ada.subscribe("private-x").await;
    bob.subscribe("private-x").await;
    ada.whisper("client-e", "private-x", json!(1)).await;
    assert_eq!(bob.next().await["event"], "client-e");
}

#[tokio::test]
async fn the_secret_may_be_in_the_environment_or_in_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{SECRET}\n")).unwrap();
    let app = |secret: &str| format!("[[pusher.app]]\nid = '3'\nkey = '{KEY}'\n{secret}\n");
    let of_file = app(&format!("secret_file = '{}'", file.path().display()));
    // Its name makes it no setting.
    let of_variable = app("secret_env = 'TIDEGATE_APP_SECRET'");
    for server in [
        Server::builder().config(&of_file),
        Server::builder().config(&of_variable).env("TIDEGATE_APP_SECRET", SECRET),
    ] {
        let server = server.start();
        Pusher::connect(&server).await.subscribe("private-x").await;
    }
}

#[test]
fn senseless_settings_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tidegate.toml");
    let app =
        |id: &str, more: &str| format!("[[pusher.app]]\nid = '{id}'\nkey = 'k{id}'\nsecret = 's'\n{more}\n");
    for (toml, words) in [
        (app("a", ""), "id = \"a\""),
        (app("1", "max_connections = 0"), "max_connections = 0"),
        (app("1", "limits = { batch = 0 }"), "limits.batch = 0"),
        (app("1", "webhooks = [{ url = 'x' }]"), "webhooks.url"),
        (app("1", "colour = 'red'"), "colour"),
        (app("1", "") + &app("2", ""), "prefix"),
        (
            app("1", "").replace("secret = 's'", "secret_file = '/not/there'"),
            "secret_file: cannot read /not/there",
        ),
        (app("1", "").replace("secret = 's'", "secret_env = 'NOT_THERE'"), "secret_env = \"NOT_THERE\""),
    ] {
        std::fs::write(&file, &toml).unwrap();
        let said = cli::run(&["config", "check", file.to_str().unwrap()]);
        assert!(said.code == Some(1) && said.stderr.contains(words), "{toml}: {said:?}");
    }
    std::fs::write(&file, app("1", "prefix = 'a.'") + &app("2", "prefix = 'b.'")).unwrap();
    assert_eq!(cli::run(&["config", "check", file.to_str().unwrap()]).code, Some(0));
}

#[test]
fn an_app_by_a_flag_is_three_parts() {
    let said = cli::run(&["serve", "--listen", "127.0.0.1:0", "--pusher-app", "1:hunter2"]);
    assert_ne!(said.code, Some(0));
    assert!(said.stderr.contains("ID:KEY:SECRET") && !said.stderr.contains("hunter2"), "{said:?}");
}
