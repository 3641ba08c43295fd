//! A large audience is served part by part, around and around. Between two parts the shard does what else has come, and
//! each part gets all that was published until its turn: so a write carries more when there is more to carry, and a
//! message waits for nobody's write but those before it.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::{Company, Delivery};
use crate::core::ChannelName;
use crate::hub::audience::Audience;
use crate::hub::connection::Connection;
use crate::hub::turn::Turn;

/// Subscribers of a part. More in an audience are a large one.
const PART: usize = if cfg!(test) { 4 } else { 64 };
/// What some part has not got yet. With more, all get it at once.
const LOG_BYTES: usize = 4 << 20;

/// Members of a group.
struct Part {
    group: usize,
    members: Range<usize>,
    /// Turns that it has got, since the round began.
    got: u64,
}

/// Turns of one channel on their way. Nobody comes or goes there meanwhile: it is finished first.
pub(super) struct Round {
    audience: usize,
    channel: ChannelName,
    /// Turns that some part has not got yet.
    log: VecDeque<Arc<Turn>>,
    /// Turns that all have got.
    done: u64,
    weight: usize,
    /// Those that have waited longest come first.
    parts: VecDeque<Part>,
}

impl Round {
    fn new(key: usize, audience: &Audience) -> Self {
        let mut parts = VecDeque::with_capacity(audience.len() / PART + audience.groups.len());
        for (group, members) in audience.groups.iter().map(|group| group.members.len()).enumerate() {
            let ends = |from: usize| from..(from + PART).min(members);
            parts.extend((0..members).step_by(PART).map(|from| Part { group, members: ends(from), got: 0 }));
        }
        let channel = (*audience.channel).clone();
        Self { audience: key, channel, log: VecDeque::new(), done: 0, weight: 0, parts }
    }

    fn takes(&self, turn: &Turn) -> bool {
        self.log.back().is_none_or(|last| turn.follows(last))
    }

    fn push(&mut self, turn: Arc<Turn>) {
        self.weight += turn.weight();
        self.log.push_back(turn);
    }

    /// The part that has waited longest, and all that it has not got yet.
    fn next(&mut self) -> Option<(usize, Range<usize>, Vec<Arc<Turn>>)> {
        let mut part = self.parts.pop_front()?;
        let next = (part.group, part.members.clone(), self.log.iter().cloned().collect());
        part.got = self.done + self.log.len() as u64;
        self.parts.push_back(part);
        let oldest = self.parts.front().map_or(0, |part| part.got);
        while self.done < oldest {
            self.done += 1;
            self.weight -= self.log.pop_front().map_or(0, |turn| turn.weight());
        }
        Some(next)
    }
}

impl Delivery {
    /// True: the turn is on its way. False: nothing of its channel is any more.
    pub(super) fn goes_round(&mut self, key: usize, turn: &Arc<Turn>) -> bool {
        let audience = &self.audiences[key];
        let is_large = audience.len() > PART;
        if !is_large {
            return false;
        }
        let joins = turn.may_be_joined() && audience.is_unfiltered();
        // Where several are spoken to by turns, each would finish the other's round and nothing be gained.
        let again = self.last_large.replace(key) == Some(key);
        match &mut self.round {
            None if joins && again => {
                let mut round = Round::new(key, audience);
                round.push(turn.clone());
                self.round = Some(round);
            }
            Some(round) if joins && round.audience == key && round.takes(turn) => round.push(turn.clone()),
            // Two large audiences may be the same clients, who get both by one write.
            _ => {
                self.finish_round();
                return false;
            }
        }
        if self.round.as_ref().is_some_and(|round| round.weight > LOG_BYTES) {
            self.finish_round();
        }
        true
    }

    /// Is anything on its way? Then the shard has another turn.
    pub fn is_on_a_round(&self) -> bool {
        self.round.is_some()
    }

    /// Serves one more part. False: all have all.
    pub fn go_on(&mut self) -> bool {
        let company =
            if std::mem::take(&mut self.shared) { Company::OtherChannels } else { Company::Nothing };
        self.serve(company)
    }

    /// All of it, now.
    fn finish_round(&mut self) {
        while self.serve(Company::Anything) {}
    }

    /// Before anybody comes or goes in the channel.
    pub(super) fn finish_round_in(&mut self, channel: &ChannelName) {
        if self.round.as_ref().is_some_and(|round| round.channel == *channel) {
            self.finish_round();
        }
    }

    /// Before this one gets anything that ends what it hears.
    pub fn finish_round_of(&mut self, connection: &Connection) {
        let Some(round) = &self.round else { return };
        if connection.seats.borrow().contains_key(&round.channel) {
            self.finish_round();
        }
    }

    fn serve(&mut self, company: Company) -> bool {
        let Some(round) = &mut self.round else { return false };
        let key = round.audience;
        if let Some((group, members, turns)) = round.next() {
            let is_over = round.log.is_empty();
            if let Some(turn) = Turn::joined(&turns, self.audiences[key].groups[group].key.wire) {
                self.deliver_to((key, group, members), &turn, company);
            }
            if !is_over {
                return true;
            }
        }
        self.round = None;
        false
    }
}
