//! Whoever goes may be back at once, a page that is loaded anew for one: what has ended is told
//! after a while, and neither its end nor its return if it is back by then.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::core::{ChannelName, UserId};
use crate::hub::notice::{Notice, What};

/// How long somebody may be gone.
const WHILE: Duration = Duration::from_secs(3);
/// Ends that wait; past it the oldest are told early.
const MOST: usize = 65_536;

/// What can end and come back: a channel's subscribers, or a user in it.
type Subject = (ChannelName, Option<UserId>);

/// Ends that are not told yet.
#[derive(Debug, Default)]
pub struct Settling {
    /// With the number of each end.
    waiting: HashMap<Subject, u64>,
    /// In the order in which they are due; those that are not in `waiting` any more have come to
    /// nothing.
    due: VecDeque<(Instant, u64, Notice)>,
    next: u64,
}

impl Settling {
    /// What is to be told now.
    pub fn take(&mut self, notice: Notice, now: Instant) -> Option<Notice> {
        let (user, ends) = match &notice.what {
            What::Occupied => (None, false),
            What::Vacated => (None, true),
            What::MemberAdded(user) => (Some(user.clone()), false),
            What::MemberRemoved(user) => (Some(user.clone()), true),
            What::Said(_) | What::CacheMiss | What::Subscribers(_) => return Some(notice),
        };
        let subject = (notice.channel.clone(), user);
        if !ends {
            let is_back = self.waiting.remove(&subject).is_some();
            return (!is_back).then_some(notice);
        }
        self.next += 1;
        self.waiting.insert(subject, self.next);
        self.due.push_back((now + WHILE, self.next, notice));
        if self.due.len() > MOST { self.first() } else { None }
    }

    /// When there is something to tell.
    pub fn next_at(&self) -> Option<Instant> {
        self.due.front().map(|(at, ..)| *at)
    }

    /// What has ended for good by now.
    pub fn ended(&mut self, now: Instant) -> Vec<Notice> {
        let mut ended = Vec::new();
        while self.next_at().is_some_and(|at| at <= now) {
            ended.extend(self.first());
        }
        ended
    }

    /// The first that is due, unless it has come to nothing.
    fn first(&mut self) -> Option<Notice> {
        let (_, number, notice) = self.due.pop_front()?;
        let user = match &notice.what {
            What::MemberRemoved(user) => Some(user.clone()),
            _ => None,
        };
        let subject = (notice.channel.clone(), user);
        if self.waiting.get(&subject) != Some(&number) {
            return None;
        }
        self.waiting.remove(&subject);
        Some(notice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(what: What) -> Notice {
        Notice { channel: ChannelName::parse("presence-a").unwrap(), app: 0, what }
    }

    fn words(notices: impl IntoIterator<Item = Notice>) -> Vec<&'static str> {
        let word = |notice: Notice| match notice.what {
            What::Occupied => "occupied",
            What::Vacated => "vacated",
            What::MemberAdded(_) => "added",
            What::MemberRemoved(_) => "removed",
            _ => "other",
        };
        notices.into_iter().map(word).collect()
    }

    #[test]
    fn an_end_is_told_after_a_while() {
        let (mut settling, began) = (Settling::default(), Instant::now());
        let ada = || UserId("ada".into());
        assert_eq!(words(settling.take(notice(What::Occupied), began)), ["occupied"]);
        assert_eq!(words(settling.take(notice(What::MemberAdded(ada())), began)), ["added"]);
        assert_eq!(words(settling.take(notice(What::CacheMiss), began)), ["other"]);
        assert!(settling.take(notice(What::MemberRemoved(ada())), began).is_none());
        assert!(settling.take(notice(What::Vacated), began + Duration::from_secs(1)).is_none());
        assert_eq!(settling.next_at(), Some(began + WHILE));
        assert_eq!(words(settling.ended(began + WHILE - Duration::from_millis(1))), [""; 0]);
        assert_eq!(words(settling.ended(began + WHILE)), ["removed"]);
        assert_eq!(words(settling.ended(began + WHILE * 2)), ["vacated"]);
        assert!(settling.waiting.is_empty() && settling.next_at().is_none());
    }

    #[test]
    fn who_is_back_soon_was_never_away() {
        let (mut settling, began) = (Settling::default(), Instant::now());
        let (ada, bob) = (UserId("ada".into()), UserId("bob".into()));
        let later = |seconds| began + Duration::from_secs(seconds);
        assert!(settling.take(notice(What::MemberRemoved(ada.clone())), began).is_none());
        assert!(settling.take(notice(What::Vacated), began).is_none());
        assert!(settling.take(notice(What::Occupied), later(1)).is_none());
        assert_eq!(words(settling.take(notice(What::MemberAdded(bob)), later(1))), ["added"], "another");
        assert!(settling.take(notice(What::MemberAdded(ada.clone())), later(2)).is_none());
        assert!(settling.take(notice(What::MemberRemoved(ada)), later(2)).is_none(), "again");
        assert_eq!(words(settling.ended(later(4))), [""; 0], "the first end came to nothing");
        assert_eq!(words(settling.ended(later(5))), ["removed"]);
        assert!(settling.waiting.is_empty() && settling.due.is_empty());
    }

    #[test]
    fn too_many_ends_are_told_early() {
        let (mut settling, began) = (Settling::default(), Instant::now());
        for n in 0..=MOST {
            let told = settling.take(notice(What::MemberRemoved(UserId(n.to_string().into()))), began);
            assert_eq!(told.is_some(), n == MOST);
        }
        assert_eq!((settling.due.len(), settling.waiting.len()), (MOST, MOST));
    }
}
