//! A run on its way past the empty outboxes of subscribers who get nothing else now.

use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

use bytes::Bytes;

use super::Due;
use crate::hub::connection::Connection;
use crate::hub::outbox::{Past, Terms};
use crate::hub::sends::Sends;

pub(super) struct Passing<'a> {
    bytes: &'a Bytes,
    terms: Terms<'a>,
    /// Those who get it by one call. None: each by its own.
    gathered: Option<Vec<(&'a Rc<Connection>, BorrowedFd<'a>)>>,
}

impl<'a> Passing<'a> {
    /// To so many at most.
    pub fn new(bytes: &'a Bytes, terms: Terms<'a>, most: usize, sends: &Sends) -> Self {
        let gathered = sends.gathers(most).then(|| Vec::with_capacity(most));
        Self { bytes, terms, gathered }
    }

    /// To one who has nothing else to write.
    #[inline]
    pub fn add(&mut self, connection: &'a Rc<Connection>, due: &mut Due) {
        if let Some(gathered) = &mut self.gathered
            && let Some(descriptor) = connection.socket.descriptor()
        {
            return gathered.push((connection, descriptor));
        }
        self.sent(connection, connection.socket.try_write(self.bytes), due);
    }

    /// Before anything else is written to any of them.
    pub fn send(self, sends: &mut Sends, due: &mut Due) {
        let Some(gathered) = &self.gathered else { return };
        sends.send(self.bytes, gathered, |connection, sent| self.sent(connection, sent, due));
    }

    #[inline]
    fn sent(&self, connection: &Rc<Connection>, sent: io::Result<usize>, due: &mut Due) {
        let past = connection.outbox.borrow_mut().sent_past(self.bytes, sent, self.terms);
        match past {
            Past::Done => {}
            Past::Rest => due.note(connection, Ok(())),
            Past::Not => due.note(connection, connection.push_run(self.bytes.clone(), self.terms)),
        }
    }
}
