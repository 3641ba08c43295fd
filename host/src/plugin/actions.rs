//! Calling a plugin's actions.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;

use super::actor::Denial;
use super::bindings::types;
use super::calls::Function;
use super::effects::{self, Effect, checked};
use super::failure::PluginFailure;
use super::generation::Generation;
use super::meter::Call;
use super::offline::{self, said};
use super::slot::Services;
use super::tap::failed;
use crate::core::{PayloadKind, Sender, TraceParent};

impl Services {
    /// `data` is JSON. What the action answers, and what it wants done.
    pub async fn call(
        &self,
        generation: &Arc<Generation>,
        name: &str,
        who: &Sender,
        data: &[u8],
    ) -> Result<Result<(Bytes, Vec<Effect>), Denial>, PluginFailure> {
        self.call_traced(generation, name, who, data, None).await
    }

    /// The same for a client whose requests have a trace context.
    pub async fn call_traced(
        &self,
        generation: &Arc<Generation>,
        name: &str,
        who: &Sender,
        data: &[u8],
        trace: Option<TraceParent>,
    ) -> Result<Result<(Bytes, Vec<Effect>), Denial>, PluginFailure> {
        let slot = self.actions.of(generation);
        let mut slot = slot.lock().await;
        let mut live = slot.take(generation, async |g: &Generation| g.actions().await).await?;
        let caller = types::Caller { client: who.client.0, user: who.user.as_str() };
        generation.conduct.called();
        let call = Call::of(Function::Action).by(who.client).traced(trace);
        let clock = live.meter.arm(&mut live.store, call, generation.limits.call_ms);
        let called = clock.watch(pin!(live.guest.call_call(&mut live.store, name, caller, data))).await;
        let answer = match called {
            Ok(Ok(reply)) => {
                let bytes = generation.limits.payload_bytes;
                checked(reply, move |reply| check(reply, bytes)).await.map(Ok)
            }
            Ok(Err(denial)) => Ok(Err(denial.into())),
            Err(error) => Err(PluginFailure::of_call(&error)),
        };
        generation.tell(|| {
            let call = offline::Call::Action {
                name: name.to_owned(),
                who: who.clone(),
                data: Bytes::copy_from_slice(data),
            };
            let said = answer.as_ref().map(|answer| match answer {
                Ok((data, effects)) => said::reply(data, effects),
                Err(denial) => said::denied(denial),
            });
            (call, said.map_err(failed))
        });
        if let Err(failure @ PluginFailure::BadOutput(_)) = &answer {
            live.meter.refused(Function::Action, failure);
        }
        match &answer {
            Ok(_) => slot.put(live),
            Err(failure) => slot.failed(generation, failure, &format!("in the action '{name}'")),
        }
        answer.map(|answer| {
            answer.map(|(data, mut effects)| {
                generation.take_figures(&mut effects);
                (data, effects)
            })
        })
    }
}

/// An answer as the contract has it.
pub(super) fn check(
    reply: super::bindings::actions::Reply,
    payload_bytes: usize,
) -> Result<(Bytes, Vec<Effect>), PluginFailure> {
    let data = effects::payload(PayloadKind::Json, reply.data, payload_bytes)?.bytes;
    Ok((data, effects::effects_of_action(reply.effects, payload_bytes)?))
}
