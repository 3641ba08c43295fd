//! Keys that tokens are verified with. A key is for one algorithm, by its kind: what a token
//! says chooses among keys, never how a key is used.

use std::fmt;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};

use super::refused::Refused;
use super::token::Token;
use super::{jwk, pem};
use crate::config::{JwtAlgorithm, KeySource};

/// A file of keys, or an answer with keys, in bytes.
pub const KEYS_BYTES: usize = 256 << 10;
/// Keys of one set that are kept.
pub const KEYS: usize = 64;
/// Keys that are tried with one token: a token that names none would fit all of its algorithm.
const TRIED: usize = 8;
/// RFC 7518, section 3.2: at least as long as the hash.
const SECRET_BYTES: usize = 32;

/// Why something is not a key of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    #[error("an RSA key of {0} bits; 2048 to 4096 are wanted")]
    RsaBits(usize),
    #[error("not a point of its curve")]
    NoPoint,
    #[error("{0}")]
    Other(&'static str),
}

pub struct Key {
    pub kid: Option<String>,
    pub algorithm: JwtAlgorithm,
    key: DecodingKey,
}

impl Key {
    fn secret(secret: &[u8]) -> Self {
        Self { kid: None, algorithm: JwtAlgorithm::HS256, key: DecodingKey::from_secret(secret) }
    }

    /// Modulus and exponent, big-endian. The least size is of RFC 7518, section 3.3; more
    /// than the greatest takes long to verify, and the library would not.
    pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, BadKey> {
        let start = modulus.iter().position(|byte| *byte != 0).unwrap_or(modulus.len());
        let modulus = &modulus[start..];
        let bits = modulus.len() * 8 - modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
        if !(2048..=4096).contains(&bits) {
            return Err(BadKey::RsaBits(bits));
        }
        let key = DecodingKey::from_rsa_raw_components(modulus, exponent);
        Ok(Self { kid: None, algorithm: JwtAlgorithm::RS256, key })
    }

    /// An uncompressed point: 4, then the coordinates of 32 bytes each (SEC 1, section 2.3.3).
    pub fn p256(point: &[u8]) -> Result<Self, BadKey> {
        if point.len() != 65 || point.first() != Some(&4) {
            return Err(BadKey::NoPoint);
        }
        Self { kid: None, algorithm: JwtAlgorithm::ES256, key: DecodingKey::from_ec_der(point) }.tried()
    }

    pub fn ed25519(point: &[u8]) -> Result<Self, BadKey> {
        // The library takes the first 32 bytes of whatever it is given.
        if point.len() != 32 {
            return Err(BadKey::NoPoint);
        }
        Self { kid: None, algorithm: JwtAlgorithm::EdDSA, key: DecodingKey::from_ed_der(point) }.tried()
    }

    /// A point is looked at only when it is used.
    fn tried(self) -> Result<Self, BadKey> {
        match crypto::verify("", b"", &self.key, self.library_algorithm()) {
            Ok(_) => Ok(self),
            Err(_) => Err(BadKey::NoPoint),
        }
    }

    fn fits(&self, token: &Token) -> bool {
        let named = match (&self.kid, &token.kid) {
            (Some(ours), Some(wanted)) => ours == wanted,
            _ => true,
        };
        named && self.algorithm == token.algorithm
    }

    fn has_signed(&self, token: &Token) -> bool {
        let verified =
            crypto::verify(token.signature, token.signed.as_bytes(), &self.key, self.library_algorithm());
        // An error is a signature that is no base64.
        verified.unwrap_or(false)
    }

    fn library_algorithm(&self) -> Algorithm {
        match self.algorithm {
            JwtAlgorithm::HS256 => Algorithm::HS256,
            JwtAlgorithm::RS256 => Algorithm::RS256,
            JwtAlgorithm::ES256 => Algorithm::ES256,
            JwtAlgorithm::EdDSA => Algorithm::EdDSA,
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.algorithm, self.kid)
    }
}

/// One key or more.
#[derive(Debug)]
pub struct KeySet(Vec<Key>);

impl KeySet {
    /// # Errors
    /// Names setting, file and what is wrong in it.
    pub fn read(source: &KeySource) -> Result<Self> {
        match source {
            KeySource::Secret(secret) => Ok(secret_key(secret.as_bytes(), "jwt.secret")),
            KeySource::SecretFile(path) => {
                let bytes = read(path, "jwt.secret_file")?;
                let end =
                    bytes.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1);
                let secret = &bytes[..end];
                ensure!(
                    !secret.is_empty(),
                    "jwt.secret_file: {} is empty: anyone could sign",
                    path.display()
                );
                Ok(secret_key(secret, "jwt.secret_file"))
            }
            KeySource::PublicKeyFile(path) => {
                let key = pem::key(&read(path, "jwt.public_key_file")?)
                    .with_context(|| format!("jwt.public_key_file: {} has no usable key", path.display()))?;
                Ok(Self(vec![key]))
            }
            KeySource::JwksFile(path) => Self::from_jwks(&read(path, "jwt.jwks_file")?)
                .with_context(|| format!("jwt.jwks_file: {}", path.display())),
            KeySource::JwksUrl(_) => bail!("keys of jwt.jwks_url are fetched, not read"),
        }
    }

    /// The usable keys of a JSON Web Key Set; the others are skipped, as RFC 7517, section 5,
    /// has it.
    ///
    /// # Errors
    /// Where there is none, with what is wrong with them.
    pub fn from_jwks(json: &[u8]) -> Result<Self> {
        let (mut usable, skipped) = jwk::set(json)?;
        ensure!(!usable.is_empty(), "no usable key in the set: {}", skipped.join("; "));
        for one in skipped {
            tracing::debug!("skipped in the key set: {one}");
        }
        if usable.len() > KEYS {
            tracing::warn!("the key set has {} usable keys; the first {KEYS} are used", usable.len());
            usable.truncate(KEYS);
        }
        Ok(Self(usable))
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Each once.
    pub fn algorithms(&self) -> Vec<JwtAlgorithm> {
        let mut algorithms = Vec::new();
        for key in &self.0 {
            if !algorithms.contains(&key.algorithm) {
                algorithms.push(key.algorithm);
            }
        }
        algorithms
    }

    /// The claims of a token that one of the keys has signed.
    pub fn open(&self, token: &Token) -> Result<Vec<u8>, Refused> {
        let mut fitting = self.0.iter().filter(|key| key.fits(token)).take(TRIED).peekable();
        if fitting.peek().is_none() {
            return Err(Refused::UnknownKey);
        }
        if fitting.any(|key| key.has_signed(token)) { token.claims() } else { Err(Refused::Signature) }
    }
}

fn secret_key(secret: &[u8], setting: &str) -> KeySet {
    if secret.len() < SECRET_BYTES {
        tracing::warn!(
            "{setting} has {} bytes: one with less than {SECRET_BYTES} can be guessed from any token",
            secret.len()
        );
    }
    KeySet(vec![Key::secret(secret)])
}

fn read(path: &Path, setting: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(KEYS_BYTES as u64 + 1).read_to_end(&mut bytes))
        .with_context(|| format!("{setting}: cannot read {}", path.display()))?;
    ensure!(bytes.len() <= KEYS_BYTES, "{setting}: {} has more than {KEYS_BYTES} bytes", path.display());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::sign;
    use super::*;
    use crate::config::JwtConfig;

    /// `NAME` in the settings is a file with these bytes.
    fn read_with(setting: &str, bytes: &[u8]) -> Result<KeySet, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        std::fs::write(&path, bytes).unwrap();
        let config: JwtConfig = toml::from_str(&format!("{setting} = '{}'", path.display())).unwrap();
        KeySet::read(&config.source().unwrap()).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_secret_ends_before_the_line_does() {
        for end in ["", "\n", "\r\n"] {
            let keys = read_with("secret_file", format!("{}{end}", sign::SECRET).as_bytes()).unwrap();
            let token = sign::HS256.sign_with(r#"{"alg":"HS256"}"#, "{}");
            let token = Token::parse(&token, &[JwtAlgorithm::HS256]).unwrap();
            assert_eq!(keys.open(&token), Ok(b"{}".to_vec()), "{end:?}");
        }
        assert!(read_with("secret_file", b"\n").unwrap_err().contains("is empty"));
    }

    #[test]
    fn a_wrong_file_is_named_with_its_setting_and_what_is_wrong() {
        let file = |name: &str| std::fs::read(sign::folder().join(name)).unwrap();
        for (setting, bytes, words) in [
            ("public_key_file", b"".to_vec(), &["PEM"][..]),
            (
                "public_key_file",
                b"-----BEGIN PUBLIC KEY-----\nAA\n-----END PUBLIC KEY-----\n".to_vec(),
                &["PEM"],
            ),
            ("public_key_file", file("p256.pem"), &["private key", "openssl pkey"]),
            ("public_key_file", file("rsa.pem"), &["private key"]),
            ("public_key_file", file("authority.pem"), &["certificate", "openssl x509"]),
            ("public_key_file", file("p384.pub.pem"), &["P-256"]),
            ("public_key_file", file("rsa1024.pub.pem"), &["1024 bits", "2048 to 4096"]),
            ("jwks_file", file("rsa.pub.pem"), &["JSON Web Key Set"]),
            ("jwks_file", b"{}".to_vec(), &["JSON Web Key Set", "keys"]),
            ("jwks_file", br#"{"keys":[]}"#.to_vec(), &["no usable key"]),
            ("jwks_file", br#"{"keys":[{"kid":"a","kty":"oct","k":"AAAA"}]}"#.to_vec(), &["\"a\"", "oct"]),
            ("jwks_file", vec![b' '; KEYS_BYTES + 1], &["more than 262144 bytes"]),
        ] {
            let error = read_with(setting, &bytes).unwrap_err();
            for word in [&["jwt.", setting, "keys"], words].concat() {
                assert!(error.contains(word), "`{word}`: {error}");
            }
        }
        let config: JwtConfig = toml::from_str("jwks_file = '/nowhere/keys'").unwrap();
        let error = format!("{:#}", KeySet::read(&config.source().unwrap()).unwrap_err());
        assert!(error.starts_with("jwt.jwks_file: cannot read /nowhere/keys"), "{error}");
    }

    #[test]
    fn both_forms_of_an_rsa_key_are_read() {
        let spki = std::fs::read(sign::folder().join("rsa.pub.pem")).unwrap();
        assert_eq!(read_with("public_key_file", &spki).unwrap().algorithms(), [JwtAlgorithm::RS256]);
        let pkcs1 = std::fs::read(sign::folder().join("rsa.pkcs1.pub.pem")).unwrap();
        let keys = read_with("public_key_file", &pkcs1).unwrap();
        let token = sign::RSA.sign_with(r#"{"alg":"RS256"}"#, "{}");
        assert!(keys.open(&Token::parse(&token, &[JwtAlgorithm::RS256]).unwrap()).is_ok());
    }

    #[test]
    fn a_token_that_names_no_key_is_tried_with_a_few() {
        let anonymous = |kid: &str| {
            let mut jwk = sign::jwk(kid);
            jwk.as_object_mut().unwrap().remove("kid");
            jwk
        };
        let set = |others: usize, last: serde_json::Value| {
            let mut keys = vec![anonymous("ed25519-2"); others];
            keys.push(last);
            KeySet::from_jwks(serde_json::json!({ "keys": keys }).to_string().as_bytes()).unwrap()
        };
        let open = |set: KeySet, token: &str| {
            set.open(&Token::parse(token, &[JwtAlgorithm::EdDSA]).unwrap()).map(|_| ())
        };
        let nameless = sign::ED25519.sign(serde_json::json!({}));
        assert_eq!(open(set(TRIED - 1, anonymous("ed25519")), &nameless), Ok(()));
        assert_eq!(open(set(TRIED, anonymous("ed25519")), &nameless), Err(Refused::Signature));
        assert_eq!(set(KEYS, anonymous("ed25519")).count(), KEYS);
        // Keys without a name may be the one that a token names.
        let named = sign::ED25519.sign_with_kid(serde_json::json!({}));
        assert_eq!(open(set(0, anonymous("ed25519")), &named), Ok(()));
    }

    #[test]
    fn of_keys_with_one_name_each_is_tried() {
        let mut other = sign::jwk("ed25519-2");
        other["kid"] = "ed25519".into();
        let keys = serde_json::json!({ "keys": [other, sign::jwk("ed25519")] }).to_string();
        let keys = KeySet::from_jwks(keys.as_bytes()).unwrap();
        let token = sign::ED25519.sign_with_kid(serde_json::json!({}));
        assert!(keys.open(&Token::parse(&token, &[JwtAlgorithm::EdDSA]).unwrap()).is_ok());
    }

    #[test]
    fn what_is_no_point_is_no_key() {
        assert_eq!(Key::ed25519(&[]).unwrap_err(), BadKey::NoPoint);
        assert_eq!(Key::ed25519(&[0; 31]).unwrap_err(), BadKey::NoPoint);
        assert_eq!(Key::ed25519(&[2; 32]).unwrap_err(), BadKey::NoPoint);
        assert_eq!(Key::p256(&[]).unwrap_err(), BadKey::NoPoint);
        assert_eq!(Key::p256(&[[4].as_slice(), &[1; 64]].concat()).unwrap_err(), BadKey::NoPoint);
        assert_eq!(Key::rsa(&[], &[]).unwrap_err(), BadKey::RsaBits(0));
        assert_eq!(Key::rsa(&[0; 512], &[1, 0, 1]).unwrap_err(), BadKey::RsaBits(0));
        assert_eq!(Key::rsa(&[0xff; 513], &[1, 0, 1]).unwrap_err(), BadKey::RsaBits(4104));
    }
}
