//! The routes of the one port.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode};

use super::address::Proxies;
use super::api::{self, Api};
use super::readers::Readers;
use super::spoken::Spoken;
use super::{console, handshake, metrics, pusher, pusher_api, pusher_auth, sse, websocket};
use crate::config::Config;
use crate::plugin::{Handshake, PluginHost};
use crate::session;

/// What every request of a shard can reach.
pub struct Router {
    pub context: Rc<session::Context>,
    pub config: Config,
    pub plugins: Arc<PluginHost>,
    pub api: Api,
    pub proxies: Proxies,
    pub readers: Rc<Readers>,
}

pub type Answer = Response<Full<Bytes>>;

/// Answers one request. Never fails: what cannot be served has an answer too.
pub async fn route(
    router: Rc<Router>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    // From here on the peer is the client, also behind a proxy that may say so.
    let peer = router.proxies.client(peer, request.headers());
    let upgrade = fastwebsockets::upgrade::is_upgrade_request(&request);
    let path = request.uri().path();
    let spoken = Spoken::at(path, request.uri().query().unwrap_or_default(), &router.config.dialects);
    Ok(match (request.method(), path) {
        (&Method::GET, "/") if !upgrade => html(console::PAGE),
        (&Method::GET, "/console/tidegate.js") => {
            with_type(StatusCode::OK, "text/javascript; charset=utf-8", console::CLIENT)
        }
        (&Method::GET, _) if let Some(spoken) = spoken => match spoken {
            Err(error) => text(StatusCode::BAD_REQUEST, &format!("{error}.\n")),
            Ok(spoken) if upgrade => open_websocket(request, peer, |upgrade, handshake| {
                websocket::serve(upgrade, handshake, peer.ip(), spoken, router)
            }),
            Ok(_) => upgrade_required(),
        },
        (&Method::GET, path) if let Some(key) = pusher::key(path, &router) => {
            if !upgrade {
                return Ok(upgrade_required());
            }
            let opening = pusher::Opening::new(key, request.uri().query().unwrap_or_default(), &router);
            open_websocket(request, peer, |upgrade, handshake| {
                pusher::serve(upgrade, handshake, peer.ip(), opening, router)
            })
        }
        (&Method::GET, "/sse") if router.config.dialects.sse => sse::open(router, peer, &request),
        (&Method::OPTIONS, "/sse") if router.config.sse.allow_origin.is_some() => sse::preflight(&router),
        // Listeners open after the plugins are loaded: who is answered, finds them ready.
        (&Method::GET, "/healthz" | "/readyz") => text(StatusCode::OK, "ok\n"),
        (&Method::GET, "/metrics") => metrics::answer(router, peer, request.headers()).await,
        (&Method::POST, "/_broadcast") => api::broadcast(&router, peer, request).await,
        _ if spoken.is_some() || pusher::key(path, &router).is_some() => method_not_allowed(),
        (_, path) if api::owns(path) => api::serve(router, peer, request).await,
        (_, path) if let Some(asks) = pusher_auth::asks(&router, path) => {
            pusher_auth::serve(router, peer, request, asks).await
        }
        (_, path) if pusher_api::owns(&router, path) => pusher_api::serve(router, peer, request).await,
        (_, "/sse") if router.config.dialects.sse => method_not_allowed(),
        (_, "/console/tidegate.js" | "/healthz" | "/readyz" | "/metrics" | "/_broadcast") => {
            method_not_allowed()
        }
        _ => text(StatusCode::NOT_FOUND, "There is nothing here.\n"),
    })
}

fn method_not_allowed() -> Answer {
    text(StatusCode::METHOD_NOT_ALLOWED, "This path does not take this method.\n")
}

fn upgrade_required() -> Answer {
    let mut answer = text(StatusCode::UPGRADE_REQUIRED, "This is a WebSocket: connect with ws://.\n");
    answer.headers_mut().insert("upgrade", HeaderValue::from_static("websocket"));
    answer
}

fn open_websocket<F: Future<Output = ()> + 'static>(
    mut request: Request<Incoming>,
    peer: SocketAddr,
    serve: impl FnOnce(OnUpgrade, Handshake) -> F,
) -> Answer {
    let handshake = handshake::read(&request, peer);
    let protocol = handshake::subprotocol(request.headers());
    // Before anybody else does: only the answer is wanted of them, and no reader with its buffer.
    let upgrade = hyper::upgrade::on(&mut request);
    let response = match fastwebsockets::upgrade::upgrade(&mut request) {
        Ok((response, _)) => response,
        Err(error) => {
            return text(StatusCode::BAD_REQUEST, &format!("This is no WebSocket handshake: {error}.\n"));
        }
    };
    tokio::task::spawn_local(serve(upgrade, handshake));
    let mut answer = response.map(|_| Full::default());
    if let Some(protocol) = protocol.and_then(|name| HeaderValue::from_str(&name).ok()) {
        answer.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    answer
}

pub fn text(status: StatusCode, body: &str) -> Answer {
    with_type(status, "text/plain; charset=utf-8", body.to_owned())
}

pub fn json(status: StatusCode, body: String) -> Answer {
    with_type(status, "application/json", body)
}

fn html(body: &'static str) -> Answer {
    with_type(StatusCode::OK, "text/html; charset=utf-8", body)
}

fn with_type(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
