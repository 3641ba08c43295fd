//! Ten thousand subscribers of one channel, each with a filter, on one shard.

use std::rc::Rc;

use bytes::Bytes;
use tidegate::plugin::PluginEngine;
use tidegate::server;

use super::open_socket::OpenSocket;
use super::room::Room;
use super::{loaded, on_a_shard, settings};

const SUBSCRIBERS: usize = 10_000;

/// So many judgements for each message, and every other subscriber gets it.
fn judged(distinct: usize) {
    on_a_shard(async move {
        let engine = PluginEngine::new(None).unwrap();
        let mut patient = settings(&[]);
        // On a machine that is busy; what is counted here is not time.
        patient.limits.filter_ms = 10_000;
        let filter = loaded(&engine, "hostile-filter", &patient).await;
        let room = Room::open(engine, &[&filter]);
        let shard = &room.shard;
        let mut written = Vec::new();
        for number in 0..SUBSCRIBERS {
            let sink = OpenSocket::default();
            let connection = shard.connect(server::NATIVE, Rc::new(sink.clone())).unwrap();
            // Of as many texts as are wanted, every other is in the message.
            let which = number % distinct;
            let (text, blanks) = (["x", "y"][which % 2], " ".repeat(which));
            let params = Bytes::from(format!(r#"{{"contains":"{text}"}}{blanks}"#));
            room.subscribe(&connection, "room", Some((&filter, params))).await;
            connection.until_settled().await;
            written.push((which, sink));
        }
        settle().await;
        let before: Vec<usize> = written.iter().map(|(_, sink)| sink.bytes()).collect();
        for round in 1..=3 {
            assert!(room.publish(&[("room", "\"x\"")]).await);
            while shard.filters().judged() < round * distinct as u64 {
                tokio::task::yield_now().await;
            }
        }
        let delivered =
            |(which, sink): &(usize, OpenSocket), before: &usize| which % 2 == 1 || sink.bytes() > *before;
        while !written.iter().zip(&before).all(|(written, before)| delivered(written, before)) {
            tokio::task::yield_now().await;
        }
        assert_eq!(shard.filters().judged(), 3 * distinct as u64);
        settle().await;
        for ((which, sink), before) in written.iter().zip(before) {
            assert_eq!(sink.bytes() > before, which % 2 == 0, "filter {which}");
        }
    });
}

/// Everything that is ready has had its turn.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn ten_thousand_subscribers_with_a_hundred_filters_cost_a_hundred_judgements_a_message() {
    judged(100);
}

#[test]
fn ten_thousand_filters_are_ten_thousand_judgements_a_message_and_nobody_waits_for_more() {
    judged(SUBSCRIBERS);
}
