//! A plugin whose calls have all been quick is called without a stack of its own to leave in the middle. Then a call
//! that is not quick after all is waited for, once, and ends as any other does.

use std::cell::RefCell;
use std::sync::Arc;

use tidegate::plugin::{Generation, PluginEngine};

use super::handled_turns::handler;
use super::on_a_shard;
use super::room::Room;

/// Of `host/src/plugin/quick.rs`, and some more.
const ENOUGH: usize = 1010;

/// A shard with a plugin for `slow` that has been quick for long, and one for `other`.
async fn quick_until_now(file: &str) -> (Room, Arc<Generation>) {
    let engine = PluginEngine::new(None).unwrap();
    let slow = handler(&engine, file, file, "slow").await;
    let other = handler(&engine, "pass", "pass", "other").await;
    let room = Room::open(engine, &[&slow, &other]);
    assert!(room.publish(&[("slow", "1"); ENOUGH]).await);
    (room, slow)
}

/// Which of two channels has its answer first.
async fn first(room: &Room, slow: &'static str) -> &'static str {
    let first = RefCell::new(None);
    let publish = async |channel, json| {
        room.publish(&[(channel, json)]).await;
        first.borrow_mut().get_or_insert(channel);
    };
    tokio::join!(publish("slow", slow), publish("other", "1"));
    first.into_inner().unwrap()
}

/// Ends within its time.
const SPIN: &str = r#"{"do":"spin"}"#;
/// So long that the shard's thread has had a processor before it is ended, whatever else the machine does.
const LOOP: &str = r#"{"do":"loop"}"#;

#[test]
fn the_first_that_is_long_is_waited_for_and_the_next_is_not() {
    on_a_shard(async {
        let (room, _plugin) = quick_until_now("hostile").await;
        assert_eq!(first(&room, SPIN).await, "slow");
        // Nor by having been quick again: that needs a minute.
        assert!(room.publish(&[("slow", "1"); ENOUGH]).await);
        assert_eq!(first(&room, LOOP).await, "other");
    });
}

#[test]
fn who_has_not_been_quick_for_long_is_not_waited_for() {
    on_a_shard(async {
        let engine = PluginEngine::new(None).unwrap();
        let slow = handler(&engine, "hostile", "hostile", "slow").await;
        let other = handler(&engine, "pass", "pass", "other").await;
        let room = Room::open(engine, &[&slow, &other]);
        assert!(room.publish(&[("slow", "1"), ("other", "1")]).await);
        assert_eq!(first(&room, LOOP).await, "other");
    });
}

#[test]
fn who_may_wait_in_the_host_is_called_as_ever() {
    on_a_shard(async {
        for file in ["effects", "sleeper"] {
            let (room, _plugin) = quick_until_now(file).await;
            assert!(room.publish(&[("slow", "1")]).await, "{file}");
        }
    });
}
