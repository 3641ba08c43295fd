//! The Pusher Channels protocol as its clients see it, frame by frame.

mod auth;
mod bad_input;
mod cache;
mod channels;
mod connection;
mod counts;
mod one_channel;
mod presence;
mod users;
mod whisper;

use serde_json::{Value, json};
use tidegate::dialect::pusher::sign::SigningKey;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::client::Arrived;
use crate::harness::{Client, Server, http, within};

pub const KEY: &str = "278d425bdf160c739803";
pub const SECRET: &str = "7ad3773142a6692b25b8";
pub const PATH: &str = "/app/278d425bdf160c739803?protocol=7&client=js&version=8.6.0&flash=false";

/// One app, whose clients may talk; `more` goes into its section.
pub fn config(more: &str) -> String {
    format!("[[pusher.app]]\nid = 3\nkey = '{KEY}'\nsecret = '{SECRET}'\nclient_events = true\n{more}\n")
}

pub fn server() -> Server {
    Server::builder().config(&config("")).start()
}

/// What the app's own server signs.
pub fn signed(parts: &[&str]) -> String {
    format!("{KEY}:{}", SigningKey::new(SECRET.as_bytes()).unwrap().sign(parts))
}

/// A connected client of the app.
pub struct Pusher {
    pub client: Client,
    pub socket_id: String,
}

impl Pusher {
    pub async fn connect(server: &Server) -> Self {
        Self::at(server, PATH).await
    }

    pub async fn at(server: &Server, path: &str) -> Self {
        let (mut client, _) = Client::open(server, path, &[]).await;
        let hello = client.next_json().await;
        assert_eq!(hello["event"], "pusher:connection_established", "{hello}");
        let data: Value = serde_json::from_str(hello["data"].as_str().unwrap()).unwrap();
        let socket_id = data["socket_id"].as_str().unwrap().to_owned();
        Self { client, socket_id }
    }

    pub async fn send(&mut self, event: &str, data: Value) {
        self.client.send(json!({ "event": event, "data": data })).await;
    }

    /// The next frame.
    pub async fn next(&mut self) -> Value {
        self.client.next_json().await
    }

    /// The next frame's `data`, which is a string, as what it holds.
    pub async fn next_data(&mut self, event: &str) -> Value {
        let frame = self.next().await;
        assert_eq!(frame["event"], event, "{frame}");
        serde_json::from_str(frame["data"].as_str().unwrap_or_else(|| panic!("no string in {frame}")))
            .unwrap()
    }

    /// Nothing has come: the answer to a ping is next.
    pub async fn silent(&mut self) {
        self.send("pusher:ping", json!({})).await;
        let pong = self.next().await;
        assert_eq!(pong, json!({ "event": "pusher:pong", "data": "{}" }));
    }

    pub async fn ask(&mut self, channel: &str, auth: &str, channel_data: Option<&str>) -> Value {
        let mut data = json!({ "channel": channel, "auth": auth });
        if let Some(channel_data) = channel_data {
            data["channel_data"] = json!(channel_data);
        }
        self.send("pusher:subscribe", data).await;
        self.next().await
    }

    /// With what the channel's name wants.
    pub async fn subscribe(&mut self, channel: &str) -> Value {
        let answer = self.try_subscribe(channel).await;
        assert_eq!(answer["event"], "pusher_internal:subscription_succeeded", "{answer}");
        assert_eq!(answer["channel"], channel);
        answer
    }

    pub async fn try_subscribe(&mut self, channel: &str) -> Value {
        let auth = signed(&[&self.socket_id, ":", channel]);
        let auth = if channel.starts_with("private-") { &auth } else { "" };
        self.ask(channel, auth, None).await
    }

    /// A presence channel, as a user.
    pub async fn join(&mut self, channel: &str, channel_data: Value) -> Value {
        let data = channel_data.to_string();
        let auth = signed(&[&self.socket_id, ":", channel, ":", &data]);
        let answer = self.ask(channel, &auth, Some(&data)).await;
        assert_eq!(answer["event"], "pusher_internal:subscription_succeeded", "{answer}");
        serde_json::from_str(answer["data"].as_str().unwrap()).unwrap()
    }

    pub async fn unsubscribe(&mut self, channel: &str) {
        self.send("pusher:unsubscribe", json!({ "channel": channel })).await;
    }

    pub async fn sign_in(&mut self, user_data: Value) {
        let user_data = user_data.to_string();
        let auth = signed(&[&self.socket_id, "::user::", &user_data]);
        self.send("pusher:signin", json!({ "auth": auth, "user_data": user_data })).await;
        let data = self.next_data("pusher:signin_success").await;
        assert_eq!(data["user_data"], user_data, "the very string");
    }

    pub async fn whisper(&mut self, event: &str, channel: &str, data: Value) {
        self.client.send(json!({ "event": event, "channel": channel, "data": data })).await;
    }

    /// `pusher:error`, as code and message.
    pub async fn error(&mut self) -> (Option<u64>, String) {
        let frame = self.next().await;
        assert_eq!(frame["event"], "pusher:error", "{frame}");
        assert!(frame["data"].is_object(), "{frame}");
        (frame["data"]["code"].as_u64(), frame["data"]["message"].as_str().unwrap().to_owned())
    }

    /// `pusher:subscription_error`, which names the channel and keeps the connection.
    pub async fn refused(&mut self, channel: &str, auth: &str, channel_data: Option<&str>) -> Value {
        let mut answer = self.ask(channel, auth, channel_data).await;
        assert_eq!(answer["event"], "pusher:subscription_error", "{answer}");
        assert_eq!(answer["channel"], channel);
        self.silent().await;
        answer["data"].take()
    }

    /// The connection ends, and no frame is lost on the way.
    pub async fn gone(self) {
        let Self { mut client, .. } = self;
        client.send_message(Message::Close(None)).await;
        assert!(matches!(client.next().await, Arrived::Closed(..)));
    }
}

/// As the app's server would, by the server's own API.
pub async fn publish(server: &Server, channel: &str, event: &str, text: &str) {
    let kind = if serde_json::from_str::<Value>(text).is_ok() { "data" } else { "text" };
    let data = match kind {
        "data" => text.to_owned(),
        _ => json!(text).to_string(),
    };
    let (channel, event) = (json!(channel), json!(event));
    let body = format!("{{\"channel\":{channel},\"event\":{event},\"{kind}\":{data}}}");
    let answer = within("a publication", http::post(server, "/api/publish", &body)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}
