//! Filters that misbehave, beside filters that do not.

use serde_json::{Value, json};

use crate::harness::{Client, Server};
use crate::server;

fn filtered(params: Value) -> Value {
    json!({ "channel": "room", "filter": { "plugin": "hostile-filter", "params": params } })
}

/// Subscribers without a filter, with a good one and with the bad one, while so many messages come.
async fn judged_alone(bad: Value, messages: u64) {
    let server = server();
    let (mut plain, mut good) = (Client::connect(&server).await, Client::connect(&server).await);
    let mut bad_one = Client::connect(&server).await;
    plain.subscribe("room").await;
    good.subscribe_with(filtered(json!({ "contains": "x" }))).await;
    bad_one.subscribe_with(filtered(bad)).await;
    for n in 0..messages {
        for letter in ["y", "x"] {
            plain.publish("room", json!(format!("{letter}{n}"))).await;
            assert_eq!(plain.data().await, format!("{letter}{n}"), "who has no filter waits for none");
        }
    }
    for n in 0..messages {
        assert_eq!(good.data().await, format!("x{n}"), "a good filter is judged although a bad one is there");
    }
    good.ping().await;
    bad_one.ping().await;
    assert_eq!((good.left_over(), bad_one.left_over()), (vec![], vec![]));
}

#[tokio::test]
async fn a_filter_that_traps_is_judged_alone() {
    judged_alone(json!({ "trap": true }), 1).await;
}

#[tokio::test]
async fn a_filter_that_loops_is_judged_alone() {
    judged_alone(json!({ "loop": true }), 1).await;
}

#[tokio::test]
async fn a_filter_that_traps_with_every_message_never_silences_a_good_one() {
    judged_alone(json!({ "trap": true }), 20).await;
}

#[tokio::test]
async fn a_filter_that_loops_with_every_message_never_silences_a_good_one() {
    judged_alone(json!({ "loop": true }), 20).await;
}

#[tokio::test]
async fn who_chose_a_bad_filter_may_choose_again() {
    let server = server();
    let mut client = Client::connect(&server).await;
    for bad in [json!({ "trap": true }), json!({ "loop": true })] {
        client.subscribe_with(filtered(bad)).await;
        client.publish("room", json!("x")).await;
        client.subscribe_with(filtered(json!({ "contains": "z" }))).await;
        client.publish("room", json!("z")).await;
        assert_eq!(client.data().await, "z");
    }
}

#[tokio::test]
async fn a_filter_without_its_parameters_is_refused_and_not_lost() {
    let server = server();
    let mut client = Client::connect(&server).await;
    for _ in 0..5 {
        let mut frame = filtered(json!({ "refuse": true }));
        frame["type"] = json!("subscribe");
        let answer = client.ask(frame).await;
        assert_eq!(answer["code"], "invalid_params", "{answer}");
    }
    client.subscribe_with(filtered(json!({ "contains": "x" }))).await;
    client.publish("room", json!("y")).await;
    client.publish("room", json!("x")).await;
    assert_eq!(client.data().await, "x");
}

/// A rule may say that a filter that fails is none.
#[tokio::test]
async fn a_message_that_a_filter_could_not_judge_is_delivered_where_the_rule_says_so() {
    let rules = "[[channel]]\npattern = \"*\"\n[[channel]]\npattern = \"open\"\nfilter_failure = \"open\"\n";
    let server = Server::builder().plugins(&["hostile-filter"]).config(rules).shards(1).start();
    let mut publisher = Client::connect(&server).await;
    for bad in [json!({ "trap": true }), json!({ "loop": true })] {
        let mut readers = Vec::new();
        for channel in ["room", "open"] {
            let mut reader = Client::connect(&server).await;
            let filter = json!({ "plugin": "hostile-filter", "params": bad });
            reader.subscribe_with(json!({ "channel": channel, "filter": filter })).await;
            readers.push(reader);
        }
        let mut judged = Client::connect(&server).await;
        let filter = json!({ "plugin": "hostile-filter", "params": { "contains": "x" } });
        judged.subscribe_with(json!({ "channel": "open", "filter": filter })).await;
        for channel in ["room", "open"] {
            for data in ["y1", "x2"] {
                publisher.try_publish(channel, json!(data)).await;
            }
        }
        // The second message comes while the filter pauses.
        assert_eq!(readers[1].data().await, "y1", "{bad}");
        assert_eq!(readers[1].data().await, "x2", "{bad}");
        assert_eq!(judged.data().await, "x2", "what can be judged is");
        for reader in readers.iter_mut().chain([&mut judged]) {
            reader.ping().await;
            assert_eq!(reader.left_over(), [], "{bad}");
        }
    }
}

#[tokio::test]
async fn a_filter_whose_plugin_is_gone_does_as_the_rule_says() {
    let rules = "[[channel]]\npattern = \"*\"\n[[channel]]\npattern = \"open\"\nfilter_failure = \"open\"\n";
    let server = Server::builder().plugins(&["hostile-filter"]).config(rules).shards(1).start();
    let (mut closed, mut open) = (Client::connect(&server).await, Client::connect(&server).await);
    let filter = json!({ "plugin": "hostile-filter", "params": { "contains": "x" } });
    closed.subscribe_with(json!({ "channel": "room", "filter": filter })).await;
    open.subscribe_with(json!({ "channel": "open", "filter": filter })).await;
    std::fs::remove_file(server.plugin("hostile-filter")).unwrap();
    server
        .wait_for_report(std::time::Duration::from_secs(30), "the retirement", |report| {
            (report["plugins"][0]["state"] == "retired").then_some(())
        })
        .await;
    let mut publisher = Client::connect(&server).await;
    publisher.try_publish("room", json!("x")).await;
    publisher.try_publish("open", json!("y")).await;
    assert_eq!(open.data().await, "y");
    closed.ping().await;
    assert_eq!(closed.left_over(), []);
}
