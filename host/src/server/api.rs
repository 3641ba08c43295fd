//! The server API, for those on the allowed hosts: a publish by HTTP, and the plugins' state.

use std::net::{IpAddr, SocketAddr};

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{HOST, ORIGIN};
use hyper::{Request, StatusCode};

use super::router::{Answer, Router, json};
use crate::core::Refusal;
use crate::dialect::{Command, native};

const ONLY_LOCALLY: &str = "Broadcast endpoint can only be accessed locally.";

/// `POST /_broadcast`: `{"channel":…,"data":…}`, as SocketAPI has it; `event` is optional.
pub async fn broadcast(router: &Router, peer: SocketAddr, request: Request<Incoming>) -> Answer {
    if !is_allowed(router, peer, &request) {
        return error(StatusCode::FORBIDDEN, ONLY_LOCALLY);
    }
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
    // The one way in that has no session: the rule's word on payloads holds here too.
    let rule = router.context.rules.find(channel.as_str());
    if let Some(Err(refusal)) = rule.map(|rule| rule.payload(&channel, &payload)) {
        return refused(&refusal);
    }
    let published = router.context.shard.publish_as_server(channel, event, payload, false).await;
    match published {
        Ok(Ok(_)) => json(StatusCode::OK, r#"{"status":"success"}"#.into()),
        Ok(Err(refusal)) => refused(&refusal),
        Err(_) => error(StatusCode::SERVICE_UNAVAILABLE, "The server is shutting down."),
    }
}

/// `GET /api/plugins`: what is loaded, since when, what was swapped, and what is wrong with which file.
pub fn plugins<B>(router: &Router, peer: SocketAddr, request: &Request<B>) -> Answer {
    if !is_allowed(router, peer, request) {
        return error(StatusCode::FORBIDDEN, "The server API can only be accessed locally.");
    }
    match serde_json::to_string_pretty(&router.plugins.report()) {
        Ok(report) => json(StatusCode::OK, report + "\n"),
        Err(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "The report could not be written."),
    }
}

/// From an allowed address, and not from a page of another site: a browser on an allowed
/// machine would carry that site's requests here, but always with their origin.
fn is_allowed<B>(router: &Router, peer: SocketAddr, request: &Request<B>) -> bool {
    let headers = request.headers();
    let same_site = match (headers.get(ORIGIN).map(|o| o.to_str()), headers.get(HOST).map(|h| h.to_str())) {
        (None, _) => true,
        (Some(Ok(origin)), Some(Ok(host))) => origin.split_once("://").is_some_and(|(_, site)| site == host),
        _ => false,
    };
    let address = peer.ip().to_canonical();
    same_site && router.config.broadcast_allowed_hosts.iter().any(|host| matches(host, address))
}

fn matches(host: &str, address: IpAddr) -> bool {
    match host {
        "localhost" => address.is_loopback(),
        host => host.parse::<IpAddr>().is_ok_and(|host| host == address),
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
