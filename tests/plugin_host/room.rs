//! One shard that runs by itself, with plugins and listeners.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidegate::config::{self, Overrides};
use tidegate::core::{ChannelName, Payload, Sender, UserId};
use tidegate::hub::Shard;
use tidegate::hub::audience::{FilterChoice, FilterFailure};
use tidegate::hub::connection::Connection;
use tidegate::hub::letter::Subscribe;
use tidegate::hub::mesh::Mesh;
use tidegate::hub::shard::{Publication, Settings};
use tidegate::plugin::{Generation, PluginEngine, Registry};
use tidegate::server;

use super::open_socket::OpenSocket;

pub struct Room {
    pub shard: Rc<Shard>,
    /// Its clock is the plugins'.
    _engine: PluginEngine,
}

/// Of a filter plugin, with parameters.
pub type Filter<'a> = (&'a Arc<Generation>, Bytes);

impl Room {
    /// Writes at the end of each turn.
    pub fn open(engine: PluginEngine, plugins: &[&Arc<Generation>]) -> Self {
        let (mesh, mut inboxes) = Mesh::new(1);
        let config = config::load(None, std::iter::empty(), &Overrides::default()).unwrap();
        let settings = server::shard_settings(&config, 1).unwrap();
        let settings = Settings { company: Duration::ZERO, saves: true, ..settings };
        let registry = plugins.iter().fold(Registry::default(), |all, plugin| all.with((*plugin).clone()));
        let shard = Shard::new(mesh.shards().next().unwrap(), settings, mesh, Arc::new(registry)).unwrap();
        tokio::task::spawn_local(shard.clone().run(inboxes.remove(0)));
        Self { shard, _engine: engine }
    }

    /// Its subscription is answered later: [`Connection::until_settled`].
    pub async fn subscribe(&self, connection: &Rc<Connection>, channel: &str, filter: Option<Filter<'_>>) {
        let sender = Sender { client: connection.id, user: UserId("ada".into()) };
        let mut subscribe = Subscribe::plain(ChannelName::parse(channel).unwrap(), sender, server::NATIVE);
        if let Some((plugin, params)) = filter {
            let id = self.shard.filters().add(plugin, &params).await.unwrap();
            let plugin = plugin.name.clone();
            subscribe.filter = Some(FilterChoice { plugin, id, failure: FilterFailure::Closed });
        }
        self.shard.subscribe(connection, subscribe);
    }

    /// Somebody who hears these channels, by this filter.
    pub async fn listener(&self, channels: &[&str], filter: Option<Filter<'_>>) -> OpenSocket {
        let socket = OpenSocket::default();
        let connection = self.shard.connect(server::NATIVE, Rc::new(socket.clone())).unwrap();
        for name in channels {
            self.subscribe(&connection, name, filter.clone()).await;
        }
        connection.until_settled().await;
        // The turn that has answered is over.
        tokio::task::yield_now().await;
        socket
    }

    /// All in one turn. Until that is over, and no longer. False: a message was refused.
    pub async fn publish(&self, messages: &[(&str, &'static str)]) -> bool {
        let publications = messages.iter().map(|(channel, json)| {
            let channel = ChannelName::parse(channel).unwrap();
            Publication::new(channel, Bytes::new(), Payload::json(*json))
        });
        let answers: Vec<_> = publications.map(|one| self.shard.publish_as_server(one)).collect();
        let mut all = true;
        for answer in answers {
            all &= answer.await.unwrap().is_ok();
        }
        all
    }
}

/// How often it was written meanwhile, while all was taken.
pub async fn writes(socket: &OpenSocket, during: impl Future<Output = bool>) -> usize {
    let before = socket.writes();
    assert!(during.await);
    socket.writes() - before
}
