//! A connection's TCP stream while hyper reads requests from it: lent, so that a handler whose
//! answer is no HTTP body of hyper's can take it over.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// hyper's side. Once the stream is taken it has ended, and nothing more can be written to it.
pub struct Lent(Owner);

/// The way to take the stream. Cheap to clone.
#[derive(Clone)]
pub struct Owner(Arc<Mutex<Option<TokioIo<TcpStream>>>>);

/// Lends a stream.
pub fn lend(stream: TcpStream) -> (Lent, Owner) {
    let owner = Owner(Arc::new(Mutex::new(Some(TokioIo::new(stream)))));
    (Lent(owner.clone()), owner)
}

impl Owner {
    /// The stream, from the first who asks. What hyper has read beyond its request is lost.
    pub fn take(&self) -> Option<TcpStream> {
        self.lock().take().map(TokioIo::into_inner)
    }

    pub fn is_taken(&self) -> bool {
        self.lock().is_none()
    }

    fn lock(&self) -> MutexGuard<'_, Option<TokioIo<TcpStream>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lent {
    /// As [`Owner::take`]: what was upgraded has what hyper has read.
    pub fn take(&self) -> Option<TcpStream> {
        self.0.take()
    }

    fn with<T>(
        &self,
        taken: io::Result<T>,
        call: impl FnOnce(Pin<&mut TokioIo<TcpStream>>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match self.0.lock().as_mut() {
            Some(stream) => call(Pin::new(stream)),
            None => Poll::Ready(taken),
        }
    }
}

impl Read for Lent {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(Ok(()), |stream| stream.poll_read(context, buffer))
    }
}

impl Write for Lent {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.with(Err(io::ErrorKind::BrokenPipe.into()), |stream| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.with(Err(io::ErrorKind::BrokenPipe.into()), |stream| stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(Ok(()), |stream| stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(Ok(()), |stream| stream.poll_shutdown(context))
    }
}
