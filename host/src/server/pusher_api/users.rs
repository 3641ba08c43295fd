//! `POST /apps/{id}/users/{user}/terminate_connections`

use super::super::api::{ApiError, DISCONNECTED};
use super::{Call, Nothing};

/// Ends all connections that have signed in as this user. Its clients do not come back by
/// themselves; their pages may connect anew.
pub async fn terminate(call: &Call, user: String) -> Result<Nothing, ApiError> {
    let reason = "You got disconnected by the app.".to_owned();
    call.shard().disconnect_signed_in(call.app.number, user, DISCONNECTED, reason).await?;
    Ok(Nothing {})
}
