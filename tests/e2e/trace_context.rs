//! Trace contexts on their way through the server: in with a request, through plugins, and on.

use serde_json::{Value, json};

use crate::harness::{Client, Server, http};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

async fn publish(server: &Server, headers: &[(&str, &str)], channel: &str, data: &str) {
    let body = json!({ "channel": channel, "data": data }).to_string();
    let headers = [headers, &[("content-type", "application/json")]].concat();
    let answer = http::request(server, "POST", "/api/publish", &headers, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test]
async fn a_request_of_the_api_is_followed_into_the_handler_and_through_what_it_publishes() {
    let server = Server::with(&["keeper"]);
    let mut client = Client::connect(&server).await;
    client.subscribe("told").await;
    // The handler is told, and says what it was told.
    publish(&server, &[("traceparent", TRACE)], "keeper:a", "trace told").await;
    assert_eq!(client.data().await, TRACE);
    // Another channel's handler hears the same of what the first one has published.
    client.subscribe("keeper:relayed").await;
    publish(&server, &[("traceparent", TRACE)], "keeper:a", "relay trace told").await;
    let mut heard = [client.data().await, client.data().await];
    heard.sort_by_key(|data| data.to_string());
    assert_eq!(heard, [json!(TRACE), json!("trace told")]);
    // Nobody else's does.
    publish(&server, &[], "keeper:a", "trace told").await;
    assert_eq!(client.data().await, Value::Null);
}

#[tokio::test]
async fn a_connection_has_the_trace_of_its_handshake() {
    let server = Server::with(&["keeper"]);
    let mut client = Client::open(&server, "/ws", &[("traceparent", TRACE)]).await.0;
    let ask = json!({ "type": "action", "channel": "trace" });
    assert_eq!(client.ask(ask.clone()).await["data"], TRACE);
    client.subscribe("told").await;
    client.publish("keeper:a", json!("trace told")).await;
    assert_eq!(client.data().await, TRACE);
    client.publish("keeper:a", json!("log of a trace")).await;
    server.wait_for_log(" of a trace ").await;
    let lines = server.logged(&[" of a trace "]);
    assert!(lines[0].contains(&format!("traceparent={TRACE}")), "{lines:?}");
    let mut other = Client::connect(&server).await;
    assert_eq!(other.ask(ask).await["data"], Value::Null);
}

#[tokio::test]
async fn what_is_no_trace_context_is_none() {
    let server = Server::with(&["keeper"]);
    let upper = TRACE.to_uppercase();
    let long = format!("{TRACE}-x");
    let zeros = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
    let twice: &[(&str, &str)] = &[("traceparent", TRACE), ("traceparent", TRACE)];
    let mut client = Client::connect(&server).await;
    client.subscribe("told").await;
    for bad in ["", "nothing like it", &upper, &long, zeros] {
        publish(&server, &[("traceparent", bad)], "keeper:a", "trace told").await;
        assert_eq!(client.data().await, Value::Null, "{bad:?}");
    }
    publish(&server, twice, "keeper:a", "trace told").await;
    assert_eq!(client.data().await, Value::Null, "two of them");
}
