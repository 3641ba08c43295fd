//! Tokens as a signer makes them, good and bad, with the keys of `tests/keys`. Used by the
//! server's own unit tests too.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD as BASE64};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

/// A key, and its settings.
#[derive(Clone, Copy)]
pub struct Signer {
    pub algorithm: &'static str,
    /// In `tests/keys`; the secret itself for HS256. The key's id is its file's stem.
    key: &'static str,
}

pub const SECRET: &str = "a secret of no less than thirty-two bytes";
pub const HS256: Signer = Signer { algorithm: "HS256", key: SECRET };
pub const RSA: Signer = Signer { algorithm: "RS256", key: "rsa.pem" };
pub const P256: Signer = Signer { algorithm: "ES256", key: "p256.pem" };
pub const ED25519: Signer = Signer { algorithm: "EdDSA", key: "ed25519.pem" };
pub const ED25519_2: Signer = Signer { algorithm: "EdDSA", key: "ed25519-2.pem" };

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/keys")
}

/// The path of a file in `tests/keys`.
pub fn path(name: &str) -> String {
    folder().join(name).display().to_string()
}

/// A key of `jwks.json`.
pub fn jwk(kid: &str) -> Value {
    let text = std::fs::read_to_string(folder().join("jwks.json")).unwrap();
    let set: Value = serde_json::from_str(&text).unwrap();
    set["keys"].as_array().unwrap().iter().find(|key| key["kid"] == kid).unwrap().clone()
}

/// Header and claims with their dots, and no signature.
pub fn unsigned(header: &str, claims: &str) -> String {
    format!("{}.{}.", BASE64.encode(header), BASE64.encode(claims))
}

pub fn hs256(secret: &[u8], header: &str, claims: &str) -> String {
    signed(&EncodingKey::from_secret(secret), Algorithm::HS256, header, claims)
}

impl Signer {
    pub fn sign(&self, claims: Value) -> String {
        self.sign_with(&json!({ "alg": self.algorithm, "typ": "JWT" }).to_string(), &claims.to_string())
    }

    pub fn sign_with_kid(&self, claims: Value) -> String {
        let kid = self.key.trim_end_matches(".pem");
        self.sign_with(&json!({ "alg": self.algorithm, "kid": kid }).to_string(), &claims.to_string())
    }

    /// Any header and claims, with a good signature of this key.
    pub fn sign_with(&self, header: &str, claims: &str) -> String {
        let (key, algorithm) = match self.algorithm {
            "HS256" => return hs256(self.key.as_bytes(), header, claims),
            "RS256" => (EncodingKey::from_rsa_der(&self.der()), Algorithm::RS256),
            "ES256" => (EncodingKey::from_ec_der(&self.der()), Algorithm::ES256),
            _ => (EncodingKey::from_ed_der(&self.der()), Algorithm::EdDSA),
        };
        signed(&key, algorithm, header, claims)
    }

    fn der(&self) -> Vec<u8> {
        let pem = std::fs::read_to_string(folder().join(self.key)).unwrap();
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        BASE64_STANDARD.decode(body).unwrap()
    }
}

fn signed(key: &EncodingKey, algorithm: Algorithm, header: &str, claims: &str) -> String {
    let unsigned = unsigned(header, claims);
    let message = unsigned.trim_end_matches('.');
    format!("{message}.{}", crypto::sign(message.as_bytes(), key, algorithm).unwrap())
}
