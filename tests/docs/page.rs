//! A page to the steps that a reader would take.

use super::shell::has;

pub struct Page {
    pub steps: Vec<Step>,
}

pub enum Step {
    File {
        name: String,
        text: String,
    },
    /// A command and the lines that it shows, or that others show because of it.
    Command {
        line: String,
        shows: Vec<String>,
    },
    Socket {
        url: String,
        says: Vec<Line>,
    },
}

pub enum Line {
    Sent(String),
    Received(String),
}

impl Line {
    pub fn map(&self, change: impl FnOnce(&str) -> String) -> Self {
        match self {
            Self::Sent(text) => Self::Sent(change(text)),
            Self::Received(text) => Self::Received(change(text)),
        }
    }
}

impl Page {
    pub fn parse(name: &str, text: &str) -> Self {
        let mut steps = Vec::new();
        let mut file = None;
        let mut needs: Option<String> = None;
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(told) = line.strip_prefix("<!-- file: ") {
                file = Some(told.trim_end_matches(" -->").to_owned());
            } else if let Some(told) = line.strip_prefix("<!-- needs: ") {
                needs = Some(told.trim_end_matches(" -->").to_owned());
            } else if let Some(told) = line.strip_prefix("<!-- run: ") {
                let line = told.trim_end_matches(" -->").to_owned();
                steps.push(Step::Command { line, shows: Vec::new() });
            } else if let Some(kind) = line.strip_prefix("```") {
                let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
                if let Some(program) = needs.take().filter(|program| !has(program)) {
                    eprintln!(
                        "SKIPPED, a block of {name} is not run: {program} is missing, run scripts/setup"
                    );
                    continue;
                }
                match (kind, file.take()) {
                    (_, Some(name)) => steps.push(Step::File { name, text: block.join("\n") + "\n" }),
                    ("console", None) => console(&block, &mut steps),
                    _ => {}
                }
            }
        }
        assert!(!steps.is_empty(), "{name} shows nothing that runs");
        Self { steps }
    }
}

fn console(block: &[&str], steps: &mut Vec<Step>) {
    for line in block {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(typed), _) if typed.starts_with("wscat -c ") => {
                let url = typed.trim_start_matches("wscat -c ").trim_matches('\'').to_owned();
                steps.push(Step::Socket { url, says: Vec::new() });
            }
            (Some(typed), _) => {
                steps.push(Step::Command { line: typed.to_owned(), shows: Vec::new() });
            }
            (None, Some(Step::Command { shows, .. })) => shows.push((*line).to_owned()),
            (None, Some(Step::Socket { says, .. })) => says.push(match line.split_at_checked(2) {
                Some(("> ", sent)) => Line::Sent(sent.to_owned()),
                Some(("< ", received)) => Line::Received(received.to_owned()),
                _ => panic!("neither sent nor received: {line}"),
            }),
            (None, _) => panic!("no command before: {line}"),
        }
    }
}

/// The text without what differs from run to run, and without spaces.
pub fn masked(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>();
    let each = words.iter().enumerate().map(|(at, word)| {
        let is_time = words.get(at + 1).is_some_and(|next| *next == "ms");
        if is_time || word.starts_with("tg_") { "#".to_owned() } else { without_numbers(word) }
    });
    each.collect()
}

fn without_numbers(word: &str) -> String {
    let mut out = String::new();
    let mut number = String::new();
    for c in word.chars().map(Some).chain([None]) {
        if let Some(c) = c.filter(|c| c.is_ascii_hexdigit() || (*c == '.' && !number.is_empty())) {
            number.push(c);
            continue;
        }
        let digits = number.chars().filter(char::is_ascii_digit).count();
        let fraction = number.contains('.') && number.chars().all(|c| c.is_ascii_digit() || c == '.');
        let differs = digits >= 2 && (number.len() >= 5 || fraction);
        out.push_str(if differs { "#" } else { &number });
        number.clear();
        out.extend(c);
    }
    out
}
