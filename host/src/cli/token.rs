//! `tidegate token`

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::Args;
use jsonwebtoken::{EncodingKey, Header};
use serde::Serialize;

/// What the example plugin `token-auth` takes when nothing is configured.
pub const DEVELOPMENT_SECRET: &str = "tidegate-development-secret";

#[derive(Args)]
pub struct Token {
    /// The user
    user: String,
    /// The secret that `[jwt]` or the plugin `token-auth` is configured with
    #[arg(long, env = "TIDEGATE_TOKEN_SECRET", default_value = DEVELOPMENT_SECRET, hide_env_values = true)]
    secret: String,
    /// Ends after so many seconds; never, if left out
    #[arg(long, value_name = "SECONDS")]
    expires_in: Option<u64>,
    /// Only these channels: a name, or a prefix and `*`; may be repeated
    #[arg(long = "channel", value_name = "PATTERN")]
    channels: Vec<String>,
}

#[derive(Serialize)]
struct Claims {
    sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    channels: Vec<String>,
}

impl Token {
    pub fn run(self) -> Result<()> {
        let exp = match self.expires_in {
            Some(seconds) => {
                let end = SystemTime::now().checked_add(Duration::from_secs(seconds));
                let end = end.context("--expires-in is longer than time goes on")?;
                Some(end.duration_since(UNIX_EPOCH).context("the clock stands before 1970")?.as_secs())
            }
            None => None,
        };
        let claims = Claims { sub: self.user, exp, channels: self.channels };
        let key = EncodingKey::from_secret(self.secret.as_bytes());
        println!("{}", jsonwebtoken::encode(&Header::default(), &claims, &key)?);
        Ok(())
    }
}
