//! Subscribers that want some messages only.

use serde_json::{Value, json};

use crate::harness::{Client, Server, http};

fn errors(plugin: &str) -> Value {
    json!({ "channel": "logs", "filter": { "plugin": plugin, "params": { "min": "error" } } })
}

fn line(level: &str, n: u64) -> Value {
    json!({ "level": level, "n": n })
}

#[tokio::test]
async fn only_what_passes_the_filter_is_delivered() {
    let server = Server::with(&["level-filter"]);
    let (mut reader, mut publisher) = (Client::connect(&server).await, Client::connect(&server).await);
    reader.subscribe_with(errors("level-filter")).await;
    for data in [
        line("info", 1),
        line("error", 2),
        json!("error"),
        json!({ "level": null }),
        line("warn", 3),
        line("fatal", 4),
        line("nonsense", 5),
        line("error", 6),
    ] {
        publisher.publish("logs", data).await;
    }
    for data in [line("error", 2), line("fatal", 4), line("error", 6)] {
        assert_eq!(reader.data().await, data);
    }
    reader.ping().await;
    assert_eq!(reader.left_over(), []);
}

#[tokio::test]
async fn a_filter_is_found_by_its_short_name() {
    let server = Server::with(&["level-filter"]);
    let mut client = Client::connect(&server).await;
    client.subscribe_with(errors("level")).await;
    client.publish("logs", line("info", 1)).await;
    client.publish("logs", line("error", 2)).await;
    assert_eq!(client.data().await, line("error", 2));
}

#[tokio::test]
async fn equal_filters_and_different_ones_and_none_each_get_their_own() {
    let server = Server::builder().plugins(&["level-filter"]).shards(4).start();
    let mut readers = Vec::new();
    for _ in 0..4 {
        for min in ["error", "warn", "debug"] {
            let mut client = Client::connect(&server).await;
            let filter = json!({ "plugin": "level", "params": { "min": min } });
            client.subscribe_with(json!({ "channel": "logs", "filter": filter })).await;
            readers.push((min, client));
        }
        let mut client = Client::connect(&server).await;
        client.subscribe("logs").await;
        readers.push(("none", client));
    }
    let mut publisher = Client::connect(&server).await;
    for n in 0..30 {
        for level in ["debug", "warn", "error", "unheard-of"] {
            publisher.publish("logs", line(level, n)).await;
        }
    }
    for (min, reader) in &mut readers {
        let levels: &[&str] = match *min {
            "error" => &["error"],
            "warn" => &["warn", "error"],
            "debug" => &["debug", "warn", "error"],
            _ => &["debug", "warn", "error", "unheard-of"],
        };
        for n in 0..30 {
            for level in levels {
                assert_eq!(reader.data().await, line(level, n), "{min}");
            }
        }
        reader.ping().await;
        assert_eq!(reader.left_over(), [], "{min}");
    }
}

#[tokio::test]
async fn subscribing_again_replaces_the_filter() {
    let server = Server::with(&["level-filter"]);
    let mut client = Client::connect(&server).await;
    client.subscribe_with(errors("level")).await;
    client.subscribe("logs").await;
    client.publish("logs", line("info", 1)).await;
    assert_eq!(client.data().await, line("info", 1));
    client.subscribe_with(errors("level")).await;
    client.publish("logs", line("info", 2)).await;
    client.publish("logs", line("error", 3)).await;
    assert_eq!(client.data().await, line("error", 3));
    client.ping().await;
    assert_eq!(client.left_over(), []);
}

#[tokio::test]
async fn a_filter_that_cannot_be_had_is_no_subscription() {
    let server = Server::with(&["level-filter", "hostile-filter", "chat"]);
    let mut publisher = Client::connect(&server).await;
    let mut client = Client::connect(&server).await;
    for (filter, words) in [
        (json!({ "plugin": "nothing" }), "nothing"),
        (json!({ "plugin": "chat" }), "chat"),
        (json!({ "plugin": "level" }), "`min` must be one of debug, info, warn, error, fatal."),
        (json!({ "plugin": "level", "params": { "min": "loud" } }), "`min` must be one of"),
        (json!({ "plugin": "hostile", "params": { "refuse": true } }), "No such filter."),
        (json!({ "plugin": 5 }), "filter.plugin"),
        (json!({ "plugin": null, "params": {} }), "filter.plugin"),
        (json!({}), "filter.plugin"),
        (json!("level"), "filter"),
        (json!([]), "filter"),
    ] {
        let answer = client.ask(json!({ "type": "subscribe", "channel": "logs", "filter": filter })).await;
        assert_eq!(answer["code"], "invalid_params", "{filter}: {answer}");
        assert_eq!(answer["message"], "Invalid parameters for action 'logs'", "{filter}");
        assert!(
            answer["details"].as_str().is_some_and(|details| details.contains(words)),
            "{filter}: {answer}"
        );
    }
    publisher.publish("logs", line("fatal", 1)).await;
    client.subscribe("logs").await;
    publisher.publish("logs", line("fatal", 2)).await;
    assert_eq!(client.data().await, line("fatal", 2));
}

#[tokio::test]
async fn filtered_messages_keep_their_order_and_their_offsets() {
    let config = "
        [[channel]]
        pattern = 'logs'
        offsets = true
    ";
    let server = Server::builder().plugins(&["level-filter"]).config(config).start();
    let (mut reader, mut publisher) = (Client::connect(&server).await, Client::connect(&server).await);
    reader.subscribe_with(errors("level")).await;
    const TOTAL: u64 = 600;
    for n in 1..=TOTAL {
        let data = line(if n % 3 == 0 { "error" } else { "info" }, n);
        publisher.send(json!({ "type": "publish", "channel": "logs", "data": data })).await;
    }
    for n in (3..=TOTAL).step_by(3) {
        let said = reader.expect("data").await;
        assert_eq!((&said["offset"], &said["data"]["n"]), (&json!(n), &json!(n)));
    }
}

#[tokio::test]
async fn who_unsubscribes_and_comes_back_has_its_filter_again() {
    let server = Server::with(&["level-filter"]);
    let mut client = Client::connect(&server).await;
    for n in 0..10 {
        client.subscribe_with(errors("level")).await;
        client.publish("logs", line("info", n)).await;
        client.publish("logs", line("error", n)).await;
        assert_eq!(client.data().await, line("error", n));
        client.unsubscribe("logs").await;
    }
}

/// However many have it.
#[tokio::test]
async fn a_message_is_judged_once_a_filter() {
    let server = Server::builder().plugins(&["level-filter"]).shards(1).start();
    let mut readers = Vec::new();
    for n in 0..60 {
        let mut client = Client::connect(&server).await;
        let filter = json!({ "plugin": "level", "params": { "min": "error", "n": n % 3 } });
        client.subscribe_with(json!({ "channel": "logs", "filter": filter })).await;
        readers.push(client);
    }
    let mut publisher = Client::connect(&server).await;
    for n in 0..10 {
        publisher.publish("logs", line("error", n)).await;
    }
    for reader in &mut readers {
        for n in 0..10 {
            assert_eq!(reader.data().await, line("error", n));
        }
    }
    let metrics = http::get(&server, "/metrics").await.body;
    assert!(metrics.contains("\ntidegate_filter_judgements_total 30\n"), "{metrics}");
}
