//! Many sockets on one thread, as cheap as it goes: one poll for all of them, one read for
//! what has come, frames looked at where they lie, one write for what was collected.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol, Socket, Type};

use super::frame::{self, Frame};

const EVENTS: usize = 1024;
/// What is read at once; more only for a longer frame.
const READ_BUFFER: usize = 256 << 10;
/// A response's head is shorter.
const HEAD: usize = 16 << 10;
/// What the system keeps for a socket whose owner means not to read, in bytes.
const NARROW: usize = 4096;

/// A connection's number, counted from 0.
pub type Id = usize;

/// Who is told what comes.
pub trait Listener {
    /// A WebSocket is open; what is put into `out` is sent.
    fn opened(&mut self, id: Id, now: u64, out: &mut Vec<u8>) -> Result<()>;

    /// A text or binary message. `now` is when it was read, in nanoseconds of the swarm's clock.
    fn message(&mut self, id: Id, payload: &[u8], now: u64, out: &mut Vec<u8>) -> Result<()>;

    /// A connection has ended, with the server's words if it had any.
    fn ended(&mut self, id: Id, why: &str) -> Result<()> {
        bail!("the server ended connection {id}: {why}")
    }
}

/// Where the sockets go, and how they ask to be let in.
pub struct Door {
    pub address: SocketAddr,
    /// The whole request of the handshake.
    pub request: Vec<u8>,
}

pub struct Swarm {
    poll: Poll,
    events: Events,
    sockets: Vec<Connection>,
    scratch: Vec<u8>,
    door: Door,
    began: Instant,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Connecting,
    Shaking,
    Open,
}

struct Connection {
    /// None once it has ended.
    stream: Option<TcpStream>,
    phase: Phase,
    /// The begin of a frame whose end has not come.
    kept: Vec<u8>,
    out: Vec<u8>,
    /// Of `out`, what is written.
    written: usize,
}

impl Swarm {
    pub fn new(door: Door) -> Result<Self> {
        Ok(Self {
            poll: Poll::new().context("cannot poll")?,
            events: Events::with_capacity(EVENTS),
            sockets: Vec::new(),
            scratch: vec![0; READ_BUFFER],
            door,
            began: Instant::now(),
        })
    }

    /// How many connections were begun.
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Nanoseconds since the swarm's begin.
    pub fn now(&self) -> u64 {
        nanos(self.began)
    }

    /// Begins a connection. `narrow`: with little room for what is not read.
    pub fn open(&mut self, narrow: bool) -> Result<Id> {
        let id = self.sockets.len();
        let mut stream = connect(self.door.address, narrow)
            .with_context(|| format!("cannot connect to {} a {}th time", self.door.address, id + 1))?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(id), interest)?;
        self.sockets.push(Connection {
            stream: Some(stream),
            phase: Phase::Connecting,
            kept: Vec::new(),
            out: Vec::new(),
            written: 0,
        });
        Ok(id)
    }

    /// Reads a connection no more, until [`Swarm::resume`].
    pub fn pause(&mut self, id: Id) -> Result<()> {
        match &mut self.sockets[id].stream {
            Some(stream) => Ok(self.poll.registry().deregister(stream)?),
            None => Ok(()),
        }
    }

    pub fn resume(&mut self, id: Id) -> Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match &mut self.sockets[id].stream {
            Some(stream) => Ok(self.poll.registry().register(stream, Token(id), interest)?),
            None => Ok(()),
        }
    }

    /// What is put in goes out with the next [`Swarm::flush`].
    pub fn out(&mut self, id: Id) -> &mut Vec<u8> {
        &mut self.sockets[id].out
    }

    pub fn flush(&mut self, id: Id) -> Result<()> {
        self.sockets[id].flush()
    }

    /// Waits for something to come, for so long at most, and tells the listener.
    pub fn turn(&mut self, wait: Duration, listener: &mut impl Listener) -> Result<()> {
        let Self { poll, events, sockets, scratch, door, began } = self;
        match poll.poll(events, Some(wait)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error).context("cannot poll"),
        }
        for event in events.iter() {
            let id = event.token().0;
            let ended = match sockets[id].ready(id, event, door, scratch, *began, listener)? {
                Ready::Goes => continue,
                Ready::Ended(why) => why,
            };
            sockets[id].stream = None;
            listener.ended(id, &ended)?;
        }
        Ok(())
    }
}

enum Ready {
    Goes,
    Ended(String),
}

impl Connection {
    fn ready(
        &mut self,
        id: Id,
        event: &Event,
        door: &Door,
        scratch: &mut Vec<u8>,
        began: Instant,
        listener: &mut impl Listener,
    ) -> Result<Ready> {
        let Some(stream) = &self.stream else { return Ok(Ready::Goes) };
        if self.phase == Phase::Connecting {
            if let Some(error) = stream.take_error()? {
                bail!("cannot reach {}: {error}: is the server running?", door.address);
            }
            if stream.peer_addr().is_err() {
                return Ok(Ready::Goes);
            }
            self.phase = Phase::Shaking;
            self.out.extend_from_slice(&door.request);
        }
        if event.is_writable() {
            self.flush()?;
        }
        if event.is_readable() || event.is_read_closed() {
            // The end of a stream is told once, perhaps with the last of its bytes.
            return self.read(id, event.is_read_closed(), scratch, began, listener);
        }
        Ok(Ready::Goes)
    }

    fn read(
        &mut self,
        id: Id,
        to_the_end: bool,
        scratch: &mut Vec<u8>,
        began: Instant,
        listener: &mut impl Listener,
    ) -> Result<Ready> {
        loop {
            let Some(stream) = &mut self.stream else { return Ok(Ready::Goes) };
            let held = self.kept.len();
            if held > scratch.len() / 2 {
                scratch.resize(held * 4, 0);
            }
            scratch[..held].copy_from_slice(&self.kept);
            let room = scratch.len() - held;
            let read = match stream.read(&mut scratch[held..]) {
                Ok(0) => return Ok(Ready::Ended("without a close frame".into())),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Ready::Goes),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Ready::Ended(error.to_string())),
            };
            let (used, ended) = self.take(id, &scratch[..held + read], nanos(began), listener)?;
            self.kept.clear();
            self.kept.extend_from_slice(&scratch[used..held + read]);
            if let Some(why) = ended {
                return Ok(Ready::Ended(why));
            }
            if !self.out.is_empty() {
                self.flush()?;
            }
            // Less than there was room for: what comes later is an event of its own.
            if read < room && !to_the_end {
                return Ok(Ready::Goes);
            }
        }
    }

    /// How many bytes were used, and why it has ended, if it has.
    fn take(
        &mut self,
        id: Id,
        bytes: &[u8],
        now: u64,
        listener: &mut impl Listener,
    ) -> Result<(usize, Option<String>)> {
        let mut used = 0;
        if self.phase == Phase::Shaking {
            let Some(end) = head(bytes)? else { return Ok((0, None)) };
            self.phase = Phase::Open;
            used = end;
            listener.opened(id, now, &mut self.out)?;
        }
        while let Some((Frame { opcode, payload }, length)) = frame::split(&bytes[used..])? {
            used += length;
            match opcode {
                frame::CLOSE => return Ok((used, Some(close_reason(payload)))),
                frame::PING => frame::write(frame::PONG, payload, &mut self.out),
                frame::PONG => {}
                _ => listener.message(id, payload, now, &mut self.out)?,
            }
        }
        Ok((used, None))
    }

    fn flush(&mut self) -> Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        while self.written < self.out.len() {
            match stream.write(&self.out[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The reader will be told, and by the server's close frame, if there is one.
                Err(_) => break,
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }
}

fn nanos(began: Instant) -> u64 {
    began.elapsed().as_nanos() as u64
}

/// Begins a connection; it ends with a reset, so that its port is free at once.
fn connect(address: SocketAddr, narrow: bool) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_linger(Some(Duration::ZERO))?;
    if narrow {
        socket.set_recv_buffer_size(NARROW)?;
    }
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}

/// Where the response's head ends; none while it is not whole.
fn head(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        if bytes.len() > HEAD {
            bail!("the server answers the handshake with over {HEAD} bytes");
        }
        return Ok(None);
    };
    let status = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    if !status.starts_with(b"HTTP/1.1 101") {
        bail!("the server refuses the handshake: {}", String::from_utf8_lossy(status));
    }
    Ok(Some(end + 4))
}

fn close_reason(payload: &[u8]) -> String {
    match payload.split_first_chunk::<2>() {
        Some((code, reason)) => {
            format!("{} {}", u16::from_be_bytes(*code), String::from_utf8_lossy(reason)).trim_end().to_owned()
        }
        None => "closed without a code".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshakes_answer_is_taken_whole_or_refused() {
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n\x81\x00";
        assert_eq!(head(answer).unwrap(), Some(answer.len() - 2));
        assert_eq!(head(&answer[..20]).unwrap(), None);
        let refused = head(b"HTTP/1.1 401 Unauthorized\r\n\r\n").unwrap_err().to_string();
        assert_eq!(refused, "the server refuses the handshake: HTTP/1.1 401 Unauthorized");
        assert!(head(&vec![b'x'; HEAD + 1]).is_err());
    }

    #[test]
    fn a_close_is_told_by_code_and_reason() {
        assert_eq!(close_reason(b"\x0f\xa8Slow consumer."), "4008 Slow consumer.");
        assert_eq!(close_reason(b"\x03\xe8"), "1000");
        assert_eq!(close_reason(b""), "closed without a code");
    }
}
