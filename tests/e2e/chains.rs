//! Channels that several plugins handle: each is asked in its turn.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Client, Server, wait};

/// Of links, each with its settings beside the mark and the channels.
fn config(links: &[(&str, &str)]) -> String {
    let link = |(name, more): &(&str, &str)| {
        format!("[plugins.{name}]\nchannels = ['room:*']\n{more}\n[plugins.{name}.config]\nmark = '{name}'\n")
    };
    let rules = "[[channel]]\npattern = '*'\n[[channel]]\npattern = 'room:*'\n";
    format!("{rules}{}", links.iter().map(link).collect::<String>())
}

fn start(links: &[(&str, &str)]) -> Server {
    let names: Vec<&str> = links.iter().map(|(name, _)| *name).collect();
    Server::builder().plugin_as(&names, "link").config(&config(links)).start()
}

/// Hears what the links tell, in the order in which it came.
struct Ear(Client);

impl Ear {
    async fn at(server: &Server) -> Self {
        let mut client = Client::connect(server).await;
        client.subscribe("told").await;
        Self(client)
    }

    async fn hears(&mut self, words: &[&str]) {
        for word in words {
            assert_eq!(self.0.data().await, *word);
        }
    }

    /// Nothing else has come, up to what somebody says now.
    async fn hears_no_more(&mut self) {
        self.0.publish("told", json!("the end")).await;
        self.hears(&["the end"]).await;
    }
}

fn is_rejected(answer: &Value, code: u32, reason: &str) {
    let is = (&answer["code"], &answer["reason_code"], &answer["message"]);
    assert_eq!(is, (&json!("rejected"), &json!(code), &json!(reason)), "{answer}");
}

#[tokio::test]
async fn each_is_asked_in_its_order_and_sees_what_the_one_before_has_made_of_it() {
    // By their numbers, then by name.
    let server = start(&[("a", "order = 1"), ("b", ""), ("c", ""), ("d", "order = -1")]);
    let (mut client, mut ear) = (Client::connect(&server).await, Ear::at(&server).await);
    client.subscribe("room:1").await;
    client.publish("room:1", json!("x")).await;
    assert_eq!(client.data().await, "xdbca");
    let user = client.user().await;
    let mut told: Vec<String> =
        ["d", "b", "c", "a"].iter().map(|link| format!("{link} let {user} in")).collect();
    told.extend(["d saw x", "b saw xd", "c saw xdb", "a saw xdbc"].map(String::from));
    ear.hears(&told.iter().map(String::as_str).collect::<Vec<_>>()).await;
    client.unsubscribe("room:1").await;
    let told = ["d", "b", "c", "a"].map(|link| format!("{link} heard that {user} is gone: Departure::Left"));
    ear.hears(&told.each_ref().map(String::as_str)).await;
    ear.hears_no_more().await;
    let report = server.report().await;
    let order = |n: usize| report["plugins"][n]["loaded"]["order"].clone();
    assert_eq!([order(0), order(1), order(3)], [1, 0, -1].map(Value::from));
}

#[tokio::test]
async fn who_refuses_or_drops_ends_it_and_what_was_wanted_till_then_is_done() {
    let server = start(&[("a", ""), ("b", ""), ("c", "")]);
    let (mut client, mut ear) = (Client::connect(&server).await, Ear::at(&server).await);
    let answer = client.try_publish("room:1", json!("deny:b x")).await;
    is_rejected(&answer, 8, "b does not like it.");
    ear.hears(&["a saw deny:b x", "b saw deny:b xa"]).await;
    client.try_publish("room:1", json!("drop:a")).await;
    ear.hears(&["a saw drop:a"]).await;
    ear.hears_no_more().await;
}

#[tokio::test]
async fn when_one_fails_nothing_that_the_others_wanted_is_done() {
    let server = start(&[("a", ""), ("b", ""), ("c", "")]);
    let (mut client, mut ear) = (Client::connect(&server).await, Ear::at(&server).await);
    for (asked, plugin) in [("trap:c say:a timer:a x", "c"), ("trap:b x", "b"), ("trap:a", "a")] {
        let answer = client.try_publish("room:1", json!(asked)).await;
        let failed = format!("Plugin '{plugin}' failed.");
        assert_eq!((&answer["code"], &answer["message"]), (&json!("plugin_failed"), &json!(failed)));
    }
    ear.hears_no_more().await;
    client.subscribe("room:1").await;
    client.publish("room:1", json!("x")).await;
    assert_eq!(client.data().await, "xabc", "nor has anything else come before it");
}

#[tokio::test]
async fn what_one_publishes_into_the_channel_follows_the_message_and_is_not_judged() {
    let server = start(&[("a", ""), ("b", "")]);
    let mut client = Client::connect(&server).await;
    client.subscribe("room:1").await;
    client.publish("room:1", json!("x say:b say:a ")).await;
    for said in ["x say:b say:a ab", "a says", "b says"] {
        assert_eq!(client.data().await, said);
    }
}

#[tokio::test]
async fn a_subscription_needs_the_leave_of_all_and_is_taken_back_where_one_refuses() {
    let server = start(&[("a", ""), ("b", ""), ("c", "")]);
    let (mut client, mut ear) = (Client::connect(&server).await, Ear::at(&server).await);
    let user = client.user().await;
    let subscribe = |data: &str| json!({ "type": "subscribe", "channel": "room:1", "data": data });
    is_rejected(&client.ask(subscribe("deny:c")).await, 7, "c lets nobody in.");
    // Those that had let it in hear that it is not; nothing is done of what they wanted then.
    ear.hears_no_more().await;
    let answer = client.ask(subscribe("trap:b")).await;
    assert_eq!(
        (&answer["code"], answer["message"].as_str()),
        (&json!("plugin_failed"), Some("Plugin 'b' failed."))
    );
    client.ask(subscribe("")).await;
    let told = ["a", "b", "c"].map(|link| format!("{link} let {user} in"));
    ear.hears(&told.each_ref().map(String::as_str)).await;
    let told =
        |link: &str| server.logged(&[&format!("{link} heard that {user} is gone: Departure::Removed")]).len();
    wait::eventually("they hear of it", async || ([told("a"), told("b")] == [2, 1]).then_some(())).await;
    assert_eq!(told("c"), 0, "it never let anybody in");
    ear.hears_no_more().await;
    client.publish("room:1", json!("x")).await;
    assert_eq!(client.data().await, "xabc");
}

#[tokio::test]
async fn the_first_that_has_a_default_response_gives_it() {
    let mut config = config(&[("a", ""), ("b", ""), ("c", "")]);
    config = config.replace("pattern = 'room:*'", "pattern = 'room:*'\ndefault_response = true");
    config = config.replace("mark = 'b'", "mark = 'b'\ngreeting = 'from b'");
    config = config.replace("mark = 'c'", "mark = 'c'\ngreeting = 'from c'");
    let server = Server::builder().plugin_as(&["a", "b", "c"], "link").config(&config).start();
    let mut client = Client::connect(&server).await;
    client.subscribe("room:1").await;
    assert_eq!(client.data().await, "from b");
    client.ping().await;
    assert_eq!(client.left_over(), []);
}

#[tokio::test]
async fn a_timer_is_its_own_handlers() {
    let server = start(&[("a", ""), ("b", "")]);
    let (mut client, mut ear) = (Client::connect(&server).await, Ear::at(&server).await);
    client.publish("room:1", json!("timer:b")).await;
    ear.hears(&["a saw timer:b", "b saw timer:ba"]).await;
    // The word is no longer b's once a's mark is behind it.
    ear.hears_no_more().await;
    client.publish("room:1", json!("timer:b timer:a x")).await;
    ear.hears(&["a saw timer:b timer:a x", "b saw timer:b timer:a xa"]).await;
    // With the same id.
    let mut rang = [ear.0.data().await, ear.0.data().await];
    rang.sort_by_key(Value::to_string);
    assert_eq!(rang, ["a rang 1", "b rang 1"]);
    ear.hears_no_more().await;
}

#[tokio::test]
async fn the_order_of_messages_is_kept_however_many_are_under_way() {
    let server = start(&[("a", ""), ("b", ""), ("c", "")]);
    let mut client = Client::connect(&server).await;
    client.subscribe("room:1").await;
    for number in 0..200 {
        client.send(json!({ "type": "publish", "channel": "room:1", "data": format!("{number} ") })).await;
    }
    for number in 0..200 {
        assert_eq!(client.data().await, format!("{number} abc"));
    }
}

#[tokio::test]
async fn handlers_come_and_change_places_while_the_channel_is_in_use() {
    let server = start(&[("a", ""), ("b", ""), ("c", "order = 5")]);
    let mut client = Client::connect(&server).await;
    client.subscribe("room:1").await;
    client.publish("room:1", json!("x")).await;
    assert_eq!(client.data().await, "xabc");
    std::fs::write(server.config_file(), config(&[("a", "order = 9"), ("b", ""), ("c", "order = 5")]))
        .unwrap();
    server.hang_up();
    wait::eventually("the new order", async || {
        client.publish("room:1", json!("x")).await;
        (client.data().await == "xbca").then_some(())
    })
    .await;
    // One leaves the channel, by the operator's word: the others go on without it.
    let without = config(&[("a", ""), ("b", ""), ("c", "")])
        .replace("[plugins.b]\nchannels = ['room:*']", "[plugins.b]\nchannels = ['other:*']");
    std::fs::write(server.config_file(), without).unwrap();
    server.hang_up();
    wait::eventually("the others go on", async || {
        client.publish("room:1", json!("x")).await;
        (client.data().await == "xac").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_channel_that_has_lost_one_of_its_handlers_is_closed_till_it_is_back() {
    let server = start(&[("a", ""), ("b", "")]);
    let mut client = Client::connect(&server).await;
    client.subscribe("room:1").await;
    let file = std::fs::read(server.plugin("b")).unwrap();
    std::fs::remove_file(server.plugin("b")).unwrap();
    let gone = client.next_json().await;
    assert_eq!(gone["code"], "channel_not_found", "{gone}");
    let answer = client.try_publish("room:1", json!("unmoderated")).await;
    assert_eq!(answer["code"], "channel_not_found", "{answer}");
    std::fs::write(server.plugin("b"), file).unwrap();
    wait::eventually_in(Duration::from_secs(20), "it is back", async || {
        let answer = client.ask(json!({ "type": "subscribe", "channel": "room:1" })).await;
        (answer["type"] == "subscribed").then_some(())
    })
    .await;
    client.publish("room:1", json!("x")).await;
    assert_eq!(client.data().await, "xab");
}
