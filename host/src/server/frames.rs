//! Frames as they come in. Public for the fuzz targets, which read from memory.

use std::future::poll_fn;
use std::rc::Rc;

use bytes::Bytes;
use fastwebsockets::{OpCode, Payload, WebSocketError};
use tokio::net::tcp::OwnedReadHalf;

pub use super::readers::{Readable, Readers};
use super::readers::{Reader, Stream};

/// A client's frame, unmasked.
pub struct Incoming {
    pub opcode: OpCode,
    pub fin: bool,
    pub masked: bool,
    pub payload: Bytes,
}

pub struct Frames<R = OwnedReadHalf> {
    readers: Rc<Readers<R>>,
    state: State<R>,
    /// Bytes of the frames so far.
    consumed: u64,
}

enum State<R> {
    /// All that was read has been consumed.
    Idle(Stream<R>),
    /// More was read than that, or is being read.
    Reading(Reader<R>),
    /// Given up between the two.
    Ended,
}

impl<R: Readable> Frames<R> {
    /// `early` was read together with the handshake.
    pub fn new(half: R, early: Bytes, readers: &Rc<Readers<R>>) -> Self {
        Self { readers: readers.clone(), state: State::Idle(Stream::new(half, early)), consumed: 0 }
    }

    /// The next frame. Not to be given up half way: what was read of a frame would be lost.
    pub async fn next(&mut self) -> Result<Incoming, WebSocketError> {
        // The first of what is read now. Those that follow share the reader's buffer with it anyway.
        let mut is_first = false;
        if let State::Idle(stream) = &self.state {
            if stream.early.is_empty() {
                poll_fn(|context| stream.half.poll_readable(context)).await?;
            }
            is_first = true;
            if let State::Idle(stream) = std::mem::replace(&mut self.state, State::Ended) {
                self.state = State::Reading(self.readers.lend(stream));
            }
        }
        let State::Reading(reader) = &mut self.state else { return Err(WebSocketError::ConnectionClosed) };
        let (mut frame, produced) = reader.frame().await?;
        // The mask itself is private: the head that the frame would have tells of it.
        let mut head = [0; 16];
        self.consumed += (frame.fmt_head(&mut head) + frame.payload.len()) as u64;
        let is_all = self.consumed == produced;
        let payload = match frame.payload {
            Payload::Bytes(bytes) if is_first && is_all => self.readers.keep(bytes),
            Payload::Bytes(bytes) => bytes.freeze(),
            other => Bytes::from(Vec::from(other)),
        };
        let (opcode, fin, masked) = (frame.opcode, frame.fin, head[1] & 0x80 != 0);
        if is_all
            && let State::Reading(reader) = std::mem::replace(&mut self.state, State::Ended)
            && let Some(stream) = self.readers.take_back(reader)
        {
            self.state = State::Idle(stream);
        }
        Ok(Incoming { opcode, fin, masked, payload })
    }
}
