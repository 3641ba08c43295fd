//! A client's frames to messages: fragments put together, what breaks RFC 6455 refused. Nothing
//! is read or written here; public for the fuzz targets, which bring frames of their own.

use bytes::{Bytes, BytesMut};
use fastwebsockets::{CloseCode, OpCode, WebSocketError};

use super::frames::Incoming;
use crate::dialect::frame::MAX_CONTROL;

/// `too_large` is an answer up to this many times the limit; beyond it the frame is not read.
pub const ANSWERED_TIMES: usize = 16;

#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// UTF-8.
    Text(Bytes),
    Binary(Bytes),
    /// Its bytes.
    TooLarge(usize),
}

/// What a frame brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    Message(Message),
    /// To be answered with a pong of the same payload.
    Ping(Bytes),
    Nothing,
}

/// A close code of the server's, and its reason.
#[derive(Debug)]
pub struct Close {
    pub code: u16,
    pub reason: &'static str,
}

/// A message of which not all fragments have come.
struct Partial {
    text: bool,
    bytes: BytesMut,
    /// May be more than `bytes`, which stop growing at the message limit.
    length: usize,
    fragments: usize,
}

pub struct Assembly {
    partial: Option<Partial>,
    limit: usize,
    fragments: usize,
}

/// What was read, as a frame that a client may send. None: the stream has ended.
pub fn checked(read: Result<Incoming, WebSocketError>) -> Result<Option<Incoming>, Close> {
    match read {
        Ok(frame) if !frame.masked => Err(Close { code: 1002, reason: "A client's frames are masked." }),
        Ok(frame) => Ok(Some(frame)),
        Err(error) => close_for(&error).map_or(Ok(None), Err),
    }
}

impl Assembly {
    /// A message may have `limit` bytes and so many fragments.
    pub fn new(limit: usize, fragments: usize) -> Self {
        Self { partial: None, limit, fragments }
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    pub fn take(&mut self, frame: Incoming) -> Result<Taken, Close> {
        let Incoming { opcode, fin, payload, .. } = frame;
        match opcode {
            OpCode::Ping | OpCode::Pong | OpCode::Close if payload.len() > MAX_CONTROL => {
                Err(Close { code: 1002, reason: "A control frame has at most 125 bytes." })
            }
            OpCode::Ping => Ok(Taken::Ping(payload)),
            OpCode::Pong => Ok(Taken::Nothing),
            OpCode::Close => Err(answer_to_close(&payload)),
            OpCode::Text | OpCode::Binary if self.partial.is_some() => {
                Err(Close { code: 1002, reason: "A message begins before the last has ended." })
            }
            OpCode::Text | OpCode::Binary if fin => Ok(Taken::Message(match opcode {
                _ if payload.len() > self.limit => Message::TooLarge(payload.len()),
                OpCode::Text => Message::Text(payload),
                _ => Message::Binary(payload),
            })),
            OpCode::Text | OpCode::Binary => {
                let text = opcode == OpCode::Text;
                self.partial = Some(Partial { text, bytes: BytesMut::new(), length: 0, fragments: 0 });
                self.gather(&payload)?;
                Ok(Taken::Nothing)
            }
            OpCode::Continuation if self.partial.is_none() => {
                Err(Close { code: 1002, reason: "A continuation of nothing." })
            }
            OpCode::Continuation => {
                self.gather(&payload)?;
                if fin { self.finish().map(Taken::Message) } else { Ok(Taken::Nothing) }
            }
        }
    }

    fn gather(&mut self, payload: &[u8]) -> Result<(), Close> {
        let Some(partial) = &mut self.partial else { return Ok(()) };
        partial.fragments += 1;
        partial.length += payload.len();
        if partial.fragments > self.fragments {
            return Err(Close { code: 1009, reason: "The message has too many fragments." });
        }
        if partial.length > self.limit.saturating_mul(ANSWERED_TIMES) {
            return Err(Close { code: 1009, reason: "The message is too large." });
        }
        // Past the limit it will be refused: there is no use in keeping more of it.
        if partial.length <= self.limit {
            partial.bytes.extend_from_slice(payload);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Message, Close> {
        let Some(partial) = self.partial.take() else { return Ok(Message::TooLarge(0)) };
        if partial.length > self.limit {
            return Ok(Message::TooLarge(partial.length));
        }
        let bytes = partial.bytes.freeze();
        if !partial.text {
            return Ok(Message::Binary(bytes));
        }
        if std::str::from_utf8(&bytes).is_err() {
            return Err(Close { code: 1007, reason: "A text message is not UTF-8." });
        }
        Ok(Message::Text(bytes))
    }
}

/// None: the stream has ended, nobody is there to hear a reason.
fn close_for(error: &WebSocketError) -> Option<Close> {
    match error {
        WebSocketError::UnexpectedEOF | WebSocketError::IoError(_) | WebSocketError::ConnectionClosed => None,
        WebSocketError::InvalidUTF8 => Some(Close { code: 1007, reason: "A text message is not UTF-8." }),
        WebSocketError::FrameTooLarge => Some(Close { code: 1009, reason: "The message is too large." }),
        _ => Some(Close { code: 1002, reason: "The frame breaks RFC 6455." }),
    }
}

/// A client's close is answered with its own code (RFC 6455, section 5.5.1), if it may use that.
fn answer_to_close(payload: &[u8]) -> Close {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        let code = if payload.is_empty() { 1000 } else { 1002 };
        return Close { code, reason: "" };
    };
    let code = u16::from_be_bytes(*code);
    if std::str::from_utf8(reason).is_err() {
        return Close { code: 1007, reason: "A close reason is not UTF-8." };
    }
    if !CloseCode::from(code).is_allowed() {
        return Close { code: 1002, reason: "This close code is not for clients." };
    }
    Close { code, reason: "" }
}
