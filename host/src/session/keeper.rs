//! Asks auth plugins again: when a permission's time is over, when an auth plugin has another
//! version, and when the server's API says so. One a shard, one judgement at a time: an auth plugin
//! has one instance there, whose other callers have their turns in between.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Context;
use super::permissions::Permissions;
use super::pusher::{Judged, judge};
use super::standing::{Known, authenticate, authorize, denied_because};
use crate::core::{ChannelName, ClientId, Refusal};
use crate::hub::Connection;
use crate::hub::shard::{Judge, JudgedAgain, Which};
use crate::plugin::{AuthAction, Permission};

/// After so many judgements because of a new version, others have a while to themselves: 16,000 a
/// second and shard.
const IN_A_ROW: u32 = 32;
const PAUSE: Duration = Duration::from_millis(2);
/// A plugin that fails is asked again so often, with this time between, and then it is a refusal.
const TRIES: u8 = 3;
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// For a client's requests that are under way.
const PATIENCE: Duration = Duration::from_secs(5);
/// Ends that are kept without a look at which of them still matter.
const ENDS: usize = 1024;

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Instant,
    client: ClientId,
    channel: ChannelName,
    tries: u8,
}

#[derive(Default)]
pub struct Keeper {
    clients: RefCell<HashMap<ClientId, Weak<Permissions>>>,
    due: RefCell<BinaryHeap<Reverse<Due>>>,
    /// How many were left when it was last cleared of those that do not matter.
    mattered: Cell<usize>,
    /// Another version of an auth plugin: whose subscriptions have yet to be judged by it.
    sweep: RefCell<VecDeque<ClientId>>,
    /// Another set of plugins is in use.
    installed: Cell<bool>,
    /// The generations of auth plugins that subscriptions were judged by.
    judges: RefCell<Vec<u64>>,
    /// Judgements since the last pause.
    in_a_row: Cell<u32>,
    wake: Notify,
}

/// What is to be done next.
enum Next {
    Due(Due),
    Sweep(ClientId),
    Wait(Option<Instant>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Haste {
    /// Somebody waits for it.
    Now,
    Spread,
}

/// What a judgement says of a subscription.
enum Holds {
    Yes,
    No(Refusal),
    /// It is asked again later.
    Later,
}

impl Keeper {
    // === what permissions tell ===

    pub(super) fn follow(&self, client: ClientId, permissions: &Rc<Permissions>) {
        self.clients.borrow_mut().insert(client, Rc::downgrade(permissions));
    }

    pub(super) fn lose(&self, client: ClientId) {
        self.clients.borrow_mut().remove(&client);
    }

    fn permissions(&self, client: ClientId) -> Option<Rc<Permissions>> {
        self.clients.borrow().get(&client)?.upgrade()
    }

    pub(super) fn due(&self, at: Instant, client: ClientId, channel: ChannelName, tries: u8) {
        let mut due = self.due.borrow_mut();
        if due.len() > self.mattered.get() * 2 + ENDS {
            due.retain(|Reverse(due)| self.matters(due));
            self.mattered.set(due.len());
        }
        let first = due.peek().is_none_or(|Reverse(first)| at < first.at);
        due.push(Reverse(Due { at, client, channel, tries }));
        if first {
            self.wake.notify_one();
        }
    }

    fn matters(&self, due: &Due) -> bool {
        self.permissions(due.client).is_some_and(|permissions| permissions.is_due(&due.channel, due.at))
    }

    // === its task ===

    /// Runs for as long as the shard has a context.
    pub async fn run(self: Rc<Self>, context: Weak<Context>) {
        *self.judges.borrow_mut() = context.upgrade().map(|context| judges(&context)).unwrap_or_default();
        loop {
            let Some(context) = context.upgrade() else { return };
            if self.installed.take() {
                self.begin_sweep(&context);
            }
            match self.next() {
                Next::Due(due) => {
                    if let Some(permissions) = self.permissions(due.client) {
                        self.judge_one(&context, &permissions, due.channel, due.tries).await;
                    }
                }
                Next::Sweep(client) => {
                    self.judge_client(&context, client, None, Haste::Spread).await;
                }
                Next::Wait(until) => {
                    drop(context);
                    match until {
                        Some(at) => tokio::select! {
                            () = self.wake.notified() => {}
                            () = sleep_until(at) => {}
                        },
                        None => self.wake.notified().await,
                    }
                }
            }
            // The shard's other work.
            tokio::task::yield_now().await;
        }
    }

    fn next(&self) -> Next {
        let mut due = self.due.borrow_mut();
        let now = Instant::now();
        while let Some(Reverse(first)) = due.peek() {
            if !self.matters(first) {
                due.pop();
                continue;
            }
            if first.at > now {
                break;
            }
            if let Some(Reverse(first)) = due.pop() {
                return Next::Due(first);
            }
        }
        match self.sweep.borrow_mut().pop_front() {
            Some(client) => Next::Sweep(client),
            None => Next::Wait(due.peek().map(|Reverse(first)| first.at)),
        }
    }

    /// Only where it is an auth plugin that has changed.
    fn begin_sweep(&self, context: &Context) {
        let now = judges(context);
        let before = self.judges.replace(now.clone());
        // Without any there is nobody to ask: what they allowed stays, what comes is the built-in
        // verifier's.
        if now.is_empty() || now.iter().all(|judge| before.contains(judge)) {
            return;
        }
        let clients: VecDeque<ClientId> = self.clients.borrow().keys().copied().collect();
        tracing::info!(clients = clients.len(), "an auth plugin is another: subscriptions are judged again");
        *self.sweep.borrow_mut() = clients;
    }

    // === judging ===

    /// All of a client's subscriptions, or that to one channel.
    async fn judge_client(
        &self,
        context: &Rc<Context>,
        client: ClientId,
        only: Option<&ChannelName>,
        haste: Haste,
    ) -> JudgedAgain {
        let mut again = JudgedAgain::default();
        let (Some(permissions), Some(connection)) =
            (self.permissions(client), context.shard.connection(client))
        else {
            return again;
        };
        permissions.forget(only);
        if context.shard.registry().auth().is_empty() && context.jwt.is_none() {
            return again;
        }
        // What is under way may have been allowed by the version before.
        let _ = timeout(PATIENCE, connection.until_settled()).await;
        for channel in connection.channels() {
            if only.is_some_and(|only| *only != channel) || permissions.credential(&channel).is_none() {
                continue;
            }
            again.judged += 1;
            again.ended += usize::from(self.judge_one(context, &permissions, channel, 0).await);
            self.in_a_row.set(self.in_a_row.get() + 1);
            if haste == Haste::Spread && self.in_a_row.get() >= IN_A_ROW {
                self.in_a_row.set(0);
                sleep(PAUSE).await;
            }
            tokio::task::yield_now().await;
        }
        again
    }

    /// True: the subscription has ended.
    async fn judge_one(
        &self,
        context: &Rc<Context>,
        permissions: &Permissions,
        channel: ChannelName,
        tries: u8,
    ) -> bool {
        let Some(connection) = context.shard.connection(permissions.client()) else { return false };
        let _ = timeout(PATIENCE, connection.until_settled()).await;
        if !connection.is_subscribed(&channel) {
            permissions.left(&channel);
            return false;
        }
        let refusal = match self.ask(context, &connection, permissions, &channel, tries).await {
            Holds::Yes | Holds::Later => return false,
            Holds::No(refusal) => refusal,
        };
        // It may have left meanwhile, or be closing.
        if !connection.is_subscribed(&channel) || connection.is_closing() {
            return false;
        }
        tracing::debug!(client = %connection.id, %channel, "its subscription no longer holds");
        permissions.left(&channel);
        context.shard.revoke(&connection, channel, refusal);
        true
    }

    async fn ask(
        &self,
        context: &Rc<Context>,
        connection: &Connection,
        permissions: &Permissions,
        channel: &ChannelName,
        tries: u8,
    ) -> Holds {
        let denied = |reason| Holds::No(denied_because(connection, channel, reason));
        let asked = match permissions.is_guest() {
            true => judge_guest(context, permissions, channel).await,
            false => judge_own(context, connection, permissions, channel).await,
        };
        match asked {
            Ok(permission @ Permission::Granted(_)) => {
                permissions.allowed(connection, channel, &permission);
                Holds::Yes
            }
            Ok(Permission::Refused(reason)) => denied(reason),
            Err(failure) if tries + 1 >= TRIES => denied(failure.to_string()),
            Err(_) => {
                permissions.judge_at(channel, Instant::now() + TRY_AGAIN, tries + 1);
                Holds::Later
            }
        }
    }
}

/// The generations of auth plugins in use.
fn judges(context: &Context) -> Vec<u64> {
    context.shard.registry().auth().iter().map(|generation| generation.number).collect()
}

/// A client that is the server's own.
async fn judge_own(
    context: &Rc<Context>,
    connection: &Connection,
    permissions: &Permissions,
    channel: &ChannelName,
) -> Result<Permission, Refusal> {
    let registry = context.shard.registry();
    let Some(known) = permissions.known() else { return Ok(Permission::Granted(None)) };
    // In users' own channels the verified user is all that counts.
    if channel.user().is_some_and(|user| connection.stands_for(user)) {
        return Ok(Permission::Granted(None));
    }
    if registry.auth().is_empty() {
        let allowed = known.grants.as_ref().is_none_or(|grants| grants.allow(AuthAction::Subscribe, channel));
        return Ok(if allowed { Permission::Granted(None) } else { Permission::Refused(String::new()) });
    }
    permissions.moved(connection.expires_at());
    let anew: Known;
    let identity = match known.identity.is_known_to(registry.auth()) {
        true => &known.identity,
        // A plugin that has come since: who the client is to it, its session finds out by itself.
        false => match authenticate(context, &registry, &permissions.handshake()).await {
            Ok(known) => {
                anew = known;
                &anew.identity
            }
            Err(reason) => return Ok(Permission::Refused(reason)),
        },
    };
    authorize(context, &registry, identity, AuthAction::Subscribe, channel).await
}

/// One that has shown a credential for this channel.
async fn judge_guest(
    context: &Rc<Context>,
    permissions: &Permissions,
    channel: &ChannelName,
) -> Result<Permission, Refusal> {
    let Some(handshake) = permissions.credential(channel) else { return Ok(Permission::Granted(None)) };
    Ok(match judge(context, &handshake, Some((AuthAction::Subscribe, channel))).await? {
        Judged::Unasked => Permission::Granted(None),
        Judged::Allowed(_, after) => Permission::Granted(after),
        Judged::Refused(reason) => Permission::Refused(reason),
    })
}

/// The keeper, as the hub knows it.
pub struct KeeperOf {
    pub keeper: Rc<Keeper>,
    pub context: Weak<Context>,
}

impl Judge for KeeperOf {
    fn installed(&self) {
        self.keeper.installed.set(true);
        self.keeper.wake.notify_one();
    }

    fn judge_again(&self, which: Which, answer: oneshot::Sender<JudgedAgain>) {
        let (keeper, context) = (self.keeper.clone(), self.context.clone());
        tokio::task::spawn_local(async move {
            let Some(context) = context.upgrade() else { return };
            let mut all = JudgedAgain::default();
            // What is kept of publishing is forgotten also where nobody has subscribed.
            if which.whom.is_none() {
                let everybody: Vec<_> = keeper.clients.borrow().values().filter_map(Weak::upgrade).collect();
                everybody.iter().for_each(|permissions| permissions.forget(which.channel.as_ref()));
            }
            for connection in context.shard.meant(&which) {
                let one =
                    keeper.judge_client(&context, connection.id, which.channel.as_ref(), Haste::Now).await;
                all.judged += one.judged;
                all.ended += one.ended;
            }
            // Who asked may have given up.
            let _ = answer.send(all);
        });
    }
}
