//! Schemas of the `[[channel]]` rules: inline, or a file's.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value as Json};
use toml::Value;

use crate::core::schema::Schema;

/// Bytes of a schema's file.
const MOST_BYTES: u64 = 1 << 20;

/// A JSON Schema 2020-12 as a table, or the path of a file that has one.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum SchemaConfig {
    /// Only until the settings are checked.
    Path(String),
    Inline(toml::Table),
    #[serde(skip)]
    Read {
        /// Absolute.
        path: String,
        schema: Json,
    },
}

impl SchemaConfig {
    /// Reads the file, if it is one; a relative path begins at `base`.
    pub(super) fn read(&mut self, base: &Path) -> Result<()> {
        let Self::Path(path) = self else { return Ok(()) };
        let path = std::path::absolute(base.join(path)).context("it is no path")?;
        let named = || format!("cannot read {}", path.display());
        ensure!(std::fs::metadata(&path).with_context(named)?.is_file(), "{} is no file", path.display());
        let mut text = Vec::new();
        let file = std::fs::File::open(&path).with_context(named)?;
        file.take(MOST_BYTES + 1).read_to_end(&mut text).with_context(named)?;
        ensure!(text.len() as u64 <= MOST_BYTES, "{} has more than {MOST_BYTES} bytes", path.display());
        let schema =
            serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", path.display()))?;
        *self = Self::Read { path: path.to_string_lossy().into_owned(), schema };
        Ok(())
    }

    pub fn compile(&self) -> Result<Schema> {
        Ok(match self {
            Self::Read { schema, .. } => Schema::compile(schema)?,
            Self::Inline(table) => Schema::compile(&json(&Value::Table(table.clone())))?,
            Self::Path(path) => anyhow::bail!("{path} was not read"),
        })
    }
}

/// As it stands in a configuration file.
impl Serialize for SchemaConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Path(path) | Self::Read { path, .. } => path.serialize(serializer),
            Self::Inline(table) => table.serialize(serializer),
        }
    }
}

/// TOML's values have their counterparts, but for times, which JSON writes as strings.
pub(super) fn json(value: &Value) -> Json {
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
