//! What handlers let pass leaves with the turn that brought it, and shares its write; a handler that takes
//! long delays only its channel.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate::core::{Pattern, PluginName};
use tidegate::plugin::{Generation, PluginEngine, Source, load};

use super::room::{Room, writes};
use super::{on_a_shard, plugins, settings};

/// Long enough that a loop is seen to go on after its turn.
const CALL_MS: u64 = 50;

/// A plugin of that name for these channels: the component in a file.
async fn handler(engine: &PluginEngine, name: &str, file: &str, channels: &str) -> Arc<Generation> {
    let name = PluginName::parse(name).unwrap();
    let source = Source { name, bytes: plugins::bytes(file), file: plugins::path(file) };
    let mut plugin = settings(&[]);
    plugin.channels = Some(vec![Pattern::parse(channels).unwrap()]);
    plugin.limits.call_ms = CALL_MS;
    Arc::new(load(engine, source, &plugin).await.unwrap())
}

#[test]
fn what_passes_leaves_with_its_turn_and_shares_its_write() {
    on_a_shard(async {
        let engine = PluginEngine::new(None).unwrap();
        let pass = handler(&engine, "pass", "pass", "x:*").await;
        let again = handler(&engine, "again", "pass", "x:y:*").await;
        let room = Room::open(engine, &[&pass, &again]);
        let all = room.listener(&["x:1", "x:y:1", "x:y:2", "b"], None).await;
        assert_eq!(writes(&all, room.publish(&[("x:1", "1")])).await, 1);
        let and_plain = [("x:1", "1"), ("b", "2")];
        assert_eq!(writes(&all, room.publish(&and_plain)).await, 1, "with one that nobody handles");
        assert_eq!(writes(&all, room.publish(&[("x:y:1", "1"), ("b", "2")])).await, 1, "handled by two");
        let three = [("b", "1"), ("x:y:2", "2"), ("x:1", "3"), ("x:y:1", "4")];
        assert_eq!(writes(&all, room.publish(&three)).await, 1);
    });
}

#[test]
fn however_many_handlers_a_channel_has_all_of_them_answer() {
    on_a_shard(async {
        let engine = PluginEngine::new(None).unwrap();
        let mut plugins = Vec::new();
        for number in 0..12 {
            plugins.push(handler(&engine, &format!("pass-{number}"), "pass", "a").await);
        }
        let room = Room::open(engine, &plugins.iter().collect::<Vec<_>>());
        let listener = room.listener(&["a"], None).await;
        for _ in 0..3 {
            assert_eq!(writes(&listener, room.publish(&[("a", "1"), ("a", "2")])).await, 1);
        }
    });
}

#[test]
fn who_waits_for_a_slow_handler_waits_alone() {
    on_a_shard(async {
        let engine = PluginEngine::new(None).unwrap();
        let hostile = handler(&engine, "hostile", "hostile", "slow").await;
        let pass = handler(&engine, "pass", "pass", "a").await;
        let room = Room::open(engine, &[&hostile, &pass]);
        let (slow, quick) = (room.listener(&["slow"], None).await, room.listener(&["a", "b"], None).await);
        let began = Instant::now();
        let endless = room.publish(&[("slow", r#"{"do":"loop"}"#), ("slow", r#""after it""#)]);
        let others = async {
            let before = slow.writes();
            let mut heard = 0;
            while began.elapsed() < Duration::from_millis(CALL_MS) && slow.writes() == before {
                // The first of them beside the loop, which has had its time in this turn.
                assert!(writes(&quick, room.publish(&[("a", "1"), ("b", "2")])).await <= 2);
                heard += 1;
            }
            assert!(heard > 1, "the others went on {heard} times");
        };
        let (all_passed, ()) = tokio::join!(endless, others);
        assert!(!all_passed, "the loop was ended");
        assert_eq!(writes(&slow, room.publish(&[("slow", "1")])).await, 1, "and the channel goes on");
    });
}
