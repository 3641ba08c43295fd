//! A reader of server-sent events, written by hand: it sees comments and lone ids too.

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

use super::{Server, wait, wait::within};

/// An open stream. Every wait is bounded.
pub struct Events {
    /// The response's, in lower case.
    pub head: String,
    /// What a browser would come back with.
    pub last_id: String,
    stream: BufReader<TcpStream>,
}

/// The lines up to an empty one.
#[derive(Debug, Default, PartialEq)]
pub struct Block {
    pub event: Option<String>,
    pub data: Option<String>,
    pub id: Option<String>,
    pub comment: Option<String>,
}

impl Block {
    pub fn json(&self) -> Value {
        let data = self.data.as_deref().unwrap();
        serde_json::from_str(data).unwrap_or_else(|_| panic!("not JSON: {data}"))
    }
}

impl Events {
    pub async fn open(server: &Server, path: &str) -> Self {
        Self::with(server, path, &[]).await
    }

    pub async fn with(server: &Server, path: &str, headers: &[(&str, &str)]) -> Self {
        let stream = within("a connection", TcpStream::connect(server.address)).await.unwrap();
        Self::on(stream, path, headers).await
    }

    /// Its system takes little before the server has to wait.
    pub async fn narrow(server: &Server, path: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = within("a connection", socket.connect(server.address)).await.unwrap();
        Self::on(stream, path, &[]).await
    }

    /// On a connection that may have had other requests.
    pub async fn on(mut stream: TcpStream, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n");
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += "\r\n";
        within("a request", stream.write_all(request.as_bytes())).await.unwrap();
        let mut events = Self { head: String::new(), last_id: String::new(), stream: BufReader::new(stream) };
        while !events.head.ends_with("\r\n\r\n") {
            let read = within("a response's head", events.stream.read_line(&mut events.head)).await.unwrap();
            assert!(read > 0, "ended after {:?}", events.head);
        }
        events.head = events.head.to_lowercase();
        assert!(events.head.starts_with("http/1.1 200 ok\r\n"), "{}", events.head);
        events
    }

    /// The next message; comments and ids before it are passed over.
    pub async fn next(&mut self) -> Block {
        self.find(|block| block.data.is_some()).await
    }

    /// The next message's event, empty for none, and data.
    pub async fn said(&mut self) -> (String, String) {
        let block = self.next().await;
        (block.event.unwrap_or_default(), block.data.unwrap_or_default())
    }

    pub async fn comment(&mut self) -> String {
        self.find(|block| block.comment.is_some()).await.comment.unwrap()
    }

    /// Until the id is what is expected: on several channels it comes after its message.
    pub async fn until_id(&mut self, expected: impl Fn(&str) -> bool) {
        while !expected(&self.last_id) {
            self.block().await;
        }
    }

    async fn find(&mut self, wanted: impl Fn(&Block) -> bool) -> Block {
        loop {
            let block = self.block().await;
            if wanted(&block) {
                return block;
            }
        }
    }

    /// Whatever comes next.
    pub async fn block(&mut self) -> Block {
        let block = tokio::time::timeout(wait::LONG, self.try_block()).await;
        block.expect("a block in time").unwrap_or_else(|| panic!("the stream ended"))
    }

    /// None at the end.
    pub async fn try_block(&mut self) -> Option<Block> {
        let mut block = Block::default();
        loop {
            let mut line = String::new();
            // A reset is an end too.
            if self.stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                assert_eq!(block, Block::default(), "the stream ended within a block");
                return None;
            }
            assert!(!line.contains('\r'), "{line:?}");
            let line = line.strip_suffix('\n').unwrap();
            if line.is_empty() {
                return Some(block);
            }
            let (field, value) = line.split_once(':').unwrap_or_else(|| panic!("no field: {line:?}"));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => block.event = Some(value.into()),
                "data" => {
                    let data = block.data.get_or_insert_default();
                    *data = if data.is_empty() { value.to_owned() } else { format!("{data}\n{value}") };
                }
                "id" => {
                    self.last_id = value.into();
                    block.id = Some(value.into());
                }
                "" => block.comment = Some(value.into()),
                other => panic!("a field of its own: {other:?} in {line:?}"),
            }
        }
    }

    /// What is left until the end, which comes within the bound.
    pub async fn ends(&mut self) -> String {
        let mut rest = Vec::new();
        let _ = within("the end", self.stream.read_to_end(&mut rest)).await;
        String::from_utf8(rest).unwrap()
    }
}
