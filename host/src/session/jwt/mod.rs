//! The built-in verifier: a JSON Web Token (RFC 7519) to an identity, for those who need no
//! auth plugin. Nothing in a token is acted on before its signature holds, but for its `alg`
//! and `kid`, which choose among the keys that are there; no URL in it is ever followed.

mod claims;
mod grants;
mod jwk;
mod keys;
mod object;
mod pem;
mod refused;
#[cfg(test)]
#[path = "../../../../tests/harness/sign.rs"]
mod sign;
mod source;
mod token;

use anyhow::Result;

pub use grants::Grants;
pub use keys::KeySet;
pub use refused::Refused;
pub use source::{FetchedKeys, KeyDesk, Keys};

use crate::config::{JwtAlgorithm, JwtConfig, KeySource};
use crate::core::clock::UnixMillis;
use crate::plugin::Identity;
use claims::Rules;
use object::Object;
use token::Token;

/// Who a token is for, and what it allows.
#[derive(Debug, Default)]
pub struct Admitted {
    pub identity: Identity,
    pub grants: Grants,
}

#[derive(Debug)]
pub struct Verifier {
    keys: Keys,
    /// Those that are taken; a token of another one is not looked at further.
    algorithms: Vec<JwtAlgorithm>,
    rules: Rules,
    required: bool,
}

impl Verifier {
    /// Reads the keys. Where they are fetched, whoever fetches gets the desk to lay them on.
    ///
    /// # Errors
    /// Names the setting and the file, if there is no usable key in it.
    pub fn new(config: &JwtConfig) -> Result<(Self, Option<KeyDesk>)> {
        let (keys, desk) = match config.source()? {
            KeySource::JwksUrl(_) => {
                let (keys, desk) = source::fetched();
                (Keys::Fetched(keys), Some(desk))
            }
            fixed => (Keys::Fixed(KeySet::read(&fixed)?), None),
        };
        let possible = match &keys {
            Keys::Fixed(set) => set.algorithms(),
            Keys::Fetched(_) => JwtAlgorithm::OF_PUBLIC_KEYS.to_vec(),
        };
        let algorithms = match &config.algorithms {
            None => possible,
            Some(allowed) => {
                let both: Vec<_> = possible.iter().copied().filter(|one| allowed.contains(one)).collect();
                anyhow::ensure!(
                    !both.is_empty(),
                    "jwt.algorithms has none that the keys are for: {}",
                    refused::either(&possible)
                );
                both
            }
        };
        let rules = Rules::new(config);
        Ok((Self { keys, algorithms, rules, required: config.required }, desk))
    }

    /// Those that it takes, to be read.
    pub fn algorithms(&self) -> String {
        refused::either(&self.algorithms)
    }

    /// Waits only where keys are fetched, and only for a token whose key is not there.
    ///
    /// # Errors
    /// A sentence for the client.
    pub async fn authenticate(&self, token: Option<&str>) -> Result<Admitted, Refused> {
        let Some(token) = token else {
            return if self.required { Err(Refused::Required) } else { Ok(Admitted::default()) };
        };
        let token = Token::parse(token, &self.algorithms)?;
        let claims = match &self.keys {
            Keys::Fixed(set) => set.open(&token)?,
            Keys::Fetched(keys) => match keys.open(&token) {
                Err(Refused::NoKeys | Refused::UnknownKey) => {
                    keys.refreshed().await;
                    keys.open(&token)?
                }
                opened => opened?,
            },
        };
        self.rules.admit(&Object::parse(&claims)?, UnixMillis::now())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::sign::{self, Signer};
    use super::*;

    /// The settings of one key, and who signs for it.
    const SOURCES: [(&str, Signer); 4] = [
        ("secret = 'SECRET'", sign::HS256),
        ("public_key_file = 'KEYS/rsa.pub.pem'", sign::RSA),
        ("public_key_file = 'KEYS/p256.pub.pem'", sign::P256),
        ("public_key_file = 'KEYS/ed25519.pub.pem'", sign::ED25519),
    ];
    const SET: &str = "jwks_file = 'KEYS/jwks.json'";

    fn verifier_of(config: &str) -> Result<Verifier, String> {
        let keys = sign::folder().display().to_string();
        let config = config.replace("KEYS", &keys).replace("SECRET", sign::SECRET);
        let made = Verifier::new(&toml::from_str(&config).unwrap());
        made.map(|(verifier, _)| verifier).map_err(|error| format!("{error:#}"))
    }

    fn verifier(config: &str) -> Verifier {
        verifier_of(config).unwrap()
    }

    fn only(key: &Signer) -> Refused {
        Refused::Algorithm(vec![JwtAlgorithm::parse(key.algorithm).unwrap()])
    }

    async fn refusal(verifier: &Verifier, token: &str) -> Refused {
        verifier.authenticate(Some(token)).await.expect_err(token)
    }

    async fn user(verifier: &Verifier, token: &str) -> String {
        verifier.authenticate(Some(token)).await.unwrap_or_else(|r| panic!("{r}: {token}")).identity.user
    }

    #[tokio::test]
    async fn each_algorithm_has_its_key() {
        for (source, key) in SOURCES {
            let verifier = verifier(source);
            assert_eq!(user(&verifier, &key.sign(json!({ "sub": "ada" }))).await, "ada", "{source}");
            for (_, other) in SOURCES.iter().filter(|(_, other)| other.algorithm != key.algorithm) {
                let refused = refusal(&verifier, &other.sign(json!({ "sub": "ada" }))).await;
                assert_eq!(refused, only(&key), "{source}");
            }
        }
    }

    #[tokio::test]
    async fn a_key_set_serves_all_its_algorithms() {
        let verifier = verifier(SET);
        for key in [sign::RSA, sign::P256, sign::ED25519, sign::ED25519_2] {
            assert_eq!(user(&verifier, &key.sign(json!({ "sub": "ada" }))).await, "ada");
            assert_eq!(user(&verifier, &key.sign_with_kid(json!({ "sub": "bob" }))).await, "bob");
            let header = json!({ "alg": key.algorithm, "kid": "p257" });
            let stranger = key.sign_with(&header.to_string(), r#"{"sub":"eve"}"#);
            assert_eq!(refusal(&verifier, &stranger).await, Refused::UnknownKey);
        }
        // The id of another key: that one is tried, and no other.
        let header = json!({ "alg": "EdDSA", "kid": "ed25519-2" });
        let crossed = sign::ED25519.sign_with(&header.to_string(), r#"{"sub":"eve"}"#);
        assert_eq!(refusal(&verifier, &crossed).await, Refused::Signature);
        // And that of a key for another algorithm is unknown.
        let header = json!({ "alg": "EdDSA", "kid": "rsa" });
        let crossed = sign::ED25519.sign_with(&header.to_string(), r#"{"sub":"eve"}"#);
        assert_eq!(refusal(&verifier, &crossed).await, Refused::UnknownKey);
    }

    #[tokio::test]
    async fn algorithms_can_be_narrowed() {
        let verifier = verifier("jwks_file = 'KEYS/jwks.json'\nalgorithms = ['ES256', 'EdDSA']");
        assert_eq!(user(&verifier, &sign::P256.sign(json!({ "sub": "ada" }))).await, "ada");
        let refused = refusal(&verifier, &sign::RSA.sign(json!({ "sub": "ada" }))).await;
        assert_eq!(refused.to_string(), "The token's algorithm must be ES256 or EdDSA.");
        let error = verifier_of("public_key_file = 'KEYS/rsa.pub.pem'\nalgorithms = ['ES256']").unwrap_err();
        assert!(error.contains("jwt.algorithms") && error.contains("RS256"), "{error}");
    }

    /// The public key, which anyone has, taken for a shared secret.
    #[tokio::test]
    async fn a_public_key_is_no_secret() {
        for (source, _) in &SOURCES[1..] {
            let file = source.trim_start_matches("public_key_file = 'KEYS/").trim_end_matches('\'');
            let bytes = std::fs::read(sign::folder().join(file)).unwrap();
            for secret in [&bytes[..], bytes.trim_ascii_end()] {
                let token = sign::hs256(secret, r#"{"alg":"HS256"}"#, r#"{"sub":"eve"}"#);
                for source in [*source, SET] {
                    let refused = refusal(&verifier(source), &token).await;
                    assert!(matches!(refused, Refused::Algorithm(_)), "{source}: {refused}");
                }
            }
        }
    }

    #[tokio::test]
    async fn none_is_no_algorithm() {
        for (source, key) in SOURCES {
            let signed = key.sign(json!({ "sub": "eve" }));
            let signature = signed.rsplit('.').next().unwrap();
            for alg in ["none", "None", "NONE", "nOnE", "", "hs256", "HS512", "RS512", "PS256", "ES384"] {
                for signature in ["", signature] {
                    let header = json!({ "alg": alg }).to_string();
                    let token = sign::unsigned(&header, r#"{"sub":"eve"}"#) + signature;
                    let refused = refusal(&verifier(source), &token).await;
                    assert_eq!(refused, only(&key), "{alg}");
                }
            }
        }
    }

    #[tokio::test]
    async fn a_signature_holds_for_its_own_token_alone() {
        for (source, key) in SOURCES {
            let verifier = verifier(source);
            let token = key.sign(json!({ "sub": "ada" }));
            let other = key.sign(json!({ "sub": "eve" }));
            let (signed, signature) = token.rsplit_once('.').unwrap();
            let (other, _) = other.rsplit_once('.').unwrap();
            let flipped = if signature.starts_with('A') { "B" } else { "A" };
            for forged in [
                format!("{other}.{signature}"),
                format!("{signed}."),
                format!("{signed}.{flipped}{}", &signature[1..]),
                format!("{signed}.{}", &signature[..signature.len() - 4]),
                format!("{signed}.{signature}AAAA"),
                format!("{signed}.{signature}="),
                format!("{signed}.{}", "A".repeat(signature.len())),
                format!("{signed}.{}", "!".repeat(signature.len())),
            ] {
                assert_eq!(refusal(&verifier, &forged).await, Refused::Signature, "{source}: {forged}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_token_is_malformed() {
        let verifier = verifier("secret = 'SECRET'");
        let good = sign::HS256.sign(json!({ "sub": "ada" }));
        let mut many = vec![
            String::new(),
            ".".into(),
            "..".into(),
            "...".into(),
            "nonsense".into(),
            "a.b.c".into(),
            "\u{0}.\u{0}.\u{0}".into(),
            format!(" {good}"),
            format!("{good}.x"),
            format!("{good}.x.y"),
            good.replacen('.', "=.", 1),
        ];
        for header in [
            "{}",
            "[]",
            "null",
            "\"HS256\"",
            "{\"alg\":\"HS256\"",
            r#"{"alg":null}"#,
            r#"{"alg":1}"#,
            r#"{"alg":["HS256"]}"#,
            r#"{"alg":"HS256","kid":null}"#,
            r#"{"alg":"HS256","kid":7}"#,
            r#"{"alg":"HS256","alg":"HS256"}"#,
            r#"{"alg":"HS256","x":1,"x":2}"#,
            "{\"alg\":\"HS256\"}trailing",
            "\u{feff}{\"alg\":\"HS256\"}",
        ] {
            many.push(sign::HS256.sign_with(header, r#"{"sub":"ada"}"#));
        }
        for claims in [
            "",
            "[]",
            "null",
            "1",
            "{",
            r#"{"sub":"ada","sub":"eve"}"#,
            r#"{"sub":"ada","x":1,"x":1}"#,
            "{}x",
        ] {
            many.push(sign::HS256.sign_with(r#"{"alg":"HS256"}"#, claims));
        }
        many.push(sign::HS256.sign_with(r#"{"alg":"HS256"}"#, &"[".repeat(8000)));
        many.push(sign::HS256.sign_with(r#"{"alg":"HS256"}"#, r#"{"sub":"ada","exp":1e999}"#));
        for token in many {
            assert_eq!(refusal(&verifier, &token).await, Refused::Malformed, "{token}");
        }
    }

    #[tokio::test]
    async fn extensions_that_must_be_understood_are_not() {
        let verifier = verifier("secret = 'SECRET'");
        for header in [r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, r#"{"alg":"HS256","crit":[]}"#] {
            let token = sign::HS256.sign_with(header, r#"{"sub":"ada"}"#);
            assert_eq!(refusal(&verifier, &token).await, Refused::Critical);
        }
    }

    #[tokio::test]
    async fn keys_in_a_token_are_not_looked_at() {
        let verifier = verifier("public_key_file = 'KEYS/ed25519.pub.pem'");
        let header = json!({
            "alg": "EdDSA", "jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/",
            "jwk": sign::jwk("ed25519-2"),
        });
        let claims = r#"{"sub":"ada","iss":"http://127.0.0.1:1/"}"#;
        let own = sign::ED25519_2.sign_with(&header.to_string(), claims);
        assert_eq!(refusal(&verifier, &own).await, Refused::Signature);
        assert_eq!(user(&verifier, &sign::ED25519.sign_with(&header.to_string(), claims)).await, "ada");
    }

    #[tokio::test]
    async fn a_token_of_a_hundred_kilobytes_is_not_read() {
        let verifier = verifier("secret = 'SECRET'");
        let long = sign::HS256.sign(json!({ "sub": "ada", "x": "x".repeat(75_000) }));
        assert!(long.len() > 100_000);
        assert_eq!(refusal(&verifier, &long).await, Refused::TooLong);
        let fits = sign::HS256.sign(json!({ "sub": "ada", "x": "x".repeat(11_000) }));
        assert_eq!(user(&verifier, &fits).await, "ada");
    }

    #[tokio::test]
    async fn without_a_token_one_is_anonymous_or_refused() {
        let admitted = verifier("secret = 'x'").authenticate(None).await.unwrap();
        assert_eq!((&*admitted.identity.user, admitted.identity.expires_at), ("", None));
        let refused = verifier("secret = 'x'\nrequired = true").authenticate(None).await.unwrap_err();
        assert_eq!(refused.to_string(), "A token is required.");
    }

    #[tokio::test]
    async fn reasons_tell_nothing_of_keys_or_tokens() {
        let verifier =
            verifier("secret = 'hunter2'\nissuer = 'https://id.internal'\naudience = 'a-secret-name'");
        for claims in
            [json!({ "sub": "ada" }), json!({ "iss": "x" }), json!({ "iss": "https://id.internal" })]
        {
            for secret in ["hunter2", "other"] {
                let token = sign::hs256(secret.as_bytes(), r#"{"alg":"HS256"}"#, &claims.to_string());
                let reason = refusal(&verifier, &token).await.to_string();
                for word in ["hunter2", "id.internal", "a-secret-name"] {
                    assert!(!reason.contains(word), "{reason}");
                }
            }
        }
    }
}
