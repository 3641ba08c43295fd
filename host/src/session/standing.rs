//! Who a client is, as the auth plugins or the built-in verifier see it, and what it has been
//! allowed.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::expiry::close_after;
use super::jwt::{Admitted, Grants};
use super::limits::{Allowance, TooMany};
use super::{Context, Ended};
use crate::core::clock::UnixMillis;
use crate::core::{Captures, ChannelName, Refusal, UserId};
use crate::hub::Connection;
use crate::hub::shard::AbortOnDrop;
use crate::plugin::{AuthAction, Handshake, Identity, Registry};

/// Verdicts on publishing that a connection keeps; past it they are asked for anew.
const KEPT_VERDICTS: usize = 256;

const NOT_AUTHENTICATED: u16 = 4001;
const TOO_MANY_CONNECTIONS: u16 = 4009;

enum State {
    Known(Known),
    /// Refused without a token: an `auth` frame may still come, until the timer ends it.
    Refused {
        reason: String,
        _timer: AbortOnDrop,
    },
}

pub(super) struct Known {
    pub(super) identity: Identity,
    /// By the built-in verifier; none where the auth plugins say who may what.
    pub(super) grants: Option<Grants>,
}

pub struct Standing {
    handshake: Handshake,
    allowance: Option<Rc<Allowance>>,
    state: State,
    /// May it publish there? Of the set of plugins with number `asked_of`.
    verdicts: HashMap<ChannelName, bool>,
    asked_of: u64,
}

impl Standing {
    pub async fn begin(
        context: &Rc<Context>,
        connection: &Rc<Connection>,
        handshake: Handshake,
        allowance: Option<Rc<Allowance>>,
    ) -> Result<Self, Ended> {
        let state = match authenticate(context, &context.shard.registry(), &handshake).await {
            Ok(known) => State::Known(known),
            Err(reason) if handshake.token.is_some() => return Err(refuse(context, connection, &reason)),
            Err(reason) => {
                let timer = close_after(context, connection, context.handshake, reason.clone());
                State::Refused { reason, _timer: timer }
            }
        };
        let verdicts = HashMap::new();
        let mut standing = Self { handshake, allowance, state, verdicts, asked_of: 0 };
        standing.settle(context, connection)?;
        Ok(standing)
    }

    /// A client that somebody else answers for: nobody is asked, and it is anonymous here.
    pub fn of_guest(handshake: Handshake) -> Self {
        let state = State::Known(Known { identity: Identity::default(), grants: None });
        Self { handshake, allowance: None, state, verdicts: HashMap::new(), asked_of: 0 }
    }

    pub fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// Anything but an `auth` frame needs a known client.
    pub fn require(&self, context: &Rc<Context>, connection: &Rc<Connection>) -> Result<(), Ended> {
        match &self.state {
            State::Known(_) => Ok(()),
            State::Refused { reason, .. } => Err(refuse(context, connection, reason)),
        }
    }

    /// An `auth` frame: who is it now?
    pub async fn renew(
        &mut self,
        context: &Rc<Context>,
        connection: &Rc<Connection>,
        token: String,
    ) -> Result<UserId, Ended> {
        self.handshake.token = Some(token);
        match authenticate(context, &context.shard.registry(), &self.handshake).await {
            Ok(known) => self.state = State::Known(known),
            Err(reason) => return Err(refuse(context, connection, &reason)),
        }
        self.verdicts.clear();
        self.settle_anew(context, connection).await?;
        Ok(connection.sender().user)
    }

    /// Tells the connection its user and starts the identity's clock.
    fn settle(&mut self, context: &Rc<Context>, connection: &Rc<Connection>) -> Result<(), Ended> {
        let State::Known(Known { identity, .. }) = &self.state else { return Ok(()) };
        let user = match identity.user.as_str() {
            "" => connection.id.to_string().into(),
            user => Arc::from(user),
        };
        connection.set_user(UserId(user));
        if identity.expires_at.is_some_and(|at| at <= UnixMillis::now()) {
            context.shard.close_expired(connection);
            return Err(Ended);
        }
        if let Some(allowance) = &self.allowance {
            let admitted = allowance.set_user(&identity.user);
            connection.count_in(allowance.subscription_sums());
            admitted.map_err(|too_many| turn_away(context, connection, &too_many))?;
        }
        context.shard.expire_at(connection, identity.expires_at);
        Ok(())
    }

    /// The same for one that had a user before: with another it loses that one's own channel.
    async fn settle_anew(&mut self, context: &Rc<Context>, connection: &Rc<Connection>) -> Result<(), Ended> {
        connection.until_settled().await;
        self.settle(context, connection)?;
        for channel in connection.strange_channels() {
            context.shard.remove(connection, channel);
        }
        Ok(())
    }

    /// Nobody has named its user.
    pub fn is_anonymous(&self) -> bool {
        !matches!(&self.state, State::Known(known) if !known.identity.user.is_empty())
    }

    /// Asks the auth plugins, or the token's own lists; a plugin's verdict on publishing is kept.
    /// In users' own channels nobody else is, and nobody is asked. What is rare in it is boxed: it
    /// would be room in every connection's task.
    pub async fn may(
        &mut self,
        context: &Rc<Context>,
        connection: &Rc<Connection>,
        action: AuthAction,
        channel: &ChannelName,
    ) -> Result<(), Refusal> {
        let registry = context.shard.registry();
        let built_in = registry.auth().is_empty();
        let owner = channel.user().filter(|_| action == AuthAction::Subscribe);
        let owned = |connection: &Connection, owner| match connection.stands_for(owner) {
            true => Ok(()),
            false => Err(denied(connection, channel)),
        };
        if built_in && context.jwt.is_none() {
            return owner.map_or(Ok(()), |owner| owned(connection, owner));
        }
        if self.asked_of != registry.number {
            self.verdicts.clear();
            self.asked_of = registry.number;
        }
        let kept = match action {
            AuthAction::Publish => self.verdicts.get(channel.as_str()).copied(),
            AuthAction::Subscribe => None,
        };
        let is_known = match &self.state {
            State::Known(known) if built_in => known.grants.is_some(),
            State::Known(known) => known.identity.is_known_to(registry.auth()),
            State::Refused { .. } => true,
        };
        if !is_known {
            // An auth plugin has come since, or the last one has gone: who decides now has not
            // been asked yet.
            match Box::pin(authenticate(context, &registry, &self.handshake)).await {
                Ok(anew) => self.state = State::Known(anew),
                Err(_) => return Err(denied(connection, channel)),
            }
            let settled = self.settle_anew(context, connection).await;
            settled.map_err(|Ended| denied(connection, channel))?;
        }
        if let Some(owner) = owner {
            return owned(connection, owner);
        }
        if let State::Known(known) = &mut self.state {
            // The server's API may have moved it.
            known.identity.expires_at = connection.expires_at();
        }
        let allowed = match (kept, &self.state) {
            (Some(allowed), _) => allowed,
            (None, State::Refused { .. }) => false,
            (None, State::Known(Known { grants: Some(grants), .. })) => grants.allow(action, channel),
            (None, State::Known(Known { identity, grants: None })) => {
                let allowed = Box::pin(authorize(context, &registry, identity, action, channel)).await?;
                if action == AuthAction::Publish {
                    if self.verdicts.len() >= KEPT_VERDICTS {
                        self.verdicts.clear();
                    }
                    self.verdicts.insert(channel.clone(), allowed);
                }
                allowed
            }
        };
        if allowed { Ok(()) } else { Err(denied(connection, channel)) }
    }
}

pub fn denied(connection: &Connection, channel: &ChannelName) -> Refusal {
    Refusal::PermissionDenied { user: connection.sender().named().cloned(), channel: channel.clone() }
}

/// Asks the auth plugins whether a client may do that.
///
/// # Errors
/// One of them fails.
pub(super) async fn authorize(
    context: &Context,
    registry: &Registry,
    identity: &Identity,
    action: AuthAction,
    channel: &ChannelName,
) -> Result<bool, Refusal> {
    let name = channel.as_str();
    let patterns = context.rules.pattern(name).into_iter().chain(registry.pattern(name));
    let captures = Captures::of(patterns, name);
    let plugins = registry.auth_for(identity.lot);
    let asked = context.services.authorize(&plugins, identity, action, channel, &captures);
    asked.await.map_err(|(plugin, failure)| {
        tracing::warn!(%plugin, %failure, %channel, "not authorized, because the plugin failed");
        Refusal::PluginFailed(plugin)
    })
}

/// Asks the auth plugins, or the built-in verifier where there are none.
///
/// # Errors
/// The client is refused, for this reason.
pub(super) async fn authenticate(
    context: &Rc<Context>,
    registry: &Registry,
    handshake: &Handshake,
) -> Result<Known, String> {
    if let Some(jwt) = &context.jwt
        && registry.auth().is_empty()
    {
        let admitted = jwt.authenticate(handshake.token.as_deref()).await;
        let Admitted { identity, grants } = admitted.map_err(|refused| refused.to_string())?;
        return Ok(Known { identity, grants: Some(grants) });
    }
    let plugins = registry.auth_for(handshake.lot());
    let asked = context.services.authenticate(&plugins, handshake);
    let identity = asked.await.map_err(|refused| refused.reason)?;
    Ok(Known { identity, grants: None })
}

fn turn_away(context: &Rc<Context>, connection: &Rc<Connection>, too_many: &TooMany) -> Ended {
    context.shard.close(connection, TOO_MANY_CONNECTIONS, &too_many.to_string());
    Ended
}

fn refuse(context: &Rc<Context>, connection: &Rc<Connection>, reason: &str) -> Ended {
    context.shard.close(connection, NOT_AUTHENTICATED, reason);
    Ended
}
