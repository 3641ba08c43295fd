//! The load: one thread, raw frames, nothing allocated a message. Every subscriber checks
//! that it gets each message once and in order.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::sync::Notify;

const READ_BUFFER: usize = 256 << 10;
/// Where a message's number stands: behind this, ten digits.
const MARK: &[u8] = b"\"n\":\"";
/// The same within a string.
const ESCAPED: &[u8] = b"\\\"n\\\":\\\"";
const DIGITS: usize = 10;

/// What the subscribers speak.
#[derive(Clone, Copy, PartialEq)]
pub enum Speaking {
    Native,
    /// They join as well, and hear who comes and goes.
    Present,
    Pusher,
}

pub struct Load {
    publisher: TcpStream,
    shared: Rc<Shared>,
    sent: u64,
}

struct Shared {
    subscribers: u64,
    mark: &'static [u8],
    delivered: Cell<u64>,
    progress: Notify,
    scratch: RefCell<Vec<u8>>,
}

pub async fn connect(port: u16, subscribers: usize, speaking: Speaking) -> Load {
    let shared = Rc::new(Shared {
        subscribers: subscribers as u64,
        mark: if speaking == Speaking::Pusher { ESCAPED } else { MARK },
        delivered: Cell::new(0),
        progress: Notify::new(),
        scratch: RefCell::new(vec![0; READ_BUFFER]),
    });
    for _ in 0..subscribers {
        let path = if speaking == Speaking::Pusher { "/app/bench?protocol=7" } else { "/ws" };
        let mut stream = open(port, path).await;
        let mut answer = [0; 256];
        if speaking == Speaking::Pusher {
            // The greeting: whole, because it is small, as all answers here are.
            assert!(stream.read(&mut answer).await.expect("a greeting") > 0);
        }
        if speaking == Speaking::Present {
            stream.write_all(&frame(br#"{"type":"join","channel":"bench"}"#)).await.expect("a join");
            assert!(stream.read(&mut answer).await.expect("an answer") > 0);
        }
        let subscribe: &[u8] = match speaking {
            Speaking::Pusher => br#"{"event":"pusher:subscribe","data":{"channel":"bench"}}"#,
            _ => br#"{"type":"subscribe","channel":"bench"}"#,
        };
        stream.write_all(&frame(subscribe)).await.expect("a subscription");
        assert!(stream.read(&mut answer).await.expect("an answer") > 0);
        tokio::task::spawn_local(subscriber(stream, shared.clone()));
    }
    let publisher = open(port, "/ws").await;
    Load { publisher, shared, sent: 0 }
}

impl Load {
    /// Publishes so many messages with a window in flight; returns when all are delivered.
    pub async fn run(&mut self, messages: usize, window: usize) {
        let end = self.sent + messages as u64;
        let mut batch = Vec::new();
        while self.shared.delivered.get() < end * self.shared.subscribers {
            let done = self.shared.delivered.get() / self.shared.subscribers;
            batch.clear();
            while self.sent < end && self.sent < done + window as u64 {
                self.sent += 1;
                let padding = "x".repeat(81);
                let text = format!(
                    r#"{{"type":"publish","channel":"bench","data":{{"n":"{:010}","p":"{padding}"}}}}"#,
                    self.sent
                );
                batch.extend_from_slice(&frame(text.as_bytes()));
            }
            if !batch.is_empty() {
                self.publisher.write_all(&batch).await.expect("a publish");
            }
            self.shared.progress.notified().await;
        }
    }
}

async fn subscriber(stream: TcpStream, shared: Rc<Shared>) {
    let mut last = 0;
    let mut kept: Vec<u8> = Vec::new();
    loop {
        if stream.ready(Interest::READABLE).await.is_err() {
            return;
        }
        let mut scratch = shared.scratch.borrow_mut();
        let held = kept.len();
        scratch[..held].copy_from_slice(&kept);
        let read = match stream.try_read(&mut scratch[held..]) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => return,
        };
        let bytes = &scratch[..held + read];
        let (used, frames) = count(bytes, shared.mark, &mut last);
        kept.clear();
        kept.extend_from_slice(&bytes[used..]);
        let before = shared.delivered.get();
        shared.delivered.set(before + frames);
        if before / shared.subscribers != (before + frames) / shared.subscribers {
            shared.progress.notify_one();
        }
    }
}

/// How many bytes are whole frames, and how many of those are messages.
fn count(bytes: &[u8], mark: &[u8], last: &mut u64) -> (usize, u64) {
    let (mut at, mut frames) = (0, 0);
    while let Some(head) = bytes.get(at..at + 2) {
        let (size, length) = match head[1] {
            126 => match bytes.get(at + 2..at + 4) {
                Some(length) => (4, u16::from_be_bytes([length[0], length[1]]) as usize),
                None => break,
            },
            short => (2, usize::from(short)),
        };
        let Some(payload) = bytes.get(at + size..at + size + length) else { break };
        if head[0] == 0x81 {
            let number = number(payload, mark);
            assert_eq!(number, *last + 1, "each message once, in order");
            *last = number;
            frames += 1;
        }
        at += size + length;
    }
    (at, frames)
}

fn number(payload: &[u8], mark: &[u8]) -> u64 {
    let start = payload.windows(mark.len()).position(|w| w == mark).expect("a number") + mark.len();
    payload[start..start + DIGITS].iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0'))
}

async fn open(port: u16, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the server");
    stream.set_nodelay(true).expect("no delay");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("a handshake");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("an answer"));
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    stream
}

/// A masked text frame; a mask of zeros leaves the bytes as they are.
fn frame(text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match text.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text);
    frame
}
