//! The applications: found by key or by id, shared by all shards.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use anyhow::{Context, Result};

use crate::config::{PusherAppConfig, PusherConfig, PusherLimits, WebhookConfig};
use crate::core::apps::{Access, AppNames, BadName, ChannelKind, is_channel};
use crate::core::{ChannelName, ClientId};
use crate::dialect::pusher::sign::SigningKey;

/// One application.
#[derive(Debug)]
pub struct App {
    /// Its place among them.
    pub number: usize,
    pub id: String,
    pub key: String,
    /// Before the names of its channels everywhere but in its own clients' frames.
    pub prefix: String,
    pub signing: SigningKey,
    pub client_events: bool,
    pub subscription_count: bool,
    pub activity_timeout_secs: u64,
    pub limits: PusherLimits,
    pub webhooks: Vec<WebhookConfig>,
    /// Its clients are let in by the server's own endpoint; pages of these origins may ask.
    pub auth_endpoint: Option<Vec<String>>,
    max_connections: Option<usize>,
    connections: AtomicUsize,
}

/// All applications, by their numbers: the order of the configuration.
#[derive(Debug)]
pub struct Apps {
    apps: Vec<Arc<App>>,
    names: Arc<AppNames>,
    /// Of this process: a signature for a client of the last one is none for a client of this.
    nonce: u64,
}

/// The application has as many connections as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the application has as many connections as it may: {0}")]
pub struct QuotaReached(pub usize);

/// A connection that counts for its application, until it is dropped.
#[derive(Debug)]
pub struct Place(Arc<App>);

impl Apps {
    /// # Errors
    /// A secret cannot be read.
    pub fn new(config: &PusherConfig) -> Result<Self> {
        let apps: Vec<_> = config
            .apps
            .iter()
            .enumerate()
            .map(|(number, app)| App::new(number, app).map(Arc::new))
            .collect::<Result<_>>()?;
        let names = Arc::new(AppNames::new(apps.iter().map(|app| app.prefix.clone()).collect()));
        // Below 2^53, so that also a client that takes it for a number keeps it whole.
        let nonce = getrandom::u64().context("no random number for the socket ids")? >> 12;
        Ok(Self { apps, names, nonce })
    }

    pub fn is_empty(&self) -> bool {
        self.apps.is_empty()
    }

    pub fn by_key(&self, key: &str) -> Option<&Arc<App>> {
        self.apps.iter().find(|app| app.key == key)
    }

    pub fn by_id(&self, id: &str) -> Option<&Arc<App>> {
        self.apps.iter().find(|app| app.id == id)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<App>> {
        self.apps.iter()
    }

    /// The application that a channel is of, and the channel's name there.
    pub fn of_channel<'a>(&self, channel: &'a str) -> Option<(&Arc<App>, &'a str)> {
        let (number, name) = self.names.split(channel)?;
        Some((self.apps.get(number)?, name))
    }

    /// A channel that only those are let into whom the application, or an auth plugin, knows.
    pub fn keeps_private(&self, channel: &ChannelName) -> bool {
        self.access(channel) != Access::Public
    }

    /// A channel that only the application's own client is let into, signed in as its user.
    pub fn is_for_one_user(&self, channel: &ChannelName) -> bool {
        self.access(channel) == Access::User
    }

    /// What an application's naming says of a channel; public where it is none's.
    fn access(&self, channel: &ChannelName) -> Access {
        match self.names.split(channel.as_str()) {
            Some((_, name)) if is_channel(name) => ChannelKind::of(name).access,
            _ => Access::Public,
        }
    }

    pub fn names(&self) -> &Arc<AppNames> {
        &self.names
    }

    /// What a client calls itself to others: two numbers, as SDKs insist.
    pub fn socket_id(&self, client: ClientId) -> String {
        format!("{}.{}", self.nonce, client.0)
    }

    /// The client of this process with that socket id; there may be none any more.
    ///
    /// # Errors
    /// It is no socket id at all. One of another process is one.
    pub fn client(&self, socket_id: &str) -> Result<Option<ClientId>, BadSocketId> {
        let (nonce, client) = socket_id.split_once('.').ok_or(BadSocketId)?;
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !is_number(nonce) || !is_number(client) {
            return Err(BadSocketId);
        }
        Ok(client.parse().ok().filter(|_| nonce == self.nonce.to_string()).map(ClientId))
    }
}

/// Two numbers with a point between them, it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a socket id is two numbers with a point between them")]
pub struct BadSocketId;

impl App {
    fn new(number: usize, config: &PusherAppConfig) -> Result<Self> {
        let signing = SigningKey::new(&config.read_secret()?).context("a Pusher app's secret")?;
        Ok(Self {
            number,
            id: config.id.clone(),
            key: config.key.clone(),
            prefix: config.prefix.clone(),
            signing,
            client_events: config.client_events,
            subscription_count: config.subscription_count,
            activity_timeout_secs: config.activity_timeout_secs,
            limits: config.limits.clone(),
            webhooks: config.webhooks.clone(),
            auth_endpoint: config.auth_endpoint.then(|| config.auth_origins.clone()),
            max_connections: config.max_connections,
            connections: AtomicUsize::new(0),
        })
    }

    /// The server's name for one of its channels.
    ///
    /// # Errors
    /// No channel has this name.
    pub fn channel(&self, name: &str) -> Result<ChannelName, BadName> {
        crate::core::apps::channel(&self.prefix, name)
    }

    /// One connection more.
    ///
    /// # Errors
    /// It has as many as it may.
    pub fn connect(self: &Arc<Self>) -> Result<Place, QuotaReached> {
        let place = Place(self.clone());
        match (self.connections.fetch_add(1, Relaxed), self.max_connections) {
            (before, Some(most)) if before >= most => Err(QuotaReached(most)),
            _ => Ok(place),
        }
    }
}

impl Place {
    pub fn app(&self) -> &Arc<App> {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apps() -> Apps {
        let app = |text: &str, prefix: &str| PusherAppConfig {
            prefix: prefix.into(),
            max_connections: Some(2),
            ..PusherAppConfig::quick(text).unwrap()
        };
        Apps::new(&PusherConfig { apps: vec![app("1:one:s", "1."), app("2:two:s", "2.")] }).unwrap()
    }

    #[test]
    fn an_app_is_found_by_key_id_and_channel() {
        let apps = apps();
        assert_eq!(apps.by_key("two").unwrap().id, "2");
        assert_eq!(apps.by_id("1").unwrap().key, "one");
        assert!(apps.by_key("1").is_none() && apps.by_id("one").is_none());
        let (app, name) = apps.of_channel("2.room").unwrap();
        assert_eq!((&*app.id, name), ("2", "room"));
        assert_eq!(app.channel("room").unwrap().as_str(), "2.room");
        assert!(apps.of_channel("room").is_none());
    }

    #[test]
    fn only_names_that_an_app_can_say_are_kept_private() {
        let apps = apps();
        let is_kept = |name: &str| apps.keeps_private(&ChannelName::parse(name).unwrap());
        for name in ["1.private-x", "2.presence-x", "1.private-encrypted-x", "1.#server-to-user-x"] {
            assert!(is_kept(name), "{name}");
        }
        for name in ["1.x", "private-x", "1.private-a:b", "1.my-private-x"] {
            assert!(!is_kept(name), "{name}");
        }
    }

    #[test]
    fn socket_ids_are_numbers_and_of_one_process() {
        let (here, there) = (apps(), apps());
        let id = here.socket_id(ClientId(u64::MAX));
        assert_eq!(here.client(&id), Ok(Some(ClientId(u64::MAX))));
        assert_eq!(there.client(&id), Ok(None));
        assert_eq!(here.client("1.2"), Ok(None));
        assert_eq!(here.client(&format!("1.{}", "9".repeat(40))), Ok(None));
        for bad in ["", ".", "1", "1.", ".1", "1.2.3", "a.1", "1.-1", "1.+1", " 1.1"] {
            assert_eq!(here.client(bad), Err(BadSocketId), "{bad}");
        }
    }

    #[test]
    fn a_quota_counts_those_who_are_there() {
        let apps = apps();
        let app = apps.by_id("1").unwrap();
        let (first, _second) = (app.connect().unwrap(), app.connect().unwrap());
        assert_eq!(app.connect().unwrap_err(), QuotaReached(2));
        drop(first);
        assert!(app.connect().is_ok());
    }
}
