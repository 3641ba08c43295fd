//! What a client sends along with a request.

#[cfg(feature = "json")]
use crate::Denial;

/// One JSON value: parameters of a subscription or an action, or an action's answer.
/// `null` where the client sent none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data(Vec<u8>);

impl Data {
    /// No data: JSON's `null`.
    pub fn null() -> Self {
        Self(b"null".to_vec())
    }

    /// Takes `json` as it is; it must be one JSON value.
    pub fn raw(json: impl Into<Vec<u8>>) -> Self {
        Self(json.into())
    }

    /// The JSON text.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Did the client send none, or `null`?
    pub fn is_null(&self) -> bool {
        self.0 == b"null"
    }

    /// # Errors
    /// If `value` has no form in JSON, such as a map whose keys are not strings.
    #[cfg(feature = "json")]
    pub fn of<T: serde::Serialize + ?Sized>(value: &T) -> Result<Self, Denial> {
        to_json(value).map(Self)
    }

    /// Use `Option<T>` where the data may be missing.
    ///
    /// # Errors
    /// With code 0 and serde's explanation, if the data has another shape than `T`.
    #[cfg(feature = "json")]
    pub fn json<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, Denial> {
        serde_json::from_slice(&self.0)
            .map_err(|error| Denial::from(format!("The data is not as expected: {error}")))
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(feature = "json")]
pub(crate) fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Denial> {
    serde_json::to_vec(value).map_err(|error| Denial::from(format!("Not JSON: {error}")))
}
