//! WASI's standard output and error of a plugin: lines of its log.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use super::log::{LINES_A_SECOND, write};
use crate::plugin::bindings::log::Level;
use crate::plugin::log_budget::LogBudget;
use crate::plugin::meter::UnderWay;
use crate::plugin::store::Owner;

/// A line without an end is written when it is this long.
const LINE_BYTES: usize = 1024;

#[derive(Clone)]
pub struct LineLog(Arc<Mutex<Lines>>);

struct Lines {
    owner: Owner,
    budget: LogBudget,
    line: Vec<u8>,
}

impl LineLog {
    pub fn new(owner: Owner) -> Self {
        Self(Arc::new(Mutex::new(Lines { owner, budget: LogBudget::new(LINES_A_SECOND), line: Vec::new() })))
    }
}

impl Lines {
    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
            }
            if *byte == b'\n' || self.line.len() >= LINE_BYTES {
                let text = String::from_utf8_lossy(&self.line).into_owned();
                self.line.clear();
                write(&self.owner, &UnderWay::default(), &mut self.budget, Level::Info, text);
            }
        }
    }
}

impl IsTerminal for LineLog {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LineLog {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for LineLog {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
