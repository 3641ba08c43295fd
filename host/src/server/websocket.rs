//! A WebSocket from its upgrade to its end: its messages to the session, its writes for the hub.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use fastwebsockets::OpCode;
use hyper::upgrade::OnUpgrade;
use rustix::io::Errno;
use rustix::net::SendFlags;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::assembly::{self, Assembly, Close, Message, Taken};
use super::frames::{Frames, Incoming};
use super::router::Router;
use super::spoken::Spoken;
use super::stream::Lent;
use crate::core::{LastName, Refusal};
use crate::dialect::bridge;
use crate::dialect::frame::{self, Opcode};
use crate::hub::socket::Socket;
use crate::hub::{Connection, Shard};
use crate::plugin::Handshake;
use crate::session::{Ended, Session};

/// Serves one client at an address until its connection ends. What it begins with is boxed, and
/// gone by then: a task has the size of the largest thing it ever waits for.
pub fn serve(
    upgrade: OnUpgrade,
    handshake: Handshake,
    address: IpAddr,
    spoken: Spoken,
    router: Rc<Router>,
) -> impl Future<Output = ()> {
    let opening = Box::pin(open(upgrade, handshake, address, spoken, router));
    async move {
        let Some(mut talk) = opening.await else { return };
        if let Some(session) = &mut talk.session {
            // Ended or not, the goodbye is the same.
            let _ = converse(&talk.spoken, &mut talk.messages, session).await;
        }
        talk.messages.until_closed().await;
    }
}

/// A connection that is open.
struct Talk {
    /// None: it was refused, and is closing.
    session: Option<Session>,
    messages: Messages,
    spoken: Spoken,
    /// Ends last.
    _connected: Connected,
}

/// None: nothing came of it.
async fn open(
    upgrade: OnUpgrade,
    handshake: Handshake,
    address: IpAddr,
    spoken: Spoken,
    router: Rc<Router>,
) -> Option<Talk> {
    let (stream, early) = tcp(upgrade).await?;
    let (read, write) = stream.into_split();
    let socket = Rc::new(TcpSocket(write));
    let shard = &router.context.shard;
    let admitted = router.context.limits.admit(address);
    let allowance = admitted.map_err(|too_many| turn_away(&socket, &too_many)).ok()?;
    let connection = shard.connect(spoken.wire(), socket.clone());
    let connection = connection.map_err(|full| turn_away(&socket, &full)).ok()?;
    let connected = Connected { shard: shard.clone(), connection: connection.clone() };
    let messages = Messages::new(read, early, &connected, socket, &router);
    let mut session =
        Session::begin(router.context.clone(), connection.clone(), handshake, allowance).await.ok();
    if let Some(begun) = &mut session
        && !begin(&spoken, &router, begun, &connection).await
    {
        session = None;
    }
    Some(Talk { session, messages, spoken, _connected: connected })
}

/// There are as many as there may be.
fn turn_away(socket: &TcpSocket, why: &dyn std::fmt::Display) {
    let mut goodbye = BytesMut::new();
    frame::close(4009, &why.to_string(), &mut goodbye);
    let _ = socket.try_write(&goodbye);
}

/// What the path has asked for already. False: it was refused, and the connection is closing.
async fn begin(spoken: &Spoken, router: &Router, session: &mut Session, connection: &Connection) -> bool {
    let opening = match spoken {
        Spoken::Bridge(opening) => opening,
        Spoken::Native | Spoken::Event => {
            session.subscribe_to_own().await;
            return true;
        }
        // Its messages do not say where they are from.
        Spoken::Action => return true,
    };
    if let Some(name) = opening.user.clone().filter(|_| router.config.bridge.anonymous_names) {
        session.call_itself(name);
    }
    let subscribed = session.handle(bridge::subscribe(opening), 0).await;
    // A message before it is settled would be one of a client that does not subscribe.
    connection.until_settled().await;
    subscribed.is_ok() && !connection.is_closing()
}

async fn converse(spoken: &Spoken, messages: &mut Messages, session: &mut Session) -> Result<(), Ended> {
    let mut last = LastName::default();
    while let Some(message) = messages.next().await {
        match message {
            Arrived::Message(Message::Text(bytes)) => {
                session.handle(spoken.text(&bytes, &mut last), bytes.len()).await?
            }
            Arrived::Message(Message::Binary(bytes)) => {
                session.handle(spoken.binary(&bytes, &mut last), bytes.len()).await?;
            }
            Arrived::Message(Message::TooLarge(bytes)) => {
                session.refuse(Refusal::TooLarge(messages.limit()), bytes)?;
            }
            Arrived::Ping(bytes) => {
                if session.ping(bytes.len())? {
                    messages.pong(&bytes);
                }
            }
        }
    }
    Ok(())
}

/// The TCP stream beneath an upgraded request, and what was read of it beyond the request.
pub(super) async fn tcp(upgrade: OnUpgrade) -> Option<(TcpStream, Bytes)> {
    let parts = upgrade.await.ok()?.downcast::<Lent>().ok()?;
    Some((parts.io.take()?, parts.read_buf))
}

/// A client of the hub for as long as this lives.
pub struct Connected {
    pub shard: Rc<Shard>,
    pub connection: Rc<Connection>,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.shard.disconnect(&self.connection);
    }
}

/// What the session is to judge.
pub(super) enum Arrived {
    Message(Message),
    /// To be answered with the same.
    Ping(Bytes),
}

pub(super) struct Messages {
    frames: Frames,
    connection: Rc<Connection>,
    shard: Rc<Shard>,
    socket: Rc<TcpSocket>,
    assembly: Assembly,
}

impl Messages {
    /// `early` was read together with the handshake.
    pub(super) fn new(
        read: OwnedReadHalf,
        early: Bytes,
        connected: &Connected,
        socket: Rc<TcpSocket>,
        router: &Router,
    ) -> Self {
        let limit = router.config.limits.message_bytes;
        Self {
            frames: Frames::new(read, early, &router.readers),
            connection: connected.connection.clone(),
            shard: connected.shard.clone(),
            socket,
            assembly: Assembly::new(limit, router.config.limits.fragments),
        }
    }

    /// The largest message, in bytes.
    pub(super) fn limit(&self) -> usize {
        self.assembly.limit()
    }

    /// The next message; none when the connection has ended or is being closed.
    pub(super) async fn next(&mut self) -> Option<Arrived> {
        loop {
            if self.connection.is_closing() {
                return None;
            }
            match self.frame().await {
                Ok(Some(frame)) => match self.assembly.take(frame) {
                    Ok(Taken::Message(message)) => return Some(Arrived::Message(message)),
                    Ok(Taken::Ping(payload)) => return Some(Arrived::Ping(payload)),
                    Ok(Taken::Nothing) => {}
                    Err(close) => {
                        self.shard.close(&self.connection, close.code, close.reason);
                        return None;
                    }
                },
                Ok(None) => return None,
                Err(close) => {
                    self.shard.close(&self.connection, close.code, close.reason);
                    return None;
                }
            }
        }
    }

    /// One frame, unmasked. None: the stream has ended.
    async fn frame(&mut self) -> Result<Option<Incoming>, Close> {
        let frame = assembly::checked(self.frames.next().await);
        if let Ok(Some(frame)) = &frame {
            self.connection.heard();
            if frame.opcode != OpCode::Pong {
                self.shard.acted(&self.connection);
            }
        }
        frame
    }

    pub(super) fn pong(&self, payload: &[u8]) {
        let mut pong = BytesMut::new();
        frame::frame(Opcode::Pong, &mut pong, |out| out.put_slice(payload));
        self.shard.send(&self.connection, pong.freeze());
    }

    /// Once the server has said goodbye: reads on until the client has closed too, or the
    /// hub's patience ends, because unread bytes would turn the close into a reset.
    pub(super) async fn until_closed(&mut self) {
        while self.connection.is_closing() {
            match self.frame().await {
                Ok(Some(Incoming { opcode: OpCode::Close, .. }) | None) => return,
                Ok(Some(_)) => {}
                // What follows a broken frame cannot be told apart.
                Err(_) => return self.socket.ended().await,
            }
        }
    }
}

/// The write side, as the hub sees it.
pub struct TcpSocket(OwnedWriteHalf);

impl TcpSocket {
    pub(super) fn of(half: OwnedWriteHalf) -> Self {
        Self(half)
    }

    /// A stream of which nothing is read that means anything.
    pub fn new(stream: TcpStream) -> Self {
        Self(stream.into_split().1)
    }

    /// Reads and forgets until the stream ends.
    pub async fn ended(&self) {
        let stream = self.0.as_ref();
        while stream.readable().await.is_ok() {
            // Here only while there is something: it is no part of what waits.
            let mut scratch = [0; 4096];
            match stream.try_read(&mut scratch) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    /// Before the hub writes anything.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.0.writable().await?;
            match self.0.try_write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Socket for TcpSocket {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        // Mostly there is room. Only where there is none the runtime has to know, which looks again. The
        // system's call itself: the C library's is one that a thread can be cancelled in, and pays for it.
        match rustix::net::send(self.0.as_ref(), bytes, SendFlags::NOSIGNAL) {
            Err(Errno::AGAIN) => self.0.try_write(bytes),
            sent => Ok(sent?),
        }
    }

    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_ref().as_fd())
    }

    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_ref().poll_write_ready(context)
    }

    fn peer(&self) -> Option<SocketAddr> {
        self.0.peer_addr().ok()
    }

    fn finish(&self) {
        let _ = SockRef::from(self.0.as_ref()).shutdown(Shutdown::Write);
    }

    fn shutdown(&self) {
        let _ = SockRef::from(self.0.as_ref()).shutdown(Shutdown::Both);
    }
}
