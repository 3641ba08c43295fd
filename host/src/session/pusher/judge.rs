//! Auth plugins, or the built-in verifier, in place of a signature.

use super::Guest;
use crate::core::clock::UnixMillis;
use crate::core::{ChannelName, Refusal, UserId};
use crate::plugin::AuthAction;
use crate::session::Session;
use crate::session::standing::{Known, authenticate};

/// What was said of a client and a channel.
#[derive(Debug)]
pub(super) enum Verdict {
    /// There is nobody to ask.
    Unasked,
    Refused,
    /// Allowed, and known by this name, if by any.
    Allowed(Option<UserId>),
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
        let registry = context.shard.registry();
        if registry.auth().is_empty() && context.jwt.is_none() {
            return Ok(Verdict::Unasked);
        }
        let mut handshake = standing.handshake().clone();
        if let Some(token) = token {
            handshake.token = Some(token.to_owned());
        }
        let Ok(Known { identity, grants }) = authenticate(context, &registry, &handshake).await else {
            return Ok(Verdict::Refused);
        };
        if identity.expires_at.is_some_and(|at| at <= UnixMillis::now()) {
            return Ok(Verdict::Refused);
        }
        let allowed = match &grants {
            Some(grants) => grants.allow(action, channel),
            None => {
                let asked = context.services.authorize(registry.auth(), &identity, action, channel).await;
                asked.map_err(|(plugin, failure)| {
                    tracing::warn!(%plugin, %failure, %channel, "not authorized, because the plugin failed");
                    Refusal::PluginFailed(plugin)
                })?
            }
        };
        if !allowed {
            return Ok(Verdict::Refused);
        }
        if identity.expires_at.is_some() {
            context.shard.expire_at(connection, identity.expires_at);
        }
        let named = !identity.user.is_empty();
        Ok(Verdict::Allowed(named.then(|| UserId(identity.user.as_str().into()))))
    }
}
