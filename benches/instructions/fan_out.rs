//! A message from its publish to the writes of a thousand sockets, which take all they are given.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidegate::config::{self, Overrides};
use tidegate::core::{ChannelName, Payload, Sender, UserId};
use tidegate::hub::letter::Subscribe;
use tidegate::hub::mesh::Mesh;
use tidegate::hub::shard::Publication;
use tidegate::hub::{Settings, Shard};
use tidegate::plugin::Registry;
use tidegate::server;

use super::counted::counted;
use super::frames::data;
use super::open_socket::OpenSocket;

const SUBSCRIBERS: usize = 1000;
pub const MESSAGES: u64 = 50;

pub fn run() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let local = tokio::task::LocalSet::new();
    let written = OpenSocket::default();
    let channel = ChannelName::parse("room:17").expect("a name");
    let shard = local.block_on(&runtime, subscribed(&channel, &written));
    let payload = Payload::json(data());
    let publish = async |messages: u64| {
        for _ in 0..messages {
            let before = written.writes();
            let publication = Publication::new(channel.clone(), Bytes::new(), payload.clone());
            shard.publish_as_server(publication).await.expect("an answer").expect("it is taken");
            // All get it before the next.
            while written.writes() - before < SUBSCRIBERS {
                tokio::task::yield_now().await;
            }
        }
    };
    // The first ones make what later ones find.
    local.block_on(&runtime, publish(5));
    counted(|| local.block_on(&runtime, publish(MESSAGES)));
}

async fn subscribed(channel: &ChannelName, written: &OpenSocket) -> Rc<Shard> {
    let (mesh, mut inboxes) = Mesh::new(1);
    let me = mesh.shards().next().expect("a shard");
    // Every channel is open.
    let config = config::load(None, std::iter::empty(), &Overrides::default()).expect("the defaults");
    // A turn for each message: how many would share one depends on the time.
    let settings =
        Settings { company: Duration::ZERO, ..server::shard_settings(&config, 1).expect("settings") };
    let shard = Shard::new(me, settings, mesh, Arc::new(Registry::default())).expect("a shard");
    tokio::task::spawn_local(shard.clone().run(inboxes.remove(0)));
    for number in 0..SUBSCRIBERS {
        let connection = shard.connect(server::NATIVE, Rc::new(written.clone())).expect("a connection");
        let sender = Sender { client: connection.id, user: UserId(format!("user {number}").into()) };
        shard.subscribe(&connection, Subscribe::plain(channel.clone(), sender, server::NATIVE));
        connection.until_settled().await;
    }
    shard
}
