//! `[jwt]`: what the built-in verifier takes for a good token.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};
use toml_example::TomlExample;

use super::url::HttpUrl;

/// More would not be a difference between clocks.
const MAX_LEEWAY_SECS: u64 = 600;

/// The built-in verifier of JSON Web Tokens (RFC 7519), used while no auth plugin is loaded. With
/// this section exactly one source of keys is set: `secret`, `secret_file`, `public_key_file`,
/// `jwks_file` or `jwks_url`. Files are read at the start.
#[derive(Clone, Debug, Deserialize, Serialize, TomlExample)]
#[serde(deny_unknown_fields, default)]
pub struct JwtConfig {
    /// The shared secret of HS256: 32 random bytes or more, as text.
    #[serde(skip_serializing)]
    #[toml_example(default = "")]
    pub secret: Option<Secret>,
    /// A file with that secret; line ends at its end do not count.
    #[toml_example(default = "")]
    pub secret_file: Option<PathBuf>,
    /// A public key in PEM: RSA of 2048 to 4096 bits for RS256, P-256 for ES256, Ed25519 for EdDSA.
    #[toml_example(default = "")]
    pub public_key_file: Option<PathBuf>,
    /// A JSON Web Key Set (RFC 7517) of such public keys; at most 256 KiB and 64 keys.
    #[toml_example(default = "")]
    pub jwks_file: Option<PathBuf>,
    /// Where such a set is fetched: https, or http to this machine alone. At the start, every ten
    /// minutes, and for a token with an unknown `kid` at most once a minute.
    #[toml_example(default = "")]
    pub jwks_url: Option<String>,
    /// Algorithms that are taken, of `HS256`, `RS256`, `ES256` and `EdDSA`. Left out: what the keys
    /// are for.
    #[toml_example(default = ["ES256"])]
    pub algorithms: Option<Vec<JwtAlgorithm>>,
    /// What the token's `iss` must be.
    #[toml_example(default = "")]
    pub issuer: Option<String>,
    /// What the token's `aud` must be or have among others. Left out: a token with an `aud` is
    /// refused, it is for somebody else.
    #[toml_example(default = "")]
    pub audience: Option<String>,
    /// The claim that names the user: a text or a whole number.
    #[toml_example(default = "sub")]
    pub user_claim: String,
    /// Seconds by which the clocks of signer and server may differ: up to 600.
    #[toml_example(default = 5)]
    pub leeway_secs: u64,
    /// Without a token: closed with 4001 (true), or anonymous and held to no list (false).
    #[toml_example(default = false)]
    pub required: bool,
}

impl Default for JwtConfig {
    fn default() -> Self {
        Self {
            secret: None,
            secret_file: None,
            public_key_file: None,
            jwks_file: None,
            jwks_url: None,
            algorithms: None,
            issuer: None,
            audience: None,
            user_claim: "sub".into(),
            leeway_secs: 5,
            required: false,
        }
    }
}

/// What tokens may be signed with. `none` is not among them, and never will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum JwtAlgorithm {
    HS256,
    RS256,
    ES256,
    EdDSA,
}

impl JwtAlgorithm {
    /// What a set of public keys can be for.
    pub const OF_PUBLIC_KEYS: [Self; 3] = [Self::RS256, Self::ES256, Self::EdDSA];

    /// As it stands in a token's header (RFC 7518, section 3.1; RFC 8037, section 3.1).
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "HS256" => Self::HS256,
            "RS256" => Self::RS256,
            "ES256" => Self::ES256,
            "EdDSA" => Self::EdDSA,
            _ => return None,
        })
    }
}

impl fmt::Display for JwtAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A text that is in no log and no listing of the settings.
#[derive(Clone, Deserialize)]
#[serde(try_from = "toml::Value")]
pub struct Secret(String);

/// By hand, because the usual error shows the value.
impl TryFrom<toml::Value> for Secret {
    type Error = &'static str;

    fn try_from(value: toml::Value) -> Result<Self, Self::Error> {
        match value {
            toml::Value::String(text) => Ok(Self(text)),
            _ => Err("a secret is a text: put it in quotes, in an environment variable too"),
        }
    }
}

impl Secret {
    pub fn new(text: String) -> Self {
        Self(text)
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// The one source of keys.
#[derive(Debug)]
pub enum KeySource<'a> {
    Secret(&'a Secret),
    SecretFile(&'a Path),
    PublicKeyFile(&'a Path),
    JwksFile(&'a Path),
    JwksUrl(HttpUrl),
}

impl JwtConfig {
    /// # Errors
    /// Where none or several are set, or the URL is not one to fetch keys from.
    pub fn source(&self) -> Result<KeySource<'_>> {
        let sources: [Option<Result<KeySource>>; 5] = [
            self.secret.as_ref().map(|secret| Ok(KeySource::Secret(secret))),
            self.secret_file.as_deref().map(|path| Ok(KeySource::SecretFile(path))),
            self.public_key_file.as_deref().map(|path| Ok(KeySource::PublicKeyFile(path))),
            self.jwks_file.as_deref().map(|path| Ok(KeySource::JwksFile(path))),
            self.jwks_url.as_deref().map(|url| jwks_url(url).map(KeySource::JwksUrl)),
        ];
        let mut set = sources.into_iter().flatten();
        match (set.next(), set.next()) {
            (Some(source), None) => source,
            (first, _) => bail!(
                "[jwt] wants exactly one of secret, secret_file, public_key_file, jwks_file and jwks_url; {}",
                if first.is_none() { "none is set" } else { "several are set" }
            ),
        }
    }

    /// Checks what can be checked without the keys.
    pub(super) fn check(&self) -> Result<()> {
        let possible: &[JwtAlgorithm] = match self.source()? {
            KeySource::Secret(secret) => {
                ensure!(!secret.0.is_empty(), "jwt.secret is empty: anyone could sign");
                &[JwtAlgorithm::HS256]
            }
            KeySource::SecretFile(_) => &[JwtAlgorithm::HS256],
            _ => &JwtAlgorithm::OF_PUBLIC_KEYS,
        };
        if let Some(algorithms) = &self.algorithms {
            ensure!(!algorithms.is_empty(), "jwt.algorithms is empty: no token could be taken");
            if let Some(other) = algorithms.iter().find(|algorithm| !possible.contains(algorithm)) {
                let keys = if possible.len() == 1 { "a secret is for HS256" } else { "HS256 wants a secret" };
                bail!("jwt.algorithms has {other}, which these keys are not for: {keys}");
            }
        }
        for (name, value) in [("issuer", &self.issuer), ("audience", &self.audience)] {
            let empty = value.as_ref().is_some_and(String::is_empty);
            ensure!(!empty, "jwt.{name} is empty: leave it out, or say what tokens have there");
        }
        ensure!(!self.user_claim.is_empty(), "jwt.user_claim is empty: it names a claim, like \"sub\"");
        ensure!(
            self.leeway_secs <= MAX_LEEWAY_SECS,
            "jwt.leeway_secs = {} is more than {MAX_LEEWAY_SECS}: set the clocks instead",
            self.leeway_secs
        );
        Ok(())
    }
}

/// Where keys are fetched: https anywhere, http only on this machine, because whoever can
/// change the answer can sign any token.
fn jwks_url(text: &str) -> Result<HttpUrl> {
    let url = HttpUrl::parse("jwt.jwks_url", text)?;
    let loopback = url.host == "localhost" || url.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    ensure!(
        url.tls || loopback,
        "jwt.jwks_url = \"{text}\" wants https: http is only for this machine (localhost, 127.0.0.1, ::1)"
    );
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(toml: &str) -> Result<JwtConfig, String> {
        let config: JwtConfig = toml::from_str(toml).map_err(|error| error.to_string())?;
        config.check().map_err(|error| format!("{error:#}"))?;
        Ok(config)
    }

    #[test]
    fn one_source_of_keys_is_enough() {
        for source in [
            "secret = 'x'",
            "secret_file = 'x'",
            "public_key_file = 'x'",
            "jwks_file = 'x'",
            "jwks_url = 'https://id.example/keys'",
        ] {
            let config = checked(source).unwrap();
            assert_eq!((&*config.user_claim, config.leeway_secs, config.required), ("sub", 5, false));
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (toml, words) in [
            ("", &["[jwt]", "exactly one", "none is set"][..]),
            ("secret = 'x'\njwks_file = 'y'", &["[jwt]", "several are set"]),
            ("secret = ''", &["jwt.secret", "empty"]),
            ("secret = 'x'\nalgorithms = []", &["jwt.algorithms", "empty"]),
            ("secret = 'x'\nalgorithms = ['RS256']", &["jwt.algorithms", "RS256", "a secret is for HS256"]),
            ("jwks_file = 'x'\nalgorithms = ['HS256']", &["jwt.algorithms", "HS256 wants a secret"]),
            ("secret = 'x'\nalgorithms = ['none']", &["algorithms", "none", "HS256"]),
            ("secret = 'x'\nissuer = ''", &["jwt.issuer", "empty"]),
            ("secret = 'x'\naudience = ''", &["jwt.audience", "empty"]),
            ("secret = 'x'\nuser_claim = ''", &["jwt.user_claim", "empty"]),
            ("secret = 'x'\nleeway_secs = 601", &["jwt.leeway_secs = 601", "600"]),
            ("secret = 'x'\nleeway_secs = -1", &["leeway_secs"]),
            ("secrets = 'x'", &["secrets"]),
            ("jwks_url = 'id.example/keys'", &["jwt.jwks_url", "id.example"]),
            ("jwks_url = 'ftp://id.example/keys'", &["jwt.jwks_url", "https://"]),
            ("jwks_url = 'http://id.example/keys'", &["jwt.jwks_url", "wants https"]),
            ("jwks_url = 'http://127.0.0.1.example/keys'", &["jwt.jwks_url", "wants https"]),
            ("jwks_url = 'http://10.0.0.1/keys'", &["jwt.jwks_url", "wants https"]),
            ("jwks_url = 'https://u:hunter2@id.example/keys'", &["jwt.jwks_url", "user name"]),
        ] {
            let error = checked(toml).expect_err(toml);
            for word in words {
                assert!(error.contains(word), "`{word}` for {toml}: {error}");
            }
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn the_secret_is_never_shown() {
        let config = checked("secret = 'hunter2'").unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        assert!(!toml::to_string(&config).unwrap().contains("hunter2"));
    }
}
