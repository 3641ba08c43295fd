//! One look at a key set.

use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::ACCEPT;
use hyper::{Method, StatusCode};

use super::super::outbound::{Bounds, Client, Reach};
use crate::config::HttpUrl;

const BOUNDS: Bounds = Bounds { patience: Duration::from_secs(5), body: 256 << 10 };

pub struct Fetcher(Client);

impl Fetcher {
    /// # Errors
    /// For https, where this machine trusts no authority at all.
    pub fn new(url: HttpUrl) -> Result<Self> {
        Ok(Self(Client::new("jwt.jwks_url", url, Reach::Here, BOUNDS)?))
    }

    pub async fn get(&self) -> Result<Bytes> {
        let request =
            self.0.request(Method::GET).header(ACCEPT, "application/jwk-set+json, application/json");
        let answer = self.0.send(request.body(Full::default())?).await?;
        ensure!(answer.status == StatusCode::OK, "the answer is {} and not 200", answer.status);
        answer.body
    }
}
