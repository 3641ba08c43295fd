//! A client of an application, in the Pusher Channels protocol, from its upgrade to its end.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use hyper::upgrade::OnUpgrade;

use super::assembly::Message;
use super::router::Router;
use super::run::PUSHER;
use super::websocket::{Arrived, Connected, Messages, TcpSocket, tcp};
use crate::core::Refusal;
use crate::dialect::pusher::close::Ending;
use crate::dialect::pusher::own;
use crate::dialect::query;
use crate::hub::socket::Socket;
use crate::plugin::Handshake;
use crate::session::Ended;
use crate::session::pusher::{App, Guest};

/// How long one that was turned away has to hear it.
const LINGER: Duration = Duration::from_secs(5);

/// The key that a path names; none where no application is served, or the path is another.
pub fn key<'a>(path: &'a str, router: &Router) -> Option<&'a str> {
    let key = path.strip_prefix("/app/").filter(|key| !key.is_empty() && !key.contains('/'))?;
    (!router.context.apps.is_empty()).then_some(key)
}

/// Which application a client wants, or why it gets none: said in the protocol, because a client
/// whose handshake fails tries again for ever.
pub struct Opening(Result<Arc<App>, Ending>);

impl Opening {
    pub fn new(key: &str, query: &str, router: &Router) -> Self {
        let app = query::decode_path(key).and_then(|key| router.context.apps.by_key(&key).cloned());
        let protocol = query::pairs(query).find(|(name, _)| name == "protocol");
        let protocol = protocol.map(|(_, value)| value.unwrap_or_default());
        Self(app.ok_or_else(Ending::no_such_app).and_then(|app| {
            Ending::for_protocol(protocol.as_deref())?;
            Ok(app)
        }))
    }
}

/// Serves one client at an address until its connection ends.
pub async fn serve(
    upgrade: OnUpgrade,
    handshake: Handshake,
    address: IpAddr,
    opening: Opening,
    router: Rc<Router>,
) {
    let Some((stream, early)) = tcp(upgrade).await else { return };
    let (read, write) = stream.into_split();
    let socket = Rc::new(TcpSocket::of(write));
    let place = opening.0.and_then(|app| app.connect().map_err(|quota| Ending::quota(quota.0)));
    let place = match place {
        Ok(place) => place,
        Err(ending) => return turn_away(&socket, &ending).await,
    };
    let allowance = match router.context.limits.admit(address) {
        Ok(allowance) => allowance,
        Err(too_many) => return turn_away(&socket, &Ending::over_capacity(&too_many)).await,
    };
    let shard = &router.context.shard;
    let connection = match shard.connect(PUSHER, socket.clone()) {
        Ok(connection) => connection,
        Err(full) => return turn_away(&socket, &Ending::over_capacity(&full)).await,
    };
    let connected = Connected { shard: shard.clone(), connection };
    let mut messages = Messages::new(read, early, &connected, socket, &router);
    let (context, connection) = (router.context.clone(), connected.connection.clone());
    let mut guest = Guest::begin(context, connection, handshake, allowance, place);
    // Ended or not, the goodbye is the same.
    let _ = converse(&mut messages, &mut guest).await;
    messages.until_closed().await;
}

async fn converse(messages: &mut Messages, guest: &mut Guest) -> Result<(), Ended> {
    while let Some(message) = messages.next().await {
        match message {
            Arrived::Message(Message::Text(bytes)) => guest.text(&bytes).await?,
            Arrived::Message(Message::Binary(bytes)) => guest.binary(bytes.len())?,
            Arrived::Message(Message::TooLarge(bytes)) => {
                guest.refuse(Refusal::TooLarge(messages.limit()), bytes)?;
            }
            Arrived::Ping(bytes) => {
                if guest.ping(bytes.len())? {
                    messages.pong(&bytes);
                }
            }
        }
    }
    Ok(())
}

/// Says why, and waits until the client has heard it: unread bytes would turn the close into a reset.
async fn turn_away(socket: &TcpSocket, ending: &Ending) {
    let mut goodbye = BytesMut::new();
    own::end(ending, &mut goodbye);
    let told = async {
        if socket.write_all(&goodbye).await.is_ok() {
            socket.finish();
            socket.ended().await;
        }
    };
    let _ = tokio::time::timeout(LINGER, told).await;
}
