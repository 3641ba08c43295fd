//! JSON Web Tokens signed with HS256: RFC 7519, as much as is needed here. `nbf` and
//! `iat` are not looked at.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, Mac};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;

pub struct Claims {
    pub sub: String,
    pub expires_at_ms: Option<u64>,
    /// Patterns; `None` where the token does not limit its user.
    pub channels: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Payload {
    sub: Option<String>,
    /// Unix time in seconds.
    exp: Option<f64>,
    channels: Option<Vec<String>>,
}

const MALFORMED: &str = "The token is malformed.";

/// # Errors
/// With a sentence for the client, if the token is not one that `secret` has signed.
pub fn verify(token: &str, secret: &[u8]) -> Result<Claims, String> {
    let (signed, signature) = token.rsplit_once('.').ok_or(MALFORMED)?;
    let (header, payload) = signed.split_once('.').ok_or(MALFORMED)?;
    if payload.contains('.') {
        return Err(MALFORMED.to_owned());
    }
    if decode::<Header>(header)?.alg != "HS256" {
        return Err("The token's algorithm must be HS256.".to_owned());
    }
    let signature = BASE64.decode(signature).map_err(|_| MALFORMED)?;
    // In constant time.
    mac(signed, secret).verify_slice(&signature).map_err(|_| "The token's signature does not match.")?;

    let payload: Payload = decode(payload)?;
    let sub = payload.sub.filter(|sub| !sub.is_empty()).ok_or("The token has no 'sub'.")?;
    Ok(Claims {
        sub,
        // The conversion saturates: what is below 0 is long past.
        expires_at_ms: payload.exp.map(|seconds| (seconds * 1000.0) as u64),
        channels: payload.channels.map(never_empty),
    })
}

/// An empty list allows nothing, and so does a pattern that no channel's name matches.
fn never_empty(mut patterns: Vec<String>) -> Vec<String> {
    if patterns.is_empty() {
        patterns.push(String::new());
    }
    patterns
}

fn decode<T: DeserializeOwned>(part: &str) -> Result<T, String> {
    let json = BASE64.decode(part).map_err(|_| MALFORMED)?;
    Ok(serde_json::from_slice(&json).map_err(|_| MALFORMED)?)
}

fn mac(signed: &str, secret: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(signed.as_bytes());
    mac
}

#[cfg(test)]
pub fn sign(header: &str, claims: &str, secret: &[u8]) -> String {
    let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
    let signature = BASE64.encode(mac(&signed, secret).finalize().into_bytes());
    format!("{signed}.{signature}")
}
