//! Messages with an idempotency key: a repeat is answered as the first was, and published no
//! second time; one that comes while the first is under way waits for its answer. Only what got
//! an answer other than a refusal is remembered: after a refusal a repeat is a new try.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::core::{ChannelName, IdempotencyKey, Refusal, UserId};
use crate::hub::letter::{Origin, Publish, Published};

/// How long an answer is remembered.
const REMEMBERED: Duration = Duration::from_secs(5 * 60);
/// Answers that a shard remembers, and their keys' bytes; past either the oldest go.
const ANSWERS: usize = 1 << 16;
const BYTES: usize = 16 << 20;
/// Keyed messages of a shard that their channels' handlers have not answered yet; one more is refused.
const UNDER_WAY: usize = 1 << 12;
/// Repeats that wait for one answer; one more is refused.
const WAITING: usize = 1 << 10;

/// Whose key it is, and for which channel: nobody's key meets another's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RepeatKey(Arc<Parts>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Parts {
    channel: ChannelName,
    /// None: the server's API.
    user: Option<UserId>,
    key: IdempotencyKey,
}

impl RepeatKey {
    fn weight(&self) -> usize {
        let user = self.0.user.as_ref().map_or(0, |user| user.as_str().len());
        160 + self.0.channel.as_str().len() + user + self.0.key.as_str().len()
    }
}

struct Kept {
    /// Of the message: the same key with another one is an error.
    print: u64,
    state: State,
}

enum State {
    UnderWay(Vec<Origin>),
    Answered(Published),
}

/// What becomes of a message with a key.
pub enum Met {
    /// It is the first, and is to be published; its answer goes to [`Repeats::finish`].
    First(Publish),
    /// It has its answer already, or is refused.
    Answered(ChannelName, Origin, Result<Published, Refusal>),
    Waits,
}

#[derive(Default)]
pub struct Repeats {
    kept: HashMap<RepeatKey, Kept>,
    /// Those that are answered, the oldest first.
    answered: VecDeque<(Instant, RepeatKey)>,
    bytes: usize,
    under_way: usize,
    /// Keyed once a shard, so that nobody outside can make two messages look the same.
    hasher: RandomState,
}

impl Repeats {
    pub fn meet(&mut self, mut publish: Publish, now: Instant) -> Met {
        self.forget_old(now);
        let Some(key) = publish.key.take() else { return Met::First(publish) };
        let (user, except) = match &publish.origin {
            // With `echo:false` a client that comes back is another to leave out.
            Origin::Client { sender, .. } => (Some(sender.user.clone()), None),
            _ => (None, publish.except),
        };
        let named = publish.origin.sender().cloned();
        let by = if user.is_some() { None } else { named.as_ref().map(|sender| &sender.user) };
        let payload = &publish.payload;
        let print = self.hasher.hash_one((payload.kind, &payload.bytes, &publish.event, except, by));
        let key = RepeatKey(Arc::new(Parts { channel: publish.channel.clone(), user, key }));
        match self.kept.get_mut(&key) {
            Some(kept) if kept.print != print => {
                Met::Answered(publish.channel, publish.origin, Err(Refusal::KeyReused))
            }
            Some(Kept { state: State::Answered(place), .. }) => {
                Met::Answered(publish.channel, publish.origin, Ok(*place))
            }
            Some(Kept { state: State::UnderWay(waiting), .. }) if waiting.len() < WAITING => {
                waiting.push(publish.origin);
                Met::Waits
            }
            None if self.under_way < UNDER_WAY => {
                let origin = Origin::Keyed { key: key.clone(), sender: named };
                let first = std::mem::replace(&mut publish.origin, origin);
                self.kept.insert(key, Kept { print, state: State::UnderWay(vec![first]) });
                self.under_way += 1;
                Met::First(publish)
            }
            _ => {
                let refusal = Refusal::RateLimited { retry_after_secs: 1.0 };
                Met::Answered(publish.channel, publish.origin, Err(refusal))
            }
        }
    }

    /// The first has its answer: who waits for it.
    pub fn finish(
        &mut self,
        key: &RepeatKey,
        result: &Result<Published, Refusal>,
        now: Instant,
    ) -> Vec<Origin> {
        let Some(kept) = self.kept.get_mut(key) else { return Vec::new() };
        let State::UnderWay(waiting) = &mut kept.state else { return Vec::new() };
        let waiting = std::mem::take(waiting);
        self.under_way -= 1;
        match result {
            Ok(place) => {
                kept.state = State::Answered(*place);
                self.bytes += key.weight();
                self.answered.push_back((now, key.clone()));
                while self.answered.len() > ANSWERS || self.bytes > BYTES {
                    self.forget_oldest();
                }
            }
            Err(_) => drop(self.kept.remove(key)),
        }
        waiting
    }

    pub fn forget_old(&mut self, now: Instant) {
        while self.answered.front().is_some_and(|(at, _)| now.duration_since(*at) >= REMEMBERED) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((_, key)) = self.answered.pop_front() else { return };
        self.bytes -= key.weight();
        self.kept.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Offset;
    use crate::core::{ClientId, Payload, Sender};
    use crate::hub::letter::Fate;
    use crate::hub::wire::Epoch;
    use tokio::sync::oneshot;

    fn keyed(key: &str, data: &str, origin: Origin) -> Publish {
        Publish {
            channel: ChannelName::parse("room").unwrap(),
            origin,
            event: Default::default(),
            payload: Payload::json(data.to_owned()),
            except: None,
            key: Some(IdempotencyKey::parse(key).unwrap()),
            budget: 1,
            receipt: false,
            fate: Fate::Deliver,
            trace: None,
        }
    }

    fn server() -> Origin {
        Origin::Server { sender: None, answer: oneshot::channel().0 }
    }

    fn client(user: &str) -> Origin {
        let sender = Sender { client: ClientId(7), user: UserId(user.into()) };
        Origin::Client { sender, request: None, subscribed: false }
    }

    fn meet(repeats: &mut Repeats, publish: Publish) -> Met {
        repeats.meet(publish, Instant::now())
    }

    fn first(repeats: &mut Repeats, publish: Publish) -> RepeatKey {
        match meet(repeats, publish) {
            Met::First(Publish { origin: Origin::Keyed { key, .. }, .. }) => key,
            _ => panic!("it has been here before"),
        }
    }

    const PLACE: Published =
        Published { epoch: Epoch(1), offset: Some(Offset(5)), receipt: None, queued: false };

    #[test]
    fn a_repeat_waits_and_later_ones_are_answered_at_once() {
        let mut repeats = Repeats::default();
        let key = first(&mut repeats, keyed("k", "1", server()));
        assert!(matches!(meet(&mut repeats, keyed("k", "1", server())), Met::Waits));
        assert_eq!(repeats.finish(&key, &Ok(PLACE), Instant::now()).len(), 2);
        let again = meet(&mut repeats, keyed("k", "1", server()));
        assert!(matches!(again, Met::Answered(_, _, Ok(PLACE))));
        assert!(repeats.finish(&key, &Ok(PLACE), Instant::now()).is_empty(), "nobody waits twice");
    }

    #[test]
    fn another_message_under_the_same_key_is_refused() {
        let mut repeats = Repeats::default();
        let key = first(&mut repeats, keyed("k", "1", server()));
        let other = |repeats: &mut Repeats| meet(repeats, keyed("k", "2", server()));
        assert!(matches!(other(&mut repeats), Met::Answered(_, _, Err(Refusal::KeyReused))));
        repeats.finish(&key, &Ok(PLACE), Instant::now());
        assert!(matches!(other(&mut repeats), Met::Answered(_, _, Err(Refusal::KeyReused))));
    }

    #[test]
    fn an_answer_is_remembered_for_five_minutes() {
        let mut repeats = Repeats::default();
        let began = Instant::now();
        let key = first(&mut repeats, keyed("k", "1", server()));
        repeats.finish(&key, &Ok(PLACE), began);
        let after = |secs| began + Duration::from_secs(secs);
        let met = repeats.meet(keyed("k", "1", server()), after(299));
        assert!(matches!(met, Met::Answered(_, _, Ok(PLACE))));
        let met = repeats.meet(keyed("k", "2", server()), after(300));
        assert!(matches!(met, Met::First(_)), "a new message now, under the same key");
        assert_eq!((repeats.bytes, repeats.answered.len(), repeats.kept.len()), (0, 0, 1));
    }

    #[test]
    fn after_a_refusal_a_repeat_is_a_new_try() {
        let mut repeats = Repeats::default();
        let key = first(&mut repeats, keyed("k", "1", server()));
        repeats.finish(&key, &Err(Refusal::TooLarge(1)), Instant::now());
        first(&mut repeats, keyed("k", "2", server()));
    }

    #[test]
    fn nobody_meets_the_keys_of_others() {
        let mut repeats = Repeats::default();
        first(&mut repeats, keyed("k", "1", server()));
        first(&mut repeats, keyed("k", "2", client("ada")));
        first(&mut repeats, keyed("k", "3", client("bob")));
        assert!(matches!(meet(&mut repeats, keyed("k", "2", client("ada"))), Met::Waits));
    }

    #[test]
    fn what_is_remembered_and_what_waits_is_bounded() {
        let mut repeats = Repeats::default();
        for n in 0..ANSWERS + 10 {
            let key = first(&mut repeats, keyed(&n.to_string(), "1", server()));
            repeats.finish(&key, &Ok(PLACE), Instant::now());
        }
        assert_eq!((repeats.answered.len(), repeats.kept.len()), (ANSWERS, ANSWERS));
        first(&mut repeats, keyed("0", "1", server()));
        for _ in 1..WAITING {
            assert!(matches!(meet(&mut repeats, keyed("0", "1", server())), Met::Waits));
        }
        let refused = |met| matches!(met, Met::Answered(_, _, Err(Refusal::RateLimited { .. })));
        assert!(refused(meet(&mut repeats, keyed("0", "1", server()))));
        for n in 1..UNDER_WAY {
            first(&mut repeats, keyed(&format!("more-{n}"), "1", server()));
        }
        assert!(refused(meet(&mut repeats, keyed("one more", "1", server()))));
    }

    #[test]
    fn long_keys_take_the_room_of_many() {
        let mut repeats = Repeats::default();
        for n in 0..ANSWERS {
            let key = first(&mut repeats, keyed(&format!("{n:0250}"), "1", server()));
            repeats.finish(&key, &Ok(PLACE), Instant::now());
        }
        assert!(repeats.bytes <= BYTES && repeats.answered.len() < ANSWERS, "{}", repeats.answered.len());
        assert_eq!(repeats.kept.len(), repeats.answered.len());
    }
}
