//! One publisher's numbered messages: made, sent, and known to be delivered.

use super::frame;
use super::mark::{self, Mark};

/// A frame of one kind of message, made once; only its number changes.
pub struct Template {
    frame: Vec<u8>,
    /// Where the mark stands; none in frames without one.
    mark: Option<usize>,
}

impl Template {
    pub fn new(text: &str) -> Self {
        let mut frame = Vec::new();
        frame::text(text, &mut frame);
        // The text is the frame's end, and the mark is where the text has it.
        let mark = text.find('@').map(|at| frame.len() - text.len() + at);
        Self { frame, mark }
    }

    fn write(&mut self, number: u64, out: &mut Vec<u8>) {
        if let Some(at) = self.mark {
            Mark::renumber(&mut self.frame[at..at + mark::LENGTH], number);
        }
        out.extend_from_slice(&self.frame);
    }
}

/// Messages are numbered from 1; of kinds in turn, as [`super::check::Sees`] has it.
pub struct Stream {
    templates: Vec<Template>,
    /// Subscribers that see a message, by kind.
    audience: Vec<u64>,
    pub sent: u64,
    /// How many are delivered, as far as all subscribers' deliveries together tell.
    pub done: u64,
    seen: u64,
    /// What the first `done` messages have in deliveries.
    due: u64,
    /// When each was sent, or was due to be.
    times: Vec<u64>,
}

impl Stream {
    pub fn new(templates: Vec<Template>, audience: Vec<u64>) -> Self {
        Self { templates, audience, sent: 0, done: 0, seen: 0, due: 0, times: Vec::new() }
    }

    /// Writes the next message.
    pub fn send(&mut self, at: u64, out: &mut Vec<u8>) {
        let kind = self.kind(self.sent + 1);
        self.sent += 1;
        self.times.push(at);
        self.templates[kind].write(self.sent, out);
        self.advance();
    }

    /// A subscriber got a message; when it was sent. None if it was not sent at all.
    pub fn delivered(&mut self, number: u64) -> Option<u64> {
        let at = self.times.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()?;
        self.seen += 1;
        self.advance();
        Some(at)
    }

    fn advance(&mut self) {
        while self.done < self.sent {
            let next = self.due + self.audience[self.kind(self.done + 1)];
            if self.seen < next {
                return;
            }
            (self.done, self.due) = (self.done + 1, next);
        }
    }

    fn kind(&self, number: u64) -> usize {
        ((number - 1) % self.templates.len() as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::super::mark::Finder;
    use super::*;

    fn stream(audience: &[u64]) -> Stream {
        let text = Mark { stream: 3, number: 0 }.text();
        let templates = audience.iter().map(|_| Template::new(&format!("<{text}>"))).collect();
        Stream::new(templates, audience.to_vec())
    }

    #[test]
    fn a_message_is_done_when_its_audience_has_it() {
        let mut stream = stream(&[2]);
        let mut out = Vec::new();
        (1..=3).for_each(|at| stream.send(at * 10, &mut out));
        assert_eq!(Finder::default().find(&out), Some(Mark { stream: 3, number: 1 }));
        assert_eq!(stream.delivered(1), Some(10));
        assert_eq!((stream.done, stream.delivered(1), stream.done), (0, Some(10), 1));
        assert_eq!((stream.delivered(4), stream.delivered(0)), (None, None), "never sent");
        assert!([2, 2, 3, 3].iter().all(|number| stream.delivered(*number).is_some()));
        assert_eq!(stream.done, 3);
    }

    #[test]
    fn a_message_for_nobody_is_done_at_once() {
        let mut stream = stream(&[1, 0]);
        (1..=3).for_each(|at| stream.send(at, &mut Vec::new()));
        stream.delivered(1);
        assert_eq!(stream.done, 2);
        stream.delivered(3);
        assert_eq!(stream.done, 3);
    }
}
