//! What a new subscriber gets.

#[cfg(feature = "json")]
use crate::Denial;
use crate::PayloadKind;

pub use crate::bindings::channel::exports::tidegate::plugin::channel_handler::Response;

impl Response {
    /// # Errors
    /// If `value` has no form in JSON.
    #[cfg(feature = "json")]
    pub fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Self, Denial> {
        crate::data::to_json(value).map(Self::raw_json)
    }

    /// A payload that is one JSON value already; it is not checked here.
    pub fn raw_json(json: impl Into<Vec<u8>>) -> Self {
        Self::new(PayloadKind::Json, json.into())
    }

    /// A payload of plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(PayloadKind::Text, text.into().into_bytes())
    }

    /// A payload of any bytes.
    pub fn binary(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(PayloadKind::Binary, bytes.into())
    }

    /// The event's name; none unless this is called.
    pub fn event(mut self, event: impl Into<String>) -> Self {
        self.event = Some(event.into());
        self
    }

    fn new(kind: PayloadKind, payload: Vec<u8>) -> Self {
        Self { event: None, kind, payload }
    }
}
