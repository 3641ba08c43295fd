//! Patterns of channel names: exact, or a prefix and `*` for the rest.

use std::fmt;

/// `chat:*` matches every name that begins with `chat:` and goes on; `*` alone
/// every name; without `*` a pattern matches itself. `*` stands only at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    prefix: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no channel pattern: it is empty, or has a `*` that is not at its end")]
pub struct BadPattern(String);

impl BadPattern {
    /// Fit for a line of the log: a pattern may be a plugin's.
    fn new(text: &str) -> Self {
        const SHOWN: usize = 100;
        Self(text.chars().take(SHOWN).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect())
    }
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        let (stem, prefix) = match text.strip_suffix('*') {
            Some(stem) => (stem, true),
            None => (text, false),
        };
        if text.is_empty() || stem.contains('*') {
            return Err(BadPattern::new(text));
        }
        Ok(Self { text: stem.into(), prefix })
    }

    pub fn matches(&self, name: &str) -> bool {
        if self.prefix {
            name.len() > self.text.len() && name.starts_with(&self.text)
        } else {
            name == self.text
        }
    }

    /// Of two patterns that match a name the one with the greater value is the
    /// more specific: exact before prefix, the longer prefix before the shorter.
    pub fn specificity(&self) -> (bool, usize) {
        (!self.prefix, self.text.len())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        f.write_str(if self.prefix { "*" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_by_prefix_or_whole() {
        let chat = Pattern::parse("chat:*").unwrap();
        assert!(chat.matches("chat:lobby"));
        assert!(!chat.matches("chat:"));
        assert!(!chat.matches("chats:lobby"));
        assert!(Pattern::parse("*").unwrap().matches("x"));
        assert!(Pattern::parse("news").unwrap().matches("news"));
        assert!(!Pattern::parse("news").unwrap().matches("news2"));
        assert!(Pattern::parse("").is_err());
        assert!(Pattern::parse("a*b").is_err());
    }

    #[test]
    fn the_more_specific_wins() {
        let of = |p: &str| Pattern::parse(p).unwrap().specificity();
        assert!(of("chat:lobby") > of("chat:*"));
        assert!(of("chat:*") > of("*"));
    }
}
