//! Auth plugins, or the built-in verifier, in place of a signature.

use std::rc::Rc;
use std::time::Duration;

use super::Guest;
use crate::core::clock::UnixMillis;
use crate::core::{ChannelName, Refusal, UserId};
use crate::plugin::{AuthAction, Handshake, Identity, Permission};
use crate::session::standing::{Known, authenticate, authorize};
use crate::session::{Context, Session};

/// What was said of a client and a channel.
#[derive(Debug)]
pub(super) enum Verdict {
    /// There is nobody to ask.
    Unasked,
    Refused,
    /// Allowed, and known by this name, if by any.
    Allowed(Option<UserId>),
}

/// The same of whoever shows a credential.
#[derive(Debug)]
pub enum Judged {
    /// There is nobody to ask.
    Unasked,
    /// Why not.
    Refused(String),
    /// For so long, if not for as long as it is there.
    Allowed(Identity, Option<Duration>),
}

/// Asks who this is, and, where a channel is named, whether it may do that there.
///
/// # Errors
/// A plugin fails.
pub async fn judge(
    context: &Rc<Context>,
    handshake: &Handshake,
    what: Option<(AuthAction, &ChannelName)>,
) -> Result<Judged, Refusal> {
    let registry = context.shard.registry();
    if registry.auth().is_empty() && context.jwt.is_none() {
        return Ok(Judged::Unasked);
    }
    let Known { identity, grants } = match authenticate(context, &registry, handshake).await {
        Ok(known) => known,
        Err(reason) => return Ok(Judged::Refused(reason)),
    };
    if identity.expires_at.is_some_and(|at| at <= UnixMillis::now()) {
        return Ok(Judged::Refused("The token has expired.".into()));
    }
    let Some((action, channel)) = what else { return Ok(Judged::Allowed(identity, None)) };
    let permission = match &grants {
        Some(grants) if grants.allow(action, channel) => Permission::Granted(None),
        Some(_) => Permission::Refused(String::new()),
        None => authorize(context, &registry, &identity, action, channel).await?,
    };
    match permission {
        Permission::Granted(after) => return Ok(Judged::Allowed(identity, after)),
        Permission::Refused(reason) if !reason.is_empty() => return Ok(Judged::Refused(reason)),
        Permission::Refused(_) => {}
    }
    let user = if identity.user.is_empty() { "anonymous" } else { &identity.user };
    Ok(Judged::Refused(format!("User '{user}' is not authorized for this channel.")))
}

impl Guest {
    /// Asks about this client; `token` is in place of the one that it connected with, if any.
    ///
    /// # Errors
    /// A plugin fails.
    pub(super) async fn judge(
        &self,
        token: Option<&str>,
        action: AuthAction,
        channel: &ChannelName,
    ) -> Result<Verdict, Refusal> {
        let Session { context, connection, standing, .. } = &self.session;
        let mut handshake = Handshake::clone(&standing.permissions().handshake());
        if let Some(token) = token {
            handshake.token = Some(token.to_owned());
        }
        let (identity, after) = match judge(context, &handshake, Some((action, channel))).await? {
            Judged::Unasked => return Ok(Verdict::Unasked),
            Judged::Refused(_) => return Ok(Verdict::Refused),
            Judged::Allowed(identity, after) => (identity, after),
        };
        if action == AuthAction::Subscribe {
            let permission = Permission::Granted(after);
            standing.permissions().allowed_by(connection, channel, handshake, &permission);
        }
        if identity.expires_at.is_some() {
            context.shard.expire_at(connection, identity.expires_at);
        }
        let named = !identity.user.is_empty();
        Ok(Verdict::Allowed(named.then(|| UserId(identity.user.as_str().into()))))
    }
}
