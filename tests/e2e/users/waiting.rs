//! What waits for a user to come.

use std::cell::Cell;

use serde_json::{Value, json};

use super::{connect, numbers, post, present, refused, send, server, token, with_queue};
use crate::harness::client::Arrived;
use crate::harness::http;
use crate::harness::sign::SECRET;
use crate::harness::{Events, Server, eventually};

/// What waits, or is delivered; the answers to it.
async fn say(server: &Server, user: &str, numbers: std::ops::RangeInclusive<u64>) -> Vec<Value> {
    let mut answers = Vec::new();
    for number in numbers {
        answers.push(send(server, json!({ "user": user, "data": number })).await);
    }
    answers
}

#[tokio::test]
async fn what_is_sent_to_who_is_away_comes_in_order_and_once() {
    let server = with_queue("");
    let queued = json!({ "delivered": 0, "queued": true });
    assert_eq!(say(&server, "ada", 1..=5).await, vec![queued; 5]);
    let publish = json!({ "channel": "$user:ada", "data": 6, "idempotency_key": "k" });
    for _ in 0..2 {
        let answer = post(&server, "/api/publish", publish.clone()).await;
        assert_eq!((&answer["offset"], &answer["queued"]), (&json!(6), &json!(true)));
    }
    let mut ada = connect(&server, "ada").await;
    let subscribed = ada.subscribe("$user:ada").await;
    assert_eq!(
        (&subscribed["offset"], subscribed.get("recovered")),
        (&json!(0), None),
        "what comes next is after it"
    );
    let first = ada.next_json().await;
    assert_eq!((&first["channel"], &first["offset"]), (&json!("$user:ada"), &json!(1)));
    assert!(first["timestamp"].is_f64(), "{first}");
    assert_eq!(numbers(&mut ada, 5).await, [2, 3, 4, 5, 6]);

    let mut phone = present(&server, "ada").await;
    assert_eq!(numbers(&mut phone, 0).await, [0; 0], "the first has taken all");
    assert_eq!(say(&server, "ada", 7..=7).await, [json!({ "delivered": 2 })]);
    assert_eq!((ada.data().await, phone.data().await), (json!(7), json!(7)));
    ada.subscribe("$user:ada").await;
    assert_eq!(numbers(&mut ada, 0).await, [0; 0], "and none comes twice");

    for client in [&mut ada, &mut phone] {
        client.unsubscribe("$user:ada").await;
    }
    assert_eq!(say(&server, "ada", 8..=8).await[0]["queued"], true, "away is who does not subscribe");
    let mut bob = present(&server, "bob").await;
    assert_eq!(numbers(&mut bob, 0).await, [0; 0]);
    ada.subscribe("$user:ada").await;
    assert_eq!(numbers(&mut ada, 1).await, [8]);
}

#[tokio::test]
async fn of_two_that_come_at_once_one_gets_all() {
    let server = with_queue("");
    for round in 0..10 {
        let user = format!("user-{round}");
        say(&server, &user, 1..=3).await;
        let channel = format!("$user:{user}");
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(connect(&server, &user).await);
        }
        futures_util::future::join_all(clients.iter_mut().map(|client| client.subscribe(&channel))).await;
        let mut shares = Vec::new();
        for client in &mut clients {
            client.ping().await;
            let came = client.left_over().iter().filter_map(Arrived::json).collect::<Vec<_>>();
            shares.push(came.iter().map(|frame| frame["data"].as_u64().unwrap()).collect::<Vec<_>>());
        }
        shares.sort();
        assert_eq!(shares, [vec![], vec![], vec![], vec![1, 2, 3]]);
    }
}

#[tokio::test]
async fn what_waits_is_bounded_in_messages_bytes_and_time() {
    let server = with_queue("messages = 3");
    assert!(say(&server, "ada", 1..=7).await.iter().all(|answer| answer["queued"] == true));
    assert_eq!(numbers(&mut present(&server, "ada").await, 3).await, [5, 6, 7]);

    let server = with_queue("bytes = 1000");
    say(&server, "ada", 1..=9).await;
    let large = send(&server, json!({ "user": "ada", "text": "a".repeat(900) })).await;
    assert_eq!(large, json!({ "delivered": 0 }), "more than may wait at all: it drives nothing out");
    assert_eq!(numbers(&mut present(&server, "ada").await, 5).await, [5, 6, 7, 8, 9]);

    let server = with_queue("ttl_secs = 1");
    say(&server, "ada", 1..=3).await;
    let sent = std::time::Instant::now();
    eventually("a second", async || (sent.elapsed().as_millis() > 1000).then_some(())).await;
    say(&server, "ada", 4..=4).await;
    assert_eq!(numbers(&mut present(&server, "ada").await, 1).await, [4]);
}

#[tokio::test]
async fn there_are_so_many_users_for_whom_something_waits() {
    let config = format!("[[channel]]\npattern = '*'\n[users.queue]\nusers = 2\n[jwt]\nsecret = '{SECRET}'");
    let server = Server::builder().config(&config).shards(1).start();
    say(&server, "ada", 1..=2).await;
    say(&server, "bob", 1..=2).await;
    let cleo = json!({ "user": "cleo", "data": 1 });
    assert_eq!(refused(&server, "/api/send", cleo.clone()).await, (429, "limit_exceeded".into()));
    say(&server, "ada", 3..=3).await;
    let mut present_cleo = present(&server, "cleo").await;
    assert_eq!(send(&server, cleo.clone()).await, json!({ "delivered": 1 }), "who is there needs no queue");
    assert_eq!(numbers(&mut present_cleo, 1).await, [1]);
    present_cleo.unsubscribe("$user:cleo").await;
    assert_eq!(refused(&server, "/api/send", cleo.clone()).await.0, 429);
    assert_eq!(numbers(&mut present(&server, "ada").await, 3).await, [1, 2, 3]);
    assert_eq!(send(&server, cleo).await["queued"], true);
}

#[tokio::test]
async fn a_history_gives_back_what_a_connection_lost() {
    let server = server("[[channel]]\npattern = '$user:*'\nhistory = { messages = 20 }\n[users.queue]");
    let mut ada = connect(&server, "ada").await;
    let subscribed = ada.subscribe("$user:ada").await;
    say(&server, "ada", 1..=2).await;
    assert_eq!(numbers(&mut ada, 2).await, [1, 2]);
    drop(ada);
    eventually("its end", async || {
        let answer = send(&server, json!({ "user": "ada", "data": 0 })).await;
        (answer["queued"] == true).then_some(())
    })
    .await;
    let all = http::get(&server, "/api/channels/$user:ada/history").await.json();
    let all: Vec<_> =
        all["messages"].as_array().unwrap().iter().map(|m| m["offset"].as_u64().unwrap()).collect();
    let last = *all.last().unwrap();
    assert!(all.len() >= 3 && all.len() as u64 == last, "{all:?}");

    let mut recover = json!({ "epoch": subscribed["epoch"], "offset": 2 });
    let asked = json!({ "channel": "$user:ada", "recover": recover });
    let mut ada = connect(&server, "ada").await;
    assert_eq!(ada.subscribe_with(asked).await["recovered"], true);
    for offset in 3..=last {
        assert_eq!(ada.next_json().await["offset"], offset, "each once, whether it was lost or waited");
    }
    assert_eq!(numbers(&mut ada, 0).await, [0; 0]);
    ada.unsubscribe("$user:ada").await;

    say(&server, "ada", 100..=101).await;
    ada.subscribe_with(json!({ "channel": "$user:ada", "history": 3 })).await;
    assert_eq!(numbers(&mut ada, 3).await, [0, 100, 101], "a wish for more of the past");
    ada.unsubscribe("$user:ada").await;
    say(&server, "ada", 102..=104).await;
    ada.subscribe_with(json!({ "channel": "$user:ada", "history": 1 })).await;
    assert_eq!(numbers(&mut ada, 3).await, [102, 103, 104], "or for less");
    ada.unsubscribe("$user:ada").await;
    say(&server, "ada", 105..=105).await;
    recover["epoch"] = json!("00000000000000aa");
    let answer = ada.subscribe_with(json!({ "channel": "$user:ada", "recover": recover })).await;
    assert_eq!(answer["recovered"], false);
    assert_eq!(ada.next_json().await["offset"], 1, "what is kept");
}

#[tokio::test]
async fn without_a_history_what_waited_is_recovered_from() {
    let server = with_queue("");
    let mut ada = connect(&server, "ada").await;
    let epoch = ada.subscribe("$user:ada").await["epoch"].clone();
    say(&server, "ada", 1..=2).await;
    assert_eq!(numbers(&mut ada, 2).await, [1, 2]);
    ada.unsubscribe("$user:ada").await;
    say(&server, "ada", 3..=4).await;
    let asked =
        |offset: u64| json!({ "channel": "$user:ada", "recover": { "epoch": epoch, "offset": offset } });
    assert_eq!(ada.subscribe_with(asked(2)).await["recovered"], true);
    assert_eq!(numbers(&mut ada, 2).await, [3, 4]);
    ada.unsubscribe("$user:ada").await;
    assert_eq!(ada.subscribe_with(asked(2)).await["recovered"], false, "it was handed on, and is gone");
    assert_eq!(numbers(&mut ada, 0).await, [0; 0]);
}

#[tokio::test]
async fn forgetting_a_channels_past_forgets_what_waits() {
    let server = with_queue("");
    say(&server, "ada", 1..=3).await;
    let answer = http::request(&server, "DELETE", "/api/channels/$user:ada/history", &[], "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    say(&server, "ada", 4..=4).await;
    assert_eq!(numbers(&mut present(&server, "ada").await, 1).await, [4]);
}

#[tokio::test]
async fn a_user_that_is_subscribed_without_asking_gets_what_waits() {
    let server = server("[users]\nsubscribe = true\n[users.queue]");
    say(&server, "ada", 1..=3).await;
    let mut ada = connect(&server, "ada").await;
    assert_eq!(ada.next_json().await["type"], "subscribed");
    assert_eq!(numbers(&mut ada, 3).await, [1, 2, 3]);
}

#[tokio::test]
async fn a_stream_of_events_takes_what_waits() {
    let server = with_queue("");
    say(&server, "ada", 1..=2).await;
    let path = format!("/sse?channel=$user:ada&token={}", token("ada"));
    let mut events = Events::open(&server, &path).await;
    assert_eq!((events.said().await.1, events.said().await.1), ("1".into(), "2".into()));
}

/// Whoever comes and goes, on whatever shard: each message reaches exactly one stay, in order.
/// Those who go say so, or are sent away, so that what was handed to them can be seen.
#[tokio::test]
async fn coming_and_going_loses_nothing_and_doubles_nothing() {
    const MESSAGES: u64 = 600;
    let server = with_queue("messages = 1000\nbytes = 1000000");
    let said = Cell::new(false);
    let publish = async {
        for first in (1..=MESSAGES).step_by(3) {
            let commands: Vec<_> = (first..first + 3)
                .map(|number| json!({ "publish": { "channel": "$user:ada", "data": number } }))
                .collect();
            post(&server, "/api/batch", json!({ "commands": commands })).await;
        }
        said.set(true);
    };
    let came = async {
        let mut came: Vec<u64> = Vec::new();
        let mut stay = 0;
        let mut last = false;
        while !last {
            last = said.get();
            stay += 1;
            let mut client = connect(&server, "ada").await;
            client.send(json!({ "type": "subscribe", "channel": "$user:ada" })).await;
            client.expect("subscribed").await;
            for _ in 0..stay % 4 {
                client.ping().await;
            }
            if stay % 2 == 0 {
                client.unsubscribe("$user:ada").await;
            } else {
                let order = json!({ "user": "ada" });
                assert_eq!(post(&server, "/api/disconnect", order).await["disconnected"], 1);
                client.closed().await;
            }
            let frames: Vec<_> = client.left_over().iter().filter_map(Arrived::json).collect();
            came.extend(frames.iter().map(|frame| frame["data"].as_u64().unwrap()));
        }
        (came, stay)
    };
    let ((), (came, stays)) = tokio::join!(publish, came);
    assert!(stays > 3, "{stays} stays say nothing");
    assert_eq!(came, (1..=MESSAGES).collect::<Vec<_>>(), "in {stays} stays");
}

#[tokio::test]
async fn a_handler_and_a_filter_of_a_users_channel_see_what_waits() {
    let config = format!(
        "[[channel]]\npattern = '*'\n[users.queue]\n[jwt]\nsecret = '{SECRET}'\n\
         [plugins.chat]\nchannels = ['$user:*']\n"
    );
    let server = Server::builder().plugins(&["chat", "level-filter"]).config(&config).start();
    let says = |level: &str| json!({ "user": "ada", "data": { "text": level, "level": level } });
    assert_eq!(refused(&server, "/api/send", json!({ "user": "ada", "data": 1 })).await.0, 400);
    for text in ["one", "two"] {
        assert_eq!(send(&server, says(text)).await["queued"], true);
    }
    let mut ada = connect(&server, "ada").await;
    let filter = json!({ "plugin": "level", "params": { "min": "error" } });
    ada.subscribe_with(json!({ "channel": "$user:ada", "filter": filter })).await;
    let answer = send(&server, says("three")).await;
    assert_eq!(answer, json!({ "delivered": 0 }), "the filter has judged it: it does not wait");
    let mut phone = present(&server, "ada").await;
    send(&server, says("four")).await;
    let said = phone.data().await;
    assert_eq!((&said["text"], &said["from"]), (&json!("four"), &json!("server")));
    assert_eq!(numbers(&mut ada, 0).await, [0; 0], "nor what waited, which has no level");
}
