//! `[[pusher.app]]`: the applications that are served in the Pusher Channels protocol.

use std::fmt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::jwt::Secret;
use super::load::is_origin;
use super::url::HttpUrl;
use crate::core::apps::MAX_PREFIX;

/// Applications of one server.
const MAX_APPS: usize = 100;
/// The longest id, in digits, and the longest key, in bytes.
const MAX_ID: usize = 20;
const MAX_KEY: usize = 64;
/// Longer than any proxy lets a silent connection be.
const MAX_ACTIVITY_SECS: u64 = 3600;
/// A signed frame is a client's message, and may not be larger.
const MAX_EVENT_BYTES: usize = 1 << 20;
const MAX_WEBHOOKS: usize = 20;

/// `[pusher]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PusherConfig {
    /// With none, nothing of the protocol is served.
    #[serde(rename = "app", skip_serializing_if = "Vec::is_empty")]
    pub apps: Vec<PusherAppConfig>,
}

impl PusherConfig {
    pub fn is_empty(&self) -> bool {
        self.apps.is_empty()
    }
}

/// One `[[pusher.app]]`. Its secret is exactly one of `secret`, `secret_file` and `secret_env`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PusherAppConfig {
    /// Digits only: some SDKs take nothing else.
    #[serde(deserialize_with = "digits")]
    pub id: String,
    /// What clients name the application by: A-Z, a-z, 0-9, `_` and `-`. Not a secret.
    pub key: String,
    /// What the application signs with.
    #[serde(default, skip_serializing)]
    pub secret: Option<Secret>,
    /// A file with that secret; line ends at its end do not count.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// An environment variable with that secret.
    #[serde(default)]
    pub secret_env: Option<String>,
    /// May clients send events to each other?
    #[serde(default)]
    pub client_events: bool,
    /// Are subscribers told how many they are?
    #[serde(default)]
    pub subscription_count: bool,
    /// Connections at a time; one more is closed with 4004. Left out: no limit of its own.
    #[serde(default)]
    pub max_connections: Option<usize>,
    /// What the application's channels have before their names everywhere else: 0 to 55 bytes. With
    /// several applications each has its own, and none begins another.
    #[serde(default)]
    pub prefix: String,
    /// Seconds of silence after which clients ask whether the server is there: 1 to 3600.
    #[serde(default = "two_minutes")]
    pub activity_timeout_secs: u64,
    /// Are `/broadcasting/auth` and its like answered here, by the auth plugins or `[jwt]`? Then the
    /// application needs no endpoint of its own. One app at most, or requests say `?app=KEY`.
    #[serde(default)]
    pub auth_endpoint: bool,
    /// The origins whose pages may ask there beside the server's own, like `https://example.org`;
    /// `*` for all.
    #[serde(default)]
    pub auth_origins: Vec<String>,
    #[serde(default)]
    pub limits: PusherLimits,
    /// Who is told of what happens.
    #[serde(default)]
    pub webhooks: Vec<WebhookConfig>,
}

/// `[pusher.app.limits]`. The defaults are those of the hosted service.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PusherLimits {
    /// Bytes of an event's data, up to 1 MiB.
    pub event_bytes: usize,
    /// Client events of one connection in any second.
    pub client_events_per_sec: usize,
    /// Users in one presence channel.
    pub presence_members: usize,
    /// Bytes of a user's `channel_data`, and of its `user_data` without the watchlist.
    pub member_bytes: usize,
    /// Users that one connection watches; more are passed over.
    pub watchlist: usize,
    /// Channels of one event.
    pub channels_per_event: usize,
    /// Events of one batch.
    pub batch: usize,
}

impl Default for PusherLimits {
    fn default() -> Self {
        Self {
            event_bytes: 10 << 10,
            client_events_per_sec: 10,
            presence_members: 100,
            member_bytes: 1 << 10,
            watchlist: 100,
            channels_per_event: 100,
            batch: 10,
        }
    }
}

/// One `[[pusher.app.webhooks]]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// http or https.
    pub url: String,
    /// Which events; all of them if left out.
    #[serde(default = "WebhookEvent::all")]
    pub events: Vec<WebhookEvent>,
}

/// What webhooks tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookEvent {
    ChannelOccupied,
    ChannelVacated,
    MemberAdded,
    MemberRemoved,
    ClientEvent,
    CacheMiss,
    SubscriptionCount,
}

impl WebhookEvent {
    pub fn all() -> Vec<Self> {
        vec![
            Self::ChannelOccupied,
            Self::ChannelVacated,
            Self::MemberAdded,
            Self::MemberRemoved,
            Self::ClientEvent,
            Self::CacheMiss,
            Self::SubscriptionCount,
        ]
    }
}

fn two_minutes() -> u64 {
    120
}

/// Also where the file has a number.
fn digits<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Digits;

    impl serde::de::Visitor<'_> for Digits {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("digits")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<String, E> {
            Ok(number.to_string())
        }

        fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<String, E> {
            Ok(number.to_string())
        }
    }

    deserializer.deserialize_any(Digits)
}

impl PusherAppConfig {
    /// `ID:KEY:SECRET`: for trying it out, so clients may talk to each other.
    ///
    /// # Errors
    /// There are not three parts.
    pub fn quick(text: &str) -> Result<Self> {
        let mut parts = text.splitn(3, ':');
        let (Some(id), Some(key), Some(secret)) = (parts.next(), parts.next(), parts.next()) else {
            // Not shown: it may be the secret alone.
            bail!("--pusher-app is not ID:KEY:SECRET");
        };
        Ok(Self {
            id: id.into(),
            key: key.into(),
            secret: Some(Secret::new(secret.into())),
            secret_file: None,
            secret_env: None,
            client_events: true,
            subscription_count: false,
            max_connections: None,
            prefix: String::new(),
            activity_timeout_secs: two_minutes(),
            auth_endpoint: false,
            auth_origins: Vec::new(),
            limits: PusherLimits::default(),
            webhooks: Vec::new(),
        })
    }

    /// How errors name a setting of this application.
    fn key_of(&self, name: &str) -> String {
        format!("[[pusher.app]] {}: {name}", self.id)
    }

    /// The secret, from wherever it is.
    ///
    /// # Errors
    /// The file cannot be read, or is empty.
    pub fn read_secret(&self) -> Result<Vec<u8>> {
        let secret = match (&self.secret, &self.secret_file) {
            (Some(secret), _) => secret.as_bytes().to_vec(),
            (None, Some(file)) => {
                let read = std::fs::read_to_string(file);
                let text = read.with_context(|| {
                    format!("{}: cannot read {}", self.key_of("secret_file"), file.display())
                })?;
                text.trim_end_matches(['\r', '\n']).as_bytes().to_vec()
            }
            (None, None) => bail!("{} is not set", self.key_of("secret")),
        };
        ensure!(!secret.is_empty(), "{} is empty: anyone could sign", self.key_of("secret"));
        Ok(secret)
    }

    /// Takes the secret out of the variable that holds it.
    pub(super) fn read_environment(&mut self, environment: &[(String, String)]) -> Result<()> {
        let sources = [self.secret.is_some(), self.secret_file.is_some(), self.secret_env.is_some()];
        let set = sources.into_iter().filter(|set| *set).count();
        ensure!(
            set == 1,
            "{} wants exactly one of secret, secret_file and secret_env; {}",
            self.key_of("secret"),
            if set == 0 { "none is set" } else { "several are set" }
        );
        if let Some(name) = &self.secret_env {
            let found = environment.iter().find(|(known, _)| known == name);
            let (_, value) = found.with_context(|| {
                format!("{} = \"{name}\": there is no such variable", self.key_of("secret_env"))
            })?;
            self.secret = Some(Secret::new(value.clone()));
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        ensure!(
            (1..=MAX_ID).contains(&self.id.len()) && self.id.bytes().all(|b| b.is_ascii_digit()),
            "[[pusher.app]] id = {:?} is not 1 to {MAX_ID} digits: some SDKs take nothing else",
            self.id
        );
        let is_key = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        ensure!(
            (1..=MAX_KEY).contains(&self.key.len()) && self.key.bytes().all(is_key),
            "{} = {:?} is not 1 to {MAX_KEY} of A-Z, a-z, 0-9, _ and -",
            self.key_of("key"),
            self.key
        );
        ensure!(
            self.secret.as_ref().is_none_or(|secret| !secret.as_bytes().is_empty()),
            "{} is empty: anyone could sign",
            self.key_of("secret")
        );
        ensure!(
            self.prefix.len() <= MAX_PREFIX
                && !self.prefix.starts_with('$')
                && self.prefix.bytes().all(|b| b.is_ascii_graphic() && b != b'#'),
            "{} = {:?} is not 0 to {MAX_PREFIX} visible ASCII characters without # and not beginning with $",
            self.key_of("prefix"),
            self.prefix
        );
        ensure!(
            self.max_connections != Some(0),
            "{} = 0: a limit is at least 1; left out, it is no limit of its own",
            self.key_of("max_connections")
        );
        ensure!(
            (1..=MAX_ACTIVITY_SECS).contains(&self.activity_timeout_secs),
            "{} = {} is not 1 to {MAX_ACTIVITY_SECS}",
            self.key_of("activity_timeout_secs"),
            self.activity_timeout_secs
        );
        for origin in &self.auth_origins {
            ensure!(
                is_origin(origin),
                "{} = {origin:?} is neither `*` nor like https://example.org",
                self.key_of("auth_origins")
            );
        }
        ensure!(
            self.auth_endpoint || self.auth_origins.is_empty(),
            "{} has no use without auth_endpoint = true",
            self.key_of("auth_origins")
        );
        let limits = &self.limits;
        for (name, value) in [
            ("event_bytes", limits.event_bytes),
            ("client_events_per_sec", limits.client_events_per_sec),
            ("presence_members", limits.presence_members),
            ("member_bytes", limits.member_bytes),
            ("watchlist", limits.watchlist),
            ("channels_per_event", limits.channels_per_event),
            ("batch", limits.batch),
        ] {
            let key = self.key_of(&format!("limits.{name}"));
            ensure!(value >= 1, "{key} = 0: a limit is at least 1; 0 does not mean unlimited");
            ensure!(value <= MAX_EVENT_BYTES, "{key} = {value} is more than {MAX_EVENT_BYTES}");
        }
        ensure!(self.webhooks.len() <= MAX_WEBHOOKS, "{}: more than {MAX_WEBHOOKS}", self.key_of("webhooks"));
        self.webhooks.iter().try_for_each(|webhook| webhook.check(&self.key_of("webhooks")))
    }
}

impl WebhookConfig {
    /// Where it is told. `key` names this webhook in an error.
    ///
    /// # Errors
    /// It is no URL of http or https.
    pub fn target(&self, key: &str) -> Result<HttpUrl> {
        HttpUrl::parse(&format!("{key}.url"), &self.url)
    }

    fn check(&self, key: &str) -> Result<()> {
        self.target(key)?;
        ensure!(!self.events.is_empty(), "{key}.events is empty: leave it out for all of them");
        for (index, event) in self.events.iter().enumerate() {
            ensure!(!self.events[..index].contains(event), "{key}.events has {event:?} twice");
        }
        Ok(())
    }
}

pub(super) fn check(config: &PusherConfig) -> Result<()> {
    ensure!(config.apps.len() <= MAX_APPS, "[[pusher.app]]: there are more than {MAX_APPS}");
    for (index, app) in config.apps.iter().enumerate() {
        app.check()?;
        for other in &config.apps[..index] {
            ensure!(other.id != app.id, "[[pusher.app]] id = {:?} stands twice", app.id);
            ensure!(
                other.key != app.key,
                "{} = {:?} is that of app {} too",
                app.key_of("key"),
                app.key,
                other.id
            );
            ensure!(
                !other.prefix.starts_with(&app.prefix) && !app.prefix.starts_with(&other.prefix),
                "{} = {:?} and that of app {}, {:?}, begin alike: a channel would be of both. Give each app \
                 a prefix like \"app{}.\"",
                app.key_of("prefix"),
                app.prefix,
                other.id,
                other.prefix,
                app.id
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "id = '1'\nkey = 'k'\nsecret = 's'\n";

    fn app(toml: &str) -> Result<PusherAppConfig, String> {
        let mut app: PusherAppConfig = toml::from_str(toml).map_err(|error| error.to_string())?;
        let environment = [("APP_SECRET".to_owned(), "hunter2".to_owned())];
        app.read_environment(&environment)
            .and_then(|()| app.check())
            .map_err(|error| format!("{error:#}"))?;
        Ok(app)
    }

    #[test]
    fn little_is_enough() {
        let app = app(APP).unwrap();
        assert_eq!((app.client_events, app.activity_timeout_secs, &*app.prefix), (false, 120, ""));
        assert_eq!(app.limits.event_bytes, 10_240);
        let number: PusherAppConfig = toml::from_str("id = 7\nkey = 'k'").unwrap();
        assert_eq!(number.id, "7");
    }

    #[test]
    fn the_secret_comes_from_one_place_and_is_never_shown() {
        let env = app("id = '1'\nkey = 'k'\nsecret_env = 'APP_SECRET'").unwrap();
        assert_eq!(env.read_secret().unwrap(), b"hunter2");
        assert!(!format!("{env:?}{}", toml::to_string(&env).unwrap()).contains("hunter2"));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter3\r\n").unwrap();
        let toml = format!("id = '1'\nkey = 'k'\nsecret_file = '{}'", file.path().display());
        assert_eq!(app(&toml).unwrap().read_secret().unwrap(), b"hunter3");
        std::fs::write(file.path(), "\n").unwrap();
        assert!(app(&toml).unwrap().read_secret().is_err());
        assert!(!PusherAppConfig::quick("hunter2").unwrap_err().to_string().contains("hunter2"));
        let quick = PusherAppConfig::quick("1:k:s:t").unwrap();
        assert_eq!((&*quick.id, &*quick.key, quick.read_secret().unwrap()), ("1", "k", b"s:t".to_vec()));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (toml, words) in [
            ("id = '1'\nkey = 'k'", &["[[pusher.app]] 1", "exactly one", "none is set"][..]),
            ("id = '1'\nkey = 'k'\nsecret = 'a'\nsecret_env = 'APP_SECRET'", &["several are set"]),
            ("id = '1'\nkey = 'k'\nsecret_env = 'NOT_THERE'", &["secret_env", "NOT_THERE"]),
            ("id = '1'\nkey = 'k'\nsecret = ''", &["secret", "empty"]),
            ("id = 'one'\nkey = 'k'\nsecret = 's'", &["id", "one", "digits"]),
            ("id = ''\nkey = 'k'\nsecret = 's'", &["id", "digits"]),
            ("id = '1'\nkey = 'a/b'\nsecret = 's'", &["key", "a/b"]),
            (&format!("{APP}prefix = '#x'"), &["prefix", "#x"]),
            (&format!("{APP}prefix = '{}'", "x".repeat(56)), &["prefix", "55"]),
            (&format!("{APP}max_connections = 0"), &["max_connections = 0"]),
            (&format!("{APP}activity_timeout_secs = 0"), &["activity_timeout_secs = 0"]),
            (&format!("{APP}limits = {{ event_bytes = 0 }}"), &["limits.event_bytes = 0"]),
            (&format!("{APP}limits = {{ events = 1 }}"), &["events"]),
            (&format!("{APP}secrets = 1"), &["secrets"]),
            (&format!("{APP}auth_endpoint = true\nauth_origins = ['x']"), &["auth_origins", "https://"]),
            (&format!("{APP}auth_origins = ['*']"), &["auth_origins", "auth_endpoint"]),
            (&format!("{APP}webhooks = [{{ url = 'ftp://a' }}]"), &["webhooks.url", "ftp://a"]),
            (&format!("{APP}webhooks = [{{ url = '/a' }}]"), &["webhooks.url", "/a"]),
            (&format!("{APP}webhooks = [{{ url = 'http://u:p@a' }}]"), &["webhooks.url", "user name"]),
            (
                &format!("{APP}webhooks = [{{ url = 'http://a', events = [] }}]"),
                &["webhooks.events", "empty"],
            ),
            (&format!("{APP}webhooks = [{{ url = 'http://a', events = ['x'] }}]"), &["client_event"]),
        ] {
            let error = app(toml).expect_err(toml);
            for word in words {
                assert!(error.contains(word), "`{word}` for {toml}: {error}");
            }
        }
    }

    #[test]
    fn apps_keep_apart() {
        let apps = |apps: &[(&str, &str, &str)]| {
            let apps = apps.iter().map(|(id, key, prefix)| PusherAppConfig {
                prefix: (*prefix).into(),
                ..PusherAppConfig::quick(&format!("{id}:{key}:s")).unwrap()
            });
            check(&PusherConfig { apps: apps.collect() }).map_err(|error| format!("{error:#}"))
        };
        assert!(apps(&[("1", "a", "")]).is_ok());
        assert!(apps(&[("1", "a", "a."), ("2", "b", "b.")]).is_ok());
        for (both, word) in [
            ([("1", "a", "a."), ("1", "b", "b.")], "id"),
            ([("1", "a", "a."), ("2", "a", "b.")], "key"),
            ([("1", "a", ""), ("2", "b", "b.")], "prefix"),
            ([("1", "a", "a"), ("2", "b", "ab")], "prefix"),
            ([("1", "a", ""), ("2", "b", "")], "prefix"),
        ] {
            let error = apps(&both).expect_err(word);
            assert!(error.contains(word), "{error}");
        }
    }
}
