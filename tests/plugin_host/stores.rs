//! What one store may take, in time, memory and number.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tidegate::core::{Captures, ChannelName, ClientId, PluginName, Sender, UserId};
use tidegate::plugin::{
    ActorSink, Actors, Answer, Departure, Job, PluginEngine, PluginFailure, PluginSettings, Services, Source,
    load,
};

use super::{loaded, on_a_shard, plugins, settings};

fn ada() -> Sender {
    Sender { client: ClientId(1), user: UserId("ada".into()) }
}

#[test]
fn a_call_that_waits_in_the_host_is_ended() {
    on_a_shard(async {
        let engine = PluginEngine::new(None).unwrap();
        let sleeper = loaded(&engine, "sleeper", &settings(&[])).await;
        let services = Services::new();
        let ada = ada();
        services.call(&sleeper, "sleep", &ada, b"5").await.unwrap().unwrap();
        let hour = services.call(&sleeper, "sleep", &ada, b"3600000");
        let ended = tokio::time::timeout(Duration::from_secs(30), hour).await.expect("it is not ended");
        assert!(matches!(ended, Err(PluginFailure::Deadline { .. })), "{ended:?}");
    });
}

#[test]
fn the_memory_limit_is_the_stores() {
    on_a_shard(async {
        let engine = PluginEngine::new(None).unwrap();
        let sleeper = loaded(&engine, "sleeper", &settings(&[])).await;
        let held = Services::new().call(&sleeper, "hold", &ada(), b"80").await;
        assert!(matches!(held, Err(PluginFailure::Memory { .. })), "{held:?}");
    });
}

/// Keeps how each job ended.
#[derive(Default)]
struct Ends(RefCell<Vec<Option<String>>>);

impl ActorSink for Ends {
    type Ticket = ();

    fn decided(&self, _: (), answer: Result<Answer, PluginFailure>) {
        self.0.borrow_mut().push(answer.err().map(|failure| failure.to_string()));
    }
}

#[test]
fn what_nobody_says_again_is_taken_however_much_waits() {
    on_a_shard(async {
        let engine = PluginEngine::new(None).unwrap();
        let pass = loaded(&engine, "pass", &settings(&[])).await;
        let ends = Rc::new(Ends::default());
        let actor = Actors::new(ends.clone()).attach(
            &pass,
            &ChannelName::parse("pass:a").unwrap(),
            Captures::default(),
        );
        let ended = || ends.0.borrow().len();
        let respond = false;
        while ended() == 0 {
            actor.send(Job::Subscribe { who: ada(), params: None, respond }, ());
        }
        actor.send(Job::Timer { id: 1 }, ());
        actor.send(Job::Unsubscribe { who: ada(), why: Departure::Left }, ());
        assert_eq!(ended(), 1, "only what can be asked again is refused");
        let _last = actor.end();
        actor.send(Job::Timer { id: 2 }, ());
        assert_eq!(ended(), 2, "nothing comes after the last word");
    });
}

#[test]
fn channels_of_a_large_component_share_a_store_unless_told_otherwise() {
    on_a_shard(async {
        let engine = PluginEngine::new(None).unwrap();
        let file = plugins::root().join("plugins/examples/js-trio/built/trio.wasm");
        let js = |settings: PluginSettings| {
            let name = PluginName::parse("trio").unwrap();
            let source = Source { name, bytes: std::fs::read(&file).unwrap(), file: file.clone() };
            let engine = &engine;
            async move { load(engine, source, &settings).await.unwrap().stores }
        };
        assert_eq!(js(settings(&[])).await, 1);
        assert_eq!(js(PluginSettings { stores: Some(7), ..settings(&[]) }).await, 7);
        assert!(loaded(&engine, "chat", &settings(&[])).await.stores > 1);
    });
}

/// More rooms than the pool has stores for.
const ROOMS: usize = 4200;

#[test]
fn many_rooms_leave_stores_for_the_rest() {
    on_a_shard(async {
        let engine = PluginEngine::new(None).unwrap();
        let mut every_room_its_own = settings(&[]);
        every_room_its_own.stores = Some(ROOMS);
        let chat = loaded(&engine, "chat", &every_room_its_own).await;
        let other = loaded(&engine, "sleeper", &settings(&[])).await;
        let ends = Rc::new(Ends::default());
        let actors = Actors::new(ends.clone());
        let rooms: Vec<_> = (0..ROOMS)
            .map(|n| ChannelName::parse(&format!("chat:{n}")).unwrap())
            .map(|channel| actors.attach(&chat, &channel, Captures::default()))
            .collect();
        for room in &rooms {
            room.send(Job::Subscribe { who: ada(), params: None, respond: false }, ());
        }
        while ends.0.borrow().len() < ROOMS {
            tokio::task::yield_now().await;
        }
        let failed: Vec<String> = ends.0.borrow().iter().flatten().cloned().collect();
        assert!(failed.is_empty(), "{} of {ROOMS}: {}", failed.len(), failed[0]);
        Services::new().call(&other, "sleep", &ada(), b"1").await.unwrap().unwrap();
    });
}
