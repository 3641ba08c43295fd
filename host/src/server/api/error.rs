//! What the server API says when it does not do what it was asked.

use hyper::StatusCode;
use hyper::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use schemars::JsonSchema;
use serde::Serialize;

use super::super::router::{Answer, json};
use crate::core::Refusal;
use crate::hub::shard::Unanswered;

/// One refusal: an HTTP status, a code for programs, a message for people.
#[derive(Clone, Debug)]
pub struct ApiError {
    pub status: StatusCode,
    pub code: &'static str,
    message: String,
    /// A plugin's own code, with `rejected`.
    reason_code: Option<u16>,
    retry_after_secs: Option<u64>,
    /// Of a path that does not take the request's method.
    allow: Option<String>,
}

/// The body of every answer that is not 200, and the result of a single command that failed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Failure {
    pub error: FailureText,
}

/// What went wrong.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FailureText {
    /// For programs.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// With the code `rejected`: the plugin's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<u16>,
}

impl ApiError {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, code, message, reason_code: None, retry_after_secs: None, allow: None }
    }

    pub fn bad_json(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_json", message)
    }

    /// `what` names the field.
    pub fn invalid(what: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_params", what)
    }

    pub fn unauthorized(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    pub fn forbidden(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// `allow`: the methods that the path takes, as the header has them.
    pub fn method_not_allowed(allow: String) -> Self {
        let message = format!("This path takes {allow}.");
        let error = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message);
        Self { allow: Some(allow), ..error }
    }

    pub fn too_large(limit: usize) -> Self {
        let message = format!("The body exceeds {limit} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same of a part of what was sent, which names it.
    pub fn within(self, part: &str) -> Self {
        Self { message: format!("{part}{}", self.message), ..self }
    }

    pub fn failure(&self) -> Failure {
        let (code, message, reason_code) = (self.code, self.message.clone(), self.reason_code);
        Failure { error: FailureText { code, message, reason_code } }
    }

    pub fn answer(&self) -> Answer {
        // The parts are strings and a number: they always have JSON.
        let body = serde_json::to_string(&self.failure()).unwrap_or_default();
        let mut answer = json(self.status, body + "\n");
        let headers = answer.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_secs {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Some(allow) = self.allow.as_deref().and_then(|allow| HeaderValue::from_str(allow).ok()) {
            headers.insert(ALLOW, allow);
        }
        answer
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let status = match &refusal {
            Refusal::ChannelNotFound(_) | Refusal::ActionNotFound(_) => StatusCode::NOT_FOUND,
            Refusal::PermissionDenied { .. } => StatusCode::FORBIDDEN,
            Refusal::KeyReused => StatusCode::CONFLICT,
            Refusal::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::RateLimited { .. } | Refusal::LimitExceeded { .. } => StatusCode::TOO_MANY_REQUESTS,
            Refusal::PluginFailed(_) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        let mut error = Self::new(status, refusal.code(), refusal.to_string());
        match refusal {
            // HTTP has no action that parameters could be invalid for: the details say it.
            Refusal::InvalidParams { details, .. } => error.message = details,
            Refusal::Rejected { code, .. } => error.reason_code = Some(code),
            Refusal::RateLimited { retry_after_secs } => {
                // Whole seconds, RFC 9110, section 10.2.3.
                error.retry_after_secs = Some(retry_after_secs.ceil().max(1.0) as u64);
            }
            _ => {}
        }
        error
    }
}

impl From<Unanswered> for ApiError {
    fn from(unanswered: Unanswered) -> Self {
        Self::unavailable(format!("Not done for sure: {unanswered}."))
    }
}
