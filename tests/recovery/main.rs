//! A hundred clients are cut at random under full load for half a minute: each one's log is the
//! channel's, without a gap and without a double.

#[path = "../harness/mod.rs"]
mod harness;
mod soak;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use harness::{Client, Server};

const CLIENTS: usize = 100;
const CHANNELS: usize = 4;
const FOR: Duration = Duration::from_secs(30);
/// Publishes of one channel that are not yet acknowledged.
const IN_FLIGHT: u64 = 16;

/// Small, seeded: a failure can be run again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

struct Load {
    server: Server,
    ends: AtomicBool,
    /// The last offset of each channel, once it has ended.
    last: [AtomicU64; CHANNELS],
}

fn channel(index: usize) -> String {
    format!("log:{index}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_clients_miss_nothing_and_see_nothing_twice() {
    let config = "[[channel]]\npattern = \"*\"\nhistory = { messages = 100000, bytes = 33554432 }";
    let load = Arc::new(Load {
        server: Server::builder().config(config).start(),
        ends: AtomicBool::new(false),
        last: Default::default(),
    });
    let publishers: Vec<_> = (0..CHANNELS).map(|index| tokio::spawn(publish(load.clone(), index))).collect();
    let clients: Vec<_> = (0..CLIENTS).map(|number| tokio::spawn(follow(load.clone(), number))).collect();
    tokio::time::sleep(FOR).await;
    load.ends.store(true, Ordering::Release);
    let mut published = 0;
    for publisher in publishers {
        published += publisher.await.unwrap();
    }
    let (mut cuts, mut seen) = (0, 0);
    for client in clients {
        let (its_cuts, its_seen) = client.await.unwrap();
        cuts += its_cuts;
        seen += its_seen;
    }
    println!("{published} messages published, {seen} seen by {CLIENTS} clients over {cuts} cuts");
    assert!(cuts > CLIENTS as u64, "hardly anybody was cut: {cuts}");
}

/// As fast as the server takes them, until the time is over.
async fn publish(load: Arc<Load>, index: usize) -> u64 {
    let mut client = Client::connect(&load.server).await;
    let (mut sent, mut taken) = (0, 0);
    while !load.ends.load(Ordering::Acquire) || taken < sent {
        while sent < taken + IN_FLIGHT && !load.ends.load(Ordering::Acquire) {
            sent += 1;
            client
                .send(json!({ "type": "publish", "channel": channel(index), "data": sent, "id": sent }))
                .await;
        }
        if taken < sent {
            taken += 1;
            let answer = client.expect("published").await;
            assert_eq!((&answer["id"], &answer["offset"]), (&json!(taken), &json!(taken)), "{answer}");
        }
    }
    load.last[index].store(taken, Ordering::Release);
    taken
}

/// Comes, reads a while, is cut, and comes back for the rest; until it has seen the last message.
async fn follow(load: Arc<Load>, number: usize) -> (u64, u64) {
    let index = number % CHANNELS;
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (number as u64 + 1));
    let (mut seen, mut cuts) = (0, 0);
    let mut epoch = Value::Null;
    loop {
        let mut client = Client::connect(&load.server).await;
        let mut subscribe = json!({ "channel": channel(index) });
        if epoch.is_null() {
            // From the first message on.
            subscribe["history"] = json!(100_000);
        } else {
            subscribe["recover"] = json!({ "epoch": epoch, "offset": seen });
        }
        let answer = client.subscribe_with(subscribe).await;
        if !epoch.is_null() {
            assert_eq!(answer["recovered"], true, "client {number} after {seen}: {answer}");
        }
        epoch = answer["epoch"].clone();

        let until = Instant::now() + Duration::from_millis(dice.below(700));
        loop {
            let last = load.last[index].load(Ordering::Acquire);
            if last > 0 && seen == last {
                client.ping().await;
                assert_eq!(client.left_over(), [], "client {number} got more than there is");
                return (cuts, seen);
            }
            if Instant::now() > until && !load.ends.load(Ordering::Acquire) {
                break;
            }
            // Nothing may come for a moment at the very end, when the publisher counts what it has.
            let Ok(frame) = tokio::time::timeout(Duration::from_millis(50), client.next_json()).await else {
                continue;
            };
            seen += 1;
            assert_eq!((&frame["offset"], &frame["data"]), (&json!(seen), &json!(seen)), "client {number}");
        }
        // Without a goodbye, with whatever is on its way.
        drop(client);
        cuts += 1;
    }
}
