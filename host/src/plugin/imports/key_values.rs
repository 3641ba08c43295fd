//! `tidegate:plugin/store`

use crate::core::clock::Nanos;
use crate::plugin::bindings::key_values::{Failure, Host};
use crate::plugin::key_values::{KeyValues, StoreError};
use crate::plugin::limits::KEY_VALUE_CALLS;
use crate::plugin::store::StoreData;

impl Host for StoreData {
    fn get(&mut self, key: String) -> Result<Option<Vec<u8>>, Failure> {
        let found = self.key_values()?.get(Nanos::now(), &key)?;
        Ok(found.map(|value| value.to_vec()))
    }

    fn set(&mut self, key: String, value: Vec<u8>, ttl_ms: Option<u64>) -> Result<(), Failure> {
        Ok(self.key_values()?.set(Nanos::now(), &key, &value, ttl_ms)?)
    }

    fn delete(&mut self, key: String) -> Result<bool, Failure> {
        Ok(self.key_values()?.delete(Nanos::now(), &key)?)
    }

    fn increment(&mut self, key: String, by: i64, ttl_ms: Option<u64>) -> Result<i64, Failure> {
        Ok(self.key_values()?.increment(Nanos::now(), &key, by, ttl_ms)?)
    }

    fn compare_and_set(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
        ttl_ms: Option<u64>,
    ) -> Result<bool, Failure> {
        let (expected, value) = (expected.as_deref(), value.as_deref());
        Ok(self.key_values()?.compare_and_set(Nanos::now(), &key, expected, value, ttl_ms)?)
    }
}

impl StoreData {
    /// Counts a call of the store.
    fn key_values(&mut self) -> Result<&KeyValues, Failure> {
        if self.key_value_calls >= KEY_VALUE_CALLS {
            return Err(Failure::TooManyCalls);
        }
        self.key_value_calls += 1;
        Ok(&self.owner.lasting.key_values)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            // Nothing that crosses into the host is as long as 4 GiB.
            StoreError::TooLarge(bytes) => Self::TooLarge(u32::try_from(bytes).unwrap_or(u32::MAX)),
            StoreError::Full => Self::Full,
            StoreError::NotANumber => Self::NotANumber,
        }
    }
}
