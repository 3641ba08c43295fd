//! The server API: `/api/*` by a table of routes, and SocketAPI's `/_broadcast`. A call is let in
//! by [`ingress`], found in [`routes`], and read, answered and described by its types.

mod batch;
mod body;
mod channels;
mod connections;
mod content;
mod error;
mod groups;
mod info;
mod ingress;
mod keys;
mod openapi;
mod orders;
mod past;
mod presence;
mod publish;
mod record;
mod route;
mod routes;
mod send;
mod socketapi;
mod versions;

use std::cell::OnceCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{HeaderMap, Request};

use super::handshake::traceparent;
use super::router::{Answer, Router};
use crate::config::{Config, Grant};
use keys::Keys;
use route::{Call, Input, Route};

pub use body::{parse as parse_json, read as read_body};
pub use error::ApiError;
pub use orders::DISCONNECTED;
pub use socketapi::broadcast;

/// What the API of one shard keeps.
pub struct Api {
    keys: Keys,
    routes: Vec<Route>,
    /// `/api/openapi.json`, once somebody has asked for it.
    document: OnceCell<openapi::Document>,
    began: Instant,
}

impl Api {
    pub fn new(config: &Config) -> Self {
        Self {
            keys: Keys::new(&config.api_keys),
            routes: routes::all(),
            document: OnceCell::new(),
            began: Instant::now(),
        }
    }
}

/// Every path that belongs to the API, also those that it does not have.
pub fn owns(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

/// For what is beside the API and for the same readers.
pub fn may_read(router: &Router, peer: SocketAddr, headers: &HeaderMap) -> Result<(), Box<Answer>> {
    let caller = ingress::admit(&router.api.keys, &router.config, peer, headers);
    caller.and_then(|caller| caller.require(Grant::Read)).map_err(|error| Box::new(error.answer()))
}

/// Answers one call.
pub async fn serve(router: Rc<Router>, peer: SocketAddr, request: Request<Incoming>) -> Answer {
    match call(router, peer, request).await {
        Ok(answer) => answer,
        Err(error) => error.answer(),
    }
}

async fn call(router: Rc<Router>, peer: SocketAddr, request: Request<Incoming>) -> Result<Answer, ApiError> {
    let caller = ingress::admit(&router.api.keys, &router.config, peer, request.headers())?;
    let (parts, incoming) = request.into_parts();
    let (route, params) = route::find(&router.api.routes, &parts.method, parts.uri.path())?;
    if let Some(grant) = route.grant {
        caller.require(grant)?;
    }
    let body = match route.input {
        Input::Body(size) => body::read(incoming, size.limit(&router.config.limits)).await?,
        Input::Query => Bytes::copy_from_slice(parts.uri.query().unwrap_or_default().as_bytes()),
    };
    let trace = traceparent(&parts.headers);
    let call = Call { router: router.clone(), caller, params, trace };
    route.handle(call, body).await
}
