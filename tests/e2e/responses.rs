//! Default responses: what a new subscriber alone gets, in its dialect, where the rule says so.

use serde_json::{Value, json};

use crate::harness::client::Arrived;
use crate::harness::{Client, Events, Server, http};

fn server() -> Server {
    let config = r#"
        [[channel]]
        pattern = "*"
        [[channel]]
        pattern = "greeter:*"
        default_response = true
        history = { messages = 10 }
        [[channel]]
        pattern = "greeter:quiet.*"
        default_response = false
        [[channel]]
        pattern = "greeter:or.*"
        default_response = { data = { else = [1, 2.5, "x"] } }
        [[channel]]
        pattern = "rates"
        default_response = { data = "closed", event = "state" }
        history = { messages = 10 }
        [[channel]]
        pattern = "nobody:*"
        default_response = true
    "#;
    Server::builder().plugins(&["greeter", "level-filter"]).config(config).shards(3).start()
}

fn of(channel: &str, say: &str) -> Value {
    json!({ "channel": channel, "data": { "say": say } })
}

/// Nothing has come, and nothing is on its way.
async fn nothing_more(client: &mut Client) {
    client.ping().await;
    assert_eq!(client.left_over(), []);
}

#[tokio::test]
async fn a_new_subscriber_gets_the_handlers_response_and_nobody_else_does() {
    let server = server();
    let (mut ada, mut bob) = (Client::connect(&server).await, Client::connect(&server).await);
    ada.subscribe_with(of("greeter:a", "nothing")).await;
    bob.send(json!({ "type": "subscribe", "channel": "greeter:a", "data": { "say": "hello" } })).await;
    assert_eq!(bob.next_json().await["type"], "subscribed");
    let response = json!({ "type": "data", "channel": "greeter:a", "data": "hello", "event": "greeting" });
    assert_eq!(bob.next_json().await, response, "without sender, offset and time");
    nothing_more(&mut ada).await;
    nothing_more(&mut bob).await;
}

#[tokio::test]
async fn it_is_asked_for_where_the_rule_says_so() {
    let server = server();
    let mut client = Client::connect(&server).await;
    for channel in ["greeter:quiet.a", "nobody:a", "room"] {
        client.subscribe_with(of(channel, "hello")).await;
        nothing_more(&mut client).await;
    }
    client.subscribe("greeter:a").await;
    assert_eq!(client.data().await["greeted"], 1, "it counts what it was asked for");
}

#[tokio::test]
async fn a_constant_stands_in_where_no_handler_gives_one() {
    let server = server();
    let mut client = Client::connect(&server).await;
    client.subscribe("rates").await;
    let constant = json!({ "type": "data", "channel": "rates", "data": "closed", "event": "state" });
    assert_eq!(client.next_json().await, constant);
    client.subscribe_with(of("greeter:or.a", "nothing")).await;
    assert_eq!(client.data().await, json!({ "else": [1, 2.5, "x"] }));
    client.subscribe_with(of("greeter:or.a", "hello")).await;
    assert_eq!(client.data().await, "hello");
    nothing_more(&mut client).await;
}

#[tokio::test]
async fn it_comes_after_what_was_missed_and_before_anything_newer() {
    let server = server();
    let mut ada = Client::connect(&server).await;
    for n in 1..=3 {
        ada.publish("greeter:a", json!(n)).await;
    }
    let mut bob = Client::connect(&server).await;
    bob.send(json!({
        "type": "subscribe", "channel": "greeter:a", "history": 2, "data": { "say": "and more" },
    }))
    .await;
    bob.send(json!({ "type": "publish", "channel": "greeter:a", "data": "newer" })).await;
    assert_eq!(bob.next_json().await["type"], "subscribed");
    for data in [json!(2), json!(3), json!("and more"), json!("more"), json!("newer")] {
        assert_eq!(bob.next_json().await["data"], data);
    }
}

#[tokio::test]
async fn a_filter_judges_what_was_missed_and_not_the_response() {
    let server = server();
    let mut ada = Client::connect(&server).await;
    for level in ["error", "info", "fatal"] {
        ada.publish("greeter:logs", json!({ "level": level })).await;
    }
    let filter = json!({ "plugin": "level", "params": { "min": "error" } });
    for history in [0, 10] {
        let mut bob = Client::connect(&server).await;
        bob.subscribe_with(json!({ "channel": "greeter:logs", "history": history, "filter": filter })).await;
        if history > 0 {
            assert_eq!(
                (bob.data().await, bob.data().await),
                (json!({"level":"error"}), json!({"level":"fatal"}))
            );
        }
        assert_eq!(bob.data().await["name"], "greeter:logs");
        nothing_more(&mut bob).await;
    }
}

#[tokio::test]
async fn subscribing_again_brings_it_again_and_recovering_everything_does_not() {
    let server = server();
    let mut client = Client::connect(&server).await;
    for channel in ["greeter:a", "rates"] {
        client.subscribe(channel).await;
        client.data().await;
        let answer = client.subscribe(channel).await;
        client.data().await;
        let mut back = Client::connect(&server).await;
        let recover = json!({ "epoch": answer["epoch"], "offset": 0 });
        let answer = back.subscribe_with(json!({ "channel": channel, "recover": recover })).await;
        assert_eq!(answer["recovered"], true);
        nothing_more(&mut back).await;

        let elsewhere = json!({ "epoch": "0", "offset": 0 });
        let answer = back.subscribe_with(json!({ "channel": channel, "recover": elsewhere })).await;
        assert_eq!(answer["recovered"], false);
        back.data().await;
        nothing_more(&mut back).await;
    }
}

#[tokio::test]
async fn a_response_may_be_refused_and_a_bad_one_costs_the_subscription() {
    let server = server();
    let mut client = Client::connect(&server).await;
    client.subscribe_with(of("greeter:a", "bytes")).await;
    let mut frame = b"\x09greeter:a".to_vec();
    frame.extend([0, 255]);
    assert_eq!(client.binary().await, frame);
    for (say, code) in
        [("no", "rejected"), ("what is no JSON", "plugin_failed"), ("too much", "plugin_failed")]
    {
        let mut other = Client::connect(&server).await;
        let mut request = of("greeter:a", say);
        request["type"] = json!("subscribe");
        let answer = other.ask(request).await;
        assert_eq!(answer["code"], code, "{say}: {answer}");
        client.publish("greeter:a", json!(1)).await;
        client.data().await;
        nothing_more(&mut other).await;
    }
}

#[tokio::test]
async fn every_dialect_has_it_in_its_own_form() {
    let server = server();
    let mut ada = Client::connect(&server).await;
    ada.publish("rates", json!(5)).await;
    let at = async |path: &str| Client::open(&server, path, &[]).await.0;

    let mut bridge = at("/ws/rates").await;
    assert_eq!((bridge.next_text().await, bridge.next_text().await), ("5".into(), "\"closed\"".into()));

    let mut event = at("/dialect/event").await;
    event.send(json!({ "event": "subscribe", "channel": "rates" })).await;
    assert_eq!(event.next_json().await, json!({ "event": "subscribed", "channel": "rates" }));
    assert_eq!(event.next_json().await, json!({ "event": "state", "channel": "rates", "data": "closed" }));

    let mut action = at("/dialect/action").await;
    action.send(json!({ "action": "subscribe", "topic": "rates" })).await;
    assert_eq!(action.next().await, Arrived::Text("\"closed\"".into()));

    let mut plain = Events::open(&server, "/sse?channel=rates").await;
    assert_eq!(plain.said().await, ("state".into(), "\"closed\"".into()));
    http::post(&server, "/api/publish", r#"{"channel":"rates","data":6}"#).await;
    let block = plain.next().await;
    assert_eq!(block.data.as_deref(), Some("6"));

    let id = plain.last_id.clone();
    let mut back = Events::with(&server, "/sse?channel=rates", &[("last-event-id", &id)]).await;
    http::post(&server, "/api/publish", r#"{"channel":"rates","data":7}"#).await;
    assert_eq!(back.said().await, (String::new(), "7".into()), "it goes on where it was");

    let mut framed = Events::open(&server, "/sse?channel=rates&channel=room").await;
    let said = json!({ "type": "data", "channel": "rates", "data": "closed", "event": "state" });
    assert_eq!(framed.next().await.json(), said);
}

#[tokio::test]
async fn a_subscription_by_the_server_api_brings_it_too() {
    let server = server();
    let mut client = Client::connect(&server).await;
    let user = client.user().await;
    let body = json!({ "client": user, "channel": "rates" }).to_string();
    let answer = http::post(&server, "/api/subscribe", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    client.expect("subscribed").await;
    assert_eq!(client.data().await, "closed");
}
