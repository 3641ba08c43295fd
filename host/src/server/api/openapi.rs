//! `GET /api/openapi.json`: OpenAPI 3.1, from the table of routes and the types they read and write.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::error::{ApiError, Failure};
use super::info::Nothing;
use super::route::{Call, Input, Route};

const DEFINITIONS: &str = "/components/schemas";

/// An OpenAPI document.
#[derive(Clone, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Document(Map<String, Value>);

pub async fn document(call: Call, _: Nothing) -> Result<Document, ApiError> {
    let api = &call.router.api;
    Ok(api.document.get_or_init(|| describe(&api.routes)).clone())
}

/// Describes the routes.
pub fn describe(routes: &[Route]) -> Document {
    let settings = || {
        SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = DEFINITIONS.into();
            settings.meta_schema = None;
            settings.transforms.push(Box::new(RecursiveTransform(plain_integer)));
        })
    };
    // What is read may be null where it may be left out; what is written is not.
    let mut read = settings().for_deserialize().into_generator();
    let mut written = settings().for_serialize().into_generator();
    let failure = written.subschema_for::<Failure>();
    let mut paths = Map::new();
    for route in routes {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = operation(route, &mut read, &mut written);
    }
    let mut schemas = read.take_definitions(true);
    schemas.extend(written.take_definitions(true));
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tidegate server API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "For servers. With no API key configured only the addresses in \
                `broadcast_allowed_hosts` may use it, without a key. Fields that are not described are errors.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "security": [{ "key": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas,
            "responses": { "Failure": {
                "description": "Not done: 400, 401, 403, 404, 405, 409, 413, 429 or 503",
                "content": { "application/json": { "schema": failure } },
            } },
        },
    });
    match document {
        Value::Object(document) => Document(document),
        _ => Document(Map::new()),
    }
}

/// `uint64` and its like are no formats of OpenAPI; their bounds are in the schema.
fn plain_integer(schema: &mut Schema) {
    if schema.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
        schema.remove("format");
    }
}

fn operation(route: &Route, read: &mut SchemaGenerator, written: &mut SchemaGenerator) -> Value {
    let mut parameters: Vec<Value> = route
        .params()
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    let mut operation = json!({
        "operationId": route.name,
        "summary": route.summary,
        "description": match route.grant {
            Some(grant) => format!("Needs a key that is allowed to `{}`.", grant.name()),
            None => "Takes any key.".into(),
        },
        "responses": {
            "200": {
                "description": "Done",
                "content": { "application/json": { "schema": (route.output_schema)(written) } },
            },
            "default": { "$ref": "#/components/responses/Failure" },
        },
    });
    let input = (route.input_schema)(read);
    match route.input {
        Input::Body(_) => {
            let content = json!({ "application/json": { "schema": input } });
            operation["requestBody"] = json!({ "required": true, "content": content });
        }
        Input::Query => parameters.extend(query(&input)),
    }
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    operation
}

/// Each field of a query is a parameter.
fn query(input: &Schema) -> Vec<Value> {
    let required = input.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|known| known == name));
    let fields = input.get("properties").and_then(Value::as_object).into_iter().flatten();
    fields
        .map(|(name, schema)| json!({ "name": name, "in": "query", "required": is_required(name), "schema": schema }))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use roas::validation::Validate;

    use super::*;
    use crate::server::api::routes;

    fn document() -> Value {
        serde_json::to_value(describe(&routes::all())).unwrap()
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let document = document();
        let described: BTreeSet<(String, String)> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, methods)| {
                methods.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone()))
            })
            .collect();
        let routes = routes::all();
        let there = routes.iter().map(|route| (route.method.to_string(), route.path.to_string()));
        assert_eq!(described, there.clone().collect());
        assert_eq!(described.len(), there.count(), "no route stands twice");
        let names: BTreeSet<_> = routes.iter().map(|route| route.name).collect();
        assert_eq!(names.len(), routes.len(), "no name stands twice");
    }

    #[test]
    fn it_is_valid_openapi_3_1() {
        let text = document().to_string();
        let spec: roas::v3_1::spec::Spec = serde_json::from_str(&text).unwrap();
        if let Err(errors) = spec.validate(roas::validation::Options::new(), None) {
            panic!("{errors}");
        }
        // The checker does look.
        let broken = text
            .replace(r##""$ref":"#/components/schemas/Publish""##, r##""$ref":"#/components/schemas/X""##);
        let spec: roas::v3_1::spec::Spec = serde_json::from_str(&broken).unwrap();
        assert!(broken != text && spec.validate(roas::validation::Options::new(), None).is_err());
    }

    #[test]
    fn its_schemas_are_json_schemas() {
        let document = document();
        let mut schemas = 0;
        walk(&document, &mut |value| {
            if let Some(schema) = value.get("schema") {
                compile(schema, &document);
                schemas += 1;
            }
        });
        for schema in document["components"]["schemas"].as_object().unwrap().values() {
            compile(schema, &document);
            schemas += 1;
        }
        assert!(schemas > 30, "{schemas}");
    }

    fn compile(schema: &Value, document: &Value) {
        let mut schema = schema.clone();
        schema["components"] = document["components"].clone();
        let mut compiler = boon::Compiler::new();
        compiler.set_default_draft(boon::Draft::V2020_12);
        compiler.add_resource("memory:///schema.json", schema).unwrap();
        let compiled = compiler.compile("memory:///schema.json", &mut boon::Schemas::new());
        compiled.unwrap_or_else(|error| panic!("{error:#}"));
    }

    fn walk(value: &Value, each: &mut impl FnMut(&Value)) {
        each(value);
        match value {
            Value::Object(fields) => fields.values().for_each(|field| walk(field, each)),
            Value::Array(items) => items.iter().for_each(|item| walk(item, each)),
            _ => {}
        }
    }
}
