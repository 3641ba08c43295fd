//! A client on a real WebSocket library, with one wait for each thing a test wants to see.

use std::collections::VecDeque;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Response};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::wait::within;
use super::{Server, wait};

/// One connection. Every wait is bounded; a close that nobody waits for is a panic.
pub struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// What has come and was not asked for yet.
    waiting: VecDeque<Arrived>,
    next_id: u64,
}

/// What the server sends.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrived {
    Text(String),
    Binary(Vec<u8>),
    Closed(u16, String),
}

impl Arrived {
    pub fn json(&self) -> Option<Value> {
        match self {
            Self::Text(text) => {
                Some(serde_json::from_str(text).unwrap_or_else(|_| panic!("not JSON: {text}")))
            }
            _ => None,
        }
    }

    fn is(&self, kind: &str) -> bool {
        self.json().is_some_and(|frame| frame["type"] == kind)
    }
}

impl Client {
    /// Anonymous, on `/ws`.
    pub async fn connect(server: &Server) -> Self {
        Self::open(server, "/ws", &[]).await.0
    }

    pub async fn with_token(server: &Server, token: &str) -> Self {
        Self::open(server, "/ws", &[("authorization", &format!("Bearer {token}"))]).await.0
    }

    /// With the HTTP response that accepted the handshake.
    pub async fn open(
        server: &Server,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (Self, Response<Option<Vec<u8>>>) {
        let opened = Self::try_open(server, path, headers).await;
        opened.unwrap_or_else(|error| panic!("no handshake at {path}: {error}"))
    }

    pub async fn try_open(
        server: &Server,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<(Self, Response<Option<Vec<u8>>>), Error> {
        let mut request = server.url(path).into_client_request().unwrap();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
        let opening = tokio_tungstenite::connect_async(request);
        let (socket, response) = within("a handshake", opening).await?;
        Ok((Self { socket, waiting: VecDeque::new(), next_id: 1 }, response))
    }

    // === sending ===

    pub async fn send(&mut self, frame: Value) {
        self.send_text(&frame.to_string()).await;
    }

    pub async fn send_text(&mut self, frame: &str) {
        self.send_message(Message::text(frame)).await;
    }

    pub async fn send_binary(&mut self, payload: Vec<u8>) {
        self.send_message(Message::binary(payload)).await;
    }

    pub async fn send_message(&mut self, message: Message) {
        within("sending", self.socket.send(message)).await.unwrap();
    }

    // === receiving ===

    /// The next thing that comes, in order.
    pub async fn next(&mut self) -> Arrived {
        match self.waiting.pop_front() {
            Some(arrived) => arrived,
            None => within("a frame", self.read()).await,
        }
    }

    /// For what the server does on purpose only after some seconds.
    pub async fn next_patiently(&mut self) -> Arrived {
        match self.waiting.pop_front() {
            Some(arrived) => arrived,
            None => tokio::time::timeout(wait::LONG, self.read()).await.expect("a frame in time"),
        }
    }

    /// Never to be cut short other than by giving the client up.
    async fn read(&mut self) -> Arrived {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Arrived::Text(text.as_str().to_owned()),
                Some(Ok(Message::Binary(bytes))) => return Arrived::Binary(bytes.to_vec()),
                Some(Ok(Message::Close(close))) => {
                    // Reading on sends the answer to it.
                    let _ = self.socket.next().await;
                    let (code, reason) = close.map_or((1005, String::new()), |close| {
                        (close.code.into(), close.reason.as_str().to_owned())
                    });
                    return Arrived::Closed(code, reason);
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => panic!("the connection broke: {error}"),
                None => panic!("the connection ended without a close frame"),
            }
        }
    }

    /// The first thing, kept or to come, that `wanted` takes; what comes before it is kept.
    async fn find(&mut self, what: &str, wanted: impl Fn(&Arrived) -> bool) -> Arrived {
        if let Some(at) = self.waiting.iter().position(&wanted) {
            return self.waiting.remove(at).unwrap();
        }
        let began = std::time::Instant::now();
        loop {
            let left = wait::BOUND.saturating_sub(began.elapsed());
            let arrived = match tokio::time::timeout(left, self.read()).await {
                Ok(arrived) => arrived,
                Err(_) => panic!("no {what} within {:?}; what came: {:#?}", wait::BOUND, self.waiting),
            };
            if wanted(&arrived) {
                return arrived;
            }
            if let Arrived::Closed(code, reason) = &arrived {
                panic!(
                    "closed with {code} ({reason}) instead of {what}; what came before: {:#?}",
                    self.waiting
                );
            }
            self.waiting.push_back(arrived);
        }
    }

    /// The first frame of a type; others that come before it are kept.
    pub async fn expect(&mut self, kind: &str) -> Value {
        self.find(&format!("`{kind}` frame"), |arrived| arrived.is(kind)).await.json().unwrap()
    }

    /// The next `data` frame's data, of whatever channel.
    pub async fn data(&mut self) -> Value {
        self.expect("data").await["data"].take()
    }

    /// The very next frame, as JSON.
    pub async fn next_json(&mut self) -> Value {
        let arrived = self.next().await;
        arrived.json().unwrap_or_else(|| panic!("no text frame but {arrived:?}"))
    }

    /// The very next frame, as it stands.
    pub async fn next_text(&mut self) -> String {
        match self.next().await {
            Arrived::Text(text) => text,
            other => panic!("no text frame but {other:?}"),
        }
    }

    pub async fn binary(&mut self) -> Vec<u8> {
        let found = self.find("binary frame", |arrived| matches!(arrived, Arrived::Binary(_))).await;
        let Arrived::Binary(bytes) = found else { unreachable!() };
        bytes
    }

    /// Code and reason of the server's close frame.
    pub async fn closed(&mut self) -> (u16, String) {
        let found = self.find("close", |arrived| matches!(arrived, Arrived::Closed(..))).await;
        let Arrived::Closed(code, reason) = found else { unreachable!() };
        (code, reason)
    }

    /// What has come and was not asked for.
    pub fn left_over(&mut self) -> Vec<Arrived> {
        self.waiting.drain(..).collect()
    }

    // === asking ===

    /// Sends with an id and waits for what answers it; the answer is without that id.
    pub async fn ask(&mut self, mut frame: Value) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        frame["id"] = json!(id);
        self.send(frame).await;
        let answers = |arrived: &Arrived| arrived.json().is_some_and(|answer| answer["id"] == json!(id));
        let mut answer = self.find("answer", answers).await.json().unwrap();
        answer.as_object_mut().unwrap().remove("id");
        answer
    }

    pub async fn subscribe(&mut self, channel: &str) -> Value {
        self.subscribe_with(json!({ "channel": channel })).await
    }

    /// `fields` beside the type.
    pub async fn subscribe_with(&mut self, mut fields: Value) -> Value {
        fields["type"] = json!("subscribe");
        let answer = self.ask(fields).await;
        assert_eq!(answer["type"], "subscribed", "{answer}");
        answer
    }

    pub async fn unsubscribe(&mut self, channel: &str) {
        let answer = self.ask(json!({ "type": "unsubscribe", "channel": channel })).await;
        assert_eq!(answer, json!({ "type": "unsubscribed", "channel": channel }));
    }

    /// The answer to a publish: `published`, or an error.
    pub async fn try_publish(&mut self, channel: &str, data: Value) -> Value {
        self.ask(json!({ "type": "publish", "channel": channel, "data": data })).await
    }

    /// The message's offset.
    pub async fn publish(&mut self, channel: &str, data: Value) -> u64 {
        let answer = self.try_publish(channel, data).await;
        assert_eq!(answer["type"], "published", "{answer}");
        answer["offset"].as_u64().unwrap_or_else(|| panic!("no offset in {answer}"))
    }

    /// One `ping` of the protocol and its `pong`.
    pub async fn ping(&mut self) {
        assert_eq!(self.ask(json!({ "type": "ping" })).await, json!({ "type": "pong" }));
    }

    /// The user that others see: through a channel of its own.
    pub async fn user(&mut self) -> String {
        self.subscribe("who-am-i").await;
        let offset = self.publish("who-am-i", json!("me")).await;
        assert!(offset > 0);
        let said = self.expect("data").await;
        self.unsubscribe("who-am-i").await;
        said["sender"].as_str().unwrap_or_else(|| panic!("no sender in {said}")).to_owned()
    }
}
