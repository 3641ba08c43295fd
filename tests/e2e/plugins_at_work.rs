//! What is told of plugins: figures of their own, their calls, memory and failures, their log lines.

use serde_json::{Value, json};

use crate::harness::{Client, Server, http, wait};

async fn act(client: &mut Client, action: &str, data: Value) -> Value {
    client.ask(json!({ "type": "action", "channel": action, "data": data })).await
}

async fn metrics(server: &Server) -> String {
    http::get(server, "/metrics").await.body
}

/// The number behind a series, written as Prometheus reads it.
async fn value(server: &Server, series: &str) -> Option<f64> {
    let text = metrics(server).await;
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

async fn keeper(server: &Server) -> Value {
    let report = server.report().await;
    let mut plugins = report["plugins"].as_array().unwrap().iter();
    plugins.find(|plugin| plugin["name"] == "keeper").unwrap().clone()
}

#[tokio::test]
async fn a_plugins_own_figures_are_metrics_of_it() {
    let server = Server::with(&["keeper"]);
    let mut client = Client::connect(&server).await;
    for by in [1.0, 2.5] {
        act(&mut client, "count", json!({ "key": "orders", "figure": by })).await;
        act(&mut client, "gauge", json!({ "key": "queue", "figure": by })).await;
    }
    let series = |of: &str, name: &str| format!("tidegate_plugin_{of}{{plugin=\"keeper\",name=\"{name}\"}}");
    assert_eq!(value(&server, &series("count_total", "orders")).await, Some(3.5));
    assert_eq!(value(&server, &series("gauge", "queue")).await, Some(2.5));
    // Of a channel's handler they are counted wherever its channels live.
    for room in 0..8 {
        client.publish(&format!("keeper:{room}"), json!("x")).await;
    }
    assert_eq!(value(&server, &series("count_total", "messages")).await, Some(8.0));
    let plugin = keeper(&server).await;
    assert_eq!(plugin["counts"], json!({ "messages": 8.0, "orders": 3.5 }));
    assert_eq!(plugin["gauges"], json!({ "queue": 2.5 }));
    // One that is no figure breaks the contract, and nothing of the call is applied.
    for bad in [json!({ "key": "a-b" }), json!({ "key": "" }), json!({ "key": "orders", "figure": -1 })] {
        assert_eq!(act(&mut client, "count", bad).await["code"], "plugin_failed");
        wait::eventually_in(wait::LONG, "the action works again", async || {
            let answer = act(&mut client, "gauge", json!({ "key": "queue" })).await;
            (answer["status"] == "completed").then_some(())
        })
        .await;
    }
    assert_eq!(value(&server, &series("count_total", "orders")).await, Some(3.5));
}

#[tokio::test]
async fn past_64_names_a_plugins_figures_are_dropped_and_logged() {
    let server = Server::with(&["keeper"]);
    let mut client = Client::connect(&server).await;
    for name in 0..66 {
        act(&mut client, "count", json!({ "key": format!("n{name}"), "figure": 1 })).await;
    }
    let counts = keeper(&server).await["counts"].as_object().unwrap().clone();
    assert_eq!(counts.len(), 64);
    assert!(counts.contains_key("n63") && !counts.contains_key("n64"));
    server.wait_for_log("the metric `n64` is dropped").await;
}

#[tokio::test]
async fn calls_are_counted_and_timed_by_function() {
    let server = Server::with(&["keeper"]);
    let mut client = Client::connect(&server).await;
    client.subscribe("keeper:a").await;
    for _ in 0..130 {
        client.publish("keeper:a", json!("x")).await;
    }
    act(&mut client, "get", json!({ "key": "a" })).await;
    let plugin = keeper(&server).await;
    let calls = &plugin["calls"];
    assert_eq!(calls["on-publish"]["calls"], 130, "{plugin:#}");
    assert_eq!((&calls["open"]["calls"], &calls["on-subscribe"]["calls"]), (&json!(1), &json!(1)));
    assert_eq!(calls["action"]["calls"], 1);
    assert!(calls["start"]["calls"].as_u64() > Some(2), "loaded, and made for the channel and the action");
    for function in ["on-publish", "open", "action"] {
        let [p50, p99] = ["p50_us", "p99_us"].map(|key| calls[function][key].as_f64().unwrap());
        assert!(0.0 < p50 && p50 <= p99, "{function}: {calls:#}");
        assert_eq!((&calls[function]["traps"], &calls[function]["failures"]), (&json!(0), &json!({})));
    }
    assert!(calls.get("authorize").is_none(), "what is not called is left out");
    assert_eq!(plugin["instances"]["now"], 2, "{plugin:#}");
    let [memory, peak] =
        ["memory_bytes", "memory_peak_bytes"].map(|key| plugin["instances"][key].as_u64().unwrap());
    assert!(memory >= 2 << 16 && peak >= memory, "{plugin:#}");

    let of = "plugin=\"keeper\",function=\"on-publish\"";
    assert_eq!(value(&server, &format!("tidegate_plugin_calls_total{{{of}}}")).await, Some(130.0));
    let timed = value(&server, &format!("tidegate_plugin_call_seconds_count{{{of}}}")).await;
    assert_eq!(timed, Some(3.0), "one in 64, the first among them");
    let all = value(&server, &format!("tidegate_plugin_call_seconds_bucket{{le=\"+Inf\",{of}}}")).await;
    assert_eq!(all, Some(3.0), "{}", metrics(&server).await);
    assert_eq!(value(&server, "tidegate_plugin_instances{plugin=\"keeper\"}").await, Some(2.0));
    let memory = value(&server, "tidegate_plugin_memory_bytes{plugin=\"keeper\"}").await;
    assert!(memory > Some(65536.0), "{memory:?}");
}

#[tokio::test]
async fn a_panic_is_counted_for_its_function_and_names_where_it_was() {
    let server = Server::with(&["keeper"]);
    let mut client = Client::connect(&server).await;
    assert_eq!(client.try_publish("keeper:a", json!("panic")).await["code"], "plugin_failed");
    let plugin = keeper(&server).await;
    let on_publish = &plugin["calls"]["on-publish"];
    assert_eq!((&on_publish["failures"], &on_publish["traps"]), (&json!({ "panic": 1 }), &json!(1)));
    let last = plugin["loaded"]["last_failure"].as_str().unwrap();
    assert!(last.contains("keeper::deep_inside < "), "{last}");
    server.wait_for_log("keeper::deep_inside < ").await;
    let series =
        "tidegate_plugin_call_failures_total{plugin=\"keeper\",function=\"on-publish\",class=\"panic\"}";
    assert_eq!(value(&server, series).await, Some(1.0));
    assert_eq!(plugin["instances"]["now"], 0, "its store is gone");
}

#[tokio::test]
async fn a_call_that_takes_too_long_says_where_it_was() {
    let server = Server::with(&["keeper"]);
    let mut client = Client::connect(&server).await;
    assert_eq!(act(&mut client, "spin", Value::Null).await["code"], "plugin_failed");
    let plugin = keeper(&server).await;
    assert_eq!(plugin["calls"]["action"]["failures"], json!({ "deadline": 1 }));
    let last = plugin["loaded"]["last_failure"].as_str().unwrap();
    // The loop itself is a part of the function that calls it.
    assert!(last.contains("it took more than 20 ms, in tidegate_guest::"), "{last}");
}

#[tokio::test]
async fn a_plugins_log_lines_name_channel_and_client() {
    let server = Server::with(&["keeper"]);
    let mut client = Client::connect(&server).await;
    client.publish("keeper:a", json!("log one")).await;
    client.publish("keeper:b", json!("log two")).await;
    for (text, channel) in [("one", "keeper:a"), ("two", "keeper:b")] {
        server.wait_for_log(&format!(" {text} ")).await;
        let words = ["plugin=\"keeper\"", "version=", &format!("channel={channel}"), "client="];
        let lines = server.logged(&[&format!(" {text} ")]);
        assert!(words.iter().all(|word| lines[0].contains(word)), "{lines:?}");
    }
}

#[tokio::test]
async fn the_store_tells_how_much_it_keeps() {
    let server = Server::with(&["keeper"]);
    let mut client = Client::connect(&server).await;
    act(&mut client, "set", json!({ "key": "four", "value": "123456" })).await;
    assert_eq!(keeper(&server).await["store"], json!({ "keys": 1, "bytes": 128 + 10 }));
    assert_eq!(value(&server, "tidegate_plugin_store_keys{plugin=\"keeper\"}").await, Some(1.0));
    assert_eq!(value(&server, "tidegate_plugin_store_bytes{plugin=\"keeper\"}").await, Some(138.0));
}
