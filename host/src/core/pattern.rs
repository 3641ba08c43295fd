//! Patterns of channel names: literal text, `{captures}` of one segment, and `*` for the rest.

use std::fmt;

/// `chat:*` matches every name that begins with `chat:` and goes on; `*` alone every name;
/// `private-order.{id}` every name that goes on with one segment; other text matches itself.
///
/// A segment ends at a separator, `.` `:` or `/`: a capture takes one or more characters that
/// are none of these, as many as there are. So what follows a capture is a separator or the
/// end, and a name has one way to match. `*` stands only at the end and takes anything.
///
/// A name that begins with `$`, the server's own, is matched only by a pattern that does so too:
/// who opens `*` does not mean users' own channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// The name between the braces.
    Capture(String),
    Rest,
}

/// The most specific of the patterns that match a name is the greatest: from left to right a
/// literal character is more than a capture, and a capture more than `*`. Patterns of equal
/// value match the same names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Specificity(Vec<Place>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Rest,
    Capture,
    Literal(char),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is no channel pattern: {why}")]
pub struct BadPattern {
    pattern: String,
    why: &'static str,
}

/// What the captures of a channel's patterns took of its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captures(Vec<(String, String)>);

/// The longest name of a capture, in bytes.
const CAPTURE_NAME: usize = 32;

fn is_separator(c: char) -> bool {
    matches!(c, '.' | ':' | '/')
}

impl BadPattern {
    /// Fit for a line of the log: a pattern may be a plugin's.
    fn new(text: &str, why: &'static str) -> Self {
        const SHOWN: usize = 100;
        let shown = text.chars().take(SHOWN).map(|c| if c.is_control() { '\u{fffd}' } else { c });
        Self { pattern: shown.collect(), why }
    }
}

impl FromIterator<(String, String)> for Captures {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl Captures {
    /// Each name once: the first pattern that has it counts.
    pub fn of<'a>(patterns: impl IntoIterator<Item = &'a Pattern>, channel: &str) -> Self {
        let mut taken: Vec<(String, String)> = Vec::new();
        for pattern in patterns {
            for (name, value) in pattern.captures(channel).into_iter().flatten() {
                if !taken.iter().any(|(other, _)| other == name) {
                    taken.push((name.into(), value.into()));
                }
            }
        }
        Self(taken)
    }

    pub fn pairs(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        parts(text).map(|parts| Self { text: text.into(), parts }).map_err(|why| BadPattern::new(text, why))
    }

    pub fn has_captures(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Capture(_)))
    }

    pub fn matches(&self, name: &str) -> bool {
        self.walk(name, |_, _| {})
    }

    /// What the captures of a matching name took, in their order; none for another name.
    pub fn captures<'a>(&'a self, name: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
        let mut taken = Vec::new();
        self.walk(name, |capture, value| taken.push((capture, value))).then_some(taken)
    }

    fn walk<'a>(&'a self, name: &'a str, mut each: impl FnMut(&'a str, &'a str)) -> bool {
        if name.starts_with('$') && !self.text.starts_with('$') {
            return false;
        }
        let mut left = name;
        for part in &self.parts {
            match part {
                Part::Literal(text) => match left.strip_prefix(text.as_str()) {
                    Some(after) => left = after,
                    None => return false,
                },
                Part::Capture(capture) => {
                    let (value, after) = left.split_at(left.find(is_separator).unwrap_or(left.len()));
                    if value.is_empty() {
                        return false;
                    }
                    each(capture, value);
                    left = after;
                }
                Part::Rest => return !left.is_empty(),
            }
        }
        left.is_empty()
    }

    pub fn specificity(&self) -> Specificity {
        let mut places = Vec::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => places.extend(text.chars().map(Place::Literal)),
                Part::Capture(_) => places.push(Place::Capture),
                Part::Rest => places.push(Place::Rest),
            }
        }
        Specificity(places)
    }
}

fn parts(text: &str) -> Result<Vec<Part>, &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    let (stem, rest) = match text.strip_suffix('*') {
        Some(stem) => (stem, true),
        None => (text, false),
    };
    if stem.contains('*') {
        return Err("a `*` is not at its end");
    }
    let mut parts: Vec<Part> = Vec::new();
    let mut left = stem;
    while let Some((before, after)) = left.split_once('{') {
        literal(before, &mut parts)?;
        let (name, after) = after.split_once('}').ok_or("a `{` has no `}`")?;
        if !is_capture_name(name) {
            return Err("a capture's name is 1 to 32 of a-z, 0-9 and _");
        }
        if parts.iter().any(|part| matches!(part, Part::Capture(other) if other == name)) {
            return Err("two captures have one name");
        }
        let ends = if after.is_empty() { !rest } else { after.starts_with(is_separator) };
        if !ends {
            return Err("after a capture comes `.`, `:`, `/` or the end");
        }
        parts.push(Part::Capture(name.into()));
        left = after;
    }
    literal(left, &mut parts)?;
    if rest {
        parts.push(Part::Rest);
    }
    Ok(parts)
}

fn literal(text: &str, parts: &mut Vec<Part>) -> Result<(), &'static str> {
    if text.contains('}') {
        return Err("a `}` has no `{`");
    }
    if !text.is_empty() {
        parts.push(Part::Literal(text.into()));
    }
    Ok(())
}

fn is_capture_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (1..=CAPTURE_NAME).contains(&name.len()) && name.bytes().all(fits)
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn patterns_match_by_prefix_or_whole() {
        let chat = pattern("chat:*");
        assert!(chat.matches("chat:lobby"));
        assert!(!chat.matches("chat:"));
        assert!(!chat.matches("chats:lobby"));
        assert!(pattern("*").matches("x"));
        assert!(pattern("news").matches("news"));
        assert!(!pattern("news").matches("news2"));
    }

    #[test]
    fn the_servers_own_names_are_matched_only_on_purpose() {
        for opens in ["*", "{any}:*", "{kind}:{id}"] {
            assert!(pattern(opens).matches("user:ada") && !pattern(opens).matches("$user:ada"), "{opens}");
        }
        for means in ["$user:*", "$user:{id}", "$user:ada", "$*"] {
            assert!(pattern(means).matches("$user:ada"), "{means}");
        }
    }

    #[test]
    fn captures_take_one_segment() {
        let order = pattern("private-order.{id}");
        assert_eq!(order.captures("private-order.7-a ü"), Some(vec![("id", "7-a ü")]));
        for other in ["private-order.", "private-order.7.8", "private-order.7:8", "private-order.7/8"] {
            assert_eq!(order.captures(other), None, "{other}");
        }
        let room = pattern("chat:{room}:*");
        assert_eq!(room.captures("chat:lobby:a:b"), Some(vec![("room", "lobby")]));
        assert!(!room.matches("chat:lobby") && !room.matches("chat:lobby:") && !room.matches("chat::a"));
        let both = pattern("{kind}/user{id}.log");
        assert_eq!(both.captures("web/user7.log"), Some(vec![("kind", "web"), ("id", "7")]));
        assert!(!both.matches("web/user.log"));
        assert_eq!(pattern("news").captures("news"), Some(vec![]));
    }

    #[test]
    fn of_several_patterns_the_first_that_has_a_capture_counts() {
        let patterns = [pattern("{kind}.7.*"), pattern("{all}.{kind}.a"), pattern("other.{id}")];
        let captures = Captures::of(&patterns, "order.7.a");
        assert_eq!(captures.pairs(), [("kind", "order"), ("all", "order")]);
        assert_eq!(Captures::of(&patterns, "news").pairs(), []);
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        for (text, why) in [
            ("", "empty"),
            ("a*b", "not at its end"),
            ("**", "not at its end"),
            ("a{b", "no `}`"),
            ("a}b", "no `{`"),
            ("a}{b}", "no `{`"),
            ("{}", "name"),
            ("{a b}", "name"),
            ("{A}", "name"),
            ("{a}:{a}", "one name"),
            ("{a}{b}", "after a capture"),
            ("{a}b", "after a capture"),
            ("{a}*", "after a capture"),
        ] {
            let said = Pattern::parse(text).unwrap_err().to_string();
            assert!(said.contains(why) && said.contains(&format!("`{text}`")), "{said}");
        }
    }

    #[test]
    fn the_more_specific_wins() {
        let descending = [
            "chat:lobby:admin",
            "chat:lobby:{who}",
            "chat:lobby:*",
            "chat:{room}:admin",
            "chat:{room}:{who}",
            "chat:{room}:*",
            "chat:*",
            "{any}:*",
            "*",
        ];
        for pair in descending.windows(2) {
            assert!(pattern(pair[0]).specificity() > pattern(pair[1]).specificity(), "{pair:?}");
        }
        assert_eq!(pattern("a.{x}").specificity(), pattern("a.{y}").specificity());
    }

    proptest! {
        #[test]
        fn only_the_same_text_is_equally_specific(
            texts in prop::collection::vec("(a|b|\\{x\\}|:|\\*){1,5}", 2),
            name in "[ab:]{1,5}",
        ) {
            let parsed: Vec<_> = texts.iter().filter_map(|text| Pattern::parse(text).ok()).collect();
            if let [one, other] = &parsed[..] {
                let equal = one.specificity() == other.specificity();
                prop_assert_eq!(equal, one.to_string() == other.to_string());
                prop_assert_eq!(one.captures(&name).is_some(), one.matches(&name));
            }
        }

        #[test]
        fn no_text_panics(text in "[a{}*:.]{0,12}", name in "[a:.]{0,8}") {
            if let Ok(pattern) = Pattern::parse(&text) {
                pattern.matches(&name);
            }
        }
    }
}
