//! JSON Web Keys (RFC 7517): the public ones of our algorithms. A symmetric key in a set is
//! skipped: whoever can read the set could sign.

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use super::keys::{BadKey, Key};

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// The usable keys, and what is wrong with the others.
pub fn set(json: &[u8]) -> Result<(Vec<Key>, Vec<String>)> {
    let set: Set = serde_json::from_slice(json).context("it is no JSON Web Key Set")?;
    let (mut usable, mut skipped) = (Vec::new(), Vec::new());
    for (at, jwk) in set.keys.iter().enumerate() {
        match key(jwk) {
            Ok(key) => usable.push(key),
            Err(bad) => {
                let name =
                    text(jwk, "kid").map_or_else(|| format!("number {}", at + 1), |kid| format!("{kid:?}"));
                skipped.push(format!("key {name}: {bad}"));
            }
        }
    }
    if skipped.is_empty() && usable.is_empty() {
        skipped.push("it is empty".into());
    }
    Ok((usable, skipped))
}

fn key(jwk: &Value) -> Result<Key, BadKey> {
    if text(jwk, "use").is_some_and(|purpose| purpose != "sig") {
        return Err(BadKey::Other("not for signatures (`use`)"));
    }
    let verifies = |list: &Vec<Value>| list.iter().any(|one| one == "verify");
    if jwk.get("key_ops").and_then(Value::as_array).is_some_and(|list| !verifies(list)) {
        return Err(BadKey::Other("not to verify with (`key_ops`)"));
    }
    let mut key = match (text(jwk, "kty"), text(jwk, "crv")) {
        (Some("RSA"), _) => Key::rsa(&bytes(jwk, "n")?, &bytes(jwk, "e")?)?,
        (Some("EC"), Some("P-256")) => {
            let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
            if x.len() != 32 || y.len() != 32 {
                return Err(BadKey::NoPoint);
            }
            Key::p256(&[&[4][..], &x, &y].concat())?
        }
        (Some("OKP"), Some("Ed25519")) => Key::ed25519(&bytes(jwk, "x")?)?,
        (Some("oct"), _) => {
            return Err(BadKey::Other("a secret (`oct`), which belongs in jwt.secret or jwt.secret_file"));
        }
        _ => return Err(BadKey::Other("neither RSA, P-256 nor Ed25519")),
    };
    if text(jwk, "alg").is_some_and(|name| name != key.algorithm.to_string()) {
        return Err(BadKey::Other("for another algorithm than RS256, ES256 or EdDSA (`alg`)"));
    }
    key.kid = text(jwk, "kid").map(str::to_owned);
    Ok(key)
}

fn text<'a>(jwk: &'a Value, name: &str) -> Option<&'a str> {
    jwk.get(name)?.as_str()
}

fn bytes(jwk: &Value, name: &str) -> Result<Vec<u8>, BadKey> {
    let decoded = text(jwk, name).and_then(|text| BASE64_URL_SAFE_NO_PAD.decode(text).ok());
    decoded.ok_or(BadKey::Other("without its numbers in base64url"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::sign;
    use super::*;

    fn with(kid: &str, changes: Value) -> Result<Key, String> {
        let mut jwk = sign::jwk(kid);
        for (name, value) in changes.as_object().unwrap() {
            jwk[name] = value.clone();
        }
        key(&jwk).map_err(|bad| bad.to_string())
    }

    #[test]
    fn keys_are_read_by_their_kind() {
        for (kid, algorithm) in [("rsa", "RS256"), ("p256", "ES256"), ("ed25519", "EdDSA")] {
            let key = with(kid, json!({ "x-unknown": 1 })).unwrap();
            assert_eq!((key.algorithm.to_string().as_str(), key.kid.as_deref()), (algorithm, Some(kid)));
        }
    }

    #[test]
    fn what_is_not_for_us_is_skipped() {
        for (kid, changes) in [
            ("rsa", json!({ "use": "enc" })),
            ("rsa", json!({ "key_ops": ["encrypt"] })),
            ("rsa", json!({ "alg": "RS512" })),
            ("rsa", json!({ "alg": "HS256" })),
            ("rsa", json!({ "kty": "oct", "k": "AAAA" })),
            ("rsa", json!({ "kty": "EC" })),
            ("rsa", json!({ "kty": null })),
            ("rsa", json!({ "n": null })),
            ("rsa", json!({ "n": "AQAB" })),
            ("p256", json!({ "crv": "P-384" })),
            ("p256", json!({ "crv": "secp256k1" })),
            ("p256", json!({ "y": sign::jwk("p256")["x"] })),
            ("p256", json!({ "x": "" })),
            ("ed25519", json!({ "crv": "X25519" })),
            ("ed25519", json!({ "x": "AAAA" })),
            ("ed25519", json!({ "x": "!" })),
        ] {
            assert!(with(kid, changes.clone()).is_err(), "{kid} with {changes}");
        }
    }

    #[test]
    fn one_bad_key_does_not_spoil_the_set() {
        let json = json!({ "keys": [7, { "kty": "oct" }, sign::jwk("p256"), null] }).to_string();
        let (usable, skipped) = set(json.as_bytes()).unwrap();
        assert_eq!((usable.len(), skipped.len()), (1, 3));
    }
}
