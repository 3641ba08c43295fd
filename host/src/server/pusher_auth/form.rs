//! What clients send: a form, or the same as JSON where an application has a handler of its own.

use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;
use serde::Deserialize;

use super::super::api::{ApiError, parse_json};
use crate::dialect::query;

/// Other fields are passed over: applications may add any.
#[derive(Debug, Default, Deserialize)]
pub struct Form {
    socket_id: Option<String>,
    channel_name: Option<String>,
}

impl Form {
    pub fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, ApiError> {
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.trim_start().starts_with("application/json") {
            return parse_json(body);
        }
        let not_text = |_| ApiError::invalid("The form is not UTF-8.");
        let mut form = Self::default();
        for (name, value) in query::pairs(std::str::from_utf8(body).map_err(not_text)?) {
            match name.as_str() {
                "socket_id" => form.socket_id = value,
                "channel_name" => form.channel_name = value,
                _ => {}
            }
        }
        Ok(form)
    }

    pub fn socket_id(&self) -> Result<&str, ApiError> {
        self.socket_id.as_deref().ok_or_else(|| ApiError::invalid("socket_id: is missing"))
    }

    pub fn channel_name(&self) -> Result<&str, ApiError> {
        self.channel_name.as_deref().ok_or_else(|| ApiError::invalid("channel_name: is missing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(kind: &'static str, body: &[u8]) -> Result<(Option<String>, Option<String>), u16> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, kind.parse().unwrap());
        let form = Form::read(&headers, body).map_err(|error| error.status.as_u16())?;
        Ok((form.socket_id, form.channel_name))
    }

    #[test]
    fn a_form_is_read_in_both_of_its_shapes() {
        let both = Ok((Some("1.2".into()), Some("private-a".into())));
        let text = b"x=y&socket_id=1.2&channel_name=private%2Da";
        assert_eq!(form("application/x-www-form-urlencoded", text), both);
        let json = br#"{"socket_id":"1.2","channel_name":"private-a","x":[]}"#;
        assert_eq!(form("application/json; charset=utf-8", json), both);
        assert_eq!(form("text/plain", b""), Ok((None, None)));
        assert_eq!(form("application/json", b"[]x"), Err(400));
        assert_eq!(form("text/plain", b"\xff"), Err(400));
    }
}
