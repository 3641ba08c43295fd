//! The server's settings: one typed tree, from a TOML file, then the environment, then flags.
//! Valid once built: nothing behind it checks again.

mod grants;
mod jwt;
mod key_hash;
mod limits;
mod load;
mod plugins;
mod pusher;
mod response;
mod rules;
mod schema;
mod types;
mod url;
mod users;
mod versions;

pub use grants::GrantsConfig;
pub use jwt::{JwtAlgorithm, JwtConfig, KeySource, Secret};
pub use key_hash::KeyHash;
pub use limits::{ConnectionLimits, RateConfig, SharedLimits};
pub use load::{Overrides, environment, load};
pub use pusher::{PusherAppConfig, PusherConfig, PusherLimits, WebhookConfig, WebhookEvent};
pub use schema::SchemaConfig;
pub use types::{
    ApiKeyConfig, ChannelConfig, Config, DialectsConfig, ForwardedHeader, Grant, HeartbeatConfig,
    HistoryConfig, LimitsConfig, PluginConfig,
};
pub use url::HttpUrl;
pub use users::{QueueConfig, UsersConfig};
pub use versions::settings as version_settings;

use toml_example::TomlExample;

/// The commented default file, generated from the types.
pub fn default_file() -> String {
    // An optional setting of an optional section would be commented out twice.
    Config::toml_example().replace("\n# # ", "\n# ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_default_file_leaves_out_shows_a_value() {
        let is_setting = |line: &&str| {
            let name = line.split_once(" = ").map(|(name, _)| name);
            name.is_some_and(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        };
        let file = default_file();
        let left_out = file.lines().filter_map(|line| line.strip_prefix("# ")).filter(is_setting);
        for line in left_out {
            assert!(line.parse::<toml::Table>().is_ok(), "{line}");
        }
    }

    #[test]
    fn the_default_file_says_the_defaults() {
        let written: Config = toml::from_str(&default_file()).unwrap();
        assert_eq!(toml::to_string(&written).unwrap(), toml::to_string(&Config::default()).unwrap());
    }
}
