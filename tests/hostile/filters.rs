//! Filters that misbehave, beside filters that do not.

use serde_json::{Value, json};

use crate::harness::Client;
use crate::{server, works_again};

fn filtered(params: Value) -> Value {
    json!({ "channel": "room", "filter": { "plugin": "hostile-filter", "params": params } })
}

async fn judged_alone(bad: Value) {
    let server = server();
    let (mut plain, mut good) = (Client::connect(&server).await, Client::connect(&server).await);
    let mut bad_one = Client::connect(&server).await;
    plain.subscribe("room").await;
    good.subscribe_with(filtered(json!({ "contains": "x" }))).await;
    bad_one.subscribe_with(filtered(bad)).await;
    for n in 0..20 {
        plain.publish("room", json!(format!("x{n}"))).await;
        plain.publish("room", json!(format!("y{n}"))).await;
    }
    for n in 0..20 {
        assert_eq!(
            (plain.data().await, plain.data().await),
            (json!(format!("x{n}")), json!(format!("y{n}")))
        );
    }
    for n in 0..20 {
        assert_eq!(good.data().await, format!("x{n}"), "a good filter is judged although a bad one is there");
    }
    good.ping().await;
    bad_one.ping().await;
    assert_eq!((good.left_over(), bad_one.left_over()), (vec![], vec![]));

    bad_one.subscribe_with(filtered(json!({ "contains": "z" }))).await;
    plain.publish("room", json!("z")).await;
    assert_eq!(bad_one.data().await, "z", "who chose badly may choose again");
    works_again(&mut plain, "hostile:a").await;
}

#[tokio::test]
async fn a_filter_that_traps_is_judged_alone() {
    judged_alone(json!({ "trap": true })).await;
}

#[tokio::test]
async fn a_filter_that_loops_is_judged_alone() {
    judged_alone(json!({ "loop": true })).await;
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
