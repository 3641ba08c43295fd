//! What a shard reads frames with, lent to whichever connection has bytes: a connection that is idle has
//! none of it, and one that has a message now and then reads it into memory that is still in the
//! processor's cache.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use fastwebsockets::{Frame, Role, WebSocketError, WebSocketRead};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;

/// Readers that wait for a connection, each with its buffer of 8 KiB.
const IDLE: usize = 64;
/// Messages up to this length are copied where they came alone: else each would keep a buffer of 8 KiB.
const SMALL: usize = 1024;
/// Small messages that share their memory: it is there as long as one of them is.
const CHUNK: usize = 8192;

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

/// A connection's bytes.
pub struct Stream<R> {
    pub half: R,
    /// What was read together with the handshake.
    pub early: Bytes,
    /// Bytes handed out so far.
    produced: u64,
}

impl<R> Stream<R> {
    pub fn new(half: R, early: Bytes) -> Self {
        Self { half, early: without_memory_if_empty(early), produced: 0 }
    }
}

/// Nothing of a buffer is still its whole memory.
fn without_memory_if_empty(bytes: Bytes) -> Bytes {
    if bytes.is_empty() { Bytes::new() } else { bytes }
}

/// Where a reader has its stream: what it was made of it does not give back.
struct Seat<R>(Rc<RefCell<Option<Stream<R>>>>);

/// A reader, and the stream that it reads.
pub struct Reader<R> {
    websocket: WebSocketRead<Seat<R>>,
    seat: Seat<R>,
}

impl<R: Readable> Reader<R> {
    fn new(limit: usize) -> Self {
        let seat = Seat(Rc::default());
        let (mut websocket, _) =
            fastwebsockets::after_handshake_split(Seat(seat.0.clone()), tokio::io::sink(), Role::Server);
        websocket.set_auto_close(false);
        websocket.set_auto_pong(false);
        websocket.set_max_message_size(limit.saturating_add(1));
        Self { websocket, seat }
    }

    /// The next frame of its stream, and how many bytes of that have been read by then.
    ///
    /// # Errors
    /// After any the reader is of no use to others.
    pub async fn frame(&mut self) -> Result<(Frame<'_>, u64), WebSocketError> {
        // Control frames are answered by the caller: the reader itself has nothing to send.
        let mut send = |_: Frame<'_>| std::future::ready(Ok::<(), Infallible>(()));
        let frame = self.websocket.read_frame(&mut send).await?;
        Ok((frame, self.seat.0.borrow().as_ref().map_or(0, |stream| stream.produced)))
    }
}

/// A shard's.
pub struct Readers<R = OwnedReadHalf> {
    idle: RefCell<Vec<Reader<R>>>,
    small: RefCell<BytesMut>,
    /// Bytes that a frame may have.
    limit: usize,
}

impl<R: Readable> Readers<R> {
    pub fn new(limit: usize) -> Rc<Self> {
        Rc::new(Self { idle: RefCell::default(), small: RefCell::default(), limit })
    }

    pub fn lend(&self, stream: Stream<R>) -> Reader<R> {
        let reader = self.idle.borrow_mut().pop().unwrap_or_else(|| Reader::new(self.limit));
        *reader.seat.0.borrow_mut() = Some(stream);
        reader
    }

    /// To be given back when all that was read has been consumed.
    pub fn take_back(&self, reader: Reader<R>) -> Option<Stream<R>> {
        let stream = reader.seat.0.borrow_mut().take();
        let mut idle = self.idle.borrow_mut();
        if idle.len() < IDLE {
            idle.push(reader);
        }
        stream
    }

    /// A payload for itself: small ones move together, so that the reader's buffer is free again.
    pub fn keep(&self, payload: BytesMut) -> Bytes {
        if payload.len() > SMALL {
            return payload.freeze();
        }
        let mut small = self.small.borrow_mut();
        if small.capacity() < payload.len() {
            small.reserve(CHUNK);
        }
        small.extend_from_slice(&payload);
        small.split().freeze()
    }
}

impl<R: Readable> AsyncRead for Seat<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut seat = self.0.borrow_mut();
        // Without a stream there is nothing more to come.
        let Some(stream) = seat.as_mut() else { return Poll::Ready(Ok(())) };
        let before = buffer.filled().len();
        if stream.early.is_empty() {
            ready!(Pin::new(&mut stream.half).poll_read(context, buffer))?;
        } else {
            let length = stream.early.len().min(buffer.remaining());
            buffer.put_slice(&stream.early[..length]);
            let rest = stream.early.split_off(length);
            stream.early = without_memory_if_empty(rest);
        }
        stream.produced += (buffer.filled().len() - before) as u64;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that a client has sent.
    type Memory = io::Cursor<Vec<u8>>;

    impl Readable for Memory {
        fn poll_readable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn stream(frames: &[&[u8]]) -> Stream<Memory> {
        let mut sent = Vec::new();
        for payload in frames {
            sent.extend_from_slice(&[0x82, 0x80 | payload.len() as u8, 0, 0, 0, 0]);
            sent.extend_from_slice(payload);
        }
        Stream::new(Memory::new(sent), Bytes::new())
    }

    #[tokio::test]
    async fn a_reader_goes_from_one_connection_to_the_next() {
        let readers = Readers::new(100);
        for payload in [b"one", b"two"] {
            let mut reader = readers.lend(stream(&[payload]));
            let (frame, produced) = reader.frame().await.unwrap();
            assert_eq!((&*frame.payload, produced), (&payload[..], 9));
            let stream = readers.take_back(reader).unwrap();
            assert_eq!(stream.half.position(), 9, "it comes back as it was read");
            assert_eq!(readers.idle.borrow().len(), 1);
        }
    }

    #[tokio::test]
    async fn no_more_wait_than_may() {
        let readers = Readers::new(100);
        let lent: Vec<_> = (0..2 * IDLE).map(|_| readers.lend(stream(&[]))).collect();
        lent.into_iter().for_each(|reader| drop(readers.take_back(reader)));
        assert_eq!(readers.idle.borrow().len(), IDLE);
    }

    #[test]
    fn small_messages_share_memory_and_keep_what_they_say() {
        let readers = Readers::<Memory>::new(100);
        let said = |n: usize| vec![n as u8; n % SMALL];
        let kept: Vec<_> = (0..5000).map(|n| readers.keep(BytesMut::from(&said(n)[..]))).collect();
        for (n, kept) in kept.iter().enumerate() {
            assert_eq!(*kept, said(n), "{n}");
        }
        let next_to = |pair: &[Bytes]| pair[0].as_ptr_range().end == pair[1].as_ptr();
        let together = kept.windows(2).filter(|pair| next_to(pair)).count();
        assert!(together > kept.len() * 9 / 10, "{together} next to the one before");
        let large = BytesMut::from(&vec![7; SMALL + 1][..]);
        let at = large.as_ptr();
        assert_eq!(readers.keep(large).as_ptr(), at, "not copied");
    }
}
