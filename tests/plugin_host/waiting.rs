//! What a call waits for is not its own time, of which it has 20 ms.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate::core::{ClientId, PluginName, Sender, ShardId, UserId};
use tidegate::plugin::reads::{Found, READS, Read, Reader};
use tidegate::plugin::{PluginHost, PluginsConfig, Services};
use tokio::sync::oneshot;

use super::{on_a_shard, plugins};

/// A server that answers, but not at once. It counts one each time.
struct Slow(Duration);

const AT_ONCE: Slow = Slow(Duration::ZERO);

impl Reader for Slow {
    fn here(&self) -> Option<ShardId> {
        Some(ShardId(0))
    }

    fn read(&self, _: ShardId, _: Read) -> oneshot::Receiver<Found> {
        let (answer, receiver) = oneshot::channel();
        let later = self.0;
        tokio::spawn(async move {
            tokio::time::sleep(later).await;
            // Who asked may have given up.
            let _ = answer.send(Found::Count(1));
        });
        receiver
    }
}

/// What a plugin's action answers, and how long that took.
fn action(plugin: &str, name: &str, data: &Value, server: Slow) -> (Result<Value, String>, Duration) {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(plugins::path(plugin), dir.path().join(format!("{plugin}.wasm"))).unwrap();
    let config = PluginsConfig { dir: dir.path().into(), cache_dir: None, plugins: BTreeMap::new() };
    let host = PluginHost::start(config).unwrap();
    host.read_by(Arc::new(server));
    let mut said = None;
    on_a_shard(async {
        let registry = host.registry();
        let plugin = registry.plugin(&PluginName::parse(plugin).unwrap()).unwrap();
        let services = Services::default();
        let who = Sender { client: ClientId(1), user: UserId("ada".into()) };
        let began = Instant::now();
        let answer = services.call(plugin, name, &who, data.to_string().as_bytes()).await;
        let answer = answer.map_err(|failure| failure.to_string());
        let answer = answer.map(|answer| serde_json::from_slice(&answer.unwrap().0).unwrap());
        said = Some((answer, began.elapsed()));
    });
    said.unwrap()
}

fn counts(each: Duration) -> (Result<Value, String>, Duration) {
    action("effects", "read", &json!({ "counts": ["x", READS] }), Slow(each))
}

/// Neither by slices nor by the clock on the wall, which gives it a second.
#[test]
fn a_call_does_not_fail_because_the_server_is_busy() {
    let each = Duration::from_millis(20);
    let (said, took) = counts(each);
    assert_eq!(said, Ok(json!(1)));
    assert!(took >= each * READS, "{took:?}");
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let (said, took) = counts(Duration::from_secs(3600));
    let said = said.unwrap();
    assert!(said.as_str().is_some_and(|said| said.contains("did not answer in time")), "{said}");
    assert!(took >= Duration::from_secs(5), "{took:?}");
}

#[test]
fn naps_are_not_a_calls_own_time() {
    let (said, took) = action("sleeper", "nap", &json!(120), AT_ONCE);
    assert_eq!(said, Ok(json!(true)));
    assert!(took >= Duration::from_millis(120), "{took:?}");
}

/// However little it runs at a time.
#[test]
fn who_runs_between_its_naps_is_ended() {
    let (said, _) = action("sleeper", "spin", &json!(400), AT_ONCE);
    assert!(said.unwrap_err().starts_with("it took more than 20 ms"));
}
