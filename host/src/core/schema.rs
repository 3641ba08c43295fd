//! JSON Schema 2020-12 for what clients send: compiled once, and never anything fetched.

use std::borrow::Cow;

use bytes::Bytes;
use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Refused fields that are named, and bytes that one of them gets.
const NAMED: usize = 5;
const NAMED_BYTES: usize = 200;

/// A schema that can judge. References lead only into the schema itself, and its patterns are
/// matched in linear time, because what they are matched with comes from anyone.
#[derive(Debug)]
pub struct Schema {
    validator: Validator,
    /// `default`s of the properties at the top.
    defaults: Vec<(String, Value)>,
}

/// What is wrong with a schema, or with what it was to judge: which field, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Mismatch(pub String);

impl Schema {
    /// # Errors
    /// It is none, is written for another draft, or refers to something outside itself.
    pub fn compile(schema: &Value) -> Result<Self, Mismatch> {
        if let Some(said) = schema.get("$schema")
            && said.as_str().map(|said| said.trim_end_matches('#')) != Some(DIALECT)
        {
            return Err(Mismatch(format!("/$schema: {said} is another draft than {DIALECT}")));
        }
        let options = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(PatternOptions::regex())
            .offline();
        let validator = options.build(schema).map_err(|error| match error.kind() {
            ValidationErrorKind::Referencing(_) => {
                Mismatch(format!("a $ref leads nowhere within the schema, and nothing is fetched: {error}"))
            }
            _ => Mismatch(describe(&error)),
        })?;
        let properties = schema.get("properties").and_then(Value::as_object);
        let defaults = properties
            .into_iter()
            .flatten()
            .filter_map(|(name, property)| Some((name.clone(), property.get("default")?.clone())));
        Ok(Self { defaults: defaults.collect(), validator })
    }

    /// Judges one JSON text.
    ///
    /// # Errors
    /// Names the refused fields, `/room: is required`, at most five.
    pub fn check(&self, json: &[u8]) -> Result<(), Mismatch> {
        self.judge(&parse(json)?)
    }

    /// Judges parameters in which what was left out has its default; `None`, no parameters at
    /// all, are judged as `{}`. With the text that now stands for them.
    ///
    /// # Errors
    /// As [`Schema::check`].
    pub fn fill(&self, json: Option<Bytes>) -> Result<Option<Bytes>, Mismatch> {
        let mut value = match &json {
            Some(json) => parse(json)?,
            None => Value::Object(Map::new()),
        };
        let mut filled = false;
        if let Value::Object(fields) = &mut value {
            for (name, default) in &self.defaults {
                if !fields.contains_key(name) {
                    fields.insert(name.clone(), default.clone());
                    filled = true;
                }
            }
        }
        self.judge(&value)?;
        Ok(if filled { Some(value.to_string().into()) } else { json })
    }

    fn judge(&self, value: &Value) -> Result<(), Mismatch> {
        // Most pass: only the others are looked at for what to say.
        if self.validator.is_valid(value) {
            return Ok(());
        }
        let mut errors = self.validator.iter_errors(value);
        let named: Vec<String> = errors.by_ref().take(NAMED).map(|error| describe(&error)).collect();
        let more = if errors.next().is_some() { "; and more" } else { "" };
        Err(Mismatch(format!("{}{more}", named.join("; "))))
    }
}

fn parse(json: &[u8]) -> Result<Value, Mismatch> {
    // Checked to be JSON before, but not for how deep it goes.
    serde_json::from_slice(json).map_err(|_| Mismatch("/: is nested too deeply".into()))
}

/// `/path: what is wrong`, without the value: the client knows it.
fn describe(error: &ValidationError<'_>) -> String {
    let path = error.instance_path().to_string();
    let (path, said) = match error.kind() {
        ValidationErrorKind::Required { property } => {
            let property = property.as_str().unwrap_or_default();
            (format!("{path}/{property}"), Cow::Borrowed("is required"))
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let first = unexpected.first().map_or("", String::as_str);
            (format!("{path}/{first}"), Cow::Borrowed("is not a known field"))
        }
        ValidationErrorKind::FalseSchema => (path, Cow::Borrowed("is not allowed")),
        _ => (path, Cow::Owned(error.masked_with("it").to_string())),
    };
    let path = if path.is_empty() { "/".into() } else { path };
    let mut text = format!("{path}: {}", said.strip_prefix("it ").unwrap_or(&said));
    if text.len() > NAMED_BYTES {
        text.truncate(text.floor_char_boundary(NAMED_BYTES));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema(schema: Value) -> Schema {
        Schema::compile(&schema).unwrap()
    }

    fn refused(schema: &Schema, value: Value) -> String {
        schema.check(value.to_string().as_bytes()).unwrap_err().0
    }

    #[test]
    fn what_is_wrong_is_named_by_field() {
        let schema = schema(json!({
            "type": "object",
            "required": ["room"],
            "additionalProperties": false,
            "properties": {
                "room": { "type": "string", "maxLength": 3 },
                "sub": { "type": "object", "required": ["x"] },
                "n": { "minimum": 1 },
                "never": false,
            },
        }));
        assert_eq!(schema.check(br#"{"room":"abc"}"#), Ok(()));
        assert_eq!(refused(&schema, json!({})), "/room: is required");
        assert_eq!(refused(&schema, json!({ "room": 1 })), "/room: is not of type \"string\"");
        assert_eq!(refused(&schema, json!({ "room": "a", "sub": {} })), "/sub/x: is required");
        assert_eq!(refused(&schema, json!({ "room": "a", "who": 1 })), "/who: is not a known field");
        assert_eq!(refused(&schema, json!({ "room": "a", "never": 1 })), "/never: is not allowed");
        assert_eq!(refused(&schema, json!([])), "/: is not of type \"object\"");
        assert_eq!(refused(&schema, json!({ "room": "abcd", "n": 0 })).split("; ").count(), 2);
    }

    #[test]
    fn what_is_said_has_a_bound() {
        let schema = schema(json!({ "additionalProperties": { "type": "null" } }));
        let value: Map<_, _> = (0..100).map(|n| (format!("{n}{}", "ü".repeat(1000)), json!(1))).collect();
        let said = refused(&schema, Value::Object(value));
        assert!(said.len() < NAMED * (NAMED_BYTES + 10) + 20 && said.ends_with("; and more"), "{said}");
    }

    #[test]
    fn defaults_of_the_top_are_filled_in_and_judged() {
        let schema = schema(json!({
            "required": ["room", "size"],
            "properties": { "room": {}, "size": { "type": "integer", "default": 10 } },
        }));
        let fill = |json: &'static str| schema.fill(Some(Bytes::from_static(json.as_bytes())));
        assert_eq!(fill(r#"{"room":"a"}"#), Ok(Some(r#"{"room":"a","size":10}"#.into())));
        let as_it_was = r#"{ "size" : 1.0, "room":"a" }"#;
        assert_eq!(fill(as_it_was), Ok(Some(as_it_was.into())));
        assert_eq!(schema.fill(None), Err(Mismatch("/room: is required".into())));
        assert_eq!(fill("[1]"), Ok(Some("[1]".into())), "only an object has fields to fill");
    }

    #[test]
    fn no_parameters_are_an_empty_object() {
        let open = schema(json!({ "properties": { "room": {} } }));
        assert_eq!(open.fill(None), Ok(None));
        let ready = schema(json!({ "properties": { "room": { "default": "a" } } }));
        assert_eq!(ready.fill(None), Ok(Some(r#"{"room":"a"}"#.into())));
    }

    #[test]
    fn what_is_no_schema_of_this_draft_is_an_error() {
        let wrong = |schema: Value| Schema::compile(&schema).unwrap_err().0;
        assert!(wrong(json!({ "type": "strin" })).contains("/type"));
        assert!(wrong(json!(1)).contains("/: "));
        assert!(wrong(json!({ "$schema": "http://json-schema.org/draft-07/schema#" })).contains("draft-07"));
        assert!(wrong(json!({ "pattern": "(" })).contains("/pattern"));
        assert!(Schema::compile(&json!({ "$schema": DIALECT })).is_ok());
    }

    #[test]
    fn nothing_is_fetched() {
        for reference in
            ["https://example.com/a.json", "http://localhost:1/a", "file:///etc/hostname", "other.json"]
        {
            let said = Schema::compile(&json!({ "$ref": reference })).unwrap_err().0;
            assert!(said.contains("nothing is fetched"), "{said}");
        }
        let inner = schema(json!({ "$ref": "#/$defs/a", "$defs": { "a": { "type": "string" } } }));
        assert!(inner.check(b"1").is_err() && inner.check(b"\"a\"").is_ok());
    }

    #[test]
    fn a_schema_of_itself_ends() {
        assert_eq!(schema(json!({ "$ref": "#" })).check(b"1"), Ok(()));
        let list = schema(json!({ "properties": { "next": { "$ref": "#" } }, "required": ["value"] }));
        assert_eq!(refused(&list, json!({ "value": 1, "next": {} })), "/next/value: is required");
        let deep = "{\"next\":".repeat(200) + "1" + &"}".repeat(200);
        assert_eq!(list.check(deep.as_bytes()), Err(Mismatch("/: is nested too deeply".into())));
    }
}
