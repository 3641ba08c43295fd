//! A route: its method and path, the types of what goes in and comes out, and who answers.

use std::pin::Pin;
use std::rc::Rc;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::router::{Answer, Router, json};
use super::body::{self, BodySize};
use super::error::ApiError;
use super::keys::Caller;
use crate::config::Grant;
use crate::core::TraceParent;
use crate::hub::Shard;

/// One call of a route.
#[derive(Clone)]
pub struct Call {
    pub router: Rc<Router>,
    pub caller: Caller,
    /// What stands in the path's `{…}`, decoded, in order.
    pub params: Vec<String>,
    /// Of the request.
    pub trace: Option<TraceParent>,
}

impl Call {
    pub fn shard(&self) -> &Rc<Shard> {
        &self.router.context.shard
    }

    /// The first of the path's parameters.
    pub fn param(&self) -> &str {
        self.params.first().map_or("", String::as_str)
    }

    /// The largest payload, in bytes.
    pub fn message_bytes(&self) -> usize {
        self.router.config.limits.message_bytes
    }
}

/// Where a route's input comes from.
#[derive(Clone, Copy, Debug)]
pub enum Input {
    Body(BodySize),
    Query,
}

type Answered = Pin<Box<dyn Future<Output = Result<Answer, ApiError>>>>;

pub struct Route {
    pub method: Method,
    /// With `{name}` for a parameter that is one segment.
    pub path: &'static str,
    /// For `operationId`.
    pub name: &'static str,
    pub summary: &'static str,
    /// None: any key will do, or each command asks for its own.
    pub grant: Option<Grant>,
    pub input: Input,
    pub input_schema: fn(&mut SchemaGenerator) -> Schema,
    pub output_schema: fn(&mut SchemaGenerator) -> Schema,
    handler: Box<dyn Fn(Call, Bytes) -> Answered>,
}

impl Route {
    /// Input from the query string.
    pub fn get<Q, A, H, F>(path: &'static str, name: &'static str, summary: &'static str, handler: H) -> Self
    where
        Q: DeserializeOwned + JsonSchema,
        A: Serialize + JsonSchema,
        H: Fn(Call, Q) -> F + Clone + 'static,
        F: Future<Output = Result<A, ApiError>>,
    {
        Self::with_query(Method::GET, path, name, summary, handler)
    }

    /// Input from the query string, whatever the method.
    pub fn with_query<Q, A, H, F>(
        method: Method,
        path: &'static str,
        name: &'static str,
        summary: &'static str,
        handler: H,
    ) -> Self
    where
        Q: DeserializeOwned + JsonSchema,
        A: Serialize + JsonSchema,
        H: Fn(Call, Q) -> F + Clone + 'static,
        F: Future<Output = Result<A, ApiError>>,
    {
        let handler = move |call: Call, query: Bytes| -> Answered {
            let handler = handler.clone();
            Box::pin(async move {
                // A request's target is ASCII.
                let input = body::parse_query(std::str::from_utf8(&query).unwrap_or_default())?;
                // People read these.
                done(serde_json::to_string_pretty(&handler(call, input).await?))
            })
        };
        Self {
            method,
            path,
            name,
            summary,
            grant: Some(Grant::Read),
            input: Input::Query,
            // In place: each of its fields is a parameter.
            input_schema: Q::json_schema,
            output_schema: SchemaGenerator::subschema_for::<A>,
            handler: Box::new(handler),
        }
    }

    /// Input from a JSON body.
    pub fn post<B, A, H, F>(path: &'static str, name: &'static str, summary: &'static str, handler: H) -> Self
    where
        B: DeserializeOwned + JsonSchema,
        A: Serialize + JsonSchema,
        H: Fn(Call, B) -> F + Clone + 'static,
        F: Future<Output = Result<A, ApiError>>,
    {
        let handler = move |call: Call, body: Bytes| -> Answered {
            let handler = handler.clone();
            Box::pin(async move {
                let input = body::parse(&body)?;
                drop(body);
                done(serde_json::to_string(&handler(call, input).await?))
            })
        };
        Self {
            method: Method::POST,
            path,
            name,
            summary,
            grant: Some(Grant::Manage),
            input: Input::Body(BodySize::Message),
            input_schema: SchemaGenerator::subschema_for::<B>,
            output_schema: SchemaGenerator::subschema_for::<A>,
            handler: Box::new(handler),
        }
    }

    pub fn needs(self, grant: Grant) -> Self {
        Self { grant: Some(grant), ..self }
    }

    pub fn for_any_key(self) -> Self {
        Self { grant: None, ..self }
    }

    pub fn body(self, size: BodySize) -> Self {
        Self { input: Input::Body(size), ..self }
    }

    pub async fn handle(&self, call: Call, input: Bytes) -> Result<Answer, ApiError> {
        (self.handler)(call, input).await
    }

    /// The names in the path's `{…}`.
    pub fn params(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(param)
    }

    /// What stands in `path` for the parameters; none: another path.
    fn matches(&self, path: &str) -> Option<Vec<String>> {
        let (mut ours, mut theirs) = (self.path.split('/'), path.split('/'));
        let mut params = Vec::new();
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return Some(params),
                (Some(ours), Some(theirs)) if param(ours).is_some() => {
                    let decoded = percent_decode_str(theirs).decode_utf8().ok()?;
                    if decoded.is_empty() {
                        return None;
                    }
                    params.push(decoded.into_owned());
                }
                (ours, theirs) if ours == theirs => {}
                _ => return None,
            }
        }
    }
}

fn param(segment: &'static str) -> Option<&'static str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

fn done(written: serde_json::Result<String>) -> Result<Answer, ApiError> {
    match written {
        Ok(body) => Ok(json(StatusCode::OK, body + "\n")),
        Err(error) => Err(ApiError::unavailable(format!("The answer could not be written: {error}."))),
    }
}

/// The route of a request, and what stands for its parameters.
pub fn find<'a>(
    routes: &'a [Route],
    method: &Method,
    path: &str,
) -> Result<(&'a Route, Vec<String>), ApiError> {
    let mut allow = Vec::new();
    for route in routes {
        match route.matches(path) {
            Some(params) if route.method == *method => return Ok((route, params)),
            Some(_) => allow.push(route.method.as_str()),
            None => {}
        }
    }
    if allow.is_empty() {
        return Err(ApiError::not_found(
            "There is no such call; /api/openapi.json has those that there are.",
        ));
    }
    Err(ApiError::method_not_allowed(allow.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::api::routes;

    fn found(method: Method, path: &str) -> Result<(&'static str, Vec<String>), u16> {
        let routes = routes::all();
        let found = find(&routes, &method, path);
        found.map(|(route, params)| (route.path, params)).map_err(|error| error.status.as_u16())
    }

    #[test]
    fn parameters_are_single_decoded_segments() {
        let path = "/api/connections/{id}";
        assert_eq!(found(Method::GET, "/api/connections/a"), Ok((path, vec!["a".into()])));
        assert_eq!(found(Method::GET, "/api/connections/a%2Fb%20c"), Ok((path, vec!["a/b c".into()])));
        for missing in ["/api/connections/", "/api/connections/a/b", "/api/connections/%ff", "/api"] {
            assert_eq!(found(Method::GET, missing), Err(404), "{missing}");
        }
        assert_eq!(found(Method::DELETE, "/api/connections/a"), Err(405));
    }
}
