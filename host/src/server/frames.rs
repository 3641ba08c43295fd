//! Frames as they come in. The reader and its buffer of 8 KiB are there only while bytes
//! are: an idle connection has none. Public for the fuzz targets, which read from memory.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use fastwebsockets::{Frame, OpCode, Payload, Role, WebSocketError, WebSocketRead};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;

/// A client's frame, unmasked.
pub struct Incoming {
    pub opcode: OpCode,
    pub fin: bool,
    pub masked: bool,
    pub payload: Bytes,
}

/// What frames are read from.
pub trait Readable: AsyncRead + Unpin {
    /// Ready where a read need not wait; takes nothing.
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
}

impl Readable for OwnedReadHalf {
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.as_ref().poll_read_ready(context)
    }
}

pub struct Frames<R = OwnedReadHalf> {
    source: Source<R>,
    reader: Option<WebSocketRead<Source<R>>>,
    /// Bytes of the frames so far.
    consumed: u64,
    limit: usize,
}

impl<R: Readable> Frames<R> {
    /// `early` was read together with the handshake; a frame may have `limit` bytes.
    pub fn new(half: R, early: Bytes, limit: usize) -> Self {
        // Nothing of a buffer is still its whole memory.
        let early = if early.is_empty() { Bytes::new() } else { early };
        let source = Source(Rc::new(RefCell::new(Stream { half, early, produced: 0 })));
        Self { source, reader: None, consumed: 0, limit }
    }

    /// The next frame. Not to be given up half way: what was read of a frame would be lost.
    pub async fn next(&mut self) -> Result<Incoming, WebSocketError> {
        // All that was read has been consumed: the buffer is empty.
        if self.consumed == self.source.produced() && !self.source.is_ready() {
            self.reader = None;
            self.source.ready().await?;
        }
        let reader = self.reader.get_or_insert_with(|| reader(self.source.clone(), self.limit));
        // Control frames are answered by the caller: the reader itself has nothing to send.
        let mut send = |_: Frame<'_>| std::future::ready(Ok::<(), Infallible>(()));
        let mut frame = reader.read_frame(&mut send).await?;
        // The mask itself is private: the head that the frame would have tells of it.
        let mut head = [0; 16];
        self.consumed += (frame.fmt_head(&mut head) + frame.payload.len()) as u64;
        let payload = match frame.payload {
            Payload::Bytes(bytes) => bytes.freeze(),
            other => Bytes::from(Vec::from(other)),
        };
        Ok(Incoming { opcode: frame.opcode, fin: frame.fin, masked: head[1] & 0x80 != 0, payload })
    }
}

fn reader<R: Readable>(source: Source<R>, limit: usize) -> WebSocketRead<Source<R>> {
    let (mut reader, _) = fastwebsockets::after_handshake_split(source, tokio::io::sink(), Role::Server);
    reader.set_auto_close(false);
    reader.set_auto_pong(false);
    reader.set_max_message_size(limit.saturating_add(1));
    reader
}

/// The stream, shared by the reader of the moment and by who waits for the next.
struct Source<R>(Rc<RefCell<Stream<R>>>);

impl<R> Clone for Source<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Stream<R> {
    half: R,
    early: Bytes,
    /// Bytes handed out so far.
    produced: u64,
}

impl<R: Readable> Source<R> {
    fn produced(&self) -> u64 {
        self.0.borrow().produced
    }

    fn is_ready(&self) -> bool {
        !self.0.borrow().early.is_empty()
    }

    async fn ready(&self) -> io::Result<()> {
        poll_fn(|context| self.0.borrow().half.poll_readable(context)).await
    }
}

impl<R: Readable> AsyncRead for Source<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut stream = self.0.borrow_mut();
        let before = buffer.filled().len();
        if stream.early.is_empty() {
            ready!(Pin::new(&mut stream.half).poll_read(context, buffer))?;
        } else {
            let length = stream.early.len().min(buffer.remaining());
            buffer.put_slice(&stream.early[..length]);
            stream.early.advance(length);
            if stream.early.is_empty() {
                stream.early = Bytes::new();
            }
        }
        stream.produced += (buffer.filled().len() - before) as u64;
        Poll::Ready(Ok(()))
    }
}
