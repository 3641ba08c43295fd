//! What a good token says: for whom, until when, where.

use serde_json::Value;

use super::Admitted;
use super::grants::Grants;
use super::object::Object;
use super::refused::Refused;
use crate::config::JwtConfig;
use crate::core::clock::UnixMillis;
use crate::plugin::Identity;

/// As long as a channel's name: it goes out with every message that the user publishes.
const USER_BYTES: usize = 255;

/// What the settings ask of claims. A claim that is `null` or of another type than it must be
/// is refused, never taken for one left out: that could widen what its signer meant.
#[derive(Debug)]
pub struct Rules {
    user_claim: String,
    issuer: Option<String>,
    audience: Option<String>,
    leeway_ms: u64,
}

impl Rules {
    pub fn new(config: &JwtConfig) -> Self {
        Self {
            user_claim: config.user_claim.clone(),
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            leeway_ms: config.leeway_secs.saturating_mul(1000),
        }
    }

    /// The identity ends with the token, and as much later as the clocks may differ.
    pub fn admit(&self, claims: &Object, now: UnixMillis) -> Result<Admitted, Refused> {
        let end = time(claims, "exp")?.map(|end| UnixMillis(end.0.saturating_add(self.leeway_ms)));
        if end.is_some_and(|end| end <= now) {
            return Err(Refused::Expired);
        }
        let latest = now.0.saturating_add(self.leeway_ms);
        if time(claims, "nbf")?.is_some_and(|start| start.0 > latest) {
            return Err(Refused::NotYet);
        }
        self.check_issuer(claims)?;
        self.check_audience(claims)?;
        let identity = Identity::named(self.user(claims)?, end);
        Ok(Admitted { identity, grants: Grants::read(claims)? })
    }

    fn check_issuer(&self, claims: &Object) -> Result<(), Refused> {
        let Some(wanted) = &self.issuer else { return Ok(()) };
        match claims.get("iss") {
            Some(Value::String(issuer)) if issuer == wanted => Ok(()),
            Some(_) => Err(Refused::Issuer),
            None => Err(Refused::Missing("iss".into())),
        }
    }

    /// RFC 7519, section 4.1.3: one who is not named in an `aud` that is there must refuse the
    /// token, so without a name of our own any `aud` is another's.
    fn check_audience(&self, claims: &Object) -> Result<(), Refused> {
        let named = |value: &Value| value.as_str().is_some_and(|name| Some(name) == self.audience.as_deref());
        let ours = match claims.get("aud") {
            None if self.audience.is_none() => true,
            None => return Err(Refused::Missing("aud".into())),
            Some(Value::Array(names)) => names.iter().any(named),
            Some(name) => named(name),
        };
        if ours { Ok(()) } else { Err(Refused::Audience) }
    }

    fn user(&self, claims: &Object) -> Result<String, Refused> {
        let name = &self.user_claim;
        let user = match claims.get(name) {
            Some(Value::String(user)) => user.clone(),
            // Ids out of a database; `1.0` and `1e0` would be one user by two names.
            Some(Value::Number(id)) if id.is_u64() || id.is_i64() => id.to_string(),
            None | Some(Value::Null) => return Err(Refused::Missing(name.clone())),
            Some(_) => return Err(Refused::Claim(name.clone(), "a text or a whole number")),
        };
        match user.len() {
            0 => Err(Refused::Missing(name.clone())),
            1..=USER_BYTES => Ok(user),
            _ => Err(Refused::Claim(name.clone(), "at most 255 bytes long")),
        }
    }
}

/// A NumericDate (RFC 7519, section 2): seconds since 1970, perhaps with a fraction.
fn time(claims: &Object, name: &str) -> Result<Option<UnixMillis>, Refused> {
    match claims.get(name) {
        None => Ok(None),
        // The conversion saturates: what is below 0 is long past, what is above the range never comes.
        Some(Value::Number(seconds)) => {
            Ok(seconds.as_f64().map(|seconds| UnixMillis((seconds * 1000.0) as u64)))
        }
        Some(_) => Err(Refused::Claim(name.into(), "a time in seconds")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn admit(config: &str, claims: Value) -> Result<Admitted, String> {
        let rules = Rules::new(&toml::from_str(config).unwrap());
        let claims = Object::parse(claims.to_string().as_bytes()).unwrap();
        rules.admit(&claims, NOW).map_err(|refused| refused.to_string())
    }

    fn refusal(config: &str, claims: Value) -> String {
        admit(config, claims.clone()).expect_err(&claims.to_string())
    }

    #[test]
    fn the_end_is_taken_with_leeway_and_so_is_the_beginning() {
        let end = |exp: Value| admit("", json!({ "sub": "a", "exp": exp })).map(|a| a.identity.expires_at);
        assert_eq!(end(json!(1_700_000_060)), Ok(Some(UnixMillis(1_700_000_065_000))));
        assert_eq!(end(json!(1_700_000_000.5)), Ok(Some(UnixMillis(1_700_000_005_500))));
        assert_eq!(end(json!(1_699_999_996)), Ok(Some(UnixMillis(1_700_000_001_000))));
        assert_eq!(end(json!(1e300)), Ok(Some(UnixMillis(u64::MAX))));
        for past in [json!(1_699_999_995), json!(0), json!(-1), json!(-1e300)] {
            assert_eq!(end(past), Err("The token has expired.".into()));
        }
        assert!(admit("leeway_secs = 0", json!({ "sub": "a", "exp": 1_700_000_000 })).is_err());

        let begins = |nbf: Value| admit("", json!({ "sub": "a", "nbf": nbf })).map(|_| ());
        assert_eq!(begins(json!(1_700_000_005)), Ok(()));
        for future in [json!(1_700_000_006), json!(1e300)] {
            assert_eq!(begins(future), Err("The token is not valid yet.".into()));
        }
    }

    #[test]
    fn a_claim_of_the_wrong_kind_is_not_one_left_out() {
        for name in ["exp", "nbf"] {
            for value in [json!(null), json!("1900000000"), json!([]), json!(true)] {
                let reason = refusal("", json!({ "sub": "a", name: value }));
                assert_eq!(reason, format!("The token's '{name}' is not a time in seconds."));
            }
        }
        for name in ["channels", "publish"] {
            refusal("", json!({ "sub": "a", name: null }));
        }
        refusal("", json!({ "sub": "a", "aud": null }));
        assert!(admit("", json!({ "sub": "a", "iss": null, "iat": null, "jti": null })).is_ok(), "not asked");
    }

    #[test]
    fn issuer_and_audience_must_be_there_where_they_are_set() {
        let config = "issuer = 'me'\naudience = 'us'";
        let with = |iss: Value, aud: Value| admit(config, json!({ "sub": "a", "iss": iss, "aud": aud }));
        assert!(with(json!("me"), json!("us")).is_ok());
        assert!(with(json!("me"), json!(["them", "us"])).is_ok());
        for iss in [json!("you"), json!(null), json!(["me"]), json!("Me"), json!("me/"), json!("")] {
            assert_eq!(with(iss, json!("us")).unwrap_err(), "The token is from another issuer.");
        }
        for aud in [json!("them"), json!(null), json!([]), json!([null]), json!([["us"]]), json!({ "us": 1 })]
        {
            assert_eq!(with(json!("me"), aud).unwrap_err(), "The token is for another audience.");
        }
        assert_eq!(refusal(config, json!({ "sub": "a", "aud": "us" })), "The token has no 'iss'.");
        assert_eq!(refusal(config, json!({ "sub": "a", "iss": "me" })), "The token has no 'aud'.");
        let reason = refusal("", json!({ "sub": "a", "aud": "us" }));
        assert_eq!(reason, "The token is for another audience.", "nobody has said that this is us");
    }

    #[test]
    fn the_user_is_in_the_claim_that_is_set() {
        let user = |config: &str, claims: Value| admit(config, claims).map(|a| a.identity.user);
        assert_eq!(user("", json!({ "sub": "ada" })), Ok("ada".into()));
        let config = "user_claim = 'user_id'";
        assert_eq!(user(config, json!({ "sub": "x", "user_id": 7 })), Ok("7".into()));
        assert_eq!(user(config, json!({ "sub": "x" })), Err("The token has no 'user_id'.".into()));
        for missing in [json!({}), json!({ "sub": null }), json!({ "sub": "" })] {
            assert_eq!(user("", missing), Err("The token has no 'sub'.".into()));
        }
        for other in [json!(1.5), json!(["ada"]), json!(true), json!({}), json!("x".repeat(256))] {
            assert!(user("", json!({ "sub": other })).is_err());
        }
    }
}
