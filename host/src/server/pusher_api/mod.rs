//! The HTTP API of applications in the Pusher Channels protocol: `/apps/{id}/*`. A call is found by
//! its [`path`], let in by its signature ([`ingress`]), and answered with 200 and a JSON object.

mod channels;
mod events;
mod ingress;
mod path;
mod users;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{HeaderValue, WWW_AUTHENTICATE};
use hyper::{Request, StatusCode};
use serde::Serialize;

use super::api::ApiError;
use super::handshake::traceparent;
use super::router::{Answer, Router, json};
use crate::core::TraceParent;
use crate::dialect::pusher::request::Params;
use crate::hub::Shard;
use crate::session::pusher::App;
use path::What;

/// One call of an application's own server.
struct Call {
    router: Rc<Router>,
    app: Arc<App>,
    /// Of the query, signed.
    params: Params,
    body: Bytes,
    trace: Option<TraceParent>,
}

impl Call {
    fn shard(&self) -> &Rc<Shard> {
        &self.router.context.shard
    }
}

/// Every path that belongs to it, also those that it does not have. Without applications none.
pub fn owns(router: &Router, path: &str) -> bool {
    !router.context.apps.is_empty() && path::owns(path)
}

/// Answers one call.
pub async fn serve(router: Rc<Router>, peer: SocketAddr, request: Request<Incoming>) -> Answer {
    match call(router, request).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::debug!(%peer, status = error.status.as_u16(), message = error.message(), "refused");
            let mut answer = error.answer();
            // RFC 9110, section 15.5.2, wants a name for how one would be let in.
            if let Some(scheme) = answer.headers_mut().get_mut(WWW_AUTHENTICATE) {
                *scheme = HeaderValue::from_static("Pusher");
            }
            answer
        }
    }
}

async fn call(router: Rc<Router>, request: Request<Incoming>) -> Result<Answer, ApiError> {
    let place = path::find(request.method(), request.uri().path())?;
    let trace = traceparent(request.headers());
    let (app, params, body) = ingress::admit(&router, &place, request).await?;
    let call = Call { router, app, params, body, trace };
    match place.what {
        What::Events => done(&events::publish(&call).await?),
        What::Batch => done(&events::publish_batch(&call).await?),
        What::Channels => done(&channels::list(&call).await?),
        What::Channel(name) => done(&channels::one(&call, &name).await?),
        What::Users(name) => done(&channels::users(&call, &name).await?),
        What::Terminate(user) => done(&users::terminate(&call, user).await?),
    }
}

fn done(answer: &impl Serialize) -> Result<Answer, ApiError> {
    let body = serde_json::to_string(answer);
    let body = body.map_err(|error| ApiError::unavailable(format!("The answer has no JSON: {error}.")))?;
    Ok(json(StatusCode::OK, body))
}

/// `{}`.
#[derive(Serialize)]
struct Nothing {}
