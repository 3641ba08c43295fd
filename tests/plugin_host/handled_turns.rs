//! What handlers let pass leaves with the turn that brought it, and shares its write; a handler that takes
//! long delays only its channel.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate::core::{Pattern, PluginName};
use tidegate::plugin::{Generation, PluginEngine, PluginSettings, Source, load};

use super::room::{Room, writes};
use super::{on_a_shard, plugins, settings};

/// Long enough that a loop is seen to go on after its turn.
const CALL_MS: u64 = 50;

/// A plugin of that name for these channels: the component in a file.
pub async fn handler(engine: &PluginEngine, name: &str, file: &str, channels: &str) -> Arc<Generation> {
    handler_with(engine, name, file, channels, settings(&[])).await
}

async fn handler_with(
    engine: &PluginEngine,
    name: &str,
    file: &str,
    channels: &str,
    mut plugin: PluginSettings,
) -> Arc<Generation> {
    let name = PluginName::parse(name).unwrap();
    let source = Source { name, bytes: plugins::bytes(file), file: plugins::path(file) };
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
fn nothing_is_accepted_in_channels_that_have_been_saved_nor_in_new_ones() {
    on_a_shard(async {
        let engine = PluginEngine::new(None).unwrap();
        let pass = handler(&engine, "pass", "pass", "x:*").await;
        let room = Room::open(engine, &[&pass]);
        assert!(room.publish(&[("x:1", "1"), ("b", "1")]).await);
        room.shard.drain().await;
        assert!(!room.publish(&[("x:1", "1")]).await, "it would not be in what was saved");
        assert!(!room.publish(&[("x:2", "1")]).await, "nor this one");
        assert!(room.publish(&[("b", "1"), ("c", "1")]).await, "nobody handles these");
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

/// Busy rooms, and those of them that have a store of their own.
const ROOMS: usize = 50;
const OWN_STORES: usize = 5;
/// Messages in flight, in each room.
const WINDOW: usize = 64;
/// On average, each room's.
const ANSWERS: usize = 10 * WINDOW;

#[test]
fn busy_rooms_are_served_alike_whether_they_share_a_store_or_not() {
    on_a_shard(async {
        let engine = PluginEngine::new(None).unwrap();
        let some_share = PluginSettings { stores: Some(OWN_STORES), ..settings(&[]) };
        let pass = handler_with(&engine, "pass", "pass", "*", some_share).await;
        let room = Rc::new(Room::open(engine, &[&pass]));
        let names: Rc<[String]> = (0..ROOMS).map(|number| format!("room:{number}")).collect();
        let answers: Rc<[Cell<usize>]> = names.iter().map(|_| Cell::default()).collect();
        for at in (0..ROOMS).flat_map(|at| [at; WINDOW]) {
            let (room, names, answers) = (room.clone(), names.clone(), answers.clone());
            tokio::task::spawn_local(async move {
                while room.publish(&[(&names[at], "1")]).await {
                    answers[at].update(|answers| answers + 1);
                }
            });
        }
        let of_all = || answers.iter().map(Cell::get);
        while of_all().sum::<usize>() < ROOMS * ANSWERS {
            tokio::task::yield_now().await;
        }
        let (least, most) = (of_all().min().unwrap(), of_all().max().unwrap());
        assert!(least * 3 > most, "{least} and {most} answers: {:?}", of_all().collect::<Vec<_>>());
    });
}
