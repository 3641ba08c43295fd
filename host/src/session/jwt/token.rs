//! A signed token taken apart, before anything of it is believed.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

use super::object::Object;
use super::refused::Refused;
use crate::config::JwtAlgorithm;

/// A request's whole head has no more bytes; an `auth` frame could bring more.
const TOKEN_BYTES: usize = 16 << 10;

/// The compact form of RFC 7515, section 7.1.
pub struct Token<'a> {
    pub algorithm: JwtAlgorithm,
    pub kid: Option<String>,
    /// What the signature is over.
    pub signed: &'a str,
    pub signature: &'a str,
    claims: &'a str,
}

impl<'a> Token<'a> {
    pub fn parse(token: &'a str, algorithms: &[JwtAlgorithm]) -> Result<Self, Refused> {
        if token.len() > TOKEN_BYTES {
            return Err(Refused::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Refused::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Refused::Malformed)?;
        if claims.contains('.') {
            return Err(Refused::Malformed);
        }
        let header = Object::parse(&decode(header)?)?;
        let Some(Value::String(name)) = header.get("alg") else { return Err(Refused::Malformed) };
        let algorithm = JwtAlgorithm::parse(name)
            .filter(|algorithm| algorithms.contains(algorithm))
            .ok_or_else(|| Refused::Algorithm(algorithms.to_vec()))?;
        // RFC 7515, section 4.1.11: what stands there must be understood, or the token refused.
        if header.get("crit").is_some() {
            return Err(Refused::Critical);
        }
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return Err(Refused::Malformed),
        };
        Ok(Self { algorithm, kid, signed, signature, claims })
    }

    /// JSON. For whoever has verified the signature.
    pub fn claims(&self) -> Result<Vec<u8>, Refused> {
        decode(self.claims)
    }
}

fn decode(part: &str) -> Result<Vec<u8>, Refused> {
    BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| Refused::Malformed)
}
