//! What filters let pass leaves with the turn that brought it, and shares its write; a filter that takes
//! long delays only those who chose its plugin.

use std::sync::Arc;

use bytes::Bytes;
use tidegate::plugin::{Generation, PluginEngine};

use super::open_socket::OpenSocket;
use super::room::{Filter, Room, writes};
use super::{loaded, on_a_shard, settings};

/// Long enough that a loop is seen to go on after its turn.
const FILTER_MS: u64 = 50;

async fn open() -> (Room, Arc<Generation>) {
    let engine = PluginEngine::new(None).unwrap();
    let mut plugin = settings(&[]);
    plugin.limits.filter_ms = FILTER_MS;
    let filter = loaded(&engine, "hostile-filter", &plugin).await;
    (Room::open(engine, &[&filter]), filter)
}

fn by<'a>(filter: &'a Arc<Generation>, params: &'static str) -> Option<Filter<'a>> {
    Some((filter, Bytes::from_static(params.as_bytes())))
}

#[test]
fn what_passes_leaves_with_its_turn_and_shares_its_write() {
    on_a_shard(async {
        let (room, filter) = open().await;
        let one = room.listener(&["a"], by(&filter, r#"{"contains":"x"}"#)).await;
        let both = room.listener(&["a", "b"], by(&filter, r#"{"contains":"x"}"#)).await;
        let half = room.listener(&["a", "b"], by(&filter, r#"{"contains":"y"}"#)).await;
        let publish = async |messages: &[(&str, &'static str)]| {
            let listeners = [&one, &both, &half];
            let before = listeners.map(OpenSocket::writes);
            assert!(room.publish(messages).await);
            let mut after = listeners.map(OpenSocket::writes);
            after.iter_mut().zip(before).for_each(|(after, before)| *after -= before);
            after
        };
        assert_eq!(publish(&[("a", "\"x\"")]).await, [1, 1, 0]);
        assert_eq!(publish(&[("a", "\"x\""), ("a", "\"y\""), ("a", "\"x\"")]).await, [1, 1, 1]);
        assert_eq!(publish(&[("a", "\"x\""), ("b", "\"x\""), ("a", "\"xy\"")]).await, [1, 1, 1]);
        assert_eq!(publish(&[("b", "\"y\"")]).await, [0, 0, 1]);
    });
}

#[test]
fn who_waits_for_a_slow_filter_waits_alone() {
    on_a_shard(async {
        let (room, filter) = open().await;
        let plain = room.listener(&["a"], None).await;
        let quick = room.listener(&["b"], by(&filter, r#"{"contains":"x"}"#)).await;
        let _endless = room.listener(&["a"], by(&filter, r#"{"loop":true}"#)).await;
        assert_eq!(writes(&plain, room.publish(&[("a", "\"x\"")])).await, 1, "as if there were no filter");
        let before = (plain.writes(), quick.writes());
        assert!(room.publish(&[("a", "\"x\""), ("b", "\"x\"")]).await);
        assert_eq!((plain.writes() - before.0, quick.writes() - before.1), (1, 0), "in its plugin's order");
        while quick.writes() == before.1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(writes(&quick, room.publish(&[("b", "\"x\"")])).await, 1, "the slow one pauses");
    });
}
