//! Server-sent events: the request's TCP stream is taken over from hyper and becomes a client's
//! socket like any other, written by its shard's turns.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue, VARY};
use hyper::{Request, StatusCode};
use socket2::SockRef;
use tokio::net::TcpStream;

use super::handshake;
use super::router::{Answer, Router, json, text};
use super::run::{SSE_FRAMED, SSE_PLAIN};
use super::stream::Owner;
use super::websocket::{Connected, TcpSocket};
use crate::dialect::sse::{KEEP_ALIVE, Stream};
use crate::hub::Connection;
use crate::hub::socket::Socket;
use crate::plugin::Handshake;
use crate::session::Session;
use crate::session::limits::Allowance;

/// Between two comments that keep the stream alive; what the standard suggests.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);
/// A client cannot answer: it is gone when its kernel has acknowledged nothing for this long.
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);
/// How long a refused client has to read why.
const LINGER: Duration = Duration::from_secs(5);
/// What a page of another site may send along.
const ALLOWED_HEADERS: &str = "authorization, last-event-id";

/// `GET /sse`. The answer is written by hand, once the channels have taken the client: what is
/// returned here is for hyper alone, unless the request is wrong.
pub fn open(router: Rc<Router>, peer: SocketAddr, request: &Request<Incoming>) -> Answer {
    let last_event_id = request.headers().get("last-event-id").and_then(|id| id.to_str().ok());
    let wanted = match Stream::parse(request.uri().query().unwrap_or_default(), last_event_id) {
        Ok(wanted) => wanted,
        Err(error) => {
            let body = serde_json::json!({ "error": error.to_string() }).to_string();
            return allowed(&router, json(StatusCode::BAD_REQUEST, body));
        }
    };
    let Some(stream) = request.extensions().get::<Owner>().and_then(Owner::take) else {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "The connection cannot be taken over.\n");
    };
    let handshake = handshake::read(request, peer);
    tokio::task::spawn_local(serve(stream, handshake, peer.ip(), wanted, router));
    text(StatusCode::OK, "")
}

/// `OPTIONS /sse`: what a browser asks before a page of another site may set headers.
pub fn preflight(router: &Router) -> Answer {
    let mut answer = allowed(router, text(StatusCode::NO_CONTENT, ""));
    let headers = HeaderValue::from_static(ALLOWED_HEADERS);
    answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_HEADERS, headers);
    answer
}

fn allowed(router: &Router, mut answer: Answer) -> Answer {
    let origin = router.config.sse.allow_origin.as_deref();
    if let Some(origin) = origin.and_then(|origin| HeaderValue::from_str(origin).ok()) {
        answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        answer.headers_mut().insert(VARY, HeaderValue::from_static("origin"));
    }
    answer
}

async fn serve(stream: TcpStream, handshake: Handshake, address: IpAddr, wanted: Stream, router: Rc<Router>) {
    // Where it is not to be had, a silent client is gone when the kernel gives it up.
    let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    let socket = Rc::new(HeldSocket::new(TcpSocket::new(stream)));
    let _given_up = GiveUp(socket.clone());
    let origin = router.config.sse.allow_origin.as_deref();
    let shard = &router.context.shard;
    let wire = if wanted.framed { SSE_FRAMED } else { SSE_PLAIN };
    let allowance = match router.context.limits.admit(address) {
        Ok(allowance) => allowance,
        Err(too_many) => return socket.refuse(&refusal(4009, &too_many.to_string(), origin)).await,
    };
    let connection = match shard.connect(wire, socket.clone()) {
        Ok(connection) => connection,
        Err(full) => return socket.refuse(&refusal(4009, &full.to_string(), origin)).await,
    };
    let connected = Connected { shard: shard.clone(), connection };
    let connection = &connected.connection;
    let session = tokio::select! {
        biased;
        () = socket.tcp.ended() => return,
        session = begin(&router, connection, handshake, allowance, wanted) => session,
    };
    let Some(_session) = session else {
        let (code, reason) = connection.goodbye().map_or((1001, ""), |bye| (bye.code, &*bye.reason));
        return socket.refuse(&refusal(code, reason, origin)).await;
    };
    let begun = tokio::time::timeout(LINGER, socket.tcp.write_all(head(origin).as_bytes())).await;
    if !matches!(begun, Ok(Ok(()))) {
        return;
    }
    socket.open();
    loop {
        tokio::select! {
            biased;
            () = socket.tcp.ended() => return,
            () = tokio::time::sleep(KEEP_ALIVE_EVERY) => {
                shard.send(connection, Bytes::from_static(KEEP_ALIVE));
            }
        }
    }
}

/// Subscribes the client to all of its channels. None: it was refused, and is closing.
async fn begin(
    router: &Router,
    connection: &Rc<Connection>,
    handshake: Handshake,
    allowance: Option<Rc<Allowance>>,
    wanted: Stream,
) -> Option<Session> {
    let mut session =
        Session::begin(router.context.clone(), connection.clone(), handshake, allowance).await.ok()?;
    session.subscribe_at_once();
    for request in wanted.requests() {
        session.handle(request, 0).await.ok()?;
    }
    connection.until_settled().await;
    (!connection.is_closing()).then_some(session)
}

/// The response's head. Its body ends with the connection.
fn head(origin: Option<&str>) -> String {
    let cors = cors(origin);
    let date = httpdate::fmt_http_date(SystemTime::now());
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\n\
         x-accel-buffering: no\r\nconnection: close\r\ndate: {date}\r\n{cors}\r\n"
    )
}

/// The whole response to a client that was closed before its stream began. A browser does not
/// come back after it, as it would after a stream that ends.
fn refusal(code: u16, reason: &str, origin: Option<&str>) -> String {
    let status = match code {
        4001 => "401 Unauthorized\r\nwww-authenticate: Bearer",
        4002 => "429 Too Many Requests",
        4003 => "403 Forbidden",
        4004 => "404 Not Found",
        _ => "503 Service Unavailable",
    };
    let body = serde_json::json!({ "error": reason }).to_string();
    let (cors, length) = (cors(origin), body.len());
    let date = httpdate::fmt_http_date(SystemTime::now());
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         cache-control: no-store\r\nconnection: close\r\ndate: {date}\r\n{cors}\r\n{body}"
    )
}

fn cors(origin: Option<&str>) -> String {
    let line = |origin| format!("access-control-allow-origin: {origin}\r\nvary: origin\r\n");
    origin.map(line).unwrap_or_default()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing the hub writes leaves before the response's head.
    Held,
    Open,
    /// The client has gone, or its response is an error: nothing of the hub's is for it any more.
    Over,
}

/// A TCP stream whose first bytes are not the hub's.
struct HeldSocket {
    tcp: TcpSocket,
    state: Cell<State>,
    /// Who waits to write.
    waiting: RefCell<Option<Waker>>,
}

impl HeldSocket {
    fn new(tcp: TcpSocket) -> Self {
        Self { tcp, state: Cell::new(State::Held), waiting: RefCell::default() }
    }

    fn open(&self) {
        self.turn(State::Open);
    }

    /// Writes a response instead of a stream, and waits until the client has read it.
    async fn refuse(&self, response: &str) {
        self.turn(State::Over);
        let told = async {
            if self.tcp.write_all(response.as_bytes()).await.is_ok() {
                self.tcp.finish();
                self.tcp.ended().await;
            }
        };
        let _ = tokio::time::timeout(LINGER, told).await;
    }

    fn turn(&self, state: State) {
        self.state.set(state);
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }

    fn may_write(&self) -> io::Result<()> {
        match self.state.get() {
            State::Open => Ok(()),
            State::Held => Err(io::ErrorKind::WouldBlock.into()),
            State::Over => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

/// Whoever waits to write to the socket does not wait for ever.
struct GiveUp(Rc<HeldSocket>);

impl Drop for GiveUp {
    fn drop(&mut self) {
        self.0.turn(State::Over);
    }
}

impl Socket for HeldSocket {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.may_write()?;
        self.tcp.try_write(bytes)
    }

    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.may_write()?;
        self.tcp.try_write_vectored(slices)
    }

    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.state.get() {
            State::Open => self.tcp.poll_writable(context),
            State::Over => Poll::Ready(Ok(())),
            State::Held => {
                *self.waiting.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn finish(&self) {
        if self.state.get() == State::Open {
            self.tcp.finish();
        }
    }

    /// A refusal is read to its end, within its own time.
    fn shutdown(&self) {
        if self.state.get() != State::Over {
            self.tcp.shutdown();
        }
    }
}
