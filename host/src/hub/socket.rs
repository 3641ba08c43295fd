//! The little that the hub needs of a client's socket.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll};

/// A non-blocking stream that is written from its shard's turn.
pub trait Socket {
    /// Writes what fits; `WouldBlock` when nothing does.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Where bytes may be sent without [`Socket::try_write`], by somebody who writes to many.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Ready when a write may succeed again.
    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Who is at the other end; none where that cannot be told.
    fn peer(&self) -> Option<SocketAddr> {
        None
    }

    /// Nothing more will be written: the client sees the end after what it was sent.
    fn finish(&self);

    /// Ends both directions at once: the connection's reader sees the end of its stream.
    fn shutdown(&self);
}
