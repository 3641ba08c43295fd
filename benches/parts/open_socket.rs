//! A client's socket that takes all that it is given, and counts it.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll};

use tidegate::hub::socket::Socket;

/// Adds up bytes and writes; clones count together.
#[derive(Clone, Default)]
pub struct OpenSocket(Rc<Cell<(usize, usize)>>);

impl OpenSocket {
    #[allow(dead_code, reason = "not everybody looks")]
    pub fn bytes(&self) -> usize {
        self.0.get().0
    }

    #[allow(dead_code, reason = "not everybody looks")]
    pub fn writes(&self) -> usize {
        self.0.get().1
    }

    fn took(&self, length: usize) -> usize {
        let (bytes, writes) = self.0.get();
        self.0.set((bytes + length, writes + 1));
        length
    }
}

impl Socket for OpenSocket {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.took(bytes.len()))
    }

    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(self.took(slices.iter().map(|slice| slice.len()).sum()))
    }

    fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn finish(&self) {}

    fn shutdown(&self) {}
}
