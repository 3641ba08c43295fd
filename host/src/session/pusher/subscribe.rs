//! A subscription: who may have it, and as whom.

use bytes::{Bytes, BytesMut};

use super::Guest;
use super::judge::Verdict;
use crate::core::apps::{Access, ChannelKind, SERVER_TO_USER};
use crate::core::{ChannelName, Refusal, Sender, UserId};
use crate::dialect::pusher::decode::shown;
use crate::dialect::pusher::member::{self, Member};
use crate::dialect::pusher::{encode, own};
use crate::hub::letter::{Joining, PUBLICATIONS_A_MESSAGE, Subscribe, Wishes};
use crate::hub::wire::Reply;
use crate::plugin::{AuthAction, Route};
use crate::session::standing::denied;

/// Begins an `auth` that is a token for the auth plugins, and no signature.
const BEARER: &str = "bearer:";

/// Why a subscription is refused.
pub(super) enum No {
    /// Not authorized.
    Auth(String),
    /// What was asked for cannot be.
    Bad(String),
    /// As it would be in any dialect.
    Refusal(Refusal),
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

/// As what a client is let in.
struct Admitted {
    /// A member of a presence channel.
    member: Option<Member>,
    /// Somebody answers for it: it is not anonymous.
    known: bool,
    /// By the auth plugins.
    judged: bool,
}

impl Guest {
    pub(super) async fn subscribe(&mut self, name: &str, auth: Option<&str>, channel_data: Option<&str>) {
        let channel = match self.app.channel(name) {
            Ok(channel) => channel,
            Err(bad) => return self.refused(name, None, No::Bad(format!("Invalid channel: {bad}"))),
        };
        self.settled(&channel).await;
        if self.session.connection.is_subscribed(&channel) {
            return self.error(None, &format!("Existing subscription to channel {name}"));
        }
        if let Err(no) = self.ask(name, &channel, auth, channel_data).await {
            self.refused(name, Some(channel), no);
        }
    }

    async fn ask(
        &mut self,
        name: &str,
        channel: &ChannelName,
        auth: Option<&str>,
        channel_data: Option<&str>,
    ) -> Result<(), No> {
        let rule = self.session.known_rules.find(&self.session.context.rules, channel);
        let rule = rule.as_deref();
        self.session.until_room(channel, rule).await?;
        let kind = ChannelKind::of(name);
        let admitted = match kind.access {
            Access::Public => self.public(channel).await?,
            Access::User => self.own(name)?,
            Access::Private | Access::Encrypted | Access::Presence => {
                self.private(name, channel, kind, auth, channel_data).await?
            }
        };
        let connection = &self.session.connection;
        if rule.is_some_and(|rule| rule.require_auth) && !admitted.known {
            return Err(denied(connection, channel).into());
        }
        let params = match rule {
            Some(rule) => rule.params(channel, None)?,
            None => None,
        };
        let called = admitted.member.as_ref().map(|member| member.user.clone());
        let sender = match &called {
            Some(user) => Sender { client: connection.id, user: user.clone() },
            None => connection.sender(),
        };
        let joins = admitted
            .member
            .map(|member| Joining { metadata: member.metadata, most: self.app.limits.presence_members });
        let wishes = Wishes { presence: kind.is_presence(), cached: kind.cache, ..Wishes::default() };
        let asked = self.session.ask_home(Subscribe {
            sender,
            channel: channel.clone(),
            wire: connection.wire,
            wishes,
            params,
            request: Some(encode::subscription()),
            filter: None,
            replaces: false,
            joins,
            budget: PUBLICATIONS_A_MESSAGE,
            told: None,
            trace: None,
        });
        asked?;
        if let Some(user) = called {
            connection.call(channel, user);
        }
        self.pending.insert(channel.clone());
        if admitted.judged {
            self.judged.insert(channel.clone());
        }
        Ok(())
    }

    /// Anyone with the application's key; but where the operator has a rule or a plugin for the
    /// channel, what holds for other clients holds for this one.
    async fn public(&self, channel: &ChannelName) -> Result<Admitted, No> {
        let signed_in = self.user.is_some();
        let anyone = Admitted { member: None, known: signed_in, judged: false };
        let context = &self.session.context;
        let is_handled = context.shard.registry().route(channel.as_str()) == Route::Handled;
        if !is_handled && !context.rules.matches(channel.as_str()) {
            return Ok(anyone);
        }
        match self.judge(None, AuthAction::Subscribe, channel).await? {
            Verdict::Unasked => Ok(anyone),
            Verdict::Allowed(user) => Ok(Admitted { known: signed_in || user.is_some(), ..anyone }),
            Verdict::Refused => Err(denied(&self.session.connection, channel).into()),
        }
    }

    /// The signed-in user's own channel.
    fn own(&self, name: &str) -> Result<Admitted, No> {
        let id = name.strip_prefix(SERVER_TO_USER);
        if id.is_none() || id != self.user.as_ref().map(|user| user.user.as_str()) {
            return Err(No::Auth("This channel is for the signed-in user with its id".into()));
        }
        Ok(Admitted { member: None, known: true, judged: false })
    }

    /// Whom the application's signature lets in; without one, whom the auth plugins know by name.
    async fn private(
        &self,
        name: &str,
        channel: &ChannelName,
        kind: ChannelKind,
        auth: Option<&str>,
        channel_data: Option<&str>,
    ) -> Result<Admitted, No> {
        let token = auth.and_then(|auth| auth.strip_prefix(BEARER));
        if let Some(auth) = auth.filter(|_| token.is_none()) {
            self.signed(name, auth, channel_data)?;
            let member = if kind.is_presence() { Some(self.member(channel_data)?) } else { None };
            return Ok(Admitted { member, known: true, judged: false });
        }
        let Verdict::Allowed(Some(user)) = self.judge(token, AuthAction::Subscribe, channel).await? else {
            let expected = self.expected(name, channel_data);
            return Err(No::Auth(match token {
                None => format!("No signature: expected HMAC SHA256 hex digest of {expected}"),
                Some(_) => "The token does not let you in".into(),
            }));
        };
        // Nobody has signed what the client says of itself.
        let member = kind.is_presence().then(|| self.user.clone().unwrap_or(nameless(user)));
        Ok(Admitted { member, known: true, judged: true })
    }

    fn signed(&self, name: &str, auth: &str, channel_data: Option<&str>) -> Result<(), No> {
        let (key, given) = auth.split_once(':').unwrap_or(("", auth));
        let signature = self.app.signing.channel(&self.socket_id, name, channel_data);
        if key == self.app.key && signature.is(given) {
            return Ok(());
        }
        Err(No::Auth(format!(
            "Invalid signature: Expected HMAC SHA256 hex digest of {}, but got {}",
            self.expected(name, channel_data),
            shown(auth)
        )))
    }

    /// What is signed; the secret is not in it.
    fn expected(&self, name: &str, channel_data: Option<&str>) -> String {
        let data = channel_data.map(|data| format!(":{}", shown(data))).unwrap_or_default();
        format!("{}:{name}{data}", self.socket_id)
    }

    /// Who it is in a presence channel: as its application has signed, or as it has signed in.
    fn member(&self, channel_data: Option<&str>) -> Result<Member, No> {
        let most = self.app.limits.member_bytes;
        match (channel_data, &self.user) {
            (Some(data), _) if data.len() > most => {
                Err(No::Bad(format!("The channel_data has more than {most} bytes")))
            }
            (Some(data), _) => member::member(data).map_err(|bad| No::Bad(format!("The channel_data {bad}"))),
            (None, Some(user)) => Ok(user.clone()),
            (None, None) => Err(No::Bad("A presence channel wants channel_data, or a signed-in user".into())),
        }
    }

    fn refused(&self, name: &str, channel: Option<ChannelName>, no: No) {
        let (kind, words, status) = match no {
            No::Auth(words) => ("AuthError", words, 401),
            No::Bad(words) => ("BadRequest", words, 400),
            No::Refusal(refusal) => {
                let request = encode::subscription();
                return self.session.reply(Some(&request), Reply::Refused { channel, refusal });
            }
        };
        let mut out = BytesMut::new();
        own::refused(name, kind, &words, status, &mut out);
        self.session.context.shard.send(&self.session.connection, out.freeze());
    }
}

fn nameless(user: UserId) -> Member {
    Member { user, metadata: Bytes::new() }
}
