//! Subscriptions are judged again, by a floor above, which knows auth plugins.

use std::rc::Rc;

use tokio::sync::oneshot;

use super::Shard;
use super::ask::{Unanswered, gather};
use super::orders::Whom;
use crate::core::{ChannelName, ClientId, Refusal};
use crate::hub::connection::Connection;
use crate::hub::wire::Reply;

/// Which subscriptions: of whom, and to what. None: of everybody, to everything.
#[derive(Clone, Debug)]
pub struct Which {
    pub whom: Option<Whom>,
    pub channel: Option<ChannelName>,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JudgedAgain {
    pub judged: usize,
    /// Of those, how many did not hold.
    pub ended: usize,
}

/// Who judges, on one shard.
pub trait Judge {
    /// Another set of plugins is in use here from now on.
    fn installed(&self);

    /// Judges now, and answers when it is done.
    fn judge_again(&self, which: Which, answer: oneshot::Sender<JudgedAgain>);
}

impl Shard {
    /// Once, before anybody is connected.
    pub fn set_judge(&self, judge: Rc<dyn Judge>) {
        // A second one would be a mistake of the start's; the first goes on.
        let _ = self.judge.set(judge);
    }

    pub(super) fn tell_judge(&self) {
        if let Some(judge) = self.judge.get() {
            judge.installed();
        }
    }

    /// Has the auth plugins asked again, on all shards.
    pub async fn judge_again(&self, which: Which) -> Result<JudgedAgain, Unanswered> {
        let asked = self.every_shard().map(|shard| {
            let which = which.clone();
            self.ask(shard, move |there, _, answer| match there.judge.get() {
                Some(judge) => judge.judge_again(which, answer),
                // Who asked may have given up.
                None => drop(answer.send(JudgedAgain::default())),
            })
        });
        let answers = gather(asked.collect()).await?;
        Ok(answers.into_iter().fold(JudgedAgain::default(), |all, one| JudgedAgain {
            judged: all.judged + one.judged,
            ended: all.ended + one.ended,
        }))
    }

    /// A connection of this shard that may still be told something.
    pub fn connection(&self, client: ClientId) -> Option<Rc<Connection>> {
        let found = self.delivery.borrow().find(client).cloned();
        found.filter(|connection| !connection.is_closing())
    }

    /// Those of this shard who are meant.
    pub fn meant(&self, which: &Which) -> Vec<Rc<Connection>> {
        let mut meant = match (&which.whom, &which.channel) {
            (Some(whom), _) => self.found(whom),
            (None, Some(channel)) => self.delivery.borrow().subscribers(channel),
            (None, None) => self.delivery.borrow().connections().cloned().collect(),
        };
        meant.retain(|connection| !connection.is_closing());
        meant
    }

    /// Ends a subscription that no longer holds: the client gets the refusal, then `unsubscribed`.
    /// Dialects with one channel end with it.
    pub fn revoke(&self, connection: &Rc<Connection>, channel: ChannelName, refusal: Refusal) {
        let request = self.wire(connection.wire).subscription();
        self.reply(connection, request.as_ref(), Reply::Refused { channel: Some(channel.clone()), refusal });
        if !connection.is_closing() {
            self.remove(connection, channel);
        }
    }
}
