//! Subscribers that are none any more, and what their channel's handler hears of it: at least once,
//! and, where its settings give them time to come back, only if they do not.
//!
//! The server's memory is where a departure waits: a crash loses it, an end in which channels are saved does not.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use super::{Homes, Request};
use crate::core::{ChannelName, Sender, UserId};
use crate::hub::letter::{Letter, Unsubscribe};
use crate::hub::post::{Event, LocalQueue, Post};
use crate::hub::shard::AbortOnDrop;
use crate::plugin::{Departure, Job};

/// Of one channel; with more the handler hears at once.
const MOST: usize = 4096;

/// Those of a channel whose connections have ended, and who may come back yet.
#[derive(Default)]
pub struct Graces {
    users: HashMap<UserId, Missing>,
    count: usize,
}

#[derive(Default)]
struct Missing {
    gone: Vec<Gone>,
    /// Subscriptions of the user that the handler has not answered yet.
    returning: u32,
}

struct Gone {
    unsubscribe: Unsubscribe,
    /// Its time is over, but a subscription may yet make that good.
    late: bool,
    _clock: AbortOnDrop,
}

impl Graces {
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// `Err`: there is no room.
    fn hold(
        &mut self,
        unsubscribe: Unsubscribe,
        grace: Duration,
        queue: &Rc<LocalQueue>,
    ) -> Result<(), Unsubscribe> {
        if self.count >= MOST {
            return Err(unsubscribe);
        }
        let (channel, who, queue) = (unsubscribe.channel.clone(), unsubscribe.sender.clone(), queue.clone());
        let clock = AbortOnDrop(tokio::task::spawn_local(async move {
            tokio::time::sleep(grace).await;
            queue.push(Event::Letter(Letter::GraceOver { channel, who }));
        }));
        let user = unsubscribe.sender.user.clone();
        self.users.entry(user).or_default().gone.push(Gone { unsubscribe, late: false, _clock: clock });
        self.count += 1;
        Ok(())
    }

    /// A connection's time is over: the handler is to hear of it, unless its user is coming back.
    fn over(&mut self, who: &Sender) -> Option<Unsubscribe> {
        let missing = self.users.get_mut(&who.user)?;
        let at = missing.gone.iter().position(|gone| gone.unsubscribe.sender.client == who.client)?;
        if missing.returning > 0 {
            missing.gone[at].late = true;
            return None;
        }
        self.count -= 1;
        let gone = missing.gone.swap_remove(at);
        if missing.gone.is_empty() {
            self.users.remove(&who.user);
        }
        Some(gone.unsubscribe)
    }

    /// The user asks to subscribe.
    fn asks(&mut self, user: &UserId) {
        if let Some(missing) = self.users.get_mut(user) {
            missing.returning += 1;
        }
    }

    /// It was let in, or was not: then of whom the handler is to hear.
    fn answered(&mut self, user: &UserId, came_back: bool) -> Vec<Unsubscribe> {
        let Some(missing) = self.users.get_mut(user) else { return Vec::new() };
        missing.returning = missing.returning.saturating_sub(1);
        if came_back {
            self.count -= missing.gone.len();
            self.users.remove(user);
            return Vec::new();
        }
        if missing.returning > 0 {
            return Vec::new();
        }
        let late: Vec<_> = missing.gone.extract_if(.., |gone| gone.late).collect();
        self.count -= late.len();
        if missing.gone.is_empty() {
            self.users.remove(user);
        }
        late.into_iter().map(|gone| gone.unsubscribe).collect()
    }

    pub fn take(&mut self) -> Vec<Unsubscribe> {
        self.count = 0;
        self.users.drain().flat_map(|(_, missing)| missing.gone).map(|gone| gone.unsubscribe).collect()
    }
}

impl Homes {
    /// A subscriber of a channel with a handler is none any more.
    pub(super) fn depart(&mut self, unsubscribe: Unsubscribe, post: &Post) {
        let unsubscribe = match self.grace(&unsubscribe) {
            None => unsubscribe,
            Some(grace) => {
                let Some(home) = self.homes.get_mut(&unsubscribe.channel) else { return };
                match home.graces.get_or_insert_default().hold(unsubscribe, grace, &post.queue) {
                    Ok(()) => return,
                    Err(unsubscribe) => unsubscribe,
                }
            }
        };
        self.tell_departure(unsubscribe);
    }

    /// How long it has to come back, by the handler that gives it longest. A client without a user never does,
    /// and nobody once channels have ended: what is not heard is kept for the next server.
    fn grace(&self, unsubscribe: &Unsubscribe) -> Option<Duration> {
        if self.unheard.is_some() {
            return None;
        }
        let lost = matches!(unsubscribe.why, Departure::Disconnected | Departure::Expired);
        let home = self.homes.get(&unsubscribe.channel)?;
        unsubscribe.sender.named().filter(|_| lost)?;
        home.chain.iter().filter_map(|link| self.registry.plugin(&link.plugin)?.leave_grace).max()
    }

    fn tell_departure(&mut self, unsubscribe: Unsubscribe) {
        let Some(home) = self.homes.get_mut(&unsubscribe.channel) else { return };
        let Some(link) = home.chain.first() else { return };
        home.judging += 1;
        self.departures += 1;
        let job = Job::Unsubscribe { who: unsubscribe.sender.clone(), why: unsubscribe.why };
        link.ask(job, Request::Unsubscribe(unsubscribe), None);
    }

    pub fn grace_over(&mut self, channel: &ChannelName, who: &Sender) {
        let graces = self.homes.get_mut(channel).and_then(|home| home.graces.as_mut());
        if let Some(unsubscribe) = graces.and_then(|graces| graces.over(who)) {
            self.tell_departure(unsubscribe);
        }
    }

    /// A user asks the handler to let it in.
    pub(super) fn may_return(&mut self, channel: &ChannelName, user: &UserId) {
        if let Some(graces) = self.homes.get_mut(channel).and_then(|home| home.graces.as_mut()) {
            graces.asks(user);
        }
    }

    pub(super) fn has_returned(&mut self, channel: &ChannelName, user: &UserId, came_back: bool) {
        let Some(home) = self.homes.get_mut(channel) else { return };
        let Some(graces) = &mut home.graces else { return };
        let late = graces.answered(user, came_back);
        if graces.is_empty() {
            home.graces = None;
        }
        late.into_iter().for_each(|unsubscribe| self.tell_departure(unsubscribe));
    }

    /// The server ends: nobody comes back.
    pub fn end_graces(&mut self) {
        let graces = self.homes.values_mut().filter_map(|home| home.graces.take());
        let ended: Vec<_> = graces.flat_map(|mut graces| graces.take()).collect();
        ended.into_iter().for_each(|unsubscribe| self.tell_departure(unsubscribe));
    }

    /// Departures that handlers have not answered yet.
    pub fn departures(&self) -> usize {
        self.departures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ClientId;
    use crate::hub::letter::PUBLICATIONS_A_MESSAGE;

    fn who(client: u64, user: &str) -> Sender {
        Sender { client: ClientId(client), user: UserId(user.into()) }
    }

    fn gone(client: u64, user: &str) -> Unsubscribe {
        Unsubscribe {
            channel: ChannelName::parse("x").unwrap(),
            sender: who(client, user),
            request: None,
            subscribed: true,
            why: Departure::Disconnected,
            budget: PUBLICATIONS_A_MESSAGE,
            trace: None,
        }
    }

    fn local(test: impl FnOnce(&mut Graces, &Rc<LocalQueue>)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let mut graces = Graces::default();
            test(&mut graces, &Rc::default());
            assert_eq!(graces.count, graces.users.values().map(|missing| missing.gone.len()).sum::<usize>());
        });
    }

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn who_comes_back_was_not_gone() {
        local(|graces, queue| {
            for (client, user) in [(1, "ada"), (2, "ada"), (3, "bob")] {
                assert!(graces.hold(gone(client, user), HOUR, queue).is_ok());
            }
            graces.asks(&who(4, "ada").user);
            assert!(graces.over(&who(1, "ada")).is_none(), "she is coming");
            assert!(graces.answered(&who(4, "ada").user, true).is_empty());
            assert!(graces.over(&who(2, "ada")).is_none());
            assert!(graces.over(&who(3, "bob")).is_some());
            assert!(graces.is_empty());
        });
    }

    #[test]
    fn who_is_not_let_in_has_not_come_back() {
        local(|graces, queue| {
            assert!(graces.hold(gone(1, "ada"), HOUR, queue).is_ok());
            assert!(graces.hold(gone(2, "ada"), HOUR, queue).is_ok());
            let user = who(0, "ada").user;
            graces.asks(&user);
            graces.asks(&user);
            assert!(graces.over(&who(1, "ada")).is_none());
            assert!(graces.answered(&user, false).is_empty(), "she asks a second time");
            let late = graces.answered(&user, false);
            assert!(matches!(&late[..], [late] if late.sender.client == ClientId(1)));
            assert_eq!(graces.take().len(), 1, "the other one has time yet");
        });
    }

    #[test]
    fn there_is_room_for_so_many() {
        local(|graces, queue| {
            for client in 0..MOST as u64 {
                assert!(graces.hold(gone(client, "ada"), HOUR, queue).is_ok());
            }
            assert!(graces.hold(gone(0, "bob"), HOUR, queue).is_err());
            assert!(graces.over(&who(7, "ada")).is_some());
            assert!(graces.hold(gone(0, "bob"), HOUR, queue).is_ok());
        });
    }
}
