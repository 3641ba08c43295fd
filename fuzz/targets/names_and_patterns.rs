//! Names and patterns that clients, files and operators choose.

use std::cmp::Ordering;

use tidegate::core::names::NameError;
use tidegate::core::{ChannelName, Pattern, PluginName};

use super::input::Input;

pub fn names_and_patterns(data: &[u8]) {
    let mut input = Input::new(data);
    let mut names = vec![input.text().into_owned()];
    let mut patterns = Vec::new();
    while !input.is_empty() && names.len() < 7 {
        let text = input.text();
        // Near each other, or hardly any would match.
        names.push(text.trim_end_matches('*').into());
        names.push(format!("{}{}", names[0], text));
        patterns.extend(pattern(&text));
    }
    for name in &names {
        channel_name(name);
        plugin_name(name);
        patterns.extend(pattern(name));
        patterns.extend(pattern(&format!("{name}*")));
        for one in &patterns {
            one.matches(name);
            for other in &patterns {
                is_ordered(one, other, name);
            }
        }
    }
}

fn channel_name(text: &str) {
    match ChannelName::parse(text) {
        Ok(name) => {
            assert_eq!((name.as_str(), &*name.to_string()), (text, text));
            assert!((1..=ChannelName::MAX_BYTES).contains(&text.len()));
            assert!(!text.chars().any(char::is_control) && !text.starts_with('$') && text.trim() == text);
            // So that it can be a pattern's and a log line's.
            assert!(Pattern::parse("*").unwrap().matches(text));
        }
        Err(NameError::Empty) => assert!(text.is_empty()),
        Err(NameError::TooLong(most)) => assert!(text.len() > most),
        Err(NameError::BadCharacter) => {
            assert!(text.chars().any(char::is_control) || text.trim() != text);
        }
        Err(NameError::Reserved) => assert!(text.starts_with('$')),
    }
}

fn plugin_name(text: &str) {
    if let Some(name) = PluginName::parse(text) {
        assert_eq!((name.as_str(), &*name.to_string()), (text, text));
        // A file's stem and its own channels' prefix.
        assert!(!text.contains(['/', '.', '*']));
        assert!(Pattern::parse(&format!("{name}:*")).is_ok());
    }
}

fn pattern(text: &str) -> Option<Pattern> {
    let parsed = Pattern::parse(text);
    assert_eq!(parsed.is_ok(), is_legal(text), "{text:?}");
    let pattern = parsed.ok()?;
    assert_eq!(pattern.to_string(), text);
    assert_eq!(Pattern::parse(&pattern.to_string()).as_ref(), Ok(&pattern));
    let name = with_captures(text, "ö");
    match name.strip_suffix('*') {
        Some(stem) => assert!(!pattern.matches(stem) && pattern.matches(&format!("{stem}x"))),
        None => assert!(pattern.matches(&name) && !pattern.matches(&format!("{name}:x"))),
    }
    let whole = name.replace('*', "x");
    let taken = pattern.captures(&whole).unwrap();
    assert!(taken.len() == text.matches('{').count() && taken.iter().all(|(_, value)| *value == "ö"));
    if text.contains('{') {
        assert!(!pattern.matches(&with_captures(text, "").replace('*', "x")));
    }
    Some(pattern)
}

/// As the pattern's own page has it, from the other end.
fn is_legal(text: &str) -> bool {
    let stem = text.strip_suffix('*').unwrap_or(text);
    let mut pieces = stem.split('{');
    let first = pieces.next().unwrap();
    let mut names = Vec::new();
    let ends_well = |rest: &str, is_last: bool| {
        rest.starts_with(['.', ':', '/']) || rest.is_empty() && is_last && stem.len() == text.len()
    };
    let mut legal = !text.is_empty() && !stem.contains('*') && !first.contains('}');
    let count = stem.matches('{').count();
    for (n, piece) in pieces.enumerate() {
        let Some((name, after)) = piece.split_once('}') else { return false };
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        legal &= (1..=32).contains(&name.len()) && name.chars().all(plain) && !names.contains(&name);
        legal &= !after.contains('}') && ends_well(after, n + 1 == count);
        names.push(name);
    }
    legal
}

/// The pattern's text with each capture replaced.
fn with_captures(pattern: &str, value: &str) -> String {
    let mut pieces = pattern.split('{');
    let first = pieces.next().unwrap().to_owned();
    pieces.fold(first, |name, piece| name + value + piece.split_once('}').unwrap().1)
}

/// Which of two rules holds for a name never depends on their order in a file.
fn is_ordered(one: &Pattern, other: &Pattern, name: &str) {
    let order = one.specificity().cmp(&other.specificity());
    assert_eq!(order.reverse(), other.specificity().cmp(&one.specificity()));
    if one.matches(name) && other.matches(name) {
        let alike = with_captures(&one.to_string(), "{}") == with_captures(&other.to_string(), "{}");
        assert_eq!(order == Ordering::Equal, alike, "{one} and {other} for {name}");
    }
}
