//! An application's own server, that signs what it says as the Pusher SDKs do.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use serde_json::Value;
use sha2::Sha256;

use super::http::{self, Response};
use super::{Server, server};

/// Who signs.
#[derive(Clone, Copy, Debug)]
pub struct App {
    pub id: &'static str,
    pub key: &'static str,
    pub secret: &'static str,
}

pub const APP: App = App { id: "3", key: "278d425bdf160c739803", secret: "7ad3773142a6692b25b8" };

/// One call, before it is signed. What is changed in it stays so.
#[derive(Clone, Debug)]
pub struct Call {
    app: App,
    pub method: &'static str,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub body: String,
}

pub fn config(more: &str) -> String {
    let App { id, key, secret } = APP;
    format!("[[pusher.app]]\nid = '{id}'\nkey = '{key}'\nsecret = '{secret}'\n{more}\n")
}

/// Two shards, [`APP`], and no rule of any channel.
pub fn builder(more: &str) -> server::Builder {
    Server::builder().config(&config(more))
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub fn hmac(secret: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    hex(&mac.finalize().into_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl App {
    /// `path` behind `/apps/{id}`.
    pub fn get(self, path: &str) -> Call {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut call = self.call("GET", format!("/apps/{}{path}", self.id), "");
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            call.query.push((name.into(), value.into()));
        }
        call
    }

    pub fn post(self, path: &str, body: &Value) -> Call {
        self.call("POST", format!("/apps/{}{path}", self.id), &body.to_string())
    }

    pub fn call(self, method: &'static str, path: String, body: &str) -> Call {
        let mut query = vec![
            ("auth_key".into(), self.key.into()),
            ("auth_timestamp".into(), now().to_string()),
            ("auth_version".into(), "1.0".into()),
        ];
        if !body.is_empty() {
            query.push(("body_md5".into(), hex(&Md5::digest(body))));
        }
        Call { app: self, method, path, query, body: body.into() }
    }
}

impl Call {
    /// With another value of a parameter; none: without it.
    pub fn with(mut self, name: &str, value: Option<&str>) -> Self {
        self.query.retain(|(known, _)| known != name);
        self.query.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        self
    }

    /// Path and query, signed.
    pub fn target(&self) -> String {
        let mut query = self.query.clone();
        query.sort();
        let query: Vec<_> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let query = query.join("&");
        let signature = hmac(self.app.secret, &format!("{}\n{}\n{query}", self.method, self.path));
        format!("{}?{query}&auth_signature={signature}", self.path)
    }

    pub async fn send(&self, server: &Server) -> Response {
        http::request(server, self.method, &self.target(), &[], &self.body).await
    }

    /// The answer of a call that is well.
    pub async fn done(&self, server: &Server) -> Value {
        let answer = self.send(server).await;
        assert_eq!(answer.status, 200, "{self:?}: {}", answer.body);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        answer.json()
    }

    /// The status and the message of one that is not.
    pub async fn refused(&self, server: &Server) -> (u16, String) {
        refused(&self.send(server).await)
    }
}

pub fn refused(answer: &Response) -> (u16, String) {
    assert_ne!(answer.status, 200, "{}", answer.body);
    (answer.status, answer.json()["error"]["message"].as_str().unwrap().to_owned())
}
