//! What tests of a shard give it: settings, a dialect of bare payloads, and sockets that take everything.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::{Admission, Settings, Shard};
use crate::core::{ChannelName, Message, Pattern, Payload, ShardId};
use crate::hub::letter::{Fate, Origin, Publish};
use crate::hub::mesh::{Inbox, Mesh};
use crate::hub::pace;
use crate::hub::rules::{ChannelRule, Rules};
use crate::hub::socket::Socket;
use crate::hub::wire::{Epoch, Reply, RequestId, Wire, Wires};
use crate::plugin::Registry;

/// Bare payloads, and `bye`.
struct Bare;

impl Wire for Bare {
    fn message(&self, _: &ChannelName, message: &Message, _: Option<Epoch>, out: &mut BytesMut) {
        out.put_slice(&message.payload.bytes);
    }
    fn direct(&self, _: &ChannelName, _: &[u8], _: &Payload, _: &mut BytesMut) {}
    fn reply(&self, _: Option<&RequestId>, _: Reply<'_>, _: &mut BytesMut) {}
    fn ping(&self, _: &mut BytesMut) {}
    fn close(&self, _: u16, _: &str, out: &mut BytesMut) {
        out.put_slice(b"bye");
    }
}

static WIRES: Wires = &[&Bare];

/// Takes everything, and counts the writes.
#[derive(Default)]
pub struct Wide {
    pub bytes: RefCell<Vec<u8>>,
    pub writes: Cell<usize>,
}

impl Socket for Wide {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write_vectored(&[IoSlice::new(bytes)])
    }

    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.writes.set(self.writes.get() + 1);
        let mut all = self.bytes.borrow_mut();
        let before = all.len();
        slices.iter().for_each(|slice| all.extend(&**slice));
        Ok(all.len() - before)
    }

    fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn finish(&self) {}

    fn shutdown(&self) {}
}

/// A shard that has no other, and what comes to it. It writes at the end of each turn.
pub fn alone() -> (Rc<Shard>, Inbox) {
    let (mesh, mut inboxes) = Mesh::new(1);
    let settings = Settings { company: Duration::ZERO, connections: 100, ..settings() };
    let shard = Shard::new(ShardId(0), settings, mesh, Registry::default().into()).unwrap();
    (shard, inboxes.remove(0))
}

pub fn settings() -> Settings {
    let rules = vec![(Pattern::parse("*").unwrap(), ChannelRule::default())];
    Settings {
        wires: WIRES,
        rules: Rules::new(rules),
        io_uring: true,
        outbox_bytes: 1000,
        connections: 10,
        channels: 10,
        queues: 0,
        company: pace::MOST,
        heartbeat: Duration::from_secs(60),
        missed_heartbeats: 2,
        sweep_secs: 10,
        idle_secs: None,
        subscriptions: 10,
        admission: Admission::default(),
        board: None,
        saves: false,
    }
}

/// JSON, and nothing beside.
pub fn publish(channel: ChannelName, origin: Origin, json: &'static str) -> Publish {
    Publish {
        channel,
        origin,
        event: Bytes::new(),
        payload: Payload::json(json),
        except: None,
        key: None,
        budget: 0,
        receipt: false,
        fate: Fate::Deliver,
        trace: None,
    }
}
