//! `/broadcasting/auth` and its like, for applications that have no such endpoint of their own:
//! the auth plugins, or `[jwt]`, say who a client is and where it may go, and the server signs it.
//! Who asks is known by a token alone, never by a cookie, so a page of another site gains nothing.

mod form;
mod ticket;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, HeaderValue, ORIGIN, VARY,
};
use hyper::{HeaderMap, Method, Request, StatusCode};

use super::api::{ApiError, read_body};
use super::handshake;
use super::router::{Answer, Router, json, text};
use crate::dialect::query;
use crate::session::pusher::App;
use form::Form;

/// What clients ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// To be let into a channel.
    Channel,
    /// To be signed in.
    User,
}

/// Of a form, in bytes.
const FORM_BYTES: usize = 16 << 10;
/// What pages of other sites may send along: what the libraries do.
const HEADERS: &str =
    "authorization, content-type, x-csrf-token, x-xsrf-token, x-requested-with, x-socket-id, accept";
/// Seconds that a browser may remember it.
const MAX_AGE: u16 = 600;

/// What a path asks for: the names that the libraries have for it. None where no application wants
/// it answered here.
pub fn asks(router: &Router, path: &str) -> Option<Asks> {
    let asks = match path {
        "/broadcasting/auth" | "/pusher/auth" => Asks::Channel,
        "/broadcasting/user-auth" | "/pusher/user-auth" => Asks::User,
        _ => return None,
    };
    router.context.apps.iter().any(|app| app.auth_endpoint.is_some()).then_some(asks)
}

/// Answers one request.
pub async fn serve(router: Rc<Router>, peer: SocketAddr, request: Request<Incoming>, asks: Asks) -> Answer {
    let app = application(&router, request.uri().query().unwrap_or_default());
    let origins = app.as_ref().ok().and_then(|app| app.auth_endpoint.as_deref()).unwrap_or_default();
    let allowed = allowed(origins, request.headers());
    let mut answer = match (request.method(), &app) {
        (&Method::OPTIONS, _) => preflight(),
        (&Method::POST, Ok(app)) => match answer(&router, peer, app, request, asks).await {
            Ok(body) => json(StatusCode::OK, body),
            Err(error) => error.answer(),
        },
        (&Method::POST, Err(error)) => error.answer(),
        _ => ApiError::method_not_allowed("POST, OPTIONS".into()).answer(),
    };
    answer.headers_mut().insert(VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = allowed {
        answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    answer
}

/// The application that is asked about: the only one that is answered for here, unless the query
/// names one by its key.
fn application(router: &Router, query: &str) -> Result<Arc<App>, ApiError> {
    let mut apps = router.context.apps.iter().filter(|app| app.auth_endpoint.is_some());
    let named = query::pairs(query).find(|(name, _)| name == "app").map(|(_, value)| value);
    let app = match named {
        Some(key) => key.and_then(|key| apps.find(|app| app.key == key)),
        None => match (apps.next(), apps.next()) {
            (only, None) => only,
            _ => return Err(ApiError::invalid("Several apps are answered for here: say ?app=KEY.")),
        },
    };
    app.cloned().ok_or_else(|| ApiError::not_found("No app of this key is answered for here."))
}

async fn answer(
    router: &Router,
    peer: SocketAddr,
    app: &App,
    request: Request<Incoming>,
    asks: Asks,
) -> Result<String, ApiError> {
    let handshake = handshake::read(&request, peer);
    let (parts, incoming) = request.into_parts();
    let body = read_body(incoming, FORM_BYTES).await?;
    let form = Form::read(&parts.headers, &body)?;
    match asks {
        Asks::Channel => ticket::channel(&router.context, app, &handshake, &form).await,
        Asks::User => ticket::user(&router.context, app, &handshake, &form).await,
    }
}

/// The origin of the page that asks, if its site may.
fn allowed(origins: &[String], headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    origins.iter().any(|known| known == "*" || known.as_bytes() == origin.as_bytes()).then(|| origin.clone())
}

/// What a browser asks before a page of another site may set headers.
fn preflight() -> Answer {
    let mut answer = text(StatusCode::NO_CONTENT, "");
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(HEADERS));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE.into());
    answer
}
