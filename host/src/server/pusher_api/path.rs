//! The paths of the HTTP API and what they ask for.

use hyper::Method;

use super::super::api::ApiError;
use crate::dialect::query;

/// What a call asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Events,
    Batch,
    Channels,
    Channel(String),
    Users(String),
    /// A user's connections.
    Terminate(String),
}

/// What a path says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// None in a path that one SDK abbreviates: the application is then that of `auth_key`.
    pub app: Option<String>,
    pub what: What,
}

const TERMINATE: &str = "terminate_connections";

pub fn owns(path: &str) -> bool {
    path.starts_with("/apps/") || short(path).is_some()
}

/// # Errors
/// There is no such path, or it does not take the method.
pub fn find(method: &Method, path: &str) -> Result<Place, ApiError> {
    let nothing = || ApiError::not_found("The Pusher HTTP API has no such path.");
    let decoded = |part: &str| query::decode_path(part).ok_or_else(nothing);
    let (app, what) = match short(path) {
        Some(user) => (None, What::Terminate(decoded(user)?)),
        None => {
            let rest = path.strip_prefix("/apps/").ok_or_else(nothing)?;
            let parts: Vec<&str> = rest.split('/').collect();
            let (app, call) = parts.split_first().ok_or_else(nothing)?;
            let what = match call {
                ["events"] => What::Events,
                ["batch_events"] => What::Batch,
                ["channels"] => What::Channels,
                ["channels", name] => What::Channel(decoded(name)?),
                ["channels", name, "users"] => What::Users(decoded(name)?),
                ["users", user, TERMINATE] => What::Terminate(decoded(user)?),
                _ => return Err(nothing()),
            };
            (Some(decoded(app)?), what)
        }
    };
    let takes = match what {
        What::Events | What::Batch | What::Terminate(_) => Method::POST,
        What::Channels | What::Channel(_) | What::Users(_) => Method::GET,
    };
    if *method != takes {
        return Err(ApiError::method_not_allowed(takes.to_string()));
    }
    Ok(Place { app, what })
}

/// The user of a path that the SDK for Python posts to, without an application.
fn short(path: &str) -> Option<&str> {
    let user = path.strip_prefix("/users/")?.strip_suffix(TERMINATE)?.strip_suffix('/')?;
    (!user.is_empty() && !user.contains('/')).then_some(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &str, path: &str) -> Result<Place, u16> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        find(&method, path).map_err(|error| error.status.as_u16())
    }

    #[test]
    fn a_path_says_what_it_is_about() {
        let of_app = |what| Ok(Place { app: Some("3".into()), what });
        assert_eq!(found("POST", "/apps/3/events"), of_app(What::Events));
        assert_eq!(found("POST", "/apps/3/batch_events"), of_app(What::Batch));
        assert_eq!(found("GET", "/apps/3/channels"), of_app(What::Channels));
        let name = "/apps/3/channels/presence-a@b=,.;";
        assert_eq!(found("GET", name), of_app(What::Channel("presence-a@b=,.;".into())));
        let users = "/apps/3/channels/presence-a%40b/users";
        assert_eq!(found("GET", users), of_app(What::Users("presence-a@b".into())));
        let terminate = "/users/ada%20l/terminate_connections";
        let what = What::Terminate("ada l".into());
        assert_eq!(found("POST", &format!("/apps/3{terminate}")), of_app(what.clone()));
        assert_eq!(found("POST", terminate), Ok(Place { app: None, what }));
    }

    #[test]
    fn other_paths_are_nobodys() {
        for path in [
            "/apps/",
            "/apps/3",
            "/apps/3/",
            "/apps/3/event",
            "/apps/3/channels/",
            "/apps/3/channels/a/b",
            "/apps/3/channels/%ff",
            "/apps/3/users/terminate_connections",
            "/users//terminate_connections",
            "/users/a/b/terminate_connections",
        ] {
            // The channel without a name has one that cannot be, which is said later.
            let found = found("GET", path);
            assert!(found == Err(404) || path.ends_with("channels/"), "{path}: {found:?}");
        }
        assert_eq!(found("GET", "/apps/3/events"), Err(405));
        assert_eq!(found("POST", "/apps/3/channels"), Err(405));
        assert!(owns("/apps/3") && owns("/users/a/terminate_connections"));
        assert!(!owns("/users/a") && !owns("/app/key") && !owns("/users/a/b/terminate_connections"));
    }
}
