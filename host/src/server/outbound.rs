//! Requests that the server itself sends, each on a connection of its own, bounded in time and
//! size, to one URL that the settings name. No redirect is followed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::header::{HOST, USER_AGENT};
use hyper::http::request::Builder;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::config::HttpUrl;

/// Of an answer's head, in bytes.
const HEAD_BYTES: usize = 64 << 10;

/// What is told by whoever answers.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    /// An error, where it ended early or is larger than the bound.
    pub body: Result<Bytes>,
}

/// One URL, and what it takes to ask it.
pub struct Client {
    url: HttpUrl,
    /// For https.
    tls: Option<(TlsConnector, ServerName<'static>)>,
    reach: Reach,
    bounds: Bounds,
}

/// Where a URL of http may lead. One of https leads to whoever has the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Anywhere,
    /// Not off this machine, whatever a resolver says of the name.
    Here,
}

#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// For everything together: name, connection, handshake, answer.
    pub patience: Duration,
    /// Of an answer's body, in bytes.
    pub body: usize,
}

impl Client {
    /// `key`: the setting, for errors.
    ///
    /// # Errors
    /// For https, where this machine trusts no authority at all.
    pub fn new(key: &str, url: HttpUrl, reach: Reach, bounds: Bounds) -> Result<Self> {
        let tls = url.tls.then(|| connector(key, &url.host)).transpose()?;
        Ok(Self { url, tls, reach, bounds })
    }

    /// For logs: the rest of a URL may be a secret.
    pub fn authority(&self) -> &str {
        &self.url.authority
    }

    /// A request for the URL: method, path, and the headers that every request has.
    pub fn request(&self, method: Method) -> Builder {
        let request = Request::builder().method(method).uri(&self.url.path);
        let agent = concat!("tidegate/", env!("CARGO_PKG_VERSION"));
        request.header(HOST, &self.url.authority).header(USER_AGENT, agent)
    }

    /// # Errors
    /// There is no answer, or not in time.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer> {
        let Bounds { patience, .. } = self.bounds;
        match tokio::time::timeout(patience, self.ask(request)).await {
            Ok(answer) => answer,
            Err(_) => bail!("no whole answer within {} s", patience.as_secs()),
        }
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> Result<Answer> {
        let found = lookup_host((&*self.url.host, self.url.port)).await.context("cannot find the host")?;
        let anywhere = self.tls.is_some() || self.reach == Reach::Anywhere;
        let addresses: Vec<SocketAddr> = found.filter(|at| anywhere || at.ip().is_loopback()).collect();
        let stream = TcpStream::connect(&*addresses).await.context("cannot connect")?;
        match &self.tls {
            None => self.exchange(stream, request).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.context("no TLS connection")?;
                self.exchange(stream, request).await
            }
        }
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer> {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_BYTES);
        let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        let exchange = async {
            let response = sender.send_request(request).await.context("no HTTP answer")?;
            let status = response.status();
            let body = match Limited::new(response.into_body(), self.bounds.body).collect().await {
                Ok(body) => Ok(body.to_bytes()),
                Err(error) if error.is::<LengthLimitError>() => {
                    Err(anyhow!("the answer has more than {} bytes", self.bounds.body))
                }
                Err(error) => Err(anyhow!("the answer ended early: {error}")),
            };
            Ok(Answer { status, body })
        };
        // The connection is driven here and no longer: it is not used again.
        tokio::pin!(exchange, connection);
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            // What it has read by then may be the whole answer; if not, the answer says so.
            _ = &mut connection => exchange.await,
        }
    }
}

/// Trusts what the machine trusts: a company's own authority is there, or in `SSL_CERT_FILE`.
fn connector(key: &str, host: &str) -> Result<(TlsConnector, ServerName<'static>)> {
    let name = ServerName::try_from(host.to_owned())
        .with_context(|| format!("{key}: `{host}` is no name a certificate could have"))?;
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    ensure!(
        usable > 0,
        "{key}: this machine trusts no certificate authority, so https cannot be checked: install \
         them (`ca-certificates`), or name a file of them in SSL_CERT_FILE{}",
        found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default()
    );
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((TlsConnector::from(Arc::new(config)), name))
}
