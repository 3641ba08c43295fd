//! `GET` and `DELETE /api/channels/{channel}/presence`.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::error::ApiError;
use super::info::Nothing;
use super::past::ask;
use super::route::Call;
use crate::hub::letter::Inquiry;
use crate::hub::presence;

/// Who is in a channel, by user.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Members {
    count: usize,
    members: Vec<Member>,
}

/// A user, and what it says of itself.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Member {
    user_id: String,
    /// Unix time in seconds.
    joined_at: f64,
    #[serde(flatten)]
    metadata: Map<String, Value>,
}

/// How many have left.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Left {
    left: usize,
}

pub async fn list(call: Call, _: Nothing) -> Result<Members, ApiError> {
    let members = ask(&call, |answer| Inquiry::Presence { answer }).await?;
    Ok(Members { count: members.len(), members: members.iter().map(member).collect() })
}

pub async fn clear(call: Call, _: Nothing) -> Result<Left, ApiError> {
    let left = ask(&call, |answer| Inquiry::ClearPresence { answer }).await?;
    Ok(Left { left })
}

fn member(member: &presence::Member) -> Member {
    Member {
        user_id: member.user.as_str().into(),
        joined_at: member.joined_at.0 as f64 / 1000.0,
        // Checked where it came in; empty for none.
        metadata: serde_json::from_slice(&member.metadata).unwrap_or_default(),
    }
}
