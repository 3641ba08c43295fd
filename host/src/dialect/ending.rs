//! Refusals as close codes, for dialects that have no frame for an error.

use crate::core::Refusal;

/// The close code that means what the refusal means: the protocol's own, or one that RFC 6455
/// (section 7.4.1) or its registry has.
pub fn close_code(refusal: &Refusal) -> u16 {
    match refusal {
        Refusal::RateLimited { .. } => 4002,
        // Gone: what the connection was for is not there.
        Refusal::ChannelNotFound(_) => 4004,
        Refusal::TooLarge(_) => 1009,
        // Internal error.
        Refusal::PluginFailed(_) => 1011,
        // Try again later.
        Refusal::LimitExceeded { .. } => 1013,
        _ => 4003,
    }
}
