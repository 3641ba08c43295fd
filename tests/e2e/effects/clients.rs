//! Clients that a plugin subscribes, unsubscribes and sends away.

use serde_json::{Value, json};

use super::{apply, client, say, server, user};
use crate::harness::{Server, wait};

fn subscribe(client: &str, channel: &str) -> Value {
    json!({ "subscribe": { "client": client, "channel": channel } })
}

fn unsubscribe(client: &str, channel: &str) -> Value {
    json!({ "unsubscribe": { "client": client, "channel": channel } })
}

#[tokio::test]
async fn a_client_is_subscribed_and_told() {
    let server = server(4);
    let (mut a, a_id) = client(&server).await;
    let (mut caller, _) = client(&server).await;
    apply(&mut caller, json!([subscribe(&a_id, "plain")])).await;
    assert_eq!(a.next_json().await, json!({ "type": "subscribed", "channel": "plain" }));
    say(&mut caller, "effects:x", json!([subscribe(&a_id, "kept:x")])).await;
    let told = a.expect("subscribed").await;
    assert_eq!((&told["channel"], &told["offset"]), (&json!("kept:x"), &json!(0)));
    for channel in ["plain", "kept:x"] {
        caller.try_publish(channel, json!("hi")).await;
        assert_eq!(a.expect("data").await["channel"], channel);
    }
    apply(&mut caller, json!([unsubscribe(&a_id, "plain")])).await;
    assert_eq!(a.expect("unsubscribed").await, json!({ "type": "unsubscribed", "channel": "plain" }));
}

#[tokio::test]
async fn the_channels_handler_is_asked_and_its_rule_holds() {
    let server = server(2);
    let (mut a, a_id) = client(&server).await;
    let (mut ada, ada_id) = user(&server, "ada").await;
    let (mut caller, _) = client(&server).await;
    let with = |client: &str, channel: &str, params: Value| json!({ "subscribe": { "client": client, "channel": channel, "params": params } });
    apply(&mut caller, json!([with(&a_id, "effects:x", json!({ "deny": true }))])).await;
    let told = a.expect("error").await;
    assert_eq!(
        (&told["code"], &told["reason_code"], &told["channel"]),
        (&json!("rejected"), &json!(7), &json!("effects:x"))
    );
    apply(&mut caller, json!([subscribe(&a_id, "known:x"), subscribe(&ada_id, "known:x")])).await;
    assert_eq!(a.expect("error").await["code"], "permission_denied");
    assert_eq!(ada.expect("subscribed").await["channel"], "known:x");
    apply(&mut caller, json!([subscribe(&a_id, "strict:x"), with(&a_id, "strict:x", json!({ "level": 1 }))]))
        .await;
    assert_eq!(a.next_json().await["code"], "invalid_params");
    assert_eq!(a.next_json().await["type"], "subscribed");
    apply(&mut caller, json!([subscribe(&ada_id, "$user:bob"), subscribe(&ada_id, "private:x")])).await;
    assert_eq!(ada.expect("error").await["code"], "permission_denied", "another user's own channel");
    assert_eq!(ada.expect("subscribed").await["channel"], "private:x", "auth plugins are not asked");
}

#[tokio::test]
async fn a_client_has_no_more_subscriptions_than_it_may() {
    let config = "limits = { subscriptions = 3 }\nchannel = [{ pattern = '*' }]";
    let server = Server::builder().plugins(&["effects"]).config(config).start();
    let (mut a, a_id) = client(&server).await;
    let (mut caller, _) = client(&server).await;
    let effects: Vec<_> = (0..5).map(|n| subscribe(&a_id, &format!("c{n}"))).collect();
    apply(&mut caller, json!(effects)).await;
    for n in 0..3 {
        assert_eq!(a.next_json().await, json!({ "type": "subscribed", "channel": format!("c{n}") }));
    }
    for n in 3..5 {
        let told = a.next_json().await;
        assert_eq!((&told["code"], &told["channel"]), (&json!("limit_exceeded"), &json!(format!("c{n}"))));
    }
    apply(&mut caller, json!([subscribe(&a_id, "c0")])).await;
    assert_eq!(a.next_json().await["type"], "subscribed", "that one it has");
    let joins: Vec<_> =
        (0..5).map(|n| json!({ "join": { "client": a_id, "channel": format!("c{n}") } })).collect();
    apply(&mut caller, json!(joins)).await;
    server.wait_for_log("it is in 3 channels already").await;
}

#[tokio::test]
async fn what_is_asked_last_counts() {
    let server = server(4);
    let (mut a, a_id) = client(&server).await;
    let (mut caller, _) = client(&server).await;
    let channels: Vec<_> = (0..8).map(|n| format!("effects:{n}")).collect();
    let effects: Vec<_> = channels
        .iter()
        .flat_map(|c| {
            [subscribe(&a_id, c), unsubscribe(&a_id, c), unsubscribe(&a_id, c), subscribe(&a_id, c)]
        })
        .collect();
    apply(&mut caller, json!(effects)).await;
    for channel in &channels {
        for kind in ["subscribed", "unsubscribed", "unsubscribed", "subscribed"] {
            let told = a.next_json().await;
            assert_eq!((&told["type"], &told["channel"]), (&json!(kind), &json!(channel)));
        }
    }
    for channel in &channels {
        caller.publish(channel, json!("hi")).await;
        assert_eq!(a.data().await, "hi");
    }
}

#[tokio::test]
async fn subscriptions_that_set_each_other_off_come_to_an_end() {
    let server = server(2);
    let (mut a, a_id) = client(&server).await;
    let (mut caller, _) = client(&server).await;
    let params = json!({ "bounce": true });
    let first = json!({ "subscribe": { "client": a_id, "channel": "effects:a", "params": params } });
    apply(&mut caller, json!([first])).await;
    server.wait_for_log("more than 1024 publications").await;
    a.ping().await;
    caller.ping().await;
}

#[tokio::test]
async fn a_client_that_has_gone_is_no_matter() {
    let server = server(2);
    let (a, a_id) = client(&server).await;
    let (mut caller, _) = client(&server).await;
    drop(a);
    wait::eventually("the client is gone", async || {
        let listed = crate::harness::http::get(&server, "/api/connections").await;
        (!listed.body.contains(&a_id)).then_some(())
    })
    .await;
    let effects = json!([
        subscribe(&a_id, "plain"),
        unsubscribe(&a_id, "plain"),
        { "kick": { "client": a_id } },
        { "join": { "client": a_id, "channel": "plain" } },
        { "leave": { "client": a_id, "channel": "plain" } },
        { "send": { "client": a_id, "data": 1 } },
        { "publish": { "channel": "plain", "only": [a_id, "ffffffffffffffff"], "data": 1 } },
        { "publish": { "channel": "plain", "data": "all" } },
    ]);
    caller.subscribe("plain").await;
    apply(&mut caller, effects).await;
    assert_eq!(caller.data().await, "all");
}

#[tokio::test]
async fn a_kick_comes_in_its_place() {
    let server = server(2);
    let (mut a, a_id) = client(&server).await;
    let (mut caller, _) = client(&server).await;
    let effects = json!([
        { "send": { "client": a_id, "data": "last words" } },
        { "kick": { "client": a_id } },
    ]);
    say(&mut caller, "effects:x", effects).await;
    assert_eq!(a.data().await, "last words");
    assert_eq!(a.closed().await, (4003, "Kicked on request.".to_owned()));
}

#[tokio::test]
async fn what_is_done_to_a_client_comes_after_the_message_and_between_what_is_published() {
    for shards in [1, 2] {
        let server = server(shards);
        let (mut a, a_id) = client(&server).await;
        let (mut caller, _) = client(&server).await;
        for n in 0..20 {
            let channel = format!("effects:{n}");
            a.subscribe(&channel).await;
            let publish = |data: &str| json!({ "publish": { "channel": channel, "data": data } });
            let send = json!({ "send": { "client": a_id, "data": "aside" } });
            let effects =
                json!([send, publish("one"), unsubscribe(&a_id, &channel), publish("two"), publish("three")]);
            say(&mut caller, &channel, effects).await;
            a.expect("unsubscribed").await;
            a.ping().await;
            let heard = a.left_over().into_iter().filter_map(|frame| frame.json());
            let heard: Vec<Value> = heard
                .map(|frame| match &frame["data"] {
                    Value::Object(_) => json!("itself"),
                    data => data.clone(),
                })
                .collect();
            assert_eq!(heard, ["itself", "aside", "one"], "{channel} of {shards} shards");
        }
        a.subscribe("effects:x").await;
        let kick = json!({ "kick": { "client": a_id } });
        let publish = json!({ "publish": { "channel": "effects:x", "data": "after" } });
        say(&mut caller, "effects:x", json!([kick, publish])).await;
        assert!(a.data().await.is_object(), "the message itself");
        assert_eq!(a.closed().await, (4003, "Kicked on request.".to_owned()));
    }
}
