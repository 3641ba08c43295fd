//! What handlers have answered.

use super::subscribers::refuse_subscription;
use super::{Homes, Ticket};
use crate::core::{ChannelName, Refusal};
use crate::hub::letter::{PUBLICATIONS_A_MESSAGE, Publish, Published, Subscribe, Unsubscribe};
use crate::hub::post::Post;
use crate::hub::wire::Epoch;
use crate::plugin::{Acceptance, Answer, Outcome, PluginFailure, Verdict};

impl Homes {
    /// A handler has answered.
    pub fn decided(&mut self, ticket: Ticket, answer: Result<Answer, PluginFailure>, post: &Post) {
        self.counted_down(&ticket);
        if let Ticket::Subscribe(Subscribe { channel, sender, .. }) = &ticket {
            let came_back = matches!(answer, Ok(Answer::Subscribed(Ok(_))));
            self.has_returned(channel, &sender.user, came_back);
        }
        match (ticket, answer) {
            (Ticket::Publish(publish), Ok(Answer::Published(outcome))) => self.judged(publish, outcome, post),
            (Ticket::Subscribe(subscribe), Ok(Answer::Subscribed(result))) => match result {
                Ok(Acceptance { response, effects }) => {
                    let (channel, budget) = (subscribe.channel.clone(), subscribe.budget);
                    self.admit(subscribe, response, post);
                    self.apply(&channel, effects, budget, post);
                }
                Err(denial) => {
                    let refusal = Refusal::Rejected { reason: denial.reason, code: denial.code };
                    refuse_subscription(subscribe, refusal, post);
                }
            },
            (Ticket::Unsubscribe(Unsubscribe { channel, budget, .. }), Ok(Answer::Unsubscribed(effects))) => {
                self.apply(&channel, effects, budget, post);
            }
            (Ticket::Timer { channel }, Ok(Answer::Timer(effects))) => {
                self.apply(&channel, effects, PUBLICATIONS_A_MESSAGE, post);
            }
            (Ticket::Timer { channel }, Err(failure)) => {
                tracing::warn!(%channel, %failure, "a timer's call failed; the timer is gone");
            }
            (Ticket::Unsubscribe(Unsubscribe { channel, sender, .. }), Err(failure)) => {
                tracing::warn!(%channel, client = %sender.client, %failure,
                    "the handler has not heard that a client has left");
            }
            (Ticket::Publish(publish), Err(failure)) => {
                let refusal = self.failed(&publish.channel, &failure);
                self.answer(publish.channel, publish.origin, Err(refusal), post);
            }
            (Ticket::Subscribe(subscribe), Err(failure)) => {
                let refusal = self.failed(&subscribe.channel, &failure);
                refuse_subscription(subscribe, refusal, post);
            }
            (_, Ok(_)) => {
                debug_assert!(false, "an actor answers the job that it was given");
            }
        }
    }

    /// Its handler is done with it.
    pub(super) fn counted_down(&mut self, ticket: &Ticket) {
        match ticket {
            Ticket::Subscribe(Subscribe { channel, .. }) => {
                if let Some(home) = self.homes.get_mut(channel) {
                    home.joining = home.joining.saturating_sub(1);
                }
            }
            Ticket::Unsubscribe(Unsubscribe { channel, .. })
            | Ticket::Publish(Publish { channel, .. })
            | Ticket::Timer { channel } => {
                if matches!(ticket, Ticket::Unsubscribe(_)) {
                    self.departures = self.departures.saturating_sub(1);
                }
                if let Some(home) = self.homes.get_mut(channel) {
                    home.judging = home.judging.saturating_sub(1);
                }
            }
        }
    }

    pub(super) fn judged(&mut self, mut publish: Publish, outcome: Outcome, post: &Post) {
        let (channel, budget) = (publish.channel.clone(), publish.budget);
        match outcome.verdict {
            Verdict::Pass => self.accept(publish, post),
            Verdict::Replace(bytes) => {
                publish.payload.bytes = bytes;
                self.accept(publish, post);
            }
            Verdict::Drop => {
                let epoch = self.homes.get(&channel).map_or(Epoch(0), |home| home.epoch);
                let published = Published { epoch, offset: None, receipt: None, queued: false };
                self.answer(publish.channel, publish.origin, Ok(published), post);
            }
            Verdict::Deny { code, reason } => {
                let refusal = Refusal::Rejected { reason, code };
                self.answer(publish.channel, publish.origin, Err(refusal), post);
            }
        }
        self.apply(&channel, outcome.effects, budget, post);
    }

    pub(super) fn failed(&self, channel: &ChannelName, failure: &PluginFailure) -> Refusal {
        match (failure, self.homes.get(channel).and_then(|home| home.handler.as_ref())) {
            (PluginFailure::Busy, _) => Refusal::RateLimited { retry_after_secs: 1.0 },
            (_, Some((plugin, _))) => Refusal::PluginFailed(plugin.clone()),
            (_, None) => Refusal::ChannelNotFound(channel.clone()),
        }
    }
}
