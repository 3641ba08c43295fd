//! Schemas of the `[[channel]]` rules: inline, or a file's.

use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use toml::Value;

use crate::core::schema::Schema;

/// A JSON Schema 2020-12 as a table, or the path of a file that has one; in the checked
/// settings the file has been read.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub enum SchemaConfig {
    File(String),
    Inline(toml::Table),
    /// What a file held.
    #[serde(skip_deserializing)]
    Read(Json),
}

impl SchemaConfig {
    /// Reads the file, if it is one; a relative path begins at `base`.
    pub(super) fn read(&mut self, base: &Path) -> Result<()> {
        let Self::File(path) = self else { return Ok(()) };
        let path = base.join(path);
        let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let json =
            serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", path.display()))?;
        *self = Self::Read(json);
        Ok(())
    }

    pub fn compile(&self) -> Result<Schema> {
        Ok(match self {
            Self::Read(json) => Schema::compile(json)?,
            Self::Inline(table) => Schema::compile(&json(&Value::Table(table.clone())))?,
            Self::File(path) => anyhow::bail!("{path} was not read"),
        })
    }
}

/// TOML's values have their counterparts, but for times, which JSON writes as strings.
fn json(value: &Value) -> Json {
    match value {
        Value::String(text) => text.as_str().into(),
        Value::Integer(n) => (*n).into(),
        Value::Float(n) => (*n).into(),
        Value::Boolean(yes) => (*yes).into(),
        Value::Datetime(time) => time.to_string().into(),
        Value::Array(values) => values.iter().map(json).collect(),
        Value::Table(table) => {
            Json::Object(table.iter().map(|(key, value)| (key.clone(), json(value))).collect::<Map<_, _>>())
        }
    }
}
