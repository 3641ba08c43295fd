//! `POST /apps/{id}/users/{user}/terminate_connections`

use super::super::api::ApiError;
use super::{Call, Nothing};
use crate::hub::shard::Whom;

/// Its clients do not come back by themselves; their pages may connect anew.
const TERMINATED: u16 = 4009;

/// Ends all connections that have signed in as this user.
pub async fn terminate(call: &Call, user: String) -> Result<Nothing, ApiError> {
    let reason = "You got disconnected by the app.".to_owned();
    call.shard().disconnect_whom(Whom::User(user), TERMINATED, reason).await?;
    Ok(Nothing {})
}
