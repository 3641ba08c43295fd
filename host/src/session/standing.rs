//! Who a client is, as the auth plugins or the built-in verifier see it, and what it has been
//! allowed.

use std::rc::Rc;
use std::sync::Arc;

use super::expiry::close_after;
use super::jwt::{Admitted, Grants};
use super::limits::{Allowance, TooMany};
use super::permissions::Permissions;
use super::{Context, Ended};
use crate::core::clock::UnixMillis;
use crate::core::{Captures, ChannelName, Refusal, UserId};
use crate::hub::Connection;
use crate::hub::shard::AbortOnDrop;
use crate::plugin::{AuthAction, Handshake, Identity, Permission, Registry};

const NOT_AUTHENTICATED: u16 = 4001;
const TOO_MANY_CONNECTIONS: u16 = 4009;

enum State {
    /// As its permissions have it.
    Known,
    /// Refused without a token: an `auth` frame may still come, until the timer ends it.
    Refused { reason: String, _timer: AbortOnDrop },
}

#[derive(Clone)]
pub(super) struct Known {
    pub(super) identity: Identity,
    /// By the built-in verifier; none where the auth plugins say who may what.
    pub(super) grants: Option<Grants>,
}

pub struct Standing {
    allowance: Option<Rc<Allowance>>,
    state: State,
    permissions: Rc<Permissions>,
}

impl Standing {
    pub async fn begin(
        context: &Rc<Context>,
        connection: &Rc<Connection>,
        handshake: Handshake,
        allowance: Option<Rc<Allowance>>,
    ) -> Result<Self, Ended> {
        let authenticated = authenticate(context, &context.shard.registry(), &handshake).await;
        let has_token = handshake.token.is_some();
        let permissions = Permissions::new(connection.id, handshake, &context.keeper);
        let state = match authenticated {
            Ok(known) => {
                permissions.know(known);
                State::Known
            }
            Err(reason) if has_token => return Err(refuse(context, connection, &reason)),
            Err(reason) => {
                let timer = close_after(context, connection, context.handshake, reason.clone());
                State::Refused { reason, _timer: timer }
            }
        };
        let mut standing = Self { allowance, state, permissions };
        standing.settle(context, connection)?;
        Ok(standing)
    }

    /// A client that somebody else answers for: nobody is asked, and it is anonymous here.
    pub fn of_guest(context: &Context, connection: &Connection, handshake: Handshake) -> Self {
        let permissions = Permissions::of_guest(connection.id, handshake, &context.keeper);
        permissions.know(Known { identity: Identity::default(), grants: None });
        Self { allowance: None, state: State::Known, permissions }
    }

    pub fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    /// Anything but an `auth` frame needs a known client.
    pub fn require(&self, context: &Rc<Context>, connection: &Rc<Connection>) -> Result<(), Ended> {
        match &self.state {
            State::Known => Ok(()),
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
        self.permissions.show(token);
        match authenticate(context, &context.shard.registry(), &self.permissions.handshake()).await {
            Ok(known) => self.know(known),
            Err(reason) => return Err(refuse(context, connection, &reason)),
        }
        self.permissions.forget(None);
        self.settle_anew(context, connection).await?;
        Ok(connection.sender().user)
    }

    fn know(&mut self, known: Known) {
        self.permissions.know(known);
        self.state = State::Known;
    }

    /// None: refused so far.
    fn known(&self) -> Option<Rc<Known>> {
        self.permissions.known().filter(|_| matches!(self.state, State::Known))
    }

    /// Tells the connection its user and starts the identity's clock.
    fn settle(&mut self, context: &Rc<Context>, connection: &Rc<Connection>) -> Result<(), Ended> {
        let Some(known) = self.known() else { return Ok(()) };
        let identity = &known.identity;
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
        self.known().is_none_or(|known| known.identity.user.is_empty())
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
        let owner = channel.user().filter(|_| action == AuthAction::Subscribe);
        let owned = |connection: &Connection, owner| match connection.stands_for(owner) {
            true => Ok(()),
            false => Err(denied(connection, channel)),
        };
        if context.jwt.is_none() && !context.shard.asks_auth_plugins() {
            return owner.map_or(Ok(()), |owner| owned(connection, owner));
        }
        let registry = context.shard.registry();
        let built_in = registry.auth().is_empty();
        let kept = match action {
            AuthAction::Publish => self.permissions.may_publish(channel, registry.number),
            AuthAction::Subscribe => None,
        };
        let is_known = match self.known() {
            Some(known) if built_in => known.grants.is_some(),
            Some(known) => known.identity.is_known_to(registry.auth()),
            None => true,
        };
        if !is_known {
            // An auth plugin has come since, or the last one has gone: who decides now has not
            // been asked yet.
            match Box::pin(authenticate(context, &registry, &self.permissions.handshake())).await {
                Ok(anew) => self.know(anew),
                Err(_) => return Err(denied(connection, channel)),
            }
            let settled = self.settle_anew(context, connection).await;
            settled.map_err(|Ended| denied(connection, channel))?;
        }
        if let Some(owner) = owner {
            return owned(connection, owner);
        }
        if let Some(verdict) = kept {
            return verdict.map_err(|reason| denied_because(connection, channel, reason));
        }
        // The server's API may have moved it.
        self.permissions.moved(connection.expires_at());
        let Some(known) = self.known() else { return Err(denied(connection, channel)) };
        if let Some(grants) = &known.grants {
            let allowed = grants.allow(action, channel);
            return if allowed { Ok(()) } else { Err(denied(connection, channel)) };
        }
        let asked = authorize(context, &registry, &known.identity, action, channel);
        let permission = Box::pin(asked).await?;
        match action {
            AuthAction::Publish => self.permissions.keep(channel, &permission),
            AuthAction::Subscribe => self.permissions.allowed(connection, channel, &permission),
        }
        match permission {
            Permission::Granted(_) => Ok(()),
            Permission::Refused(reason) => Err(denied_because(connection, channel, reason)),
        }
    }
}

/// With an auth plugin's words, if it had any.
pub fn denied_because(connection: &Connection, channel: &ChannelName, reason: String) -> Refusal {
    let (user, reason) = (connection.sender().named().cloned(), Some(reason).filter(|r| !r.is_empty()));
    Refusal::PermissionDenied { user, channel: channel.clone(), reason }
}

pub fn denied(connection: &Connection, channel: &ChannelName) -> Refusal {
    Refusal::PermissionDenied {
        user: connection.sender().named().cloned(),
        channel: channel.clone(),
        reason: None,
    }
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
) -> Result<Permission, Refusal> {
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
