//! Calls that trap or break a limit.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::wait::BOUND;
use crate::harness::{Client, Server};
use crate::{asks, failed, provoke, server, works_again};

/// Bad message, error, good message; and the same for a subscriber on another channel of the plugin.
async fn fails_and_recovers(what: &str) {
    fails_and_recovers_after(0, what).await;
    // See `plugin/quick.rs`: then its calls have no stack of their own.
    fails_and_recovers_after(1010, what).await;
}

/// After so many calls that were quick.
async fn fails_and_recovers_after(quick: usize, what: &str) {
    let server = server();
    let mut client = Client::connect(&server).await;
    for _ in 0..quick {
        works_again(&mut client, "hostile:quick").await;
    }
    client.subscribe("hostile:a").await;
    for round in 0..2 {
        assert_eq!(provoke(&mut client, "hostile:a", what).await, failed("hostile:a"), "round {round}");
        assert_eq!(client.left_over(), [], "what failed is not delivered");
        works_again(&mut client, "hostile:a").await;
        assert_eq!(client.data().await, json!({ "do": "ok" }), "the subscription has survived");
    }
    works_again(&mut client, "hostile:b").await;
    // Read by a thread of the test's own, which may lag behind the answers.
    server.wait_for_log("the plugin failed handling hostile:a").await;
}

#[tokio::test]
async fn an_endless_loop_is_ended() {
    fails_and_recovers("loop").await;
}

#[tokio::test]
async fn memory_past_the_limit_is_refused() {
    fails_and_recovers("alloc").await;
}

#[tokio::test]
async fn a_panic_is_the_callers_error() {
    fails_and_recovers("trap").await;
}

#[tokio::test]
async fn a_recursion_without_end_is_ended() {
    fails_and_recovers("recurse").await;
}

#[tokio::test]
async fn a_payload_of_a_hundred_megabytes_is_not_delivered() {
    fails_and_recovers("huge").await;
}

#[tokio::test]
async fn a_json_payload_that_is_no_json_is_not_delivered() {
    fails_and_recovers("bad-json").await;
}

#[tokio::test]
async fn a_channel_that_does_not_open_fails_its_caller_and_no_other() {
    let server = server();
    let mut client = Client::connect(&server).await;
    for channel in ["hostile:refuse-open", "hostile:trap-open"] {
        for _ in 0..2 {
            assert_eq!(provoke(&mut client, channel, "ok").await, failed(channel));
            let answer = client.ask(json!({ "type": "subscribe", "channel": channel })).await;
            assert_eq!(answer, failed(channel));
        }
        client.unsubscribe(channel).await;
        works_again(&mut client, "hostile:fine").await;
    }
    client.ping().await;
}

#[tokio::test]
async fn a_refused_subscription_has_the_plugins_own_words() {
    let server = server();
    let mut client = Client::connect(&server).await;
    for _ in 0..5 {
        let answer = client
            .ask(json!({ "type": "subscribe", "channel": "hostile:a", "data": { "deny": true } }))
            .await;
        let denied = json!({
            "type": "error", "message": "No entry.", "code": "rejected", "reason_code": 7, "channel": "hostile:a",
        });
        assert_eq!(answer, denied);
    }
    // It is no subscriber: the first message that it gets is the one after it became one.
    assert_eq!(provoke(&mut client, "hostile:a", "ok").await["type"], "published");
    client.subscribe_with(json!({ "channel": "hostile:a", "data": { "deny": false } })).await;
    client.publish("hostile:a", json!("first")).await;
    assert_eq!(client.data().await, "first");
}

#[tokio::test]
async fn many_failures_never_take_the_plugin_away_for_good() {
    let server = server();
    let (mut client, mut witness) = (Client::connect(&server).await, Client::connect(&server).await);
    for _ in 0..30 {
        let answer = provoke(&mut client, "hostile:a", "trap").await;
        assert_eq!(answer["type"], "error", "{answer}");
        witness.publish("chat:a", json!({ "text": "hi" })).await;
    }
    works_again(&mut client, "hostile:a").await;
}

#[tokio::test]
async fn failures_on_many_channels_leave_the_plugins_others_alone() {
    let server = server();
    let (mut client, mut good) = (Client::connect(&server).await, Client::connect(&server).await);
    good.publish("hostile:good", json!({ "do": "ok" })).await;
    // More than the plugin may have stores: but the store of what has failed is gone.
    let began = Instant::now();
    for n in 0..600 {
        let channel = format!("hostile:bad-{n}");
        assert_eq!(provoke(&mut client, &channel, "trap").await, failed(&channel));
    }
    good.publish("hostile:good", json!({ "do": "ok" })).await;
    good.publish("hostile:new", json!({ "do": "ok" })).await;
    // Each is counted, and a second of the log has twenty of them, and how many more there were.
    server
        .wait_for_report(BOUND, "every failure is counted", |report| {
            let of = report["plugins"].as_array()?.iter().find(|plugin| plugin["name"] == "hostile")?;
            (of["loaded"]["failures"]["panic"] == 600).then_some(())
        })
        .await;
    let seconds = began.elapsed().as_secs() as usize + 1;
    let lines = server.logged(&["hostile", "the plugin failed handling"]).len();
    assert!((20..=20 * (seconds + 1)).contains(&lines), "{lines} lines in {seconds} s");
}

#[tokio::test]
async fn a_connection_may_end_while_its_message_is_judged() {
    let mut server: Server = server();
    let mut witness = Client::connect(&server).await;
    for what in ["loop", "spin", "trap", "huge", "kick"] {
        let (mut client, channel) = (Client::connect(&server).await, format!("hostile:{what}"));
        client.subscribe(&channel).await;
        client.send(json!({ "type": "publish", "channel": channel, "data": { "do": what } })).await;
        drop(client);
        witness.ping().await;
    }
    works_again(&mut witness, "hostile:a").await;
    server.assert_alive();
}

/// What costs a shard milliseconds each time is not borne for ever, on however many channels it is.
#[tokio::test]
async fn calls_that_are_ended_again_and_again_pause_the_version_as_a_whole() {
    let server = server();
    let (mut client, mut witness) = (Client::connect(&server).await, Client::connect(&server).await);
    for n in 0.. {
        let channel = format!("hostile:{n}");
        assert_eq!(provoke(&mut client, &channel, "loop").await, failed(&channel));
        if !server.logged(&["pauses as a whole for"]).is_empty() {
            break;
        }
        assert!(n < 100, "never");
    }
    assert_eq!(provoke(&mut client, "hostile:good", "ok").await, failed("hostile:good"));
    let report = server.report().await;
    let hostile = report["plugins"].as_array().unwrap().iter().find(|plugin| plugin["name"] == "hostile");
    assert!(hostile.unwrap()["loaded"]["paused_ms"].as_u64() > Some(0), "{report:#}");
    assert_eq!(hostile.unwrap()["state"], "active");
    let metrics = crate::harness::http::get(&server, "/metrics").await.body;
    for line in
        ["tidegate_plugin_paused{plugin=\"hostile\"} 1", "tidegate_plugin_quarantined{plugin=\"hostile\"} 0"]
    {
        assert!(metrics.contains(line), "{metrics}");
    }
    witness.publish("chat:a", json!({ "text": "hi" })).await;
    works_again(&mut client, "hostile:good").await;
}

#[tokio::test]
async fn who_always_finds_a_channel_that_has_not_failed_yet_is_held_back() {
    let server = server();
    let (mut culprit, mut other) = (Client::connect(&server).await, Client::connect(&server).await);
    // Of a second, of one that begins meanwhile, and then some.
    const FAILURES: usize = 96;
    let began = Instant::now();
    let fails = async {
        for round in 0..FAILURES {
            let channel = format!("hostile:{round}");
            assert_eq!(provoke(&mut culprit, &channel, "trap").await, failed(&channel));
        }
    };
    let mut answers = 0;
    let works = async {
        loop {
            works_again(&mut other, "hostile:other").await;
            answers += 1;
        }
    };
    tokio::select! {
        () = fails => {}
        () = works => unreachable!("it has no end"),
    }
    // A second, of which the server may begin to count late.
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
    assert!(answers > FAILURES, "{answers}: nobody else waits");
    works_again(&mut culprit, "hostile:culprit").await;
}

#[tokio::test]
async fn who_has_many_failures_under_way_is_heard_again() {
    // It could not be heard for longer than that.
    let config = "heartbeat.interval_secs = 1\nheartbeat.missed = 1\n";
    let server = Server::builder().plugins(&["hostile"]).config(config).start();
    let mut culprit = Client::connect(&server).await;
    for round in 0..250 {
        let channel = format!("hostile:{round}");
        culprit
            .send(json!({ "type": "publish", "channel": channel, "data": asks("trap"), "id": round }))
            .await;
    }
    for _ in 0..250 {
        assert_eq!(culprit.next_json().await["code"], "plugin_failed");
    }
    // One message may have been waited for already when the first of them failed.
    for _ in 0..2 {
        works_again(&mut culprit, "hostile:culprit").await;
    }
}
