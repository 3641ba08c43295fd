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
    let legal = !text.is_empty() && text.find('*').is_none_or(|star| star == text.len() - 1);
    let parsed = Pattern::parse(text);
    assert_eq!(parsed.is_ok(), legal, "{text:?}");
    let pattern = parsed.ok()?;
    assert_eq!(pattern.to_string(), text);
    assert_eq!(Pattern::parse(&pattern.to_string()).as_ref(), Ok(&pattern));
    match text.strip_suffix('*') {
        Some(stem) => assert!(!pattern.matches(stem) && pattern.matches(&format!("{stem}x"))),
        None => assert!(pattern.matches(text) && !pattern.matches(&format!("{text}x"))),
    }
    Some(pattern)
}

/// Which of two rules holds for a name never depends on their order in a file.
fn is_ordered(one: &Pattern, other: &Pattern, name: &str) {
    let order = one.specificity().cmp(&other.specificity());
    assert_eq!(order.reverse(), other.specificity().cmp(&one.specificity()));
    if one.matches(name) && other.matches(name) {
        assert_eq!(order == Ordering::Equal, one == other, "{one} and {other} for {name}");
    }
}
