//! Who may call: who has the application's secret. Asked before any of the body is kept.

use std::sync::Arc;

use bytes::Bytes;
use hyper::Request;
use hyper::body::Incoming;

use super::super::api::{ApiError, read_body};
use super::super::router::Router;
use super::path::{Place, What};
use crate::config::PusherLimits;
use crate::core::clock::UnixMillis;
use crate::dialect::pusher::request::{self, Denied, Head, Params};
use crate::session::pusher::App;

/// A body is never larger than this, whatever is configured.
const MOST: usize = 64 << 20;
/// Of a body beside the data of its events: names, in bytes, for each channel and each event.
const NAMES: usize = 1 << 10;

/// The application, and what it has signed.
///
/// # Errors
/// 404: there is no such application. 401: it has not signed this. 413: it is too much.
pub async fn admit(
    router: &Router,
    place: &Place,
    request: Request<Incoming>,
) -> Result<(Arc<App>, Params, Bytes), ApiError> {
    let (parts, incoming) = request.into_parts();
    let head = Head {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
    };
    match signed(router, place, head) {
        Ok((app, params)) => {
            let body = read_body(incoming, limit(&place.what, &app.limits)).await?;
            params.check_body(&body).map_err(unauthorized)?;
            Ok((app, params, body))
        }
        Err(error) => {
            // Its sender reads the answer only when it has written all of it.
            let _ = read_body(incoming, 0).await;
            Err(error)
        }
    }
}

fn signed(router: &Router, place: &Place, head: Head<'_>) -> Result<(Arc<App>, Params), ApiError> {
    let apps = &router.context.apps;
    let app = match &place.app {
        Some(id) => {
            let says = || ApiError::not_found(format!("There is no application with the id {id:?}."));
            apps.by_id(id).ok_or_else(says)?
        }
        None => {
            let key =
                request::auth_key(head.query).ok_or_else(|| unauthorized(Denied::Missing("auth_key")))?;
            apps.by_key(&key).ok_or_else(|| unauthorized(Denied::Key))?
        }
    };
    let now = UnixMillis::now().0 / 1000;
    let params = request::verify(&app.key, &app.signing, head, now).map_err(unauthorized)?;
    Ok((app.clone(), params))
}

fn unauthorized(denied: Denied) -> ApiError {
    ApiError::unauthorized(&denied.to_string())
}

/// Of a body, in bytes. JSON may have six for one of the data.
fn limit(what: &What, limits: &PusherLimits) -> usize {
    let event = 6 * limits.event_bytes + NAMES;
    let limit = match what {
        What::Events => event + NAMES * limits.channels_per_event,
        What::Batch => limits.batch.saturating_mul(event + NAMES),
        What::Channels | What::Channel(_) | What::Users(_) | What::Terminate(_) => NAMES,
    };
    limit.saturating_add(16 << 10).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_bounded_whatever_is_configured() {
        let limits = PusherLimits::default();
        assert_eq!(limit(&What::Events, &limits), 61_440 + 101 * 1024 + 16_384);
        assert_eq!(limit(&What::Batch, &limits), 10 * (61_440 + 2048) + 16_384);
        assert_eq!(limit(&What::Channels, &limits), 17_408);
        let most = PusherLimits { event_bytes: 1 << 20, batch: 1 << 20, ..limits };
        assert_eq!(limit(&What::Batch, &most), MOST);
        assert!(limit(&What::Events, &most) > 6 << 20);
    }
}
