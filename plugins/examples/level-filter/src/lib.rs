//! A filter for log lines: passes messages of a level or above.

use std::borrow::Cow;

use serde::Deserialize;
use tidegate_guest::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

impl Level {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "debug" => Self::Debug,
            "info" => Self::Info,
            "warn" | "warning" => Self::Warn,
            "error" => Self::Error,
            "fatal" => Self::Fatal,
            _ => return None,
        })
    }
}

#[derive(Debug, PartialEq)]
struct AtLeast(Level);

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    min: Cow<'a, str>,
}

/// Borrows and names one field only, so that the rest of a message is skipped.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    level: Cow<'a, str>,
}

/// A message's level is read once, however many filters there are.
impl FilterBy for AtLeast {
    type Read<'a> = Option<Level>;

    fn make(params: &Data) -> Result<Self, String> {
        let min = params.json().ok().and_then(|Params { min }| Level::parse(&min));
        Ok(Self(min.ok_or("`min` must be one of debug, info, warn, error, fatal.")?))
    }

    fn read<'a>(message: &FilterMessage<'a>) -> Option<Level> {
        message.json().and_then(|Line { level }| Level::parse(&level))
    }

    fn passes(&self, level: &Option<Level>) -> bool {
        level.is_some_and(|level| level >= self.0)
    }
}

tidegate_guest::export!(
    filter: AtLeast,
    info: { version: env!("CARGO_PKG_VERSION"), summary: "Passes log lines of a level or above." },
);

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(params: &str, payload: &str) -> bool {
        let filter = AtLeast::make(&Data::raw(params)).unwrap();
        filter.passes(&AtLeast::read(&FilterMessage::for_test("", payload)))
    }

    #[test]
    fn passes_its_level_and_what_is_above() {
        let passing = |min: &str| -> Vec<&str> {
            let params = format!(r#"{{"min":"{min}"}}"#);
            ["debug", "info", "warn", "warning", "error", "fatal"]
                .into_iter()
                .filter(|level| passes(&params, &format!(r#"{{"at":[1],"level":"{level}"}}"#)))
                .collect()
        };
        assert_eq!(passing("debug").len(), 6);
        assert_eq!(passing("warn"), ["warn", "warning", "error", "fatal"]);
        assert_eq!(passing("fatal"), ["fatal"]);
    }

    #[test]
    fn passes_nothing_without_a_level_that_it_knows() {
        for payload in ["", "7", "{}", r#"{"level":3}"#, r#"{"level":"loud"}"#, r#"{"level":"fatal""#] {
            assert!(!passes(r#"{"min":"debug"}"#, payload), "{payload}");
        }
    }

    #[test]
    fn reads_a_level_with_escapes() {
        assert!(passes(r#"{"min":"error"}"#, r#"{"level":"\u0065rror"}"#));
    }

    #[test]
    fn refuses_parameters_without_a_level() {
        let expected = "`min` must be one of debug, info, warn, error, fatal.";
        for params in ["null", "{}", r#"{"min":4}"#, r#"{"min":"loud"}"#] {
            assert_eq!(AtLeast::make(&Data::raw(params)), Err(expected.to_owned()), "{params}");
        }
    }
}
