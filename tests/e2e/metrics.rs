//! `/metrics`: what operators watch.

use serde_json::json;

use crate::harness::http::{self, get, post};
use crate::harness::{Client, Server, eventually};

/// One sample's value; none where there is no such line.
async fn sample(server: &Server, name: &str) -> Option<f64> {
    let answer = get(server, "/metrics").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let line = answer.body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}

#[tokio::test]
async fn metrics_are_open_metrics() {
    let server = Server::with(&["chat"]);
    let answer = get(&server, "/metrics").await;
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    assert!(answer.body.ends_with("# EOF\n"), "{}", answer.body);
    assert_eq!(answer.body.matches("# EOF").count(), 1);
    for line in answer.body.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("tidegate_") || name.starts_with("process_"), "{line}");
        value.parse::<f64>().unwrap();
    }
    for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"] {
        assert!(sample(&server, name).await.unwrap() > 0.0, "{name}");
    }
    assert_eq!(sample(&server, "tidegate_plugin_generation{plugin=\"chat\"}").await, Some(1.0));
    assert_eq!(sample(&server, "tidegate_plugin_file_refused{plugin=\"chat\"}").await, Some(0.0));
}

#[tokio::test]
async fn what_clients_do_is_counted_on_every_shard() {
    let server = Server::builder().plugins(&["level-filter"]).shards(3).start();
    let mut clients = Vec::new();
    for n in 0..4 {
        let mut client = Client::connect(&server).await;
        match n {
            0 => {
                client
                    .send(json!({ "type": "subscribe", "channel": "room",
                "filter": { "plugin": "level", "params": { "min": "error" } } }))
                    .await
            }
            _ => client.send(json!({ "type": "subscribe", "channel": "room" })).await,
        }
        assert_eq!(client.next_json().await["type"], "subscribed");
        clients.push(client);
    }
    // Three hear it; then all but its publisher.
    clients[1].publish("room", json!({ "level": "info" })).await;
    let quiet = json!({ "type": "publish", "channel": "room", "data": { "level": "fatal" }, "echo": false });
    clients[1].send(quiet).await;
    clients[0].expect("data").await;
    clients[2].expect("data").await;
    clients[2].expect("data").await;
    assert_eq!(clients[1].ask(json!({ "type": "nonsense" })).await["code"], "unknown_type");
    for (name, value) in [
        ("shards", 3.0),
        ("connections", 4.0),
        ("connections_opened_total", 4.0),
        ("channels", 1.0),
        ("subscriptions", 4.0),
        ("messages_published_total", 2.0),
        ("messages_delivered_total", 6.0),
        ("messages_received_total", 7.0),
        ("refusals_total{code=\"unknown_type\"}", 1.0),
    ] {
        assert_eq!(sample(&server, &format!("tidegate_{name}")).await, Some(value), "{name}");
    }
    assert!(sample(&server, "tidegate_received_bytes_total").await.unwrap() > 100.0);
}

#[tokio::test]
async fn ends_of_connections_are_counted_by_their_reason() {
    let server = Server::with(&[]);
    let (mut kicked, left) = (Client::connect(&server).await, Client::connect(&server).await);
    let id = kicked.user().await;
    let order = json!({ "client": id, "code": 4004, "reason": "bye" }).to_string();
    assert_eq!(post(&server, "/api/disconnect", &order).await.status, 200);
    assert_eq!(kicked.closed().await.0, 4004);
    drop(left);
    for code in ["4004", "client"] {
        let name = format!("tidegate_connections_closed_total{{code=\"{code}\"}}");
        eventually(&name, async || sample(&server, &name).await.filter(|ends| *ends == 1.0)).await;
    }
    assert_eq!(sample(&server, "tidegate_connections").await, Some(0.0));
}

#[tokio::test]
async fn a_failing_plugin_shows() {
    let server = Server::with(&["hostile"]);
    let mut client = Client::connect(&server).await;
    let trap = client.try_publish("hostile:a", json!({ "do": "trap" })).await;
    assert_eq!(trap["code"], "plugin_failed");
    let name = "tidegate_plugin_failures_total{plugin=\"hostile\",class=\"panic\"}";
    assert_eq!(sample(&server, name).await, Some(1.0));
}

#[tokio::test]
async fn who_may_not_read_the_api_may_not_read_metrics() {
    let server = Server::builder().config("broadcast_allowed_hosts = []").start();
    assert_eq!(get(&server, "/metrics").await.status, 403);
    let origin = [("origin", "https://elsewhere.example")];
    let server = Server::with(&[]);
    assert_eq!(http::request(&server, "GET", "/metrics", &origin, "").await.status, 403);
    assert_eq!(post(&server, "/metrics", "").await.status, 405);
}
