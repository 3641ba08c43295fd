//! `POST /_broadcast`: SocketAPI's endpoint, with its words and its errors.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Request, StatusCode};

use super::super::handshake::traceparent;
use super::super::router::{Answer, Router, json};
use super::ingress;
use crate::core::Refusal;
use crate::dialect::{Command, native};
use crate::hub::shard::Publication;

const ONLY_LOCALLY: &str = "Broadcast endpoint can only be accessed locally.";

/// `{"channel":…,"data":…}`, as SocketAPI has it; `event` is optional.
pub async fn broadcast(router: &Router, peer: SocketAddr, request: Request<Incoming>) -> Answer {
    if !ingress::is_same_site(request.headers()) || !ingress::is_allowed_host(&router.config, peer) {
        return error(StatusCode::FORBIDDEN, ONLY_LOCALLY);
    }
    let trace = traceparent(request.headers());
    let limit = router.config.limits.message_bytes;
    // The message's own envelope does not count.
    let body = match Limited::new(request.into_body(), limit + 4096).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return refused(&Refusal::TooLarge(limit)),
    };
    let (channel, event, payload) = match native::broadcast(&body) {
        Ok(Command::Publish { channel, event, payload, .. }) => (channel, event, payload),
        Ok(_) => return refused(&Refusal::BadJson),
        Err(refusal) => return refused(&refusal),
    };
    if payload.bytes.len() > limit {
        return refused(&Refusal::TooLarge(limit));
    }
    if let Err(refusal) = router.context.rules.payload(&channel, &payload) {
        return refused(&refusal);
    }
    let publication = Publication { trace, ..Publication::new(channel, event, payload) };
    let published = router.context.shard.publish_as_server(publication).await;
    match published {
        Ok(Ok(_)) => json(StatusCode::OK, r#"{"status":"success"}"#.into()),
        Ok(Err(refusal)) => refused(&refusal),
        Err(_) => error(StatusCode::SERVICE_UNAVAILABLE, "The server is shutting down."),
    }
}

fn refused(refusal: &Refusal) -> Answer {
    let status = match refusal {
        Refusal::ChannelNotFound(_) => StatusCode::NOT_FOUND,
        Refusal::PermissionDenied { .. } => StatusCode::FORBIDDEN,
        Refusal::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
        Refusal::PluginFailed(_) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    match refusal {
        // HTTP has no action that parameters could be invalid for: the details say it.
        Refusal::InvalidParams { details, .. } => error(status, details),
        _ => error(status, &refusal.to_string()),
    }
}

fn error(status: StatusCode, message: &str) -> Answer {
    json(status, serde_json::json!({ "error": message }).to_string())
}
