//! One GET, bounded in time and size, of one URL that the settings name. No redirect is followed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::config::JwksUrl;

/// For everything together: name, connection, handshake, answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of the answer's body.
const BODY_BYTES: usize = 256 << 10;
/// Of its head.
const HEAD_BYTES: usize = 64 << 10;

pub struct Fetcher {
    url: JwksUrl,
    /// For https.
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Fetcher {
    /// # Errors
    /// For https, where this machine trusts no authority at all.
    pub fn new(url: JwksUrl) -> Result<Self> {
        let tls = url.tls.then(|| connector(&url.host)).transpose()?;
        Ok(Self { url, tls })
    }

    pub async fn get(&self) -> Result<Bytes> {
        match tokio::time::timeout(PATIENCE, self.answer()).await {
            Ok(answer) => answer,
            Err(_) => bail!("no whole answer within {} s", PATIENCE.as_secs()),
        }
    }

    async fn answer(&self) -> Result<Bytes> {
        let found = lookup_host((&*self.url.host, self.url.port)).await.context("cannot find the host")?;
        // Without TLS a name must not lead off this machine, whatever its resolver says.
        let addresses: Vec<_> = found.filter(|at| self.tls.is_some() || at.ip().is_loopback()).collect();
        let stream = TcpStream::connect(&*addresses).await.context("cannot connect")?;
        match &self.tls {
            None => self.exchange(stream).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.context("no TLS connection")?;
                self.exchange(stream).await
            }
        }
    }

    async fn exchange(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Bytes> {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_BYTES);
        let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        let request = Request::get(&self.url.path)
            .header(HOST, &self.url.authority)
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .header(USER_AGENT, concat!("tidegate/", env!("CARGO_PKG_VERSION")))
            .body(Empty::<Bytes>::new())?;
        let exchange = async {
            let response = sender.send_request(request).await.context("no HTTP answer")?;
            let status = response.status();
            ensure!(status == StatusCode::OK, "the answer is {status} and not 200");
            match Limited::new(response.into_body(), BODY_BYTES).collect().await {
                Ok(body) => Ok(body.to_bytes()),
                Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                    bail!("the answer has more than {BODY_BYTES} bytes")
                }
                Err(error) => bail!("the answer ended early: {error}"),
            }
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
fn connector(host: &str) -> Result<(TlsConnector, ServerName<'static>)> {
    let name = ServerName::try_from(host.to_owned())
        .with_context(|| format!("jwt.jwks_url: `{host}` is no name a certificate could have"))?;
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    ensure!(
        usable > 0,
        "jwt.jwks_url: this machine trusts no certificate authority, so https cannot be checked: install \
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
