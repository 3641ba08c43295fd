//! What handlers have answered.
//!
//! Where several handle a channel, the next is asked what the one before has let pass. What they want done is done
//! once the last has answered, or none of it.

use super::chain::{LinkId, Passed};
use super::subscribers::refuse_subscription;
use super::{Homes, Request, Ticket};
use crate::core::clock::UnixMillis;
use crate::core::{ChannelName, Refusal};
use crate::hub::letter::{PUBLICATIONS_A_MESSAGE, Publish, Published, Subscribe, Unsubscribe};
use crate::hub::post::Post;
use crate::hub::wire::Epoch;
use crate::plugin::{Acceptance, Answer, Denial, Departure, Effect, Job, Outcome, PluginFailure, Verdict};

/// What a handler is asked about a message.
pub(super) fn job(publish: &Publish, at: UnixMillis) -> Job {
    Job::Publish {
        sender: publish.origin.sender().cloned(),
        event: publish.event.clone(),
        payload: publish.payload.clone(),
        at,
    }
}

/// Who has answered, and what those before it have.
type By = (LinkId, Option<Box<Passed>>);

/// With one more that has let it pass.
fn and(passed: Option<Box<Passed>>, link: LinkId, effects: Vec<Effect>) -> Option<Box<Passed>> {
    let mut passed = passed.unwrap_or_default();
    passed.effects.push((link, effects));
    Some(passed)
}

impl Homes {
    /// A handler has answered.
    pub fn decided(&mut self, ticket: Ticket, answer: Result<Answer, PluginFailure>, post: &Post) {
        self.counted_down(&ticket.request);
        let by = (ticket.link, ticket.passed);
        match (*ticket.request, answer) {
            (Request::Publish(publish), Ok(Answer::Published(outcome))) => {
                self.judged(publish, outcome, by, post);
            }
            (Request::Subscribe(subscribe), Ok(Answer::Subscribed(result))) => {
                self.let_in(subscribe, result, by, post);
            }
            (Request::Unsubscribe(unsubscribe), Ok(Answer::Unsubscribed(effects))) => {
                self.taken_leave(unsubscribe, effects, by, post);
            }
            (Request::Timer { channel }, Ok(Answer::Timer(effects))) => {
                self.apply(&channel, None, (by.0, effects), PUBLICATIONS_A_MESSAGE, None, post);
            }
            (Request::Timer { channel }, Err(failure)) => {
                tracing::warn!(%channel, %failure, "a timer's call failed; the timer is gone");
            }
            (Request::Unsubscribe(unsubscribe), Err(failure)) => match &mut self.unheard {
                Some(unheard) => unheard.push(unsubscribe),
                None => {
                    tracing::warn!(channel = %unsubscribe.channel, client = %unsubscribe.sender.client, %failure,
                        "the handler has not heard that a client has left");
                    self.taken_leave(unsubscribe, Vec::new(), by, post);
                }
            },
            (Request::Publish(publish), Err(failure)) => {
                let refusal = self.failed(&publish.channel, by.0, &failure);
                self.answer(publish.channel, publish.origin, Err(refusal), post);
            }
            (Request::Subscribe(subscribe), Err(failure)) => {
                let refusal = self.failed(&subscribe.channel, by.0, &failure);
                self.keep_out(subscribe, refusal, by.1, post);
            }
            (Request::Undone, _) => {}
            (_, Ok(_)) => {
                debug_assert!(false, "an actor answers the job that it was given");
            }
        }
    }

    /// Its handler is done with it.
    pub(super) fn counted_down(&mut self, request: &Request) {
        match request {
            Request::Subscribe(Subscribe { channel, .. }) => {
                if let Some(home) = self.homes.get_mut(channel) {
                    home.joining = home.joining.saturating_sub(1);
                }
            }
            Request::Unsubscribe(Unsubscribe { channel, .. })
            | Request::Publish(Publish { channel, .. })
            | Request::Timer { channel } => {
                if matches!(request, Request::Unsubscribe(_)) {
                    self.departures = self.departures.saturating_sub(1);
                }
                if let Some(home) = self.homes.get_mut(channel) {
                    home.judging = home.judging.saturating_sub(1);
                }
            }
            Request::Undone => {}
        }
    }

    fn judged(&mut self, mut publish: Publish, outcome: Outcome, (link, passed): By, post: &Post) {
        let (channel, budget, trace) = (publish.channel.clone(), publish.budget, publish.trace);
        let Outcome { verdict, effects } = outcome;
        match verdict {
            Verdict::Pass | Verdict::Replace(_) => {
                if let Verdict::Replace(bytes) = verdict {
                    publish.payload.bytes = bytes;
                }
                if let Some(home) = self.homes.get_mut(&channel)
                    && let Some(next) = home.chain.after(link, passed.as_deref())
                {
                    home.judging += 1;
                    return next.ask(
                        job(&publish, self.now),
                        Request::Publish(publish),
                        and(passed, link, effects),
                    );
                }
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
        self.apply(&channel, passed, (link, effects), budget, trace, post);
    }

    fn let_in(
        &mut self,
        subscribe: Subscribe,
        answer: Result<Acceptance, Denial>,
        (link, mut passed): By,
        post: &Post,
    ) {
        let Acceptance { response, effects } = match answer {
            Ok(acceptance) => acceptance,
            Err(Denial { reason, code }) => {
                return self.keep_out(subscribe, Refusal::Rejected { reason, code }, passed, post);
            }
        };
        let response = passed.as_mut().and_then(|passed| passed.response.take()).or(response);
        let (channel, budget, trace) = (subscribe.channel.clone(), subscribe.budget, subscribe.trace);
        if let Some(home) = self.homes.get_mut(&channel)
            && let Some(next) = home.chain.after(link, passed.as_deref())
        {
            home.joining += 1;
            let (who, params) = (subscribe.sender.clone(), subscribe.params.clone());
            let respond = home.rule.default_response && response.is_none();
            let mut passed = and(passed, link, effects);
            if let Some(passed) = &mut passed {
                passed.response = response;
            }
            return next.ask(Job::Subscribe { who, params, respond }, Request::Subscribe(subscribe), passed);
        }
        self.has_returned(&channel, &subscribe.sender.user, true);
        self.admit(subscribe, response, post);
        self.apply(&channel, passed, (link, effects), budget, trace, post);
    }

    /// Refuses a subscription. Handlers that have let it pass hear that nothing has come of it, unless the
    /// client had one before, which stays.
    fn keep_out(&mut self, subscribe: Subscribe, refusal: Refusal, passed: Option<Box<Passed>>, post: &Post) {
        let home = self.homes.get(&subscribe.channel).filter(|_| !subscribe.replaces);
        if let (Some(home), Some(passed)) = (home, passed) {
            for link in passed.effects.iter().filter_map(|(link, _)| home.chain.get(*link)) {
                let job = Job::Unsubscribe { who: subscribe.sender.clone(), why: Departure::Removed };
                link.ask(job, Request::Undone, None);
            }
        }
        self.has_returned(&subscribe.channel, &subscribe.sender.user, false);
        refuse_subscription(subscribe, refusal, post);
    }

    fn taken_leave(
        &mut self,
        unsubscribe: Unsubscribe,
        effects: Vec<Effect>,
        (link, passed): By,
        post: &Post,
    ) {
        let (channel, budget, trace) = (unsubscribe.channel.clone(), unsubscribe.budget, unsubscribe.trace);
        if let Some(home) = self.homes.get_mut(&channel)
            && let Some(next) = home.chain.after(link, passed.as_deref())
        {
            home.judging += 1;
            self.departures += 1;
            let job = Job::Unsubscribe { who: unsubscribe.sender.clone(), why: unsubscribe.why };
            return next.ask(job, Request::Unsubscribe(unsubscribe), and(passed, link, effects));
        }
        self.apply(&channel, passed, (link, effects), budget, trace, post);
    }

    fn failed(&self, channel: &ChannelName, link: LinkId, failure: &PluginFailure) -> Refusal {
        let chain = self.homes.get(channel).map(|home| &home.chain);
        match (failure, chain.and_then(|chain| chain.get(link).or(chain.first()))) {
            (PluginFailure::Busy, _) => Refusal::RateLimited { retry_after_secs: 1.0 },
            (_, Some(link)) => Refusal::PluginFailed(link.plugin.clone()),
            (_, None) => Refusal::ChannelNotFound(channel.clone()),
        }
    }
}
