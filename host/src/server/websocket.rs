//! A WebSocket from its upgrade to its end: frames to messages, messages to the session.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Shutdown};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use fastwebsockets::upgrade::UpgradeFut;
use fastwebsockets::{CloseCode, OpCode, WebSocketError};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

use super::frames::Frames;
use super::router::Router;
use crate::core::Refusal;
use crate::dialect::frame::{self, MAX_CONTROL, Opcode};
use crate::dialect::native;
use crate::hub::socket::Socket;
use crate::hub::wire::WireId;
use crate::hub::{Connection, Shard};
use crate::plugin::Handshake;
use crate::session::{Ended, Session};

/// The native dialect's place in [`super::run::WIRES`].
const NATIVE: WireId = WireId(0);
/// `too_large` is an answer up to this many times the limit; beyond it the frame is not read.
const ANSWERED_TIMES: usize = 16;

/// Serves one client at an address until its connection ends.
pub async fn serve(upgrade: UpgradeFut, handshake: Handshake, address: IpAddr, router: Rc<Router>) {
    let Some((stream, early)) = tcp(upgrade).await else { return };
    let (read, write) = stream.into_split();
    let socket = Rc::new(TcpSocket(write));
    let shard = &router.context.shard;
    let allowance = match router.context.limits.admit(address) {
        Ok(allowance) => allowance,
        Err(too_many) => return turn_away(&socket, &too_many),
    };
    let connection = match shard.connect(NATIVE, socket.clone()) {
        Ok(connection) => connection,
        Err(full) => return turn_away(&socket, &full),
    };
    let connected = Connected { shard: shard.clone(), connection };
    let limit = router.config.limits.message_bytes;
    let mut messages = Messages {
        frames: Frames::new(read, early, limit.saturating_mul(ANSWERED_TIMES)),
        connection: connected.connection.clone(),
        shard: connected.shard.clone(),
        socket,
        partial: None,
        limit,
        fragments: router.config.limits.fragments,
    };
    let (context, connection) = (router.context.clone(), connected.connection.clone());
    if let Ok(mut session) = Session::begin(context, connection, handshake, allowance).await {
        // Ended or not, the goodbye is the same.
        let _ = converse(&mut messages, &mut session).await;
    }
    messages.until_closed().await;
}

/// There are as many as there may be.
fn turn_away(socket: &TcpSocket, why: &dyn std::fmt::Display) {
    let mut goodbye = BytesMut::new();
    frame::close(4009, &why.to_string(), &mut goodbye);
    let _ = socket.try_write(&goodbye);
}

async fn converse(messages: &mut Messages, session: &mut Session) -> Result<(), Ended> {
    while let Some(message) = messages.next().await {
        match message {
            Message::Text(bytes) => session.handle(native::text(&bytes), bytes.len()).await?,
            Message::Binary(bytes) => session.handle(native::binary(&bytes), bytes.len()).await?,
            Message::TooLarge(bytes) => session.refuse(Refusal::TooLarge(messages.limit), bytes)?,
            Message::Ping(bytes) => {
                if session.ping(bytes.len())? {
                    messages.pong(&bytes);
                }
            }
        }
    }
    Ok(())
}

/// The TCP stream beneath an upgraded request, and what was read of it beyond the request.
async fn tcp(upgrade: UpgradeFut) -> Option<(TcpStream, Bytes)> {
    let upgraded = upgrade.await.ok()?.into_inner().into_inner();
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf))
}

/// A client of the hub for as long as this lives.
struct Connected {
    shard: Rc<Shard>,
    connection: Rc<Connection>,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.shard.disconnect(&self.connection);
    }
}

enum Message {
    /// UTF-8.
    Text(Bytes),
    Binary(Bytes),
    /// Its bytes.
    TooLarge(usize),
    /// To be answered with the same.
    Ping(Bytes),
}

/// A message of which not all fragments have come.
struct Partial {
    text: bool,
    bytes: BytesMut,
    /// May be more than `bytes`, which stop growing at the message limit.
    length: usize,
    fragments: usize,
}

struct Messages {
    frames: Frames,
    connection: Rc<Connection>,
    shard: Rc<Shard>,
    socket: Rc<TcpSocket>,
    partial: Option<Partial>,
    limit: usize,
    fragments: usize,
}

impl Messages {
    /// The next message; none when the connection has ended or is being closed.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if self.connection.is_closing() {
                return None;
            }
            match self.frame().await {
                Ok(Some((opcode, fin, payload))) => match self.take(opcode, fin, payload) {
                    Ok(Some(message)) => return Some(message),
                    Ok(None) => {}
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
    async fn frame(&mut self) -> Result<Option<(OpCode, bool, Bytes)>, Close> {
        let frame = match self.frames.next().await {
            Ok(frame) => frame,
            Err(error) => return close_for(&error).map_or(Ok(None), Err),
        };
        self.connection.heard();
        if frame.opcode != OpCode::Pong {
            self.shard.acted(&self.connection);
        }
        if !frame.masked {
            return Err(Close { code: 1002, reason: "A client's frames are masked." });
        }
        Ok(Some((frame.opcode, frame.fin, frame.payload)))
    }

    fn take(&mut self, opcode: OpCode, fin: bool, payload: Bytes) -> Result<Option<Message>, Close> {
        match opcode {
            OpCode::Ping | OpCode::Pong | OpCode::Close if payload.len() > MAX_CONTROL => {
                Err(Close { code: 1002, reason: "A control frame has at most 125 bytes." })
            }
            OpCode::Ping => Ok(Some(Message::Ping(payload))),
            OpCode::Pong => Ok(None),
            OpCode::Close => Err(answer_to_close(&payload)),
            OpCode::Text | OpCode::Binary if self.partial.is_some() => {
                Err(Close { code: 1002, reason: "A message begins before the last has ended." })
            }
            OpCode::Text | OpCode::Binary if fin => Ok(Some(match opcode {
                _ if payload.len() > self.limit => Message::TooLarge(payload.len()),
                OpCode::Text => Message::Text(payload),
                _ => Message::Binary(payload),
            })),
            OpCode::Text | OpCode::Binary => {
                let text = opcode == OpCode::Text;
                self.partial = Some(Partial { text, bytes: BytesMut::new(), length: 0, fragments: 0 });
                self.gather(&payload)?;
                Ok(None)
            }
            OpCode::Continuation if self.partial.is_none() => {
                Err(Close { code: 1002, reason: "A continuation of nothing." })
            }
            OpCode::Continuation => {
                self.gather(&payload)?;
                if fin { self.finish().map(Some) } else { Ok(None) }
            }
        }
    }

    fn pong(&self, payload: &[u8]) {
        let mut pong = BytesMut::new();
        frame::frame(Opcode::Pong, &mut pong, |out| out.put_slice(payload));
        self.shard.send(&self.connection, pong.freeze());
    }

    fn gather(&mut self, payload: &[u8]) -> Result<(), Close> {
        let Some(partial) = &mut self.partial else { return Ok(()) };
        partial.fragments += 1;
        partial.length += payload.len();
        if partial.fragments > self.fragments {
            return Err(Close { code: 1009, reason: "The message has too many fragments." });
        }
        if partial.length > self.limit.saturating_mul(ANSWERED_TIMES) {
            return Err(Close { code: 1009, reason: "The message is too large." });
        }
        // Past the limit it will be refused: there is no use in keeping more of it.
        if partial.length <= self.limit {
            partial.bytes.extend_from_slice(payload);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Message, Close> {
        let Some(partial) = self.partial.take() else { return Ok(Message::TooLarge(0)) };
        if partial.length > self.limit {
            return Ok(Message::TooLarge(partial.length));
        }
        let bytes = partial.bytes.freeze();
        if !partial.text {
            return Ok(Message::Binary(bytes));
        }
        if std::str::from_utf8(&bytes).is_err() {
            return Err(Close { code: 1007, reason: "A text message is not UTF-8." });
        }
        Ok(Message::Text(bytes))
    }

    /// Once the server has said goodbye: reads on until the client has closed too, or the
    /// hub's patience ends, because unread bytes would turn the close into a reset.
    async fn until_closed(&mut self) {
        while self.connection.is_closing() {
            match self.frame().await {
                Ok(Some((OpCode::Close, ..)) | None) => return,
                Ok(Some(_)) => {}
                // What follows a broken frame cannot be told apart.
                Err(_) => return self.socket.discard().await,
            }
        }
    }
}

/// A close code of the server's, and its reason.
#[derive(Debug)]
struct Close {
    code: u16,
    reason: &'static str,
}

/// None: the stream has ended, nobody is there to hear a reason.
fn close_for(error: &WebSocketError) -> Option<Close> {
    match error {
        WebSocketError::UnexpectedEOF | WebSocketError::IoError(_) | WebSocketError::ConnectionClosed => None,
        WebSocketError::InvalidUTF8 => Some(Close { code: 1007, reason: "A text message is not UTF-8." }),
        WebSocketError::FrameTooLarge => Some(Close { code: 1009, reason: "The message is too large." }),
        _ => Some(Close { code: 1002, reason: "The frame breaks RFC 6455." }),
    }
}

/// A client's close is answered with its own code (RFC 6455, section 5.5.1), if it may use that.
fn answer_to_close(payload: &[u8]) -> Close {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        let code = if payload.is_empty() { 1000 } else { 1002 };
        return Close { code, reason: "" };
    };
    let code = u16::from_be_bytes(*code);
    if std::str::from_utf8(reason).is_err() {
        return Close { code: 1007, reason: "A close reason is not UTF-8." };
    }
    if !CloseCode::from(code).is_allowed() {
        return Close { code: 1002, reason: "This close code is not for clients." };
    }
    Close { code, reason: "" }
}

/// The write side, as the hub sees it.
struct TcpSocket(OwnedWriteHalf);

impl TcpSocket {
    /// Reads and forgets until the stream ends.
    async fn discard(&self) {
        let stream = self.0.as_ref();
        let mut scratch = [0; 4096];
        while stream.readable().await.is_ok() {
            match stream.try_read(&mut scratch) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

impl Socket for TcpSocket {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_ref().poll_write_ready(context)
    }

    fn finish(&self) {
        let _ = SockRef::from(self.0.as_ref()).shutdown(Shutdown::Write);
    }

    fn shutdown(&self) {
        let _ = SockRef::from(self.0.as_ref()).shutdown(Shutdown::Both);
    }
}
