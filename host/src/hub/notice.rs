//! What homes tell somebody outside of channels: who came and went, and what clients said. It is
//! put up on a board that nobody waits at; without a board nothing is looked at.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::core::apps::{Access, AppNames, ChannelKind};
use crate::core::bounded::{Bound, Bounded};
use crate::core::{ChannelName, ClientId, Payload, UserId};

/// Notices that wait to be read, of all shards; past it the oldest go.
const BOUND: Bound = Bound { items: 65_536, bytes: 16 << 20 };
/// Roughly what one takes beside a client's words, in bytes.
const OVERHEAD: usize = 128;
/// Of one look at the board.
const A_LOOK: Bound = Bound { items: 1024, bytes: 1 << 20 };

/// Something that has happened in a channel.
#[derive(Clone, Debug)]
pub struct Notice {
    pub channel: ChannelName,
    /// The application's number.
    pub app: usize,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    /// It has a subscriber, its first.
    Occupied,
    /// The last one has gone.
    Vacated,
    /// A user has come with the first of its connections, or has gone with the last.
    MemberAdded(UserId),
    MemberRemoved(UserId),
    Said(Said),
    /// Somebody has come to a cache channel that remembers nothing.
    CacheMiss,
    Subscribers(u64),
}

/// An event of a client's.
#[derive(Clone, Debug)]
pub struct Said {
    pub event: Bytes,
    pub payload: Payload,
    pub client: ClientId,
    pub user: UserId,
}

/// The kinds of notices that somebody wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted(u8);

impl Wanted {
    pub const OCCUPIED: Self = Self(1);
    pub const VACATED: Self = Self(1 << 1);
    pub const MEMBER_ADDED: Self = Self(1 << 2);
    pub const MEMBER_REMOVED: Self = Self(1 << 3);
    pub const SAID: Self = Self(1 << 4);
    pub const CACHE_MISS: Self = Self(1 << 5);
    pub const SUBSCRIBERS: Self = Self(1 << 6);
    /// Whoever wants to know of one of these must be told of the other, that comes soon after it.
    const PAIRS: [Self; 2] =
        [Self::OCCUPIED.and(Self::VACATED), Self::MEMBER_ADDED.and(Self::MEMBER_REMOVED)];

    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn includes(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn with_pairs(self) -> Self {
        let pairs = Self::PAIRS.into_iter().filter(|pair| self.includes(*pair));
        pairs.fold(self, Self::and)
    }
}

impl What {
    pub fn kind(&self) -> Wanted {
        match self {
            Self::Occupied => Wanted::OCCUPIED,
            Self::Vacated => Wanted::VACATED,
            Self::MemberAdded(_) => Wanted::MEMBER_ADDED,
            Self::MemberRemoved(_) => Wanted::MEMBER_REMOVED,
            Self::Said(_) => Wanted::SAID,
            Self::CacheMiss => Wanted::CACHE_MISS,
            Self::Subscribers(_) => Wanted::SUBSCRIBERS,
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Said(said) => OVERHEAD + said.event.len() + said.payload.bytes.len(),
            _ => OVERHEAD,
        }
    }
}

/// What the homes of all shards put notices up on. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Board(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    names: Arc<AppNames>,
    /// By the applications' numbers.
    wanted: Vec<Wanted>,
    notices: Mutex<Bounded<Notice>>,
    more: Notify,
}

impl Board {
    /// `wanted`: by the applications' numbers.
    pub fn new(names: Arc<AppNames>, wanted: Vec<Wanted>) -> Self {
        let wanted = wanted.into_iter().map(Wanted::with_pairs).collect();
        Self(Arc::new(Inner { names, wanted, notices: Mutex::new(Bounded::new(BOUND)), more: Notify::new() }))
    }

    /// Puts a notice up, if its channel is of an application that wants it.
    pub fn put(&self, channel: &ChannelName, what: What) {
        let Inner { names, wanted, more, .. } = &*self.0;
        let Some((app, name)) = names.split(channel.as_str()) else { return };
        let is_wanted = wanted.get(app).is_some_and(|wanted| wanted.includes(what.kind()));
        let is_of = match (ChannelKind::of(name).access, &what) {
            (Access::User, _) => false,
            (access, What::MemberAdded(_) | What::MemberRemoved(_)) => access == Access::Presence,
            _ => true,
        };
        if is_wanted && is_of {
            let weight = what.weight();
            self.notices().push(Notice { channel: channel.clone(), app, what }, weight);
            more.notify_one();
        }
    }

    /// The next notices, in the order of each channel, once there are any; and how many were lost
    /// before them.
    pub async fn take(&self) -> (Vec<Notice>, u64) {
        loop {
            {
                let mut notices = self.notices();
                if !notices.is_empty() {
                    return (notices.take(A_LOOK), notices.take_dropped());
                }
            }
            self.0.more.notified().await;
        }
    }

    fn notices(&self) -> MutexGuard<'_, Bounded<Notice>> {
        self.0.notices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn taken(board: &Board) -> Vec<(usize, String, What)> {
        let (notices, _) = board.take().await;
        notices.into_iter().map(|n| (n.app, n.channel.as_str().to_owned(), n.what)).collect()
    }

    #[tokio::test]
    async fn only_what_an_application_wants_is_put_up() {
        let names = AppNames::new(vec!["a.".into(), "b.".into()]);
        let board =
            Board::new(Arc::new(names), vec![Wanted::VACATED.and(Wanted::MEMBER_ADDED), Wanted::SAID]);
        let put = |channel: &str, what| board.put(&ChannelName::parse(channel).unwrap(), what);
        let user = || UserId("ada".into());
        put("a.room", What::CacheMiss);
        put("a.room", What::MemberAdded(user()));
        put("b.room", What::Occupied);
        put("room", What::Vacated);
        put("a.#server-to-user-1", What::Vacated);
        put("a.room", What::Occupied);
        put("a.presence-room", What::MemberRemoved(user()));
        let got = taken(&board).await;
        assert!(
            matches!(
                &got[..],
                [(0, room, What::Occupied), (0, there, What::MemberRemoved(_))]
                    if room == "a.room" && there == "a.presence-room"
            ),
            "{got:?}"
        );
    }

    #[tokio::test]
    async fn who_does_not_read_loses_the_oldest() {
        let names = AppNames::new(vec![String::new()]);
        let board = Board::new(Arc::new(names), vec![Wanted::SUBSCRIBERS]);
        let room = ChannelName::parse("room").unwrap();
        (0..BOUND.items as u64 + 7).for_each(|n| board.put(&room, What::Subscribers(n)));
        let (notices, lost) = board.take().await;
        assert!(lost == 7 && matches!(notices[0].what, What::Subscribers(7)), "{lost}");
        assert_eq!(notices.len(), A_LOOK.items);
    }
}
