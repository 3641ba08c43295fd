//! How much one connection, user and address may do. A message's check is one compare-and-swap
//! a rate that is configured, on buckets that the connection has at hand; nothing where none is.

mod ledger;

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use anyhow::Result;

use self::ledger::{Account, Held, Ledger, Running, Terms};
use crate::config::{LimitsConfig, SharedLimits};
use crate::core::Refusal;
use crate::core::address::AddressKey;
use crate::core::clock::Nanos;
use crate::core::meter::{Cost, Excess, Limit, Meter, take_all};

pub use self::ledger::Whose;

/// What the process allows, and who has used how much of it. Shared by all shards.
pub struct Limits {
    connection: Option<Limit>,
    users: Option<Arc<Ledger<Arc<str>>>>,
    addresses: Option<Arc<Ledger<AddressKey>>>,
}

/// One user, or one address, has as many connections as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("At most {most} connections of one {} are allowed.", whose.word())]
pub struct TooMany {
    most: usize,
    whose: Whose,
}

impl Whose {
    fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Address => "address",
        }
    }
}

impl Limits {
    pub fn new(config: &LimitsConfig) -> Result<Self> {
        Ok(Self {
            connection: config.connection.limit()?,
            users: terms(Whose::User, "limits.user", &config.user)?.map(|terms| Arc::new(Ledger::new(terms))),
            addresses: terms(Whose::Address, "limits.address", &config.address)?
                .map(|terms| Arc::new(Ledger::new(terms))),
        })
    }

    /// A connection from an address. None: nothing limits it.
    ///
    /// # Errors
    /// The address has as many as it may.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Option<Rc<Allowance>>, TooMany> {
        if self.connection.is_none() && self.users.is_none() && self.addresses.is_none() {
            return Ok(None);
        }
        let enter = |ledger: &Arc<Ledger<AddressKey>>| ledger.enter(address.into(), Nanos::now());
        Ok(Some(Rc::new(Allowance {
            address: self.addresses.as_ref().map(enter).transpose()?,
            connection: self.connection.map(Meter::new),
            user: RefCell::new(None),
            limits: self.clone(),
        })))
    }
}

/// None where the section says nothing.
fn terms(whose: Whose, key: &str, config: &SharedLimits) -> Result<Option<Terms>> {
    let terms = Terms {
        whose,
        rate: config.limit(key)?,
        connections: config.connections,
        subscriptions: config.subscriptions,
        in_flight_actions: config.in_flight_actions,
    };
    let counts = [terms.connections, terms.subscriptions, terms.in_flight_actions];
    Ok((terms.rate.is_some() || counts.iter().any(Option::is_some)).then_some(terms))
}

/// What one connection may do, by itself and with others. Dropped, it counts no more.
pub struct Allowance {
    limits: Arc<Limits>,
    connection: Option<Meter>,
    address: Option<Held<AddressKey>>,
    user: RefCell<Option<Held<Arc<str>>>>,
}

impl Allowance {
    /// The client is this user now; an empty name is nobody's.
    ///
    /// # Errors
    /// The user has as many connections as it may.
    pub fn set_user(&self, user: &str) -> Result<(), TooMany> {
        let Some(ledger) = &self.limits.users else { return Ok(()) };
        let mut held = self.user.borrow_mut();
        if held.as_ref().is_some_and(|held| *held.key == *user) {
            return Ok(());
        }
        *held = None;
        if !user.is_empty() {
            *held = Some(ledger.enter(user.into(), Nanos::now())?);
        }
        Ok(())
    }

    /// Takes a message's cost from every limit, or from none.
    ///
    /// # Errors
    /// Some limit is exceeded.
    pub fn take(&self, cost: Cost) -> Result<(), Excess> {
        let user = self.user.borrow();
        let user = user.as_ref().and_then(|held| held.account.meter.as_ref());
        let address = self.address.as_ref().and_then(|held| held.account.meter.as_ref());
        let mut meters = self.connection.iter().chain(user).chain(address).peekable();
        // Where only numbers are limited nobody needs the time.
        if meters.peek().is_none() { Ok(()) } else { take_all(meters, cost, Nanos::now()) }
    }

    /// May there be one subscription more? What shards allow at the very same time is not seen,
    /// so a limit can be passed by less than their number.
    ///
    /// # Errors
    /// User or address has as many as it may.
    pub fn subscribe(&self) -> Result<(), Refusal> {
        for (account, terms) in self.accounts() {
            let Some(limit) = terms.subscriptions else { continue };
            if account.subscriptions.load(Relaxed) >= limit {
                let what = match terms.whose {
                    Whose::User => "subscriptions of one user",
                    Whose::Address => "subscriptions of one address",
                };
                return Err(Refusal::LimitExceeded { limit, what });
            }
        }
        Ok(())
    }

    /// The sums that the connection's subscriptions count in.
    pub fn subscription_sums(&self) -> Vec<Arc<AtomicUsize>> {
        let limited = self.accounts().into_iter().filter(|(_, terms)| terms.subscriptions.is_some());
        limited.map(|(account, _)| account.subscriptions.clone()).collect()
    }

    /// An action begins; it runs until what is returned is dropped.
    ///
    /// # Errors
    /// User or address has as many under way as it may.
    pub fn act(&self) -> Result<Vec<Running>, Refusal> {
        let mut running = Vec::new();
        for (account, terms) in self.accounts() {
            let Some(limit) = terms.in_flight_actions else { continue };
            let what = match terms.whose {
                Whose::User => "actions of one user at a time",
                Whose::Address => "actions of one address at a time",
            };
            let begun = Running::begin(&account, Some(limit));
            running.push(begun.ok_or(Refusal::LimitExceeded { limit, what })?);
        }
        Ok(running)
    }

    fn accounts(&self) -> Vec<(Arc<Account>, Terms)> {
        let mut accounts = Vec::new();
        if let Some(held) = &*self.user.borrow() {
            accounts.push((held.account.clone(), held.ledger.terms));
        }
        if let Some(held) = &self.address {
            accounts.push((held.account.clone(), held.ledger.terms));
        }
        accounts
    }
}
