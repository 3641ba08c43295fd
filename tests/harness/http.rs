//! One HTTP request on a connection of its own, written by hand.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Server, wait::within};

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    /// As they came, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Response {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

pub async fn get(server: &Server, path: &str) -> Response {
    request(server, "GET", path, &[], "").await
}

pub async fn post(server: &Server, path: &str, body: &str) -> Response {
    request(server, "POST", path, &[], body).await
}

pub async fn request(
    server: &Server,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Response {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", server.address);
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    let mut answer = Vec::new();
    within(&format!("{method} {path}"), async {
        let mut stream = TcpStream::connect(server.address).await?;
        stream.write_all(text.as_bytes()).await?;
        stream.read_to_end(&mut answer).await
    })
    .await
    .unwrap();
    parse(&String::from_utf8(answer).unwrap())
}

/// The head alone, of a response that may have no end.
pub async fn get_head(server: &Server, path: &str) -> String {
    let mut raw = super::Raw::tcp(server).await;
    raw.write(format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address).as_bytes()).await;
    raw.read_head().await
}

fn parse(answer: &str) -> Response {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP: {answer:?}"));
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_lowercase(), value.trim().to_owned())
    };
    Response { status, headers: lines.map(header).collect(), body: body.to_owned() }
}
