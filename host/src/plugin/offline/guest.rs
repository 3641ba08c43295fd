//! Calls of auth, filters and actions, each with an instance of its own.

use std::mem;
use std::pin::pin;

use bytes::Bytes;

use super::Offline;
use super::call::{Judged, Who};
use crate::core::{Captures, ChannelName, Sender};
use crate::plugin::actions;
use crate::plugin::bindings::{auth, filter, types};
use crate::plugin::failure::PluginFailure;
use crate::plugin::{AuthAction, Denial, Effect, Handshake};

/// The server would not come to call it.
pub fn not_exported(interface: &str) -> PluginFailure {
    PluginFailure::Other(format!("it does not export `{interface}`"))
}

fn trapped(error: wasmtime::Error) -> PluginFailure {
    PluginFailure::from_wasmtime(&error)
}

/// A taken instance is only put back where its call has ended well.
impl Offline {
    pub(super) async fn authenticate(
        &mut self,
        handshake: &Handshake,
    ) -> Result<Result<auth::IdentityResult, String>, PluginFailure> {
        let mut live = self.auth().await?;
        let headers: Vec<(&str, &str)> = handshake.headers.iter().collect();
        let request = auth::Handshake {
            path: &handshake.path,
            query: &handshake.query,
            headers: &headers,
            token: handshake.token.as_deref(),
            peer: &handshake.peer,
        };
        let clock = live.arm(self.generation.limits.auth_ms);
        let answer = clock.watch(pin!(live.guest.call_authenticate(&mut live.store, request))).await;
        let answer = answer.map_err(trapped)?;
        self.auth = Some(live);
        Ok(answer.map_err(|refusal| refusal.reason))
    }

    pub(super) async fn authorize(
        &mut self,
        who: &Who,
        action: AuthAction,
        channel: &ChannelName,
        captures: &Captures,
    ) -> Result<auth::Permission, PluginFailure> {
        let mut live = self.auth().await?;
        let claims: Vec<(&str, &str)> =
            who.claims.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let identity = auth::IdentityParam {
            user: &who.user,
            claims: &claims,
            expires_at_ms: who.expires_at.map(|at| at.0),
        };
        let (channel, captures) = (channel.as_str(), captures.pairs());
        let clock = live.arm(self.generation.limits.auth_ms);
        let (store, action) = (&mut live.store, action.into());
        let permission = clock
            .watch(pin!(live.guest.call_authorize(store, identity, action, channel, &captures)))
            .await
            .map_err(trapped)?;
        self.auth = Some(live);
        Ok(permission)
    }

    async fn auth(&mut self) -> Result<super::Live<auth::Guest>, PluginFailure> {
        match mem::take(&mut self.auth) {
            Some(live) => Ok(live),
            None if self.generation.capabilities.auth.is_none() => Err(not_exported("auth")),
            None => self.generation.auth().await,
        }
    }

    pub(super) async fn action(
        &mut self,
        name: &str,
        who: &Sender,
        data: &[u8],
    ) -> Result<Result<(Bytes, Vec<Effect>), Denial>, PluginFailure> {
        if !self.generation.actions.iter().any(|known| known == name) {
            let known = self.generation.actions.join(", ");
            let why = if known.is_empty() {
                return Err(not_exported("actions"));
            } else {
                format!("it has no action `{name}`; it has {known}")
            };
            return Err(PluginFailure::Other(why));
        }
        let mut live = match mem::take(&mut self.actions) {
            Some(live) => live,
            None => self.generation.actions().await?,
        };
        let caller = types::Caller { client: who.client.0, user: who.user.as_str() };
        let clock = live.arm(self.generation.limits.call_ms);
        let reply = clock.watch(pin!(live.guest.call_call(&mut live.store, name, caller, data))).await;
        let reply = reply.map_err(trapped)?;
        let given = match reply {
            Ok(reply) => Ok(actions::check(reply, self.generation.limits.payload_bytes)?),
            Err(denial) => Err(denial.into()),
        };
        self.actions = Some(live);
        Ok(given)
    }

    /// The filter is kept for the next call with its parameters.
    pub(super) async fn judge(
        &mut self,
        params: &Bytes,
        messages: &[Judged],
    ) -> Result<Result<Vec<bool>, String>, PluginFailure> {
        let made = mem::take(&mut self.judge);
        let (mut live, made) = match mem::take(&mut self.filter) {
            Some(live) => (live, made),
            None if self.generation.capabilities.filter.is_none() => return Err(not_exported("filter")),
            None => (self.generation.filter().await?, None),
        };
        let limits = &self.generation.limits;
        let id = match made {
            Some((known, id)) if known == params => id,
            made => {
                if let Some((_, id)) = made {
                    let clock = live.arm(limits.open_ms);
                    clock.watch(pin!(live.guest.call_remove(&mut live.store, id))).await.map_err(trapped)?;
                }
                let clock = live.arm(limits.open_ms);
                let added = clock.watch(pin!(live.guest.call_add(&mut live.store, params))).await;
                match added.map_err(trapped)? {
                    Ok(id) => id,
                    Err(reason) => {
                        self.filter = Some(live);
                        return Ok(Err(reason));
                    }
                }
            }
        };
        let mut batch = crate::plugin::FilterBatch::default();
        for Judged { event, payload } in messages {
            batch.push(event, payload.kind, &payload.bytes);
        }
        let (kinds, ends, data) = batch.parts();
        let clock = live.arm(limits.filter_ms);
        let batch = filter::Batch { kinds, ends, data };
        let words = clock.watch(pin!(live.guest.call_evaluate(&mut live.store, &[id], batch))).await;
        let words = words.map_err(trapped)?;
        self.filter = Some(live);
        self.judge = Some((params.clone(), id));
        // With one filter the bit of a message is its place in the batch; missing words are zeros.
        let passes = |at: usize| words.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1);
        Ok(Ok((0..messages.len()).map(passes).collect()))
    }
}
