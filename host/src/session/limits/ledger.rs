//! Accounts of users, or of addresses: one each for the whole process, looked up when a
//! connection begins and never on a message's way.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::TooMany;
use crate::core::clock::Nanos;
use crate::core::meter::{Limit, Meter};

/// Accounts without a connection that are kept until what they have taken is paid off; past
/// it those that are so soonest are forgotten early.
const KEPT: usize = 65_536;

/// What everyone of a ledger may do.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// `user` or `address`, for refusals.
    pub whose: Whose,
    pub rate: Option<Limit>,
    pub connections: Option<usize>,
    pub subscriptions: Option<usize>,
    pub in_flight_actions: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    User,
    Address,
}

/// One user's or address's, shared by all its connections.
#[derive(Debug)]
pub struct Account {
    pub meter: Option<Meter>,
    /// Sum of its connections' subscriptions.
    pub subscriptions: Arc<AtomicUsize>,
    pub actions: AtomicUsize,
}

#[derive(Debug)]
struct Entry {
    account: Arc<Account>,
    connections: usize,
    /// It is in the list of those that wait to be forgotten.
    waits: bool,
}

#[derive(Debug)]
struct Entries<K> {
    entries: HashMap<K, Entry>,
    /// When an account will be as good as a new one.
    paid_off: BinaryHeap<Reverse<(Nanos, K)>>,
}

#[derive(Debug)]
pub struct Ledger<K> {
    pub terms: Terms,
    entries: Mutex<Entries<K>>,
}

/// A connection's part in an account; dropped, the connection counts no more.
pub struct Held<K: Hash + Ord + Clone> {
    pub ledger: Arc<Ledger<K>>,
    pub key: K,
    pub account: Arc<Account>,
}

impl<K: Hash + Ord + Clone> Ledger<K> {
    pub fn new(terms: Terms) -> Self {
        let entries = Entries { entries: HashMap::new(), paid_off: BinaryHeap::new() };
        Self { terms, entries: Mutex::new(entries) }
    }

    /// One connection more.
    ///
    /// # Errors
    /// There are as many as there may be.
    pub fn enter(self: &Arc<Self>, key: K, now: Nanos) -> Result<Held<K>, TooMany> {
        let mut all = self.lock();
        all.forget(now);
        let entry = all.entries.entry(key.clone()).or_insert_with(|| Entry {
            account: Arc::new(Account {
                meter: self.terms.rate.map(Meter::new),
                subscriptions: Arc::default(),
                actions: AtomicUsize::new(0),
            }),
            connections: 0,
            waits: false,
        });
        if let Some(most) = self.terms.connections
            && entry.connections >= most
        {
            return Err(TooMany { most, whose: self.terms.whose });
        }
        entry.connections += 1;
        let account = entry.account.clone();
        Ok(Held { ledger: self.clone(), key, account })
    }

    fn leave(&self, key: &K, now: Nanos) {
        let mut all = self.lock();
        let Some(entry) = all.entries.get_mut(key) else { return };
        entry.connections = entry.connections.saturating_sub(1);
        if entry.connections > 0 || entry.waits {
            return;
        }
        let full_at = entry.full_at();
        if full_at <= now {
            all.entries.remove(key);
        } else {
            // Who comes back soon finds what it has taken, so that to come back is no way around.
            entry.waits = true;
            all.paid_off.push(Reverse((full_at, key.clone())));
            all.forget(now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries<K>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.lock().entries.len()
    }
}

impl Entry {
    fn full_at(&self) -> Nanos {
        self.account.meter.as_ref().map_or(Nanos(0), Meter::full_at)
    }
}

impl<K: Hash + Ord + Clone> Entries<K> {
    /// Those that nobody uses any more and that have paid off, or are too many.
    fn forget(&mut self, now: Nanos) {
        while let Some(Reverse((at, _))) = self.paid_off.peek()
            && (*at <= now || self.paid_off.len() > KEPT)
        {
            let Some(Reverse((_, key))) = self.paid_off.pop() else { return };
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            let full_at = entry.full_at();
            if entry.connections > 0 {
                entry.waits = false;
            } else if full_at > now && self.paid_off.len() < KEPT {
                // It was used again since.
                self.paid_off.push(Reverse((full_at, key)));
            } else {
                self.entries.remove(&key);
            }
        }
    }
}

impl<K: Hash + Ord + Clone> Drop for Held<K> {
    fn drop(&mut self) {
        self.ledger.leave(&self.key, Nanos::now());
    }
}

/// An action that runs; dropped, it has ended.
pub struct Running(Arc<Account>);

impl Running {
    /// None: as many run as may.
    pub fn begin(account: &Arc<Account>, most: Option<usize>) -> Option<Self> {
        let running = Self(account.clone());
        let before = account.actions.fetch_add(1, Relaxed);
        most.is_none_or(|most| before < most).then_some(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.actions.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::meter::{Cost, OnExcess};

    fn ledger(connections: Option<usize>) -> Arc<Ledger<u32>> {
        let rate = Limit::new(Some(1.0), None, 10.0, OnExcess::Refuse);
        let (subscriptions, in_flight_actions) = (None, None);
        let whose = Whose::User;
        Arc::new(Ledger::new(Terms { whose, rate, connections, subscriptions, in_flight_actions }))
    }

    fn take(held: &Held<u32>, messages: usize, now: Nanos) {
        for _ in 0..messages {
            held.account.meter.as_ref().unwrap().take(Cost::message(0), now).unwrap();
        }
    }

    #[test]
    fn connections_are_counted_and_an_unused_account_goes_with_the_last() {
        let ledger = ledger(Some(2));
        let (one, two) = (ledger.enter(7, Nanos(0)).unwrap(), ledger.enter(7, Nanos(0)).unwrap());
        assert_eq!(ledger.enter(7, Nanos(0)).err(), Some(TooMany { most: 2, whose: Whose::User }));
        ledger.enter(8, Nanos(0)).unwrap();
        assert!(Arc::ptr_eq(&one.account, &two.account));
        drop(one);
        drop(ledger.enter(7, Nanos(0)).unwrap());
        drop(two);
        assert_eq!(ledger.len(), 0);
    }

    #[test]
    fn who_comes_back_finds_what_it_has_taken_until_it_is_paid_off() {
        let ledger = ledger(None);
        let now = Nanos::now();
        let later = |secs: u64| Nanos(now.0 + secs * 1_000_000_000);
        let held = ledger.enter(7, now).unwrap();
        take(&held, 10, now);
        drop(held);
        let back = ledger.enter(7, now).unwrap();
        assert!(back.account.meter.as_ref().unwrap().take(Cost::message(0), now).is_err());
        take(&back, 5, later(5));
        drop(back);
        drop(ledger.enter(8, later(11)).unwrap());
        assert_eq!(ledger.len(), 1, "it was used again, and is kept for longer");
        drop(ledger.enter(8, later(16)).unwrap());
        assert_eq!(ledger.len(), 0);
    }

    #[test]
    fn an_account_in_use_is_never_forgotten() {
        let ledger = ledger(None);
        let now = Nanos::now();
        let held = ledger.enter(7, now).unwrap();
        take(&held, 1, now);
        drop(held);
        let held = ledger.enter(7, now).unwrap();
        drop(ledger.enter(8, Nanos(now.0 + 100_000_000_000)).unwrap());
        assert!(Arc::ptr_eq(&held.account, &ledger.enter(7, now).unwrap().account));
    }

    #[test]
    fn those_that_are_kept_have_a_bound() {
        let ledger = ledger(None);
        let now = Nanos::now();
        for n in 0..KEPT as u32 + 100 {
            let held = ledger.enter(n, now).unwrap();
            take(&held, 1 + usize::from(n == 0), now);
        }
        assert!(ledger.len() <= KEPT, "{}", ledger.len());
        assert!(ledger.lock().entries.contains_key(&0), "who owes most is kept longest");
    }

    #[test]
    fn actions_are_counted_while_they_run() {
        let ledger = ledger(None);
        let held = ledger.enter(7, Nanos(0)).unwrap();
        let first = Running::begin(&held.account, Some(1));
        assert!(first.is_some());
        assert!(Running::begin(&held.account, Some(1)).is_none());
        drop(first);
        assert!(Running::begin(&held.account, Some(1)).is_some());
        assert!(Running::begin(&held.account, None).is_some());
    }
}
