//! What one client has been allowed, and for how long. Shared by its session, which asks, and by
//! the [`Keeper`], which asks again.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use tokio::time::Instant;

use super::keeper::Keeper;
use super::standing::Known;
use crate::core::clock::UnixMillis;
use crate::core::{ChannelMap, ChannelName, ClientId};
use crate::hub::Connection;
use crate::plugin::{Handshake, Permission};

/// Verdicts on publishing that a connection keeps; past it they are asked for anew.
const KEPT_VERDICTS: usize = 256;
/// Ends of subscriptions that are kept without a look at which of them there still are.
const ENDS: usize = 1024;

/// May a client publish there?
struct Kept {
    refused: Option<String>,
    /// None: until the plugins or the client's identity are others.
    until: Option<Instant>,
}

pub struct Permissions {
    client: ClientId,
    /// What the client has shown last.
    handshake: RefCell<Rc<Handshake>>,
    /// None: it is not known yet, and has no subscriptions.
    known: RefCell<Option<Rc<Known>>>,
    /// Of the set of plugins with the number `asked_of`.
    publish: RefCell<ChannelMap<Kept>>,
    asked_of: Cell<u64>,
    /// When subscriptions are to be judged again, of those that have an end.
    ends: RefCell<ChannelMap<Instant>>,
    /// Of a client that shows another credential for each subscription: with what it got them.
    /// Those that are not in it were not judged.
    each: Option<RefCell<ChannelMap<Rc<Handshake>>>>,
    keeper: Weak<Keeper>,
}

impl Permissions {
    pub(super) fn new(client: ClientId, handshake: Handshake, keeper: &Rc<Keeper>) -> Rc<Self> {
        Self::begin(client, handshake, keeper, None)
    }

    /// Of a client that auth plugins are asked about only where it shows no other right.
    pub(super) fn of_guest(client: ClientId, handshake: Handshake, keeper: &Rc<Keeper>) -> Rc<Self> {
        Self::begin(client, handshake, keeper, Some(RefCell::default()))
    }

    fn begin(
        client: ClientId,
        handshake: Handshake,
        keeper: &Rc<Keeper>,
        each: Option<RefCell<ChannelMap<Rc<Handshake>>>>,
    ) -> Rc<Self> {
        let permissions = Rc::new(Self {
            client,
            handshake: RefCell::new(Rc::new(handshake)),
            known: RefCell::default(),
            publish: RefCell::default(),
            asked_of: Cell::new(0),
            ends: RefCell::default(),
            each,
            keeper: Rc::downgrade(keeper),
        });
        keeper.follow(client, &permissions);
        permissions
    }

    pub fn client(&self) -> ClientId {
        self.client
    }

    // === who it is ===

    pub fn handshake(&self) -> Rc<Handshake> {
        self.handshake.borrow().clone()
    }

    pub(super) fn show(&self, token: String) {
        Rc::make_mut(&mut self.handshake.borrow_mut()).token = Some(token);
    }

    pub(super) fn known(&self) -> Option<Rc<Known>> {
        self.known.borrow().clone()
    }

    pub(super) fn know(&self, known: Known) {
        *self.known.borrow_mut() = Some(Rc::new(known));
    }

    /// The server's API may have moved the identity's end.
    pub(super) fn moved(&self, expires_at: Option<UnixMillis>) {
        if let Some(known) = &mut *self.known.borrow_mut()
            && known.identity.expires_at != expires_at
        {
            Rc::make_mut(known).identity.expires_at = expires_at;
        }
    }

    // === publishing ===

    /// A verdict that is kept, of this set of plugins; the reason is that of a refusal.
    pub(super) fn may_publish(&self, channel: &ChannelName, registry: u64) -> Option<Result<(), String>> {
        if self.asked_of.replace(registry) != registry {
            self.publish.borrow_mut().clear();
            return None;
        }
        let kept = self.publish.borrow();
        let kept = kept.get(channel)?;
        // Only one with an end asks for the time.
        if kept.until.is_some_and(|until| until <= Instant::now()) {
            return None;
        }
        Some(kept.refused.clone().map_or(Ok(()), Err))
    }

    pub(super) fn keep(&self, channel: &ChannelName, permission: &Permission) {
        let mut publish = self.publish.borrow_mut();
        if publish.len() >= KEPT_VERDICTS {
            publish.clear();
        }
        let kept = match permission {
            Permission::Granted(after) => {
                Kept { refused: None, until: after.map(|after| Instant::now() + after) }
            }
            Permission::Refused(reason) => Kept { refused: Some(reason.clone()), until: None },
        };
        publish.insert(channel.clone(), kept);
    }

    /// The plugins are to be asked again, about a channel or about all.
    pub(super) fn forget(&self, channel: Option<&ChannelName>) {
        match channel {
            Some(channel) => drop(self.publish.borrow_mut().remove(channel)),
            None => self.publish.borrow_mut().clear(),
        }
    }

    // === subscriptions ===

    /// A subscription was allowed; one with an end is judged again then.
    pub(super) fn allowed(&self, connection: &Connection, channel: &ChannelName, permission: &Permission) {
        let Permission::Granted(after) = permission else { return };
        let Some(after) = after else {
            self.ends.borrow_mut().remove(channel);
            return;
        };
        self.judge_at(channel, Instant::now() + *after, 0);
        let mut ends = self.ends.borrow_mut();
        if ends.len() > ENDS {
            ends.retain(|other, _| other == channel || connection.is_subscribed(other));
        }
    }

    /// The same for a client that shows a credential for each.
    pub(super) fn allowed_by(
        &self,
        connection: &Connection,
        channel: &ChannelName,
        handshake: Handshake,
        permission: &Permission,
    ) {
        if let Some(each) = &self.each {
            each.borrow_mut().insert(channel.clone(), Rc::new(handshake));
        }
        self.allowed(connection, channel, permission);
    }

    pub(super) fn left(&self, channel: &ChannelName) {
        if let Some(each) = &self.each {
            each.borrow_mut().remove(channel);
        }
        self.ends.borrow_mut().remove(channel);
    }

    /// By what it has a subscription. None: by nothing that auth plugins have a say in.
    pub(super) fn credential(&self, channel: &ChannelName) -> Option<Rc<Handshake>> {
        match &self.each {
            Some(each) => each.borrow().get(channel).cloned(),
            None => Some(self.handshake()),
        }
    }

    pub(super) fn is_guest(&self) -> bool {
        self.each.is_some()
    }

    /// `tries`: how often judging has failed since it was due.
    pub(super) fn judge_at(&self, channel: &ChannelName, at: Instant, tries: u8) {
        let Some(keeper) = self.keeper.upgrade() else { return };
        self.ends.borrow_mut().insert(channel.clone(), at);
        keeper.due(at, self.client, channel.clone(), tries);
    }

    pub(super) fn is_due(&self, channel: &ChannelName, at: Instant) -> bool {
        self.ends.borrow().get(channel) == Some(&at)
    }
}

impl Drop for Permissions {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.upgrade() {
            keeper.lose(self.client);
        }
    }
}
