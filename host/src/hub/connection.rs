//! One client on its shard: its outbox, its subscriptions and the credit that bounds
//! what it may have under way.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Poll, Waker};

use bytes::{Bytes, BytesMut};

use super::audience::Seat;
use super::guest::Guest;
use super::outbox::{Outbox, Terms, TooSlow};
use super::places::Places;
use super::shard::AbortOnDrop;
use super::share::Share;
use super::socket::Socket;
use super::turn::Turn;
use super::wire::{Position, Wire, WireId};
use crate::core::clock::UnixMillis;
use crate::core::{ChannelMap, ChannelName, ChannelSet, ClientId, Sender, TraceParent, UserId};
use crate::plugin::Departure;

/// Requests of one client that a channel's home has not answered yet; at this many
/// its socket is not read on.
pub const MAX_IN_FLIGHT: u32 = 256;

/// Plugins' failures that a client's requests meet in a second; at this many its socket is not read on. Channels
/// have their pauses, and a shard's other clients notice nothing of so many, though each costs an instance; but
/// to who thinks up names there is always a channel that has not failed yet.
pub const FAILURES_A_SECOND: u32 = 32;
/// Who had more of them under way waits for so many seconds at most.
const SECONDS_HELD: u32 = 5;

pub struct Connection {
    pub id: ClientId,
    pub wire: WireId,
    pub(super) socket: Rc<dyn Socket>,
    pub(super) outbox: RefCell<Outbox>,
    pub(super) seats: RefCell<ChannelMap<Seat>>,
    /// In the shard's list of outboxes to write this turn.
    pub(super) dirty: Cell<bool>,
    closing: Cell<bool>,
    expired: Cell<bool>,
    /// Why the server ends it.
    goodbye: OnceCell<Box<Goodbye>>,
    /// How far it has come, in dialects that tell it.
    places: RefCell<Option<Box<Places>>>,
    user: RefCell<UserId>,
    /// Nobody has checked that it is this user.
    names_itself: Cell<bool>,
    /// The auth plugins have accepted it.
    admitted: Cell<bool>,
    /// When its identity ends, and what ends it then.
    end: RefCell<(Option<UnixMillis>, Option<AbortOnDrop>)>,
    pub(super) since: UnixMillis,
    in_flight: Cell<u32>,
    /// Less [`FAILURES_A_SECOND`] each second.
    failures: Cell<u32>,
    /// Subscriptions and questions that their homes have not answered yet.
    unsettled: Cell<u32>,
    /// Who waits for either: the session, and the server's API.
    credit: RefCell<Vec<Waker>>,
    /// The shard's second in which it came: its heartbeats count from there.
    pub(super) born: u64,
    /// Channels whose presence it has joined by asking.
    pub(super) joined: RefCell<ChannelSet>,
    /// Heartbeats sent since the client was last heard.
    pub(super) unheard: Cell<u8>,
    /// The shard's second in which it last sent more than a pong, or had a subscription.
    pub(super) active: Cell<u64>,
    /// Subscriptions among what is unsettled.
    asked: Cell<u32>,
    share: RefCell<Share>,
    /// Of the request that it began with.
    trace: Cell<Option<TraceParent>>,
    /// None: a client of the server's own, not of an application's.
    guest: RefCell<Option<Box<Guest>>>,
}

/// The code and the reason that a connection is closed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goodbye {
    pub code: u16,
    pub reason: String,
}

impl Connection {
    pub(super) fn new(id: ClientId, wire: WireId, socket: Rc<dyn Socket>, outbox: Outbox, born: u64) -> Self {
        Self {
            id,
            wire,
            socket,
            outbox: RefCell::new(outbox),
            seats: RefCell::default(),
            dirty: Cell::new(false),
            closing: Cell::new(false),
            expired: Cell::new(false),
            goodbye: OnceCell::new(),
            places: RefCell::new(None),
            user: RefCell::new(UserId(id.to_string().into())),
            names_itself: Cell::new(false),
            admitted: Cell::new(false),
            end: RefCell::default(),
            since: UnixMillis::now(),
            in_flight: Cell::new(0),
            failures: Cell::new(0),
            unsettled: Cell::new(0),
            credit: RefCell::default(),
            born,
            joined: RefCell::default(),
            unheard: Cell::new(0),
            active: Cell::new(born),
            asked: Cell::new(0),
            share: RefCell::default(),
            trace: Cell::new(None),
            guest: RefCell::default(),
        }
    }

    /// Any frame came in.
    pub fn heard(&self) {
        self.unheard.set(0);
    }

    /// What the client's requests hand on.
    pub fn trace(&self) -> Option<TraceParent> {
        self.trace.get()
    }

    pub fn set_trace(&self, trace: Option<TraceParent>) {
        self.trace.set(trace);
    }

    pub fn sender(&self) -> Sender {
        Sender { client: self.id, user: self.user.borrow().clone() }
    }

    /// As it is called in a channel: not everywhere by its user's name.
    pub fn sender_in(&self, channel: &ChannelName) -> Sender {
        match self.called(channel) {
            Some(user) => Sender { client: self.id, user },
            None => self.sender(),
        }
    }

    // === applications' clients ===

    /// It is a client of this application's.
    pub fn set_guest(&self, app: usize) {
        *self.guest.borrow_mut() = Some(Box::new(Guest::new(app)));
        self.admitted.set(true);
    }

    /// Its application has signed it in as this user.
    pub fn sign_in(&self, user: UserId) {
        if let Some(guest) = &mut *self.guest.borrow_mut() {
            guest.signed_in = Some(user.clone());
        }
        self.set_user(user);
    }

    pub fn signed_in(&self) -> Option<UserId> {
        self.guest.borrow().as_ref()?.signed_in.clone()
    }

    pub(super) fn is_signed_in(&self, app: usize, user: &str) -> bool {
        let guest = self.guest.borrow();
        let signed_in = guest.as_ref().filter(|guest| guest.app == app).and_then(|g| g.signed_in.as_ref());
        signed_in.is_some_and(|signed_in| signed_in.as_str() == user)
    }

    /// Its application calls it so, in this channel.
    pub fn call(&self, channel: &ChannelName, user: UserId) {
        if let Some(guest) = &mut *self.guest.borrow_mut() {
            guest.called.insert(channel.clone(), user);
        }
    }

    pub fn called(&self, channel: &ChannelName) -> Option<UserId> {
        self.guest.borrow().as_ref()?.called.get(channel).cloned()
    }

    /// It is in the channel no more. True: it was called by a name there, as a member of it.
    pub(super) fn uncall(&self, channel: &ChannelName) -> bool {
        self.guest.borrow_mut().as_mut().is_some_and(|guest| guest.called.remove(channel).is_some())
    }

    /// The auth plugins have accepted it as this user.
    pub fn set_user(&self, user: UserId) {
        *self.user.borrow_mut() = user;
        self.names_itself.set(false);
        self.admitted.set(true);
    }

    /// What others see as its user, though nobody has checked that it is.
    pub fn set_own_name(&self, name: UserId) {
        *self.user.borrow_mut() = name;
        self.names_itself.set(true);
    }

    /// Is it this user, as far as the channel that is a user's own is concerned?
    pub fn stands_for(&self, user: &str) -> bool {
        match self.names_itself.get() {
            true => self.id.to_string() == user,
            false => self.is_user(user),
        }
    }

    /// The channels it subscribes to.
    pub fn channels(&self) -> Vec<ChannelName> {
        self.seats.borrow().keys().cloned().collect()
    }

    /// Users' own channels that it subscribes to, and is not the user of any more.
    pub fn strange_channels(&self) -> Vec<ChannelName> {
        let strange = |name: &&ChannelName| name.user().is_some_and(|user| !self.stands_for(user));
        self.seats.borrow().keys().filter(strange).cloned().collect()
    }

    /// Accepted, and not on its way out.
    pub(super) fn is_admitted(&self) -> bool {
        self.admitted.get() && !self.closing.get()
    }

    pub(super) fn is_user(&self, user: &str) -> bool {
        self.user.borrow().as_str() == user
    }

    /// When its identity ends; none: it does not.
    pub fn expires_at(&self) -> Option<UnixMillis> {
        self.end.borrow().0
    }

    pub(super) fn set_end(&self, at: Option<UnixMillis>, clock: Option<AbortOnDrop>) {
        *self.end.borrow_mut() = (at, clock);
    }

    pub fn is_subscribed(&self, channel: &ChannelName) -> bool {
        self.seats.borrow().contains_key(channel)
    }

    /// Other channels bring it nothing.
    pub(super) fn has_one_channel(&self) -> bool {
        self.seats.borrow().len() == 1
    }

    /// A close frame is queued or the socket is gone: nothing more is sent or heard.
    pub fn is_closing(&self) -> bool {
        self.closing.get()
    }

    pub(super) fn set_closing(&self) -> bool {
        let was = self.closing.replace(true);
        self.wake_reader();
        was
    }

    /// What the server has closed it with, if it was the server.
    pub fn goodbye(&self) -> Option<&Goodbye> {
        self.goodbye.get().map(|goodbye| &**goodbye)
    }

    pub(super) fn set_goodbye(&self, code: u16, reason: &str) {
        let _ = self.goodbye.set(Box::new(Goodbye { code, reason: reason.to_owned() }));
    }

    /// Its identity has come to its end: for [`Connection::departure`].
    pub(super) fn set_expired(&self) {
        self.expired.set(true);
    }

    /// Why its subscriptions end with it. Whom somebody has turned out is removed; one that was only
    /// lost, slow or broken may come back.
    pub(super) fn departure(&self) -> Departure {
        if self.expired.get() {
            return Departure::Expired;
        }
        match self.goodbye().map(|goodbye| goodbye.code) {
            Some(4001..=4004 | 4009) => Departure::Removed,
            _ => Departure::Disconnected,
        }
    }

    // === credit ===

    pub(super) fn take_credit(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
    }

    pub(super) fn return_credit(&self) {
        let before = self.in_flight.get();
        self.in_flight.set(before.saturating_sub(1));
        if before == MAX_IN_FLIGHT {
            self.wake_reader();
        }
    }

    fn wake_reader(&self) {
        self.credit.take().into_iter().for_each(Waker::wake);
    }

    pub(super) fn answer_awaited(&self) {
        self.unsettled.set(self.unsettled.get() + 1);
    }

    pub(super) fn answer_came(&self) {
        self.unsettled.set(self.unsettled.get().saturating_sub(1));
        self.wake_reader();
    }

    /// Until the client may ask for more.
    pub async fn until_credit(&self) {
        self.until(|| self.in_flight.get() < MAX_IN_FLIGHT && !self.is_held_back()).await;
    }

    /// A plugin has failed at one of its requests. False: others are remembered already.
    pub(super) fn met_failure(&self) -> bool {
        let before = self.failures.get();
        self.failures.set((before + 1).min(FAILURES_A_SECOND * SECONDS_HELD));
        before == 0
    }

    /// Its requests have met too many failures for it to be heard.
    pub(super) fn is_held_back(&self) -> bool {
        self.failures.get() >= FAILURES_A_SECOND
    }

    /// A second has gone by. False: none is remembered any more.
    pub(super) fn forget_failures(&self) -> bool {
        let left = self.failures.get().saturating_sub(FAILURES_A_SECOND);
        self.failures.set(left);
        self.wake_reader();
        left > 0
    }

    /// Until every subscription and question of the client is answered.
    pub async fn until_settled(&self) {
        self.until(|| self.is_settled()).await;
    }

    pub(super) fn is_settled(&self) -> bool {
        self.unsettled.get() == 0
    }

    /// It joins a channel, which it leaves when it ends. False: it has joined `limit` others.
    pub(super) fn join(&self, channel: &ChannelName, limit: usize) -> bool {
        let mut joined = self.joined.borrow_mut();
        if joined.len() >= limit && !joined.contains(channel) {
            return false;
        }
        joined.insert(channel.clone());
        true
    }

    /// Until nothing of the past waits for it: it may ask for more of that.
    pub async fn until_replayed(&self) {
        self.until(|| !self.outbox.borrow().has_replay()).await;
    }

    /// The socket has taken all that waited.
    pub(super) fn written(&self) {
        if !self.credit.borrow().is_empty() {
            self.wake_reader();
        }
    }

    /// Subscriptions that are, or may yet come about.
    pub fn subscriptions(&self) -> usize {
        self.seats.borrow().len() + self.asked.get() as usize
    }

    /// Counts its subscriptions in these sums from now on, and in no others.
    pub fn count_in(&self, sums: Vec<Arc<AtomicUsize>>) {
        *self.share.borrow_mut() = Share::new(sums);
        self.recount();
    }

    /// A subscription is asked for, and counts in the sums until its answer takes its place.
    pub(super) fn subscription_asked(&self) {
        self.asked.set(self.asked.get() + 1);
        self.recount();
    }

    pub(super) fn subscription_answered(&self) {
        self.asked.set(self.asked.get().saturating_sub(1));
        self.recount();
    }

    /// Its subscriptions have changed.
    pub(super) fn recount(&self) {
        self.share.borrow_mut().set(|| self.subscriptions());
    }

    /// It has no place in any channel, and none to come.
    pub(super) fn waits_for_nothing(&self) -> bool {
        self.subscriptions() == 0 && self.joined.borrow().is_empty()
    }

    async fn until(&self, holds: impl Fn() -> bool) {
        poll_fn(|context| {
            if holds() || self.closing.get() {
                return Poll::Ready(());
            }
            let mut waiting = self.credit.borrow_mut();
            if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    // === outbox ===

    pub(super) fn push_run(&self, bytes: Bytes, terms: Terms<'_>) -> Result<(), TooSlow> {
        if self.closing.get() {
            return Ok(());
        }
        self.outbox.borrow_mut().push_run(bytes, terms)
    }

    /// See [`Outbox::dropped`].
    pub(super) fn dropped(&self) -> u64 {
        self.outbox.borrow().dropped()
    }

    /// See [`Outbox::may_be_passed`]; not while this turn has queued anything for the socket.
    #[inline]
    pub(super) fn may_be_passed(&self) -> bool {
        !self.closing.get() && !self.dirty.get() && self.outbox.borrow().may_be_passed()
    }

    /// See [`Outbox::push_replay`].
    pub(super) fn push_replay(&self, bytes: Bytes) {
        if !self.closing.get() {
            self.outbox.borrow_mut().push_replay(bytes);
        }
    }

    pub(super) fn push_reply(&self, bytes: Bytes) -> Result<(), TooSlow> {
        if self.closing.get() {
            return Ok(());
        }
        self.outbox.borrow_mut().push_reply(bytes)
    }

    // === places ===

    /// Where a channel stands that it subscribes to now. For dialects that tell it.
    pub(super) fn starts_at(&self, channel: &ChannelName, position: Position) {
        self.places.borrow_mut().get_or_insert_default().set(channel, position);
    }

    /// A turn was put into its outbox. For dialects that tell it.
    pub(super) fn came_to(&self, turn: &Turn) {
        if let Some(position) = turn.last() {
            self.starts_at(&turn.channel, position);
        }
    }

    /// Tells it how far it has come, if it has come any further.
    pub(super) fn tell_places(&self, wire: &dyn Wire) {
        let mut places = self.places.borrow_mut();
        if let Some(moved) = places.as_mut().and_then(|places| places.moved()) {
            let mut out = BytesMut::new();
            wire.places(moved, &mut out);
            // Past the bound, the next message finds that out.
            let _ = self.push_reply(out.freeze());
        }
    }
}
