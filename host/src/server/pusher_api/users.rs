//! `POST /apps/{id}/users/{user}/terminate_connections`

use super::super::api::{ApiError, DISCONNECTED};
use super::{Call, Nothing};
use crate::hub::shard::Whom;

/// Ends all connections that have signed in as this user. Its clients do not come back by
/// themselves; their pages may connect anew.
pub async fn terminate(call: &Call, user: String) -> Result<Nothing, ApiError> {
    let reason = "You got disconnected by the app.".to_owned();
    let whom = Whom::SignedIn { app: call.app.number, user };
    call.shard().disconnect_whom(whom, DISCONNECTED, reason).await?;
    Ok(Nothing {})
}
