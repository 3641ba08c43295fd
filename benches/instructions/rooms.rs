//! Clients' frames as they are read, to the writes of their rooms' subscribers, whose sockets take
//! all they are given: rooms of ten, a publisher each, who have published some messages a turn.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tidegate::config::{self, Config, Overrides};
use tidegate::core::{ChannelName, LastName, Sender, UserId};
use tidegate::dialect::native;
use tidegate::hub::letter::Subscribe;
use tidegate::hub::mesh::Mesh;
use tidegate::hub::{Settings, Shard};
use tidegate::plugin::{Handshake, Registry, Services};
use tidegate::server;
use tidegate::server::assembly::{Assembly, Message, Taken};
use tidegate::server::frames::{Frames, Readable, Readers};
use tidegate::session::{self, Session};
use tokio::io::{AsyncRead, ReadBuf};

use super::counted::counted;
use super::frames::data;
use super::open_socket::OpenSocket;

const ROOMS: usize = 20;
const SUBSCRIBERS: usize = 10;
/// Of each publisher.
const MESSAGES_A_TURN: usize = 16;
const TURNS: usize = 10;
/// The first ones make what later ones find.
const TURNS_BEFORE: usize = 2;
pub const PUBLISHES: u64 = (ROOMS * MESSAGES_A_TURN * TURNS) as u64;

pub fn run() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let local = tokio::task::LocalSet::new();
    let written = OpenSocket::default();
    let mut publishers = local.block_on(&runtime, opened(&written));
    let mut turns = async |turns: usize| {
        for _ in 0..turns {
            for publisher in &mut publishers {
                publisher.publish().await;
            }
            tokio::task::yield_now().await;
        }
    };
    local.block_on(&runtime, turns(TURNS_BEFORE));
    let before = written.bytes();
    counted(|| local.block_on(&runtime, turns(TURNS)));
    // What was published last may wait for the turn that writes it.
    local.block_on(&runtime, tokio::task::yield_now());
    let a_turn = data().len() * ROOMS * SUBSCRIBERS * MESSAGES_A_TURN;
    assert!(written.bytes() - before >= a_turn * (TURNS - 1), "all get everything");
}

/// A publisher for each room, whose subscribers are there.
async fn opened(written: &OpenSocket) -> Vec<Publisher> {
    // Every channel is open.
    let config = config::load(None, std::iter::empty(), &Overrides::default()).expect("the defaults");
    let context = shard(&config);
    let (mut publishers, readers) = (Vec::new(), Readers::new(config.limits.message_bytes));
    for room in 0..ROOMS {
        let channel = ChannelName::parse(&format!("bench:{room}")).expect("a name");
        for _ in 0..SUBSCRIBERS {
            let connection =
                context.shard.connect(server::NATIVE, Rc::new(written.clone())).expect("a connection");
            let sender = Sender { client: connection.id, user: UserId("ada".into()) };
            context.shard.subscribe(&connection, Subscribe::plain(channel.clone(), sender, server::NATIVE));
            connection.until_settled().await;
        }
        publishers.push(Publisher::new(&context, &channel, &config, &readers).await);
    }
    publishers
}

fn shard(config: &Config) -> Rc<session::Context> {
    let (mesh, mut inboxes) = Mesh::new(1);
    let me = mesh.shards().next().expect("a shard");
    // A turn for each round: how many would share one depends on the time.
    let settings =
        Settings { company: Duration::ZERO, ..server::shard_settings(config, 1).expect("settings") };
    let shard = Shard::new(me, settings, mesh, Arc::new(Registry::default())).expect("a shard");
    tokio::task::spawn_local(shard.clone().run(inboxes.remove(0)));
    Rc::new(session::Context {
        shard,
        services: Services::new(),
        jwt: None,
        max_subscriptions: config.limits.subscriptions,
        subscribe_users: config.users.subscribe,
        handshake: Duration::from_secs(config.limits.handshake_secs),
        limits: Arc::new(session::limits::Limits::new(&config.limits).expect("limits")),
        rules: Arc::new(session::rules::Rules::new(&config.channels).expect("rules")),
        apps: Arc::new(session::pusher::Apps::new(&config.pusher).expect("no application")),
        keeper: Rc::default(),
    })
}

/// What the server has for a client, but for its socket.
struct Publisher {
    frames: Frames<Memory>,
    assembly: Assembly,
    session: Session,
    last: LastName,
}

impl Publisher {
    async fn new(
        context: &Rc<session::Context>,
        channel: &ChannelName,
        config: &Config,
        readers: &Rc<Readers<Memory>>,
    ) -> Self {
        let connection = context.shard.connect(server::NATIVE, Rc::new(OpenSocket::default()));
        let connection = connection.expect("a connection");
        let handshake = Handshake {
            path: "/".into(),
            query: String::new(),
            headers: Default::default(),
            token: None,
            peer: "127.0.0.1".into(),
        };
        let session = Session::begin(context.clone(), connection, handshake, None).await.expect("a session");
        let message = format!(r#"{{"type":"publish","channel":"{channel}","data":{}}}"#, data());
        let mut sent = BytesMut::new();
        for _ in 0..(TURNS_BEFORE + TURNS) * MESSAGES_A_TURN {
            masked(message.as_bytes(), &mut sent);
        }
        let frames = Frames::new(Memory(sent.freeze()), Bytes::new(), readers);
        Self {
            frames,
            assembly: Assembly::new(config.limits.message_bytes, 1),
            session,
            last: LastName::default(),
        }
    }

    async fn publish(&mut self) {
        for _ in 0..MESSAGES_A_TURN {
            let frame = self.frames.next().await.expect("a frame");
            let Ok(Taken::Message(Message::Text(bytes))) = self.assembly.take(frame) else {
                unreachable!("it was a text frame");
            };
            self.session
                .handle(native::text(&bytes, &mut self.last), bytes.len())
                .await
                .expect("nothing against it");
        }
    }
}

/// A client's text frame of 126 to 65,535 bytes (RFC 6455, section 5.2).
fn masked(message: &[u8], out: &mut BytesMut) {
    let mask = [7, 1, 9, 4];
    out.put_slice(&[0x81, 0x80 | 126]);
    out.put_u16(message.len() as u16);
    out.put_slice(&mask);
    out.extend(message.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// All that a client will ever send.
struct Memory(Bytes);

impl Readable for Memory {
    fn poll_readable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let length = self.0.len().min(buffer.remaining());
        buffer.put_slice(&self.0[..length]);
        self.0.advance(length);
        Poll::Ready(Ok(()))
    }
}
