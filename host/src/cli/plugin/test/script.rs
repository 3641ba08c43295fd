//! A conversation as it is written: settings, and a step a line.

use serde_json::{Map, Value, json};

#[derive(Debug)]
pub struct Script {
    /// TOML; empty for none.
    pub settings: String,
    pub steps: Vec<Step>,
}

#[derive(Debug)]
pub struct Step {
    /// From 1.
    pub line: usize,
    /// As it is written.
    pub text: String,
    pub who: Who,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// The server's API.
    Server,
    /// A client by its name in the script.
    Client(String),
}

#[derive(Debug, PartialEq)]
pub enum What {
    /// `token`, or the `claims` of one, and the `secret` that it is signed with.
    Connect(Value),
    /// A frame that is answered.
    Ask(Map<String, Value>, Answer),
    /// A frame, whatever comes of it.
    Send(Value),
    /// The next frame that is no answer.
    Sees(Value),
    /// No frame is there that was not asked for.
    Nothing,
    Closed {
        code: u16,
        reason: Option<String>,
    },
    /// Ends its connection.
    Goes,
    Request {
        method: String,
        path: String,
        body: Option<Value>,
        status: u16,
        answer: Option<Value>,
    },
    /// Another version takes the plugin's place.
    Reload(String),
}

/// What a frame's answer must be.
#[derive(Debug, PartialEq)]
pub enum Answer {
    /// No error, and fields like these.
    Good(Value),
    Refused(Value),
}

/// A line that is no step.
#[derive(Debug, thiserror::Error)]
#[error("{line}: {why}\n  {text}")]
pub struct BadScript {
    line: usize,
    text: String,
    why: String,
}

const FENCE: &str = "---";
const VERBS: &str = "connect, subscribe, unsubscribe, publish, action, presence, join, leave, history, ask, send, gets, sees, closed, goes";
const SERVER_VERBS: &str = "publish, reload, GET, POST, PUT, DELETE";

impl Script {
    /// # Errors
    /// Names the line and what it lacks.
    pub fn parse(text: &str) -> Result<Self, BadScript> {
        let mut lines = text.lines().zip(1..);
        let mut settings = String::new();
        let mut steps = Vec::new();
        let mut began = false;
        while let Some((text, line)) = lines.next() {
            let trimmed = text.trim();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                continue;
            }
            if trimmed == FENCE && !began {
                loop {
                    match lines.next() {
                        Some((text, _)) if text.trim() == FENCE => break,
                        Some((text, _)) => settings.extend([text, "\n"]),
                        None => return Err(bad(line, text, "the settings have no end: a second line `---`")),
                    }
                }
            } else {
                let (who, what) = step(trimmed).map_err(|why| bad(line, trimmed, &why))?;
                steps.push(Step { line, text: trimmed.into(), who, what });
            }
            began = true;
        }
        Ok(Self { settings, steps })
    }
}

fn bad(line: usize, text: &str, why: &str) -> BadScript {
    BadScript { line, text: text.into(), why: why.into() }
}

fn step(text: &str) -> Result<(Who, What), String> {
    let mut words = Words(text);
    let who = words.word().unwrap_or_default();
    let Some(verb) = words.word() else { return Err(format!("`{who}` does nothing: one of {VERBS}")) };
    if who == "server" {
        return Ok((Who::Server, server(verb, &mut words)?));
    }
    let what = client(verb, &mut words)?;
    words.end()?;
    Ok((Who::Client(who.into()), what))
}

fn client(verb: &str, words: &mut Words<'_>) -> Result<What, String> {
    Ok(match verb {
        "connect" => What::Connect(words.json()?.unwrap_or(Value::Null)),
        "subscribe" | "unsubscribe" | "presence" | "history" | "join" | "leave" => {
            let mut frame = frame(verb, &words.channel()?);
            words.fields(&mut frame)?;
            What::Ask(frame, words.answer()?)
        }
        "publish" => {
            let mut frame = frame(verb, &words.channel()?);
            frame.insert("data".into(), words.json()?.ok_or("there is no data: one JSON value")?);
            words.fields(&mut frame)?;
            What::Ask(frame, words.answer()?)
        }
        "action" => {
            let mut frame = frame(verb, &words.channel()?);
            frame.insert("data".into(), words.json()?.unwrap_or(Value::Null));
            What::Ask(frame, words.answer()?)
        }
        "ask" => match words.json()? {
            Some(Value::Object(frame)) => What::Ask(frame, words.answer()?),
            _ => return Err("there is no frame: a JSON object".into()),
        },
        "send" => What::Send(words.json()?.ok_or("there is no frame: one JSON value")?),
        "gets" if words.next_is("nothing") => What::Nothing,
        "gets" => {
            let mut frame = frame("data", &words.channel()?);
            frame.insert("data".into(), words.json()?.ok_or("there is no data: one JSON value")?);
            words.fields(&mut frame)?;
            What::Sees(frame.into())
        }
        "sees" => What::Sees(words.json()?.ok_or("there is no frame: one JSON value")?),
        "closed" => {
            let code = words.word().and_then(|code| code.parse().ok());
            let reason = words.rest();
            What::Closed {
                code: code.ok_or("there is no close code, like 4001")?,
                reason: (!reason.is_empty()).then(|| reason.to_owned()),
            }
        }
        "goes" => What::Goes,
        other => return Err(format!("`{other}` is nothing that a client does: {VERBS}")),
    })
}

fn server(verb: &str, words: &mut Words<'_>) -> Result<What, String> {
    let (method, path, body) = match verb {
        "publish" => {
            let mut body = Map::from_iter([("channel".to_owned(), words.channel()?.into())]);
            body.insert("data".into(), words.json()?.ok_or("there is no data: one JSON value")?);
            words.fields(&mut body)?;
            ("POST".to_owned(), "/api/publish".to_owned(), Some(body.into()))
        }
        "reload" => return Ok(What::Reload(words.rest().to_owned())),
        "GET" | "POST" | "PUT" | "DELETE" => {
            let path = words.word().filter(|path| path.starts_with('/'));
            let path = path.ok_or("there is no path, like /api/channels")?.to_owned();
            (verb.to_owned(), path, words.json()?)
        }
        other => return Err(format!("`{other}` is nothing that the server does: {SERVER_VERBS}")),
    };
    let (mut status, mut answer) = (200, None);
    if words.next_is("answers") {
        if let Some(said) = words.number() {
            status = said;
        }
        answer = words.json()?;
    }
    words.end()?;
    Ok(What::Request { method, path, body, status, answer })
}

fn frame(kind: &str, channel: &str) -> Map<String, Value> {
    Map::from_iter([("type".into(), kind.into()), ("channel".into(), channel.into())])
}

/// What is left of a line.
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    fn word(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start();
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }

    /// A name, in quotes if it has blanks.
    fn channel(&mut self) -> Result<String, String> {
        if self.0.trim_start().starts_with('"') {
            return match self.json()? {
                Some(Value::String(name)) => Ok(name),
                _ => Err("the name in quotes does not end".into()),
            };
        }
        self.word().map(Into::into).ok_or_else(|| "there is no channel, or name of an action".into())
    }

    /// One JSON value, if one begins here.
    fn json(&mut self) -> Result<Option<Value>, String> {
        let text = self.0.trim_start();
        let is_json = text.starts_with(|c: char| "{[\"-".contains(c) || c.is_ascii_digit())
            || ["true", "false", "null"].iter().any(|word| text.starts_with(word));
        if !is_json {
            return Ok(None);
        }
        let mut values = serde_json::Deserializer::from_str(text).into_iter();
        let value = values.next().transpose().map_err(|why| format!("this is no JSON: {why}"))?;
        self.0 = text.get(values.byte_offset()..).unwrap_or_default();
        Ok(value)
    }

    /// An object's fields, beside those that are there.
    fn fields(&mut self, frame: &mut Map<String, Value>) -> Result<(), String> {
        match self.json()? {
            None => Ok(()),
            Some(Value::Object(more)) => {
                frame.extend(more);
                Ok(())
            }
            Some(other) => Err(format!("more fields of the frame are a JSON object, and not {other}")),
        }
    }

    fn answer(&mut self) -> Result<Answer, String> {
        if self.next_is("refused") {
            return Ok(Answer::Refused(self.json()?.unwrap_or_else(|| json!({}))));
        }
        let pattern = if self.next_is("answers") { self.json()? } else { None };
        Ok(Answer::Good(pattern.unwrap_or_else(|| json!({}))))
    }

    fn next_is(&mut self, word: &str) -> bool {
        let before = self.0;
        let is = self.word() == Some(word);
        if !is {
            self.0 = before;
        }
        is
    }

    fn number(&mut self) -> Option<u16> {
        let before = self.0;
        let number = self.word().and_then(|word| word.parse().ok());
        if number.is_none() {
            self.0 = before;
        }
        number
    }

    fn rest(&mut self) -> &'a str {
        std::mem::take(&mut self.0).trim()
    }

    fn end(&mut self) -> Result<(), String> {
        match self.rest() {
            "" => Ok(()),
            rest => Err(format!("`{rest}` is not understood here")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(text: &str) -> What {
        Script::parse(text).unwrap().steps.remove(0).what
    }

    #[test]
    fn a_step_a_line_below_the_settings() {
        let script = Script::parse(
            "# A chat.\n---\n[limits]\nconnections = 3\n---\n\nada subscribe chat:a\n  bo  gets nothing\n",
        )
        .unwrap();
        assert_eq!(script.settings, "[limits]\nconnections = 3\n");
        let lines: Vec<(usize, &Who)> = script.steps.iter().map(|step| (step.line, &step.who)).collect();
        assert_eq!(lines, [(7, &Who::Client("ada".into())), (8, &Who::Client("bo".into()))]);
    }

    #[test]
    fn steps_are_frames_and_what_is_expected_of_them() {
        let asks = |frame: Value, answer| match frame {
            Value::Object(frame) => What::Ask(frame, answer),
            _ => panic!("no frame"),
        };
        let published = json!({ "type": "publish", "channel": "a b", "data": "x y", "event": "e" });
        assert_eq!(
            what(r#"ada publish "a b" "x y" {"event":"e"} refused {"reason_code":1}"#),
            asks(published, Answer::Refused(json!({ "reason_code": 1 })))
        );
        let called = json!({ "type": "action", "channel": "add", "data": [1, 2] });
        assert_eq!(
            what(r#"ada action add [1, 2] answers {"data":3}"#),
            asks(called, Answer::Good(json!({ "data": 3 })))
        );
        let data = json!({ "type": "data", "channel": "c", "data": -1 });
        assert_eq!(what("ada gets c -1"), What::Sees(data));
        assert_eq!(
            what("ada closed 4003 Go away."),
            What::Closed { code: 4003, reason: Some("Go away.".into()) }
        );
        let request = What::Request {
            method: "GET".into(),
            path: "/api/channels".into(),
            body: None,
            status: 404,
            answer: Some(json!({})),
        };
        assert_eq!(what("server GET /api/channels answers 404 {}"), request);
    }

    #[test]
    fn what_is_no_step_says_its_line() {
        let wrong = |text: &str| Script::parse(text).unwrap_err().to_string();
        assert!(wrong("\nada sings").starts_with("2: `sings` is nothing that a client does: connect, "));
        assert!(wrong("ada").starts_with("1: `ada` does nothing"));
        assert!(wrong("ada publish c").starts_with("1: there is no data"));
        assert!(wrong("ada publish c {\"a\":").starts_with("1: this is no JSON: EOF"));
        assert!(wrong("ada goes home").starts_with("1: `home` is not understood here"));
        assert!(wrong("---\n[limits]").starts_with("1: the settings have no end"));
        assert!(wrong("server dances").starts_with("1: `dances` is nothing that the server does"));
    }
}
