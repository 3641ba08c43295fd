//! A client's bytes, in whatever pieces they come, to messages: by the server's reader and
//! assembly, and by a second reading of RFC 6455 that takes its time.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tidegate::server::assembly::{self, ANSWERED_TIMES, Assembly, Message, Taken};
use tidegate::server::frames::{Frames, Readable, Readers};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::runtime::{Builder, Runtime};

use super::input::Input;

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().build().unwrap();
}

pub fn frames(data: &[u8]) {
    let mut input = Input::new(data);
    let limit = usize::from(input.byte()).max(1);
    let fragments = usize::from(input.byte()).max(1);
    let (early, pace) = (input.byte(), input.byte());
    let stream = input.rest();
    let readers = Readers::new(limit * ANSWERED_TIMES);
    let sent = Sent { readers: &readers, stream, early: early.into(), pace };
    let read = RUNTIME.with(|runtime| runtime.block_on(sent.read(limit, fragments)));
    // By a reader that has read for another client before, whose messages are still there.
    let again = RUNTIME.with(|runtime| runtime.block_on(sent.read(limit, fragments)));
    assert_eq!((&again.taken, again.close), (&read.taken, read.close));
    let expected = Reader { stream, limit, fragments, partial: None }.read();
    assert_eq!(read.taken, expected.taken);
    let is_right = match read.close {
        Some(code) => expected.closes.contains(&code),
        None => expected.ends,
    };
    assert!(is_right, "{:?} instead of {:?}, ended: {}", read.close, expected.closes, expected.ends);
}

struct Read {
    taken: Vec<Taken>,
    /// None: the stream has ended.
    close: Option<u16>,
}

/// What is read, and how it comes.
struct Sent<'a> {
    readers: &'a Rc<Readers<Pieces>>,
    stream: &'a [u8],
    early: usize,
    pace: u8,
}

impl Sent<'_> {
    /// The server's way.
    async fn read(&self, limit: usize, fragments: usize) -> Read {
        let mut rest = Bytes::copy_from_slice(self.stream);
        let early = rest.split_to(self.early.min(rest.len()));
        let pieces = Pieces { rest, pace: RefCell::new(Pace(self.pace)) };
        let mut frames = Frames::new(pieces, early, self.readers);
        let mut assembly = Assembly::new(limit, fragments);
        let mut taken = Vec::new();
        loop {
            let frame = match assembly::checked(frames.next().await) {
                Ok(Some(frame)) => frame,
                Ok(None) => return Read { taken, close: None },
                Err(close) => return Read { taken, close: Some(close.code) },
            };
            match assembly.take(frame) {
                Ok(Taken::Nothing) => {}
                Ok(some) => taken.push(some),
                Err(close) => return Read { taken, close: Some(close.code) },
            }
        }
    }
}

/// A stream of which a few bytes come at a time, and sometimes none.
struct Pieces {
    rest: Bytes,
    pace: RefCell<Pace>,
}

impl Pieces {
    /// How many bytes may be read now; 0 for a pause.
    fn piece(&self, context: &mut Context<'_>) -> usize {
        let length = self.pace.borrow_mut().step();
        if length == 0 {
            context.waker().wake_by_ref();
        }
        length
    }
}

impl Readable for Pieces {
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.piece(context) == 0 { Poll::Pending } else { Poll::Ready(Ok(())) }
    }
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let length = self.piece(context).min(self.rest.len()).min(buffer.remaining());
        if length == 0 && !self.rest.is_empty() {
            return Poll::Pending;
        }
        buffer.put_slice(&self.rest[..length]);
        self.rest.advance(length);
        Poll::Ready(Ok(()))
    }
}

/// 0: everything at once.
struct Pace(u8);

impl Pace {
    fn step(&mut self) -> usize {
        if self.0 == 0 {
            return usize::MAX;
        }
        // A walk through all odd numbers, so that it never stays at a pause.
        self.0 = self.0.wrapping_mul(5).wrapping_add(14) | 1;
        usize::from(self.0 >> 5)
    }
}

/// RFC 6455, section 5, word by word.
struct Reader<'a> {
    stream: &'a [u8],
    limit: usize,
    fragments: usize,
    partial: Option<Partial>,
}

struct Partial {
    text: bool,
    bytes: Vec<u8>,
    fragments: usize,
}

/// What may come of a stream: of the rules that its last frame breaks any may be named.
struct Expected {
    taken: Vec<Taken>,
    closes: Vec<u16>,
    /// The stream may also have ended first.
    ends: bool,
}

struct Head {
    fin: bool,
    opcode: u8,
    mask: [u8; 4],
    length: usize,
    size: usize,
}

impl Reader<'_> {
    fn read(mut self) -> Expected {
        let mut taken = Vec::new();
        loop {
            let (head, mut closes) = self.head();
            let Some(head) = head else { return Expected { taken, closes, ends: true } };
            let Some(payload) = self.stream.get(head.size..).and_then(|rest| rest.get(..head.length)) else {
                return Expected { taken, closes, ends: true };
            };
            let unmasked: Vec<u8> =
                payload.iter().zip(head.mask.iter().cycle()).map(|(b, m)| b ^ m).collect();
            self.stream = &self.stream[head.size + head.length..];
            match self.take(&head, unmasked) {
                Ok(some) if closes.is_empty() => taken.extend(some),
                Ok(_) => return Expected { taken, closes, ends: false },
                Err(close) => {
                    closes.extend(close);
                    return Expected { taken, closes, ends: false };
                }
            }
        }
    }

    /// None: it is cut off. The codes are of the rules that it breaks by itself.
    fn head(&self) -> (Option<Head>, Vec<u16>) {
        let [first, second, rest @ ..] = self.stream else { return (None, Vec::new()) };
        let (fin, opcode, masked) = (first & 0x80 != 0, first & 0x0F, second & 0x80 != 0);
        let is_control = opcode & 0x8 != 0;
        let mut closes = Vec::new();
        let is_reserved = first & 0x70 != 0 || !matches!(opcode, 0..=2 | 8..=10);
        if is_reserved || !masked || is_control && !fin {
            closes.push(1002);
        }
        let (extra, length) = match second & 0x7F {
            126 => (2, rest.first_chunk().map(|length| u64::from(u16::from_be_bytes(*length)))),
            127 => (8, rest.first_chunk().map(|length| u64::from_be_bytes(*length))),
            short => (0, Some(short.into())),
        };
        let mask =
            if masked { rest.get(extra..).and_then(<[u8]>::first_chunk).copied() } else { Some([0; 4]) };
        let (Some(length), Some(mask)) = (length, mask) else { return (None, closes) };
        if is_control && length > 125 {
            closes.push(1002);
        }
        if length > (self.limit * ANSWERED_TIMES) as u64 {
            closes.push(1009);
        }
        let size = 2 + extra + if masked { 4 } else { 0 };
        (Some(Head { fin, opcode, mask, length: length as usize, size }), closes)
    }

    fn take(&mut self, head: &Head, payload: Vec<u8>) -> Result<Option<Taken>, Vec<u16>> {
        let is_bad_text = head.opcode == 1 && head.fin && std::str::from_utf8(&payload).is_err();
        let bad_text = is_bad_text.then_some(1007);
        match head.opcode {
            8 => Err(vec![answer_to_close(&payload)]),
            9 => Ok(Some(Taken::Ping(payload.into()))),
            10 => Ok(None),
            1 | 2 if self.partial.is_some() => Err(bad_text.into_iter().chain([1002]).collect()),
            0 if self.partial.is_none() => Err(vec![1002]),
            0..=2 => {
                let text = head.opcode == 1;
                let new = || Partial { text, bytes: Vec::new(), fragments: 0 };
                let mut partial = self.partial.take().unwrap_or_else(new);
                partial.bytes.extend(payload);
                partial.fragments += 1;
                let is_fragment = head.opcode == 0 || !head.fin;
                if is_fragment && partial.fragments > self.fragments
                    || partial.bytes.len() > self.limit * ANSWERED_TIMES
                {
                    return Err(vec![1009]);
                }
                if !head.fin {
                    self.partial = Some(partial);
                    return Ok(None);
                }
                match bad_text {
                    Some(close) => Err(vec![close]),
                    None => message(partial, self.limit).map(|message| Some(Taken::Message(message))),
                }
            }
            // The head says so already.
            _ => Ok(None),
        }
    }
}

fn message(partial: Partial, limit: usize) -> Result<Message, Vec<u16>> {
    let Partial { text, bytes, .. } = partial;
    if bytes.len() > limit {
        return Ok(Message::TooLarge(bytes.len()));
    }
    match (text, std::str::from_utf8(&bytes).is_ok()) {
        (true, false) => Err(vec![1007]),
        (true, true) => Ok(Message::Text(bytes.into())),
        (false, _) => Ok(Message::Binary(bytes.into())),
    }
}

/// Section 7.4: the codes that may be sent.
fn answer_to_close(payload: &[u8]) -> u16 {
    match payload {
        [] => 1000,
        [_] => 1002,
        [high, low, reason @ ..] => match u16::from_be_bytes([*high, *low]) {
            _ if std::str::from_utf8(reason).is_err() => 1007,
            code @ (1000..=1003 | 1007..=1013 | 3000..=4999) => code,
            _ => 1002,
        },
    }
}
