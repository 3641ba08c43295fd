//! What a chat message must be.

use serde::{Deserialize, Serialize};
use tidegate_guest::prelude::*;

/// In characters, once the text is trimmed.
const LONGEST: usize = 500;

#[derive(Deserialize)]
struct Said {
    text: String,
}

/// What subscribers get.
#[derive(Debug, Serialize)]
pub struct Line {
    pub text: String,
    pub from: String,
}

impl Line {
    /// # Errors
    /// 1: the text is empty; 2: it is too long; 3: the payload is nothing like it.
    pub fn check(message: &Message) -> Result<Self, Denial> {
        let Ok(Said { text }) = message.json() else {
            deny!(3, r#"A message looks like {{"text":"hello"}}."#);
        };
        let text = text.trim();
        if text.is_empty() {
            deny!(1, "Say something: the text is empty.");
        }
        let length = text.chars().count();
        if length > LONGEST {
            deny!(2, "The text has {length} characters; at most {LONGEST} are allowed.");
        }
        Ok(Self { text: text.to_owned(), from: message.user().to_owned() })
    }
}
