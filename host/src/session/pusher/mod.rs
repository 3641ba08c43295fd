//! The applications that are served in the Pusher Channels protocol, and their clients.

mod apps;
mod judge;
mod recent;
mod sign_in;
mod subscribe;
mod whisper;

use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::limits::Allowance;
use super::rules::KnownRules;
use super::standing::Standing;
use super::{Context, Ended, Session};
use crate::core::meter::Cost;
use crate::core::{ChannelName, ChannelSet, Refusal};
use crate::dialect::pusher::member::Member;
use crate::dialect::pusher::{self, Said, own};
use crate::hub::Connection;
use crate::hub::wire::Reply;
use crate::plugin::Handshake;

pub use apps::{App, Apps, BadSocketId, Place, QuotaReached};
pub use judge::{Judged, judge};
use recent::Recent;

/// Subscriptions that are asked for and not looked after; past it they are waited for.
const PENDING: usize = 256;

/// One client of an application.
pub struct Guest {
    session: Session,
    app: Arc<App>,
    /// What the application signs for it.
    socket_id: String,
    /// Who it has signed in as.
    user: Option<Member>,
    /// Channels that it has asked for and may not have yet.
    pending: ChannelSet,
    /// Channels that the auth plugins have let it into: they are asked about its events there too.
    judged: ChannelSet,
    events: Recent,
    _place: Place,
}

impl Guest {
    /// Greets the client. Auth plugins are not asked who it is: its application knows.
    pub fn begin(
        context: Rc<Context>,
        connection: Rc<Connection>,
        handshake: Handshake,
        allowance: Option<Rc<Allowance>>,
        place: Place,
    ) -> Self {
        let app = place.app().clone();
        connection.set_guest(app.number);
        if let Some(allowance) = &allowance {
            connection.count_in(allowance.subscription_sums());
        }
        let socket_id = context.apps.socket_id(connection.id);
        context.shard.send(&connection, own::established(&socket_id, app.activity_timeout_secs));
        connection.set_trace(handshake.trace());
        let standing = Standing::of_guest(&context, &connection, handshake);
        let known_rules = KnownRules::default();
        Self {
            session: Session {
                context,
                connection,
                standing,
                allowance,
                known_rules,
                at_once: false,
                to_own: false,
            },
            events: Recent::new(app.limits.client_events_per_sec),
            app,
            socket_id,
            user: None,
            pending: ChannelSet::default(),
            judged: ChannelSet::default(),
            _place: place,
        }
    }

    /// A text frame, UTF-8. Returns once the client may be read on. What it waits for is boxed: a
    /// connection's task has the size of the largest thing it may wait for.
    pub async fn text(&mut self, message: &Bytes) -> Result<(), Ended> {
        let said = pusher::text(message);
        let cost = match said {
            Ok(Said::Ping | Said::Pong) => Cost::ping(message.len()),
            _ => Cost::message(message.len()),
        };
        if !self.takes(cost, message.len())? {
            return Ok(());
        }
        match said {
            Err(unsaid) => self.error(None, &unsaid.to_string()),
            Ok(Said::Ping) => self.session.reply(None, Reply::Pong),
            // Any frame has said that it is there.
            Ok(Said::Pong) => {}
            Ok(Said::Subscribe { channel, auth, channel_data }) => {
                Box::pin(self.subscribe(&channel, auth.as_deref(), channel_data.as_deref())).await;
            }
            Ok(Said::Unsubscribe { channel }) => Box::pin(self.unsubscribe(&channel)).await,
            Ok(Said::SignIn { auth, user_data }) => Box::pin(self.sign_in(&auth, &user_data)).await,
            Ok(Said::Event { channel, event, payload }) => {
                Box::pin(self.whisper(&channel, &event, payload)).await;
            }
        }
        self.session.connection.until_credit().await;
        if self.session.connection.is_closing() { Err(Ended) } else { Ok(()) }
    }

    /// A binary message: the protocol has none.
    pub fn binary(&self, bytes: usize) -> Result<(), Ended> {
        if self.takes(Cost::message(bytes), bytes)? {
            self.error(None, "Binary messages are not supported");
        }
        Ok(())
    }

    /// A message that was too large to be read.
    pub fn refuse(&self, refusal: Refusal, bytes: usize) -> Result<(), Ended> {
        self.session.refuse(refusal, bytes)
    }

    /// A ping of the transport's own. False: not to be answered.
    pub fn ping(&self, bytes: usize) -> Result<bool, Ended> {
        self.session.ping(bytes)
    }

    /// False: past a limit, and told so.
    fn takes(&self, cost: Cost, bytes: usize) -> Result<bool, Ended> {
        self.session.context.shard.received(bytes);
        match self.session.take(cost) {
            Ok(()) => Ok(true),
            Err(excess) => self.session.exceeded(None, None, excess).map(|()| false),
        }
    }

    /// Until it is known whether the client has this channel.
    async fn settled(&mut self, channel: &ChannelName) {
        if self.pending.contains(channel) || self.pending.len() >= PENDING {
            self.session.connection.until_settled().await;
            self.pending.clear();
        }
    }

    async fn unsubscribe(&mut self, name: &str) {
        let Ok(channel) = self.app.channel(name) else { return };
        self.settled(&channel).await;
        let Session { context, connection, .. } = &self.session;
        if connection.is_subscribed(&channel) {
            // The seat must be there to be left.
            connection.until_settled().await;
            self.judged.remove(&channel);
            self.session.standing.permissions().left(&channel);
            context.shard.unsubscribe(connection, channel, None);
        }
    }

    fn error(&self, code: Option<u16>, message: &str) {
        let mut out = BytesMut::new();
        own::error(code, message, &mut out);
        self.session.context.shard.send(&self.session.connection, out.freeze());
    }
}
