//! `POST /api/plugins/{name}/record`: a plugin's calls as they come, for a while. The answer is all
//! that there is of it: nothing is kept by the server, and nobody records when nobody waits.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::ApiError;
use super::route::Call;
use crate::plugin::{Called, Observed};

const MOST_CALLS: u32 = 10_000;
const MOST_SECS: u32 = 300;
/// Of calls and answers as JSON; one more is in it than fits.
const MOST_BYTES: usize = 16 << 20;

/// How much of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// At most so many calls: 1 to 10,000.
    #[serde(default = "calls")]
    #[schemars(range(min = 1, max = 10_000))]
    calls: u32,
    /// At most so many seconds: 1 to 300.
    #[serde(default = "secs")]
    #[schemars(range(min = 1, max = 300))]
    secs: u32,
}

fn calls() -> u32 {
    1000
}

fn secs() -> u32 {
    10
}

/// What was recorded.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Recording {
    plugin: String,
    /// The version in use when it began.
    version: String,
    sha256: String,
    /// Calls that are not in it, because they came faster than they were written down.
    missed: u64,
    calls: Vec<RecordedCall>,
}

/// One call, and what came of it: `said`, or `failed`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RecordedCall {
    function: &'static str,
    call: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<RecordedFailure>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct RecordedFailure {
    class: &'static str,
    why: String,
}

pub async fn record(call: Call, wanted: Record) -> Result<Recording, ApiError> {
    if !(1..=MOST_CALLS).contains(&wanted.calls) {
        return Err(ApiError::invalid(format!("calls: {} is not 1 to {MOST_CALLS}", wanted.calls)));
    }
    if !(1..=MOST_SECS).contains(&wanted.secs) {
        return Err(ApiError::invalid(format!("secs: {} is not 1 to {MOST_SECS}", wanted.secs)));
    }
    let name = call.param();
    let listening = call.router.plugins.listen(name);
    let (mut tap, generation) =
        listening.ok_or_else(|| ApiError::not_found(format!("No plugin '{name}' is in use.")))?;
    tracing::info!(plugin = name, calls = wanted.calls, secs = wanted.secs, "its calls are recorded");
    let mut recorded = Vec::new();
    let mut bytes = 0;
    let gather = async {
        while recorded.len() < wanted.calls as usize && bytes < MOST_BYTES {
            let Observed::Called(called) = tap.next().await else { continue };
            let call = RecordedCall::of(&called);
            bytes += call.bytes();
            recorded.push(call);
        }
    };
    // Either way what is there is the answer.
    let _ = tokio::time::timeout(Duration::from_secs(wanted.secs.into()), gather).await;
    Ok(Recording {
        plugin: generation.name.to_string(),
        version: generation.version.clone(),
        sha256: generation.sha256.clone(),
        missed: tap.missed(),
        calls: recorded,
    })
}

impl RecordedCall {
    fn of(called: &Called) -> Self {
        let (function, call) = called.call.said();
        let (said, failed) = match &called.said {
            Ok(said) => (Some(said.clone()), None),
            Err((class, why)) => (None, Some(RecordedFailure { class, why: why.clone() })),
        };
        Self { function, call, said, failed }
    }

    /// As it will be written, about.
    fn bytes(&self) -> usize {
        let said = self.said.as_ref().map_or(0, |said| said.to_string().len());
        64 + self.call.to_string().len() + said
    }
}
