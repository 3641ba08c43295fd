//! One shard that runs by itself, with a filter for its subscribers.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidegate::config::{self, Overrides};
use tidegate::core::{ChannelName, Sender, UserId};
use tidegate::hub::Shard;
use tidegate::hub::audience::{FilterChoice, FilterFailure};
use tidegate::hub::connection::Connection;
use tidegate::hub::letter::Subscribe;
use tidegate::hub::mesh::Mesh;
use tidegate::hub::shard::Settings;
use tidegate::plugin::{Generation, PluginEngine, Registry};
use tidegate::server;

use super::{loaded, settings};

pub struct Room {
    pub shard: Rc<Shard>,
    filter: Arc<Generation>,
    /// Its clock is the plugins'.
    _engine: PluginEngine,
}

impl Room {
    /// Writes at the end of each turn. A filter's call has so many milliseconds.
    pub async fn open(filter_ms: u64) -> Self {
        let engine = PluginEngine::new(None).unwrap();
        let mut plugin = settings(&[]);
        plugin.limits.filter_ms = filter_ms;
        let filter = loaded(&engine, "hostile-filter", &plugin).await;
        let (mesh, mut inboxes) = Mesh::new(1);
        let config = config::load(None, std::iter::empty(), &Overrides::default()).unwrap();
        let settings = server::shard_settings(&config, 1).unwrap();
        let settings = Settings { company: Duration::ZERO, ..settings };
        let registry = Arc::new(Registry::default().with(filter.clone()));
        let shard = Shard::new(mesh.shards().next().unwrap(), settings, mesh, registry).unwrap();
        tokio::task::spawn_local(shard.clone().run(inboxes.remove(0)));
        Self { shard, filter, _engine: engine }
    }

    /// Its subscription is answered later: [`Connection::until_settled`].
    pub async fn subscribe(&self, connection: &Rc<Connection>, channel: &str, filter: Option<Bytes>) {
        let sender = Sender { client: connection.id, user: UserId("ada".into()) };
        let channel = ChannelName::parse(channel).unwrap();
        let mut subscribe = Subscribe::plain(channel, sender, server::NATIVE);
        if let Some(params) = filter {
            let id = self.shard.filters().add(&self.filter, &params).await.unwrap();
            let plugin = self.filter.name.clone();
            subscribe.filter = Some(FilterChoice { plugin, id, failure: FilterFailure::Closed });
        }
        self.shard.subscribe(connection, subscribe);
    }
}
