//! API keys: who calls, and what they may do.

use subtle::{ConditionallySelectable, ConstantTimeEq};

use super::error::ApiError;
use crate::config::{ApiKeyConfig, Grant, KeyHash};

/// The configured keys, by their hashes.
pub struct Keys(Vec<(KeyHash, Grants)>);

/// A set of [`Grant`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Grants(u8);

/// Who makes a call.
#[derive(Clone, Copy, Debug)]
pub struct Caller(Grants);

impl Keys {
    pub fn new(keys: &[ApiKeyConfig]) -> Self {
        Self(keys.iter().map(|key| (key.sha256, Grants::of(&key.allow))).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes as long for a key that nearly fits as for any other.
    pub fn find(&self, shown: &str) -> Option<Caller> {
        let shown = KeyHash::of(shown);
        let mut found = 0;
        for (hash, grants) in &self.0 {
            found.conditional_assign(&grants.0, hash.0.ct_eq(&shown.0));
        }
        // No key is configured without a grant.
        (found != 0).then_some(Caller(Grants(found)))
    }
}

impl Grants {
    fn of(grants: &[Grant]) -> Self {
        Self(grants.iter().fold(0, |set, grant| set | Self::bit(*grant)))
    }

    fn bit(grant: Grant) -> u8 {
        1 << grant as u8
    }
}

impl Caller {
    /// Where no key is configured.
    pub fn everything() -> Self {
        Self(Grants::of(&Grant::all()))
    }

    pub fn require(self, grant: Grant) -> Result<(), ApiError> {
        if self.0.0 & Grants::bit(grant) != 0 {
            return Ok(());
        }
        Err(ApiError::forbidden(&format!("The API key's `allow` has no \"{}\".", grant.name())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, secret: &str, allow: &[Grant]) -> ApiKeyConfig {
        ApiKeyConfig { name: name.into(), sha256: KeyHash::of(secret), allow: allow.to_vec() }
    }

    #[test]
    fn each_key_has_its_own_grants() {
        let keys = Keys::new(&[key("a", "one", &[Grant::Publish]), key("b", "two", &Grant::all())]);
        let one = keys.find("one").unwrap();
        assert!(one.require(Grant::Publish).is_ok());
        assert!(one.require(Grant::Read).is_err() && one.require(Grant::Manage).is_err());
        let two = keys.find("two").unwrap();
        assert!(Grant::all().into_iter().all(|grant| two.require(grant).is_ok()));
        for wrong in ["", "on", "onee", "three"] {
            assert!(keys.find(wrong).is_none(), "{wrong}");
        }
    }
}
