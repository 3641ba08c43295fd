//! A WebSocket client for the commands that talk to a server.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use clap::Args;
use fastwebsockets::{Frame, OpCode, Payload, WebSocket};
use http_body_util::Empty;
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONNECTION, HOST, UPGRADE};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Where the server is, and who asks.
#[derive(Args)]
pub struct Target {
    /// The server's WebSocket
    #[arg(long, env = "TIDEGATE_URL", default_value = "ws://127.0.0.1:8000/ws", value_name = "URL")]
    url: String,
    /// A token for the server's auth plugin
    #[arg(long, env = "TIDEGATE_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl Target {
    /// One that no command line names.
    pub fn new(url: String, token: Option<String>) -> Self {
        Self { url, token }
    }
}

/// What the server sends.
#[derive(Debug)]
pub enum Arrived {
    Text(String),
    Binary(Bytes),
    Closed(u16, String),
}

/// An open connection.
pub struct Client(WebSocket<TokioIo<hyper::upgrade::Upgraded>>);

struct OnRuntime;

impl<F: Future + Send + 'static> hyper::rt::Executor<F> for OnRuntime
where
    F::Output: Send,
{
    fn execute(&self, future: F) {
        tokio::spawn(future);
    }
}

impl Client {
    pub async fn connect(target: &Target) -> Result<Self> {
        let url: hyper::Uri = target.url.parse().with_context(|| format!("{} is not a URL", target.url))?;
        if url.scheme_str() != Some("ws") {
            bail!("{} does not begin with ws://", target.url);
        }
        let host = url.host().with_context(|| format!("{} names no host", target.url))?;
        let port = url.port_u16().unwrap_or(80);
        let stream = TcpStream::connect((host.trim_matches(['[', ']']), port))
            .await
            .with_context(|| format!("cannot reach {host}:{port}: is the server running?"))?;
        let path = url.path_and_query().map_or("/ws", |path| path.as_str());
        let mut request = Request::get(path)
            .header(HOST, format!("{host}:{port}"))
            .header(UPGRADE, "websocket")
            .header(CONNECTION, "Upgrade")
            .header("Sec-WebSocket-Key", fastwebsockets::handshake::generate_key())
            .header("Sec-WebSocket-Version", "13");
        if let Some(token) = &target.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request =
            request.body(Empty::<Bytes>::new()).context("the token has characters that no header takes")?;
        let (mut socket, _) = fastwebsockets::handshake::client(&OnRuntime, request, stream)
            .await
            .with_context(|| format!("{} is no WebSocket", target.url))?;
        socket.set_auto_close(true);
        socket.set_auto_pong(true);
        Ok(Self(socket))
    }

    pub async fn send(&mut self, frame: &serde_json::Value) -> Result<()> {
        let frame = Frame::text(Payload::Owned(frame.to_string().into_bytes()));
        self.0.write_frame(frame).await.context("the connection is lost")
    }

    /// The next frame as it would be printed. An error once the server has closed.
    pub async fn next(&mut self) -> Result<String> {
        match self.arrived().await? {
            Arrived::Text(text) => Ok(text),
            Arrived::Binary(bytes) => Ok(format!("{bytes:?}")),
            Arrived::Closed(code, reason) => {
                bail!("the server closed the connection with {code}: {reason}")
            }
        }
    }

    /// The next thing that comes, a close too.
    pub async fn arrived(&mut self) -> Result<Arrived> {
        loop {
            let frame = self.0.read_frame().await.context("the connection is lost")?;
            match frame.opcode {
                OpCode::Text => {
                    return Ok(Arrived::Text(String::from_utf8_lossy(&frame.payload).into_owned()));
                }
                OpCode::Binary => return Ok(Arrived::Binary(Bytes::copy_from_slice(&frame.payload))),
                OpCode::Close => {
                    let (code, reason) = frame.payload.split_at_checked(2).unwrap_or_default();
                    let code = code.try_into().map_or(1005, u16::from_be_bytes);
                    return Ok(Arrived::Closed(code, String::from_utf8_lossy(reason).into_owned()));
                }
                _ => {}
            }
        }
    }
}

/// Runs a client's conversation to its end.
pub fn block_on<T>(conversation: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(conversation)
}
