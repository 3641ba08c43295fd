//! Keys of tokens that are fetched: from a key server in the test, that says what it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto::ring};

use super::jwt::{builder, refusal, server, user};
use crate::harness::{Client, cli, sign};

/// What the key server answers with.
#[derive(Clone)]
enum Says {
    Keys(Vec<Value>),
    /// A whole HTTP answer.
    Raw(String),
    Nothing,
}

/// An HTTP server with a key set.
struct KeyServer {
    url: String,
    says: watch::Sender<Says>,
    requests: Arc<AtomicUsize>,
}

impl KeyServer {
    async fn start(says: Says) -> Self {
        Self::serve(says, None).await
    }

    async fn serve(says: Says, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (says, said) = watch::channel(says);
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (said, counted, tls) = (said.borrow().clone(), counted.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => answer(stream, said, &counted).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                answer(stream, said, &counted).await;
                            }
                        }
                    }
                });
            }
        });
        Self { url: format!("{scheme}://localhost:{port}/keys?x=1"), says, requests }
    }

    fn says(&self, says: Says) {
        self.says.send_replace(says);
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    fn config(&self) -> String {
        format!("jwks_url = '{}'", self.url)
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, says: Says, counted: &AtomicUsize) {
    let (mut head, mut some) = (Vec::new(), [0; 1024]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut some).await {
            Ok(0) | Err(_) => return,
            Ok(read) => head.extend_from_slice(&some[..read]),
        }
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.starts_with("get /keys?x=1 http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nhost: localhost:"), "{head}");
    counted.fetch_add(1, Ordering::SeqCst);
    let text = match says {
        Says::Keys(keys) => {
            let body = json!({ "keys": keys }).to_string();
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        }
        Says::Raw(text) => text,
        Says::Nothing => {
            // Until the other side gives up.
            let _ = stream.read(&mut some).await;
            return;
        }
    };
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

const NO_KEYS: &str = "The server cannot check tokens now: the keys are not available.";
const UNKNOWN: &str = "The token's key is not known.";

#[tokio::test]
async fn keys_are_fetched_and_a_new_one_is_fetched_for() {
    let keys = KeyServer::start(Says::Keys(vec![sign::jwk("ed25519"), sign::jwk("rsa")])).await;
    let server = server(&keys.config());
    let of = |key: sign::Signer, user: &str| key.sign_with_kid(json!({ "sub": user }));
    for key in [sign::ED25519, sign::RSA] {
        assert_eq!(user(&server, &of(key, "ada")).await, "ada");
    }
    let mut old = Client::with_token(&server, &of(sign::ED25519, "old")).await;
    assert_eq!(keys.requests(), 1);

    keys.says(Says::Keys(vec![sign::jwk("ed25519-2")]));
    assert_eq!(user(&server, &of(sign::ED25519_2, "bob")).await, "bob", "its key is fetched for it");
    assert_eq!(keys.requests(), 2);
    assert_eq!(refusal(&server, &of(sign::ED25519, "ada")).await, UNKNOWN, "the old key is gone");
    assert_eq!(old.user().await, "old", "who is in stays in");

    // Whoever makes up ids does not make the server fetch more than once a minute.
    keys.says(Says::Keys(vec![sign::jwk("p256")]));
    for _ in 0..3 {
        assert_eq!(refusal(&server, &of(sign::P256, "eve")).await, UNKNOWN);
    }
    assert_eq!(user(&server, &of(sign::ED25519_2, "bob")).await, "bob");
    assert_eq!(keys.requests(), 2);
}

#[tokio::test]
async fn an_unknown_key_is_not_fetched_for_a_token_of_no_use() {
    let keys = KeyServer::start(Says::Keys(vec![sign::jwk("ed25519")])).await;
    let server = server(&format!("{}\nalgorithms = ['EdDSA']", keys.config()));
    assert_eq!(user(&server, &sign::ED25519.sign(json!({ "sub": "ada" }))).await, "ada");
    let reason = "The token's algorithm must be EdDSA.";
    assert_eq!(refusal(&server, &sign::RSA.sign_with_kid(json!({ "sub": "eve" }))).await, reason);
    assert_eq!(refusal(&server, &sign::HS256.sign_with_kid(json!({ "sub": "eve" }))).await, reason);
    let crossed = sign::ED25519_2.sign_with(r#"{"alg":"EdDSA","kid":"ed25519"}"#, r#"{"sub":"eve"}"#);
    assert_eq!(refusal(&server, &crossed).await, "The token's signature does not match.");
    assert_eq!(keys.requests(), 1);
}

#[tokio::test]
async fn a_failed_fetch_leaves_the_old_keys() {
    let keys = KeyServer::start(Says::Keys(vec![sign::jwk("ed25519")])).await;
    let server = server(&keys.config());
    let good = sign::ED25519.sign_with_kid(json!({ "sub": "ada" }));
    assert_eq!(user(&server, &good).await, "ada");
    keys.says(Says::Raw("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".into()));
    assert_eq!(refusal(&server, &sign::P256.sign_with_kid(json!({ "sub": "eve" }))).await, UNKNOWN);
    assert_eq!(keys.requests(), 2);
    server.wait_for_log("503").await;
    assert_eq!(server.logged(&["jwt.jwks_url", "the old ones stay"]).len(), 1);
    assert_eq!(user(&server, &good).await, "ada");
}

#[tokio::test]
async fn without_any_keys_tokens_are_refused_with_that_reason() {
    let elsewhere = KeyServer::start(Says::Keys(vec![sign::jwk("ed25519")])).await;
    let big = json!({ "keys": [sign::jwk("ed25519"), { "x": "x".repeat(256 << 10) }] }).to_string();
    let ok = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    for (says, logged) in [
        (Says::Raw("nonsense".into()), "no HTTP answer"),
        (Says::Raw(ok("nonsense")), "no JSON Web Key Set"),
        (Says::Raw(ok(r#"{"keys":[]}"#)), "no usable key"),
        (Says::Raw(ok(&big)), "262144 bytes"),
        (Says::Raw(format!("HTTP/1.1 200 OK\r\n\r\n{big}")), "262144 bytes"),
        (Says::Raw("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{\"keys\":[".into()), "ended early"),
        (
            Says::Raw(format!(
                "HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
                elsewhere.url
            )),
            "302",
        ),
        (Says::Keys(vec![json!({ "kty": "oct", "k": "AAAA" })]), "oct"),
    ] {
        let keys = KeyServer::start(says).await;
        let server = server(&keys.config());
        let token = sign::ED25519.sign(json!({ "sub": "ada" }));
        assert_eq!(refusal(&server, &token).await, NO_KEYS, "{logged}");
        server.wait_for_log(logged).await;
        assert_eq!(Client::connect(&server).await.user().await.len(), 16, "others come in");
    }
    assert_eq!(elsewhere.requests(), 0, "a redirect is not followed");

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = server(&format!("jwks_url = 'http://{free}/keys'"));
    assert_eq!(refusal(&server, &sign::ED25519.sign(json!({ "sub": "ada" }))).await, NO_KEYS);
    server.wait_for_log("cannot connect").await;
}

#[tokio::test]
async fn keys_that_do_not_come_are_waited_for_five_seconds() {
    let keys = KeyServer::start(Says::Nothing).await;
    let server = server(&keys.config());
    let mut other = Client::connect(&server).await;
    let mut waiting = Client::with_token(&server, &sign::ED25519.sign(json!({ "sub": "ada" }))).await;
    other.ping().await;
    assert_eq!(waiting.closed().await, (4001, NO_KEYS.to_owned()));
    server.wait_for_log("within 5 s").await;
}

#[tokio::test]
async fn no_url_in_a_token_is_followed() {
    let trap = KeyServer::start(Says::Keys(vec![sign::jwk("ed25519-2")])).await;
    let keys = KeyServer::start(Says::Keys(vec![sign::jwk("ed25519")])).await;
    let server = server(&keys.config());
    for kid in ["ed25519", "ed25519-2", &trap.url] {
        let header = json!({
            "alg": "EdDSA", "kid": kid, "jku": trap.url, "x5u": trap.url, "jwk": sign::jwk("ed25519-2"),
        });
        let claims = json!({ "sub": "eve", "iss": trap.url }).to_string();
        let reason = refusal(&server, &sign::ED25519_2.sign_with(&header.to_string(), &claims)).await;
        assert!(reason == UNKNOWN || reason == "The token's signature does not match.", "{reason}");
    }
    assert_eq!((trap.requests(), keys.requests()), (0, 2));
}

/// With the certificate for `localhost` that `tests/keys/authority.pem` has signed.
pub fn tls() -> TlsAcceptor {
    let pem = sign::folder().join("localhost.pem");
    let chain = vec![CertificateDer::from_pem_file(&pem).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&pem).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn keys_come_over_https_from_a_server_that_is_trusted() {
    let keys = KeyServer::serve(Says::Keys(vec![sign::jwk("ed25519")]), Some(tls())).await;
    let token = sign::ED25519.sign(json!({ "sub": "ada" }));
    let with = |authority: &str, url: &str| {
        builder(&format!("jwks_url = '{url}'")).env("SSL_CERT_FILE", &sign::path(authority)).start()
    };
    assert_eq!(user(&with("authority.pem", &keys.url), &token).await, "ada");
    assert_eq!(keys.requests(), 1);

    let stranger = with("localhost.pem", &keys.url);
    assert_eq!(refusal(&stranger, &token).await, NO_KEYS, "whom nobody vouches for is not believed");
    stranger.wait_for_log("no TLS connection").await;
    let misnamed = with("authority.pem", &keys.url.replace("localhost", "127.0.0.1"));
    assert_eq!(refusal(&misnamed, &token).await, NO_KEYS, "nor one with another's certificate");
    assert_eq!(keys.requests(), 1, "nothing is asked of either");
}

#[tokio::test]
async fn a_machine_that_trusts_nobody_cannot_fetch_over_https_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tidegate.toml");
    std::fs::write(&file, "[jwt]\njwks_url = 'https://id.example/keys'\n").unwrap();
    let said = cli::run_with(
        &["--config", file.to_str().unwrap(), "--listen", "127.0.0.1:0"],
        &[("SSL_CERT_FILE", "/nowhere"), ("SSL_CERT_DIR", "/nowhere")],
    );
    assert_eq!(said.code, Some(1), "{said:?}");
    for word in ["jwt.jwks_url", "SSL_CERT_FILE"] {
        assert!(said.stderr.contains(word), "{}", said.stderr);
    }
}
