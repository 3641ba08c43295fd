//! Why the server says no. Every dialect turns these into its own words.

use super::names::{ChannelName, PluginName, UserId};

/// A request that was refused. The wording of the native protocol's messages is
/// fixed by its page; [`Refusal::code`] is what programs read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    #[error("Message is not valid JSON.")]
    BadJson,
    #[error("Message type is required.")]
    TypeRequired,
    #[error("Unknown message type: {0}.")]
    UnknownType(String),
    #[error("Channel is required.")]
    ChannelRequired,
    #[error("Channel '{0}' not found.")]
    ChannelNotFound(ChannelName),
    #[error("Action '{0}' not found.")]
    ActionNotFound(String),
    #[error("Invalid parameters for action '{subject}'")]
    InvalidParams {
        /// The channel's or action's name, as the client gave it.
        subject: String,
        /// What is wrong with which field.
        details: String,
    },
    #[error("User '{}' not authorized for channel '{channel}'.", user.as_ref().map_or("anonymous", UserId::as_str))]
    PermissionDenied {
        user: Option<UserId>,
        channel: ChannelName,
        /// An auth plugin's own words.
        reason: Option<String>,
    },
    /// A plugin's own refusal.
    #[error("{reason}")]
    Rejected { reason: String, code: u16 },
    #[error("Rate limit exceeded.")]
    RateLimited { retry_after_secs: f64 },
    #[error("Message exceeds {0} bytes.")]
    TooLarge(usize),
    #[error("Plugin '{0}' failed.")]
    PluginFailed(PluginName),
    #[error("The idempotency key was used for another message.")]
    KeyReused,
    #[error("At most {limit} {what} are allowed.")]
    LimitExceeded { limit: usize, what: &'static str },
}

impl Refusal {
    /// For dialects that have room for one sentence: an auth plugin's own, or the message.
    pub fn reason(&self) -> String {
        match self {
            Self::PermissionDenied { reason: Some(reason), .. } => reason.clone(),
            _ => self.to_string(),
        }
    }

    pub fn code(&self) -> &'static str {
        match self {
            Self::BadJson => "bad_json",
            Self::TypeRequired => "type_required",
            Self::UnknownType(_) => "unknown_type",
            Self::ChannelRequired => "channel_required",
            Self::ChannelNotFound(_) => "channel_not_found",
            Self::ActionNotFound(_) => "action_not_found",
            Self::InvalidParams { .. } => "invalid_params",
            Self::PermissionDenied { .. } => "permission_denied",
            Self::Rejected { .. } => "rejected",
            Self::RateLimited { .. } => "rate_limited",
            Self::TooLarge(_) => "too_large",
            Self::PluginFailed(_) => "plugin_failed",
            Self::KeyReused => "key_reused",
            Self::LimitExceeded { .. } => "limit_exceeded",
        }
    }
}
