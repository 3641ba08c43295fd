//! A WebSocket written by hand: for frames that no real client sends, and for clients
//! that stop reading.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::{Server, wait::within};

pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;
/// The bit of a message's last frame.
pub const FIN: u8 = 0x80;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub struct Raw {
    pub stream: TcpStream,
}

#[derive(Debug, PartialEq)]
pub struct Frame {
    pub first: u8,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn opcode(&self) -> u8 {
        self.first & 0x0f
    }

    pub fn text(&self) -> &str {
        assert_eq!(self.opcode(), TEXT, "{self:?}");
        std::str::from_utf8(&self.payload).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.text()).unwrap()
    }
}

/// A client's frame: masked. `first` is opcode and flags.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = head(first, payload.len(), true);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

/// A frame as only servers may send it.
pub fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = head(first, payload.len(), false);
    out.extend(payload);
    out
}

/// Everything before the payload; `length` may be a lie.
pub fn head(first: u8, length: usize, masked: bool) -> Vec<u8> {
    let mask = if masked { 0x80 } else { 0 };
    let mut out = vec![first];
    match length {
        0..126 => out.push(mask | length as u8),
        126..0x1_0000 => {
            out.push(mask | 126);
            out.extend((length as u16).to_be_bytes());
        }
        _ => {
            out.push(mask | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    if masked {
        out.extend(MASK);
    }
    out
}

impl Raw {
    /// A TCP connection and nothing more.
    pub async fn tcp(server: &Server) -> Self {
        Self { stream: within("a connection", TcpStream::connect(server.address)).await.unwrap() }
    }

    /// An open WebSocket.
    pub async fn open(server: &Server) -> Self {
        Self::tcp(server).await.upgraded("/ws").await
    }

    /// An open WebSocket whose system takes little before the server has to wait.
    pub async fn narrow(server: &Server) -> Self {
        Self::narrow_at(server, "/ws").await
    }

    pub async fn narrow_at(server: &Server, path: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = within("a connection", socket.connect(server.address)).await.unwrap();
        Self { stream }.upgraded(path).await
    }

    async fn upgraded(mut self, path: &str) -> Self {
        self.write(handshake().replacen("GET /ws ", &format!("GET {path} "), 1).as_bytes()).await;
        let head = self.read_head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        // The accept value that RFC 6455 computes from its own example key.
        assert!(head.to_lowercase().contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        self
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        within("writing", self.stream.write_all(bytes)).await.unwrap();
    }

    /// A whole message in one frame.
    pub async fn send(&mut self, opcode: u8, payload: &[u8]) {
        self.write(&frame(FIN | opcode, payload)).await;
    }

    pub async fn send_json(&mut self, value: serde_json::Value) {
        self.send(TEXT, value.to_string().as_bytes()).await;
    }

    /// An HTTP response's head.
    pub async fn read_head(&mut self) -> String {
        let mut head = Vec::new();
        within("a response", async {
            while !head.ends_with(b"\r\n\r\n") {
                match self.stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&head)),
                }
            }
        })
        .await;
        String::from_utf8(head).unwrap()
    }

    /// The next frame that is no heartbeat; panics if the stream ends before one.
    pub async fn next(&mut self) -> Frame {
        loop {
            let frame = self.next_or_heartbeat().await;
            if frame.opcode() != PING {
                return frame;
            }
        }
    }

    pub async fn next_or_heartbeat(&mut self) -> Frame {
        within("a frame", self.read_frame()).await.unwrap()
    }

    async fn read_frame(&mut self) -> std::io::Result<Frame> {
        let first = self.stream.read_u8().await?;
        let second = self.stream.read_u8().await?;
        assert_eq!(second & 0x80, 0, "a server's frames are not masked");
        let length = match second {
            126 => self.stream.read_u16().await?.into(),
            127 => self.stream.read_u64().await?,
            short => short.into(),
        };
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).await?;
        Ok(Frame { first, payload })
    }

    /// Code and reason of the close frame, which must be the next but for heartbeats.
    pub async fn closed(&mut self) -> (u16, String) {
        let frame = self.next().await;
        assert_eq!(frame.opcode(), CLOSE, "{frame:?} instead of a close");
        close_of(&frame)
    }

    /// The server ends the stream, within the bound.
    pub async fn ends(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset is an end too.
        let _ = within("the end", self.stream.read_to_end(&mut rest)).await;
        rest
    }
}

pub fn close_of(frame: &Frame) -> (u16, String) {
    match frame.payload.split_first_chunk::<2>() {
        Some((code, reason)) => (u16::from_be_bytes(*code), String::from_utf8(reason.to_vec()).unwrap()),
        None => (1005, String::new()),
    }
}

/// A right opening handshake.
pub fn handshake() -> String {
    [
        "GET /ws HTTP/1.1",
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        "",
        "",
    ]
    .join("\r\n")
}
