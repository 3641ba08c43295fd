//! A shard's thread: its own listener on the shared port, its runtime, its connections.

use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::LocalSet;

use super::address::Proxies;
use super::api::Api;
use super::assembly::ANSWERED_TIMES;
use super::readers::Readers;
use super::router::{self, Router};
use super::stream;
use crate::config::Config;
use crate::core::ShardId;
use crate::hub::mesh::{Inbox, Mesh};
use crate::hub::{Settings, Shard};
use crate::plugin::saved::SavedChannel;
use crate::plugin::{PluginHost, Services};
use crate::session;

const BACKLOG: i32 = 1024;
/// The largest request head, in bytes; hyper takes at least 8 KiB.
const HEAD_BYTES: usize = 16 << 10;
const HEADERS: usize = 64;

/// One listener a shard on the same address, so that the kernel spreads connections.
pub fn bind(address: &str, shards: usize) -> anyhow::Result<Vec<TcpListener>> {
    let mut address: SocketAddr = address.parse()?;
    let mut listeners = Vec::with_capacity(shards);
    for _ in 0..shards {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if listeners.is_empty() {
            // Without it the first bind would succeed beside another server's.
            claim(address)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        // Runs are whole already: waiting for more would only add latency. What is accepted has it
        // from here, on every system with SO_REUSEPORT.
        socket.set_tcp_nodelay(true)?;
        socket.listen(BACKLOG)?;
        let listener: TcpListener = socket.into();
        // With port 0 the first listener chooses for all.
        address = listener.local_addr()?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Fails where anybody listens already: `SO_REUSEPORT` alone would share the port with them.
fn claim(address: SocketAddr) -> std::io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

pub struct ShardSetup {
    pub me: ShardId,
    pub inbox: Inbox,
    pub listener: TcpListener,
    pub mesh: Mesh,
    pub settings: Settings,
    pub config: Config,
    pub plugins: Arc<PluginHost>,
    pub jwt: Option<Arc<session::jwt::Verifier>>,
    pub limits: Arc<session::limits::Limits>,
    pub rules: Arc<session::rules::Rules>,
    pub apps: Arc<session::pusher::Apps>,
    /// Of the channels that are at home here, by the server before this one.
    pub saved: Vec<SavedChannel>,
    pub stopped: watch::Receiver<bool>,
}

/// The thread's whole life. What is to be kept of its channels is the answer.
pub fn run_shard(setup: ShardSetup) -> Vec<SavedChannel> {
    let ran = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| LocalSet::new().block_on(&runtime, shard(setup)));
    ran.unwrap_or_else(|error| {
        tracing::error!(%error, "a shard cannot start");
        Vec::new()
    })
}

async fn shard(setup: ShardSetup) -> std::io::Result<Vec<SavedChannel>> {
    let ShardSetup { me, inbox, listener, mesh, settings, config, plugins, .. } = setup;
    let ShardSetup { jwt, limits, rules, apps, saved, mut stopped, .. } = setup;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let shard = Shard::new(me, settings, mesh, plugins.registry())?;
    shard.restore(saved);
    tokio::task::spawn_local(shard.clone().run(inbox));
    let context = Rc::new(session::Context {
        shard: shard.clone(),
        services: Services::new(),
        jwt,
        max_subscriptions: config.limits.subscriptions,
        subscribe_users: config.users.subscribe,
        handshake: Duration::from_secs(config.limits.handshake_secs),
        limits,
        rules,
        apps,
        keeper: Rc::default(),
    });
    context.keep();
    let (api, proxies) = (Api::new(&config), Proxies::new(&config));
    let readers = Readers::new(config.limits.message_bytes.saturating_mul(ANSWERED_TIMES));
    let router = Rc::new(Router { context, config, plugins, api, proxies, readers });
    loop {
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    tokio::task::spawn_local(http(stream, peer, router.clone()));
                }
                Err(error) => {
                    // Out of descriptors, mostly: those who are connected go on.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
    drop(listener);
    Ok(shard.drain().await)
}

async fn http(stream: TcpStream, peer: SocketAddr, router: Rc<Router>) {
    let patience = Duration::from_secs(router.config.limits.handshake_secs);
    let (lent, owner) = stream::lend(stream);
    let ours = owner.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let router = router.clone();
        request.extensions_mut().insert(owner.clone());
        async move { router::route(router, peer, request).await }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(lent, service)
        .with_upgrades()
        .await;
    if let Err(error) = served
        && !ours.is_taken()
    {
        tracing::debug!(%peer, %error, "a connection ended before it was a client's");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_accepted_does_not_wait_for_more_to_send() {
        let listeners = bind("127.0.0.1:0", 2).unwrap();
        let address = listeners[0].local_addr().unwrap();
        assert_eq!(listeners[1].local_addr().unwrap(), address);
        let _client = std::net::TcpStream::connect(address).unwrap();
        let accepted = loop {
            if let Some(accepted) = listeners.iter().find_map(|listener| listener.accept().ok()) {
                break accepted;
            }
        };
        assert!(accepted.0.nodelay().unwrap());
    }
}
