//! One call of a running server's API.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full};
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::cli::client::block_on;

/// Where the server is, and who asks.
#[derive(Args)]
pub struct Api {
    /// The server: its address, or any URL of it
    #[arg(long, env = "TIDEGATE_URL", default_value = "ws://127.0.0.1:8000/ws", value_name = "URL")]
    url: String,
    /// A key of its API that may `manage`; needed where keys are configured
    #[arg(long, env = "TIDEGATE_KEY", hide_env_values = true)]
    key: Option<String>,
}

impl Api {
    /// The body of the answer.
    ///
    /// # Errors
    /// The server is not reached, or does not do it: then what it says.
    pub fn call(&self, method: Method, path: &str, body: &str) -> Result<String> {
        let url: hyper::Uri = self.url.parse().with_context(|| format!("{} is not a URL", self.url))?;
        let host = url.host().with_context(|| format!("{} names no host", self.url))?;
        let port = url.port_u16().unwrap_or(80);
        let mut request = Request::builder().method(method).uri(path).header(HOST, format!("{host}:{port}"));
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, format!("Bearer {key}"));
        }
        let request = request
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
            .context("the key or the name has characters that no request takes")?;
        let (status, text) = block_on(async {
            let stream = TcpStream::connect((host.trim_matches(['[', ']']), port))
                .await
                .with_context(|| format!("cannot reach {host}:{port}: is the server running?"))?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            Ok((status, answer.into_body().collect().await?.to_bytes()))
        })?;
        let text = String::from_utf8_lossy(&text).into_owned();
        if status != StatusCode::OK {
            let said: Value = serde_json::from_str(&text).unwrap_or_default();
            bail!("{}", said["error"]["message"].as_str().unwrap_or(&text));
        }
        Ok(text)
    }
}
