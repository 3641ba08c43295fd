//! Requests that plugins send: to whom they may, within their time, on connections that are kept.

use std::error::Error as StdError;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::HeaderValue;
use hyper::rt::Executor;
use hyper::{Method, Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::courier::Courier;
use super::origin::Origin;
use super::reach::is_public;
use super::{Grants, HttpGrant, Need};
use crate::core::TraceParent;
use crate::core::address::Network;

/// Of an answer's head, in bytes.
const HEAD_BYTES: usize = 64 << 10;
/// A connection that nobody has used for so long is closed.
const KEEP: Duration = Duration::from_secs(30);
/// Connections of one origin that are kept for the next request.
const MOST_KEPT: usize = 8;
/// Of a request's body at a time, in bytes.
const CHUNK: usize = 64 << 10;

/// One plugin's way out.
pub struct Outbound {
    client: Client<Connector, WasiBody>,
    handle: Handle,
    turn: Arc<Semaphore>,
    timeout: Duration,
    response_bytes: usize,
}

impl Outbound {
    /// # Errors
    /// For https, where this machine trusts no authority at all.
    pub fn new(grant: &HttpGrant, courier: &Courier) -> Result<Self> {
        let handle = courier.handle()?;
        let tls = grant.origins.iter().any(|origin| origin.tls).then(trusting).transpose()?;
        let client = Client::builder(Spawner(handle.clone()))
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEEP)
            .pool_max_idle_per_host(grant.concurrent.min(MOST_KEPT))
            .http1_max_buf_size(HEAD_BYTES)
            // Written by `wasi:http` already.
            .set_host(false)
            .build(Connector { tls, networks: grant.networks.clone().into() });
        Ok(Self {
            client,
            handle,
            turn: Arc::new(Semaphore::new(grant.concurrent)),
            timeout: grant.timeout,
            response_bytes: grant.response_bytes,
        })
    }
}

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Result<(Response<WasiBody>, Io), Error>;

/// What `wasi:http` asks of one store.
pub struct Hooks {
    pub grants: Arc<Grants>,
    /// Of the call that sends.
    pub trace: Option<TraceParent>,
}

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        mut request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Io,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let grants = self.grants.clone();
        // One that the plugin has made its own of stays.
        if let Some(trace) = self.trace
            && let Ok(value) = HeaderValue::from_str(&trace.to_string())
        {
            request.headers_mut().entry(TraceParent::HEADER).or_insert(value);
        }
        match permit(&grants, &request) {
            Ok(()) => Box::new(send(grants, request, options.unwrap_or_default())),
            Err(error) => Box::new(std::future::ready(Err(error))),
        }
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }
}

/// May it go there?
fn permit(grants: &Grants, request: &Request<WasiBody>) -> Result<(), Error> {
    if request.method() == Method::CONNECT {
        return Err(Error::HttpRequestMethodInvalid);
    }
    let Some(origin) = Origin::of(request.uri()) else { return Err(Error::HttpRequestUriInvalid) };
    if grants.settings.http.origins.contains(&origin) {
        return Ok(());
    }
    Err(Error::InternalError(Some(grants.refuse(Need::Http(&origin.to_string())))))
}

async fn send(grants: Arc<Grants>, request: Request<WasiBody>, options: RequestOptions) -> Sent {
    let Some(out) = &grants.http else { return Err(Error::HttpRequestDenied) };
    let deadline = Instant::now() + out.timeout;
    let head = options.first_byte_timeout.map_or(deadline, |of| deadline.min(Instant::now() + of));
    let (client, turn) = (out.client.clone(), out.turn.clone());
    let asked = out.handle.spawn(async move {
        let whole = async {
            let permit = turn.acquire_owned().await.map_err(|_| Error::HttpRequestDenied)?;
            let response = client.request(request).await.map_err(|error| Failure::of(&error))?;
            Ok::<_, Failed>((response, permit))
        };
        let answered = tokio::time::timeout_at(head, whole).await;
        // The body's timer belongs to this thread.
        (answered, Box::pin(tokio::time::sleep_until(deadline)))
    });
    let (answered, deadline) = EndsWithMe(asked).await.map_err(|_| Error::ConnectionTerminated)?;
    let (response, permit) = match answered {
        Err(_) => return Err(Error::HttpResponseTimeout),
        Ok(Err(Failed::Said(error))) => return Err(error),
        Ok(Err(Failed::Private(origin, address))) => {
            let text = grants.refuse(Need::Private(&origin.to_string(), address));
            return Err(Error::InternalError(Some(text)));
        }
        Ok(Ok(answer)) => answer,
    };
    let bound = out.response_bytes;
    let body = |body| Answer { body, left: bound, bound, deadline, _permit: permit }.boxed_unsync();
    Ok((response.map(body), Box::new(std::future::ready(Ok(())))))
}

/// A request that nobody waits for any more is not sent to its end.
struct EndsWithMe<T>(JoinHandle<T>);

impl<T> Future for EndsWithMe<T> {
    type Output = Result<T, tokio::task::JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<T> Drop for EndsWithMe<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Clone)]
struct Spawner(Handle);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Spawner {
    fn execute(&self, connection: F) {
        self.0.spawn(connection);
    }
}

/// An answer's body: so many bytes, until then.
struct Answer {
    body: Incoming,
    left: usize,
    bound: usize,
    deadline: Pin<Box<Sleep>>,
    /// Its turn ends with the body.
    _permit: OwnedSemaphorePermit,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if this.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(Error::HttpResponseTimeout)));
        }
        let frame = match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => return Poll::Pending,
        };
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        match this.left.checked_sub(bytes) {
            Some(left) => this.left = left,
            None => return Poll::Ready(Some(Err(Error::HttpResponseBodySize(Some(this.bound as u64))))),
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === connections ===

/// Why there is no answer.
enum Failed {
    Said(Error),
    Private(Origin, IpAddr),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Said(error)
    }
}

/// Why there is no connection.
#[derive(Clone, Debug, thiserror::Error)]
enum Failure {
    #[error("not a URL of http")]
    NoOrigin,
    #[error("{0} is at {1}, which is no public address")]
    Private(Origin, IpAddr),
    #[error("the host is not found: {0}")]
    NotFound(String),
    #[error("no connection: {0}")]
    NoConnection(std::io::ErrorKind),
    #[error("no TLS connection: {0}")]
    NoTls(String),
}

impl Failure {
    /// What the client's error comes from.
    fn of(error: &(dyn StdError + 'static)) -> Failed {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(failure) = error.downcast_ref::<Self>() {
                return failure.clone().said();
            }
            if let Some(error) = error.downcast_ref::<hyper::Error>() {
                let said = if error.is_incomplete_message() || error.is_closed() {
                    Error::HttpResponseIncomplete
                } else {
                    Error::InternalError(Some(error.to_string()))
                };
                return Failed::Said(said);
            }
            cause = error.source();
        }
        Failed::Said(Error::InternalError(Some(error.to_string())))
    }

    fn said(self) -> Failed {
        Failed::Said(match self {
            Self::Private(origin, address) => return Failed::Private(origin, address),
            Self::NoOrigin => Error::HttpRequestUriInvalid,
            Self::NotFound(what) => Error::DnsError { rcode: Some(what), info_code: None },
            Self::NoConnection(std::io::ErrorKind::ConnectionRefused) => Error::ConnectionRefused,
            Self::NoConnection(_) => Error::DestinationUnavailable,
            // The guest's own code for it has no text, and an operator needs one.
            Self::NoTls(_) => Error::InternalError(Some(self.to_string())),
        })
    }
}

#[derive(Clone)]
struct Connector {
    tls: Option<TlsConnector>,
    networks: Arc<[Network]>,
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let origin = Origin::of(&uri).ok_or(Failure::NoOrigin)?;
            Ok(TokioIo::new(this.connect(origin).await?))
        })
    }
}

impl Connector {
    async fn connect(&self, origin: Origin) -> Result<Stream, Failure> {
        let addresses = self.addresses(&origin).await?;
        let connected = TcpStream::connect(&*addresses).await;
        let stream = connected.map_err(|error| Failure::NoConnection(error.kind()))?;
        // Without it requests only go out later.
        let _ = stream.set_nodelay(true);
        let Some(tls) = self.tls.as_ref().filter(|_| origin.tls) else { return Ok(Stream::Plain(stream)) };
        let said = |error: &dyn std::fmt::Display| Failure::NoTls(error.to_string());
        let name = ServerName::try_from(origin.host).map_err(|error| said(&error))?;
        let stream = tls.connect(name, stream).await.map_err(|error| said(&error))?;
        Ok(Stream::Tls(Box::new(stream)))
    }

    /// The addresses that it may connect to: looked up and judged once, so that a name that leads
    /// elsewhere a moment later leads nowhere.
    async fn addresses(&self, origin: &Origin) -> Result<Vec<SocketAddr>, Failure> {
        if let Some(address) = origin.address() {
            // On the list as it stands.
            return Ok(vec![SocketAddr::new(address, origin.port)]);
        }
        let found = lookup_host((&*origin.host, origin.port)).await;
        let found: Vec<_> = found.map_err(|error| Failure::NotFound(error.to_string()))?.collect();
        let first = found.first().ok_or_else(|| Failure::NotFound("it has no address".into()))?.ip();
        let may: Vec<_> = found.into_iter().filter(|at| self.may_reach(&origin.host, at.ip())).collect();
        if may.is_empty() { Err(Failure::Private(origin.clone(), first)) } else { Ok(may) }
    }

    fn may_reach(&self, host: &str, address: IpAddr) -> bool {
        // `localhost` says itself where it leads (RFC 6761, section 6.3).
        let here = host == "localhost" && address.to_canonical().is_loopback();
        here || is_public(address) || self.networks.iter().any(|network| network.contains(address))
    }
}

/// Trusts what the machine trusts, as the server itself does.
fn trusting() -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    ensure!(
        usable > 0,
        "this machine trusts no certificate authority, so https cannot be checked: install them \
         (`ca-certificates`), or name a file of them in SSL_CERT_FILE"
    );
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("no TLS")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
