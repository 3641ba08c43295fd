//! One shard: its turn takes what has come, moves it through homes and deliveries, and
//! writes each socket once.

mod answers;
mod ask;
mod census;
mod clients;
mod ending;
mod expiry;
#[cfg(test)]
mod fixture;
mod judging;
mod occupancy;
mod orders;
mod plugged;
mod reads;
#[cfg(test)]
mod rounds;
mod saving;
mod time;
mod writing;

pub use ask::Unanswered;
pub use census::{ConnectionFacts, Counts, Page};
pub use clients::Publication;
pub use judging::{Judge, JudgedAgain, Which};
pub use orders::Whom;
pub use plugged::Admission;
pub use reads::MeshReader;

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::core::ShardId;
use crate::hub::alarm::Alarm;
use crate::hub::connection::Connection;
use crate::hub::counters::Counters;
use crate::hub::delivery::{Delivery, SharedDelivery};
use crate::hub::filtered::Filtered;
use crate::hub::home::Homes;
use crate::hub::letter::Letter;
use crate::hub::mesh::{Inbox, Mesh};
use crate::hub::notice::Board;
use crate::hub::pace::Pace;
use crate::hub::post::{Event, LocalQueue, Post, Verdicts};
use crate::hub::rules::Rules;
use crate::hub::sends::Sends;
use crate::hub::wire::{Reply, Wire, WireId, Wires};
use crate::plugin::{Actors, Filters, Registry};

/// Handlers of one channel that answer in the turn that asks the first of them; the others have the next.
const HANDLERS_A_TURN: usize = 4;

/// What every shard is told at its start.
#[derive(Clone)]
pub struct Settings {
    pub wires: Wires,
    pub rules: Rules,
    /// Many sockets are written by one call where the system can do that.
    pub io_uring: bool,
    /// Bytes that wait for one socket before it is a slow consumer.
    pub outbox_bytes: usize,
    /// Connections and channels of one shard.
    pub connections: usize,
    pub channels: usize,
    /// Of these channels those where messages wait for somebody to come.
    pub queues: usize,
    pub heartbeat: Duration,
    /// How long a message may wait for others, so that they share a write.
    pub company: Duration,
    /// Heartbeats without a sign of life before a connection is closed.
    pub missed_heartbeats: u8,
    /// Seconds between two looks for channels that nobody uses.
    pub sweep_secs: u32,
    /// Seconds that a connection may do nothing; none: any number.
    pub idle_secs: Option<u64>,
    /// Subscriptions of one client, and channels that it has joined, as far as plugins see to them.
    pub subscriptions: usize,
    /// What channels' rules make of those subscriptions.
    pub admission: Admission,
    /// Where what happens is told outside of channels, if anybody wants to know.
    pub board: Option<Board>,
    /// Channels' state outlives a server that was asked to end.
    pub saves: bool,
}

/// One shard, on its own thread. Cheap to clone as `Rc`.
pub struct Shard {
    settings: Settings,
    post: Rc<Post>,
    homes: RefCell<Homes>,
    delivery: SharedDelivery,
    filters: Rc<Filters>,
    filtered: Rc<Filtered>,
    pace: RefCell<Pace>,
    alarm: Alarm,
    alarm_at: Cell<Option<Instant>>,
    /// Seconds since the shard began.
    second: Cell<u64>,
    counters: RefCell<Counters>,
    orders: plugged::Orders,
    judge: OnceCell<Rc<dyn Judge>>,
    /// Clients whose requests have met plugins' failures of late.
    failing: RefCell<Vec<Weak<Connection>>>,
}

impl Shard {
    /// Within the shard's runtime.
    ///
    /// # Errors
    /// Without a descriptor left for its alarm.
    pub fn new(me: ShardId, settings: Settings, mesh: Mesh, registry: Arc<Registry>) -> io::Result<Rc<Self>> {
        reads::this_thread_is(me);
        let post = Rc::new(Post::new(me, mesh));
        let filters = Rc::new(Filters::new());
        filters.install(&registry);
        let delivery = Delivery::new(me, settings.connections, Sends::new(settings.io_uring));
        let delivery: SharedDelivery = Rc::new(RefCell::new(delivery));
        let actors = Actors::new(Rc::new(Verdicts(Rc::downgrade(&post.queue))));
        let (rules, channels, company) = (settings.rules.clone(), settings.channels, settings.company);
        let homes = Homes::new(settings.wires, rules, channels, settings.queues, registry, actors)
            .with_board(settings.board.clone());
        Ok(Rc::new(Self {
            filtered: Filtered::new(filters.clone(), delivery.clone(), post.queue.clone()),
            homes: RefCell::new(homes),
            settings,
            post,
            delivery,
            filters,
            pace: RefCell::new(Pace::new(company)),
            alarm: Alarm::new()?,
            alarm_at: Cell::new(None),
            second: Cell::new(0),
            counters: RefCell::default(),
            orders: plugged::Orders::default(),
            judge: OnceCell::new(),
            failing: RefCell::default(),
        }))
    }

    /// The shard's loop: a turn whenever something has come. Runs until it is dropped.
    pub async fn run(self: Rc<Self>, mut inbox: Inbox) {
        let timers = self.clone();
        let _timers = AbortOnDrop(tokio::task::spawn_local(async move { timers.keep_time().await }));
        let queue: Rc<LocalQueue> = self.post.queue.clone();
        loop {
            let mut letters = tokio::select! {
                biased;
                () = queue.woken() => Vec::new(),
                letters = inbox.next() => letters,
                () = self.alarm.rings() => Vec::new(),
            };
            while let Some(more) = inbox.try_next() {
                letters.extend(more);
            }
            let from_others = !letters.is_empty();
            self.turn(letters);
            if from_others || queue.is_awake() {
                // Readers that became ready meanwhile come before the next turn.
                tokio::task::yield_now().await;
            }
        }
    }

    fn turn(self: &Rc<Self>, letters: Vec<Letter>) {
        let queue = &self.post.queue;
        queue.begin_turn();
        let mut homes = self.homes.borrow_mut();
        homes.begin_turn();
        let alone = is_one_delivery(&letters);
        for letter in letters {
            self.handle(letter, alone, &mut homes);
        }
        self.handle_queue(&mut homes);
        if queue.has_ready() {
            let began = Instant::now();
            for _ in 0..HANDLERS_A_TURN {
                if !queue.work(began) {
                    break;
                }
                self.handle_queue(&mut homes);
            }
        }
        let (began, messages) = (Instant::now(), homes.open_messages());
        // What goes round waits for its company there.
        let leave = self.delivery.borrow().is_on_a_round() || !self.waits(messages, began);
        if leave {
            homes.seal_all(&self.post);
        }
        // What the first round has set off here: deliveries, acknowledgements.
        self.handle_queue(&mut homes);
        if !homes.release_withheld(&self.post) {
            let queue = queue.clone();
            tokio::task::spawn_local(async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                queue.wake();
            });
        }
        let goes_on = self.delivery.borrow_mut().go_on();
        // What has become due in channels since they were sealed wants another.
        if !leave || !homes.has_unsealed() {
            queue.all_done();
        }
        if goes_on || queue.has_ready() {
            queue.wake();
        }
        drop(homes);
        self.post.dispatch();
        self.write();
        if leave && messages > 0 {
            self.pace.borrow_mut().turn_ended(messages, began, Instant::now());
        }
    }

    /// Do so many messages wait for more? Then the alarm is set for when they leave.
    fn waits(&self, messages: usize, now: Instant) -> bool {
        let until = self.pace.borrow_mut().wait_until(messages, now);
        if let Some(until) = until
            && self.alarm_at.replace(Some(until)) != Some(until)
        {
            self.alarm.set(until - now);
        }
        until.is_some()
    }

    fn handle_queue(self: &Rc<Self>, homes: &mut Homes) {
        let mut events = self.post.queue.take();
        let alone = is_one_delivery(events.iter().filter_map(|event| match event {
            Event::Letter(letter) => Some(letter),
            Event::Decided(..) => None,
        }));
        for event in events.drain(..) {
            match event {
                Event::Letter(letter) => self.handle(letter, alone, homes),
                Event::Decided(ticket, answer) => homes.decided(ticket, answer, &self.post),
            }
        }
        self.post.queue.recycle(events);
    }

    /// `alone`: of the letters handled now it is the only one that delivers.
    fn handle(self: &Rc<Self>, letter: Letter, alone: bool, homes: &mut Homes) {
        match letter {
            Letter::Publish(publish) => homes.publish(publish, &self.post),
            Letter::Subscribe(subscribe) => homes.subscribe(*subscribe, &self.post),
            Letter::Unsubscribe(unsubscribe) => homes.unsubscribe(unsubscribe, &self.post),
            Letter::Question(question) => homes.question(question, &self.post),
            Letter::Settled(settled) => homes.settled(settled, &self.post),
            Letter::Group { group, inquiry } => homes.group(group, inquiry),
            Letter::Counted { channel, origin, published } => {
                homes.counted(channel, origin, published, &self.post);
            }
            Letter::Inquiry { channel, inquiry } => homes.inquiry(&channel, inquiry, &self.post),
            Letter::Timer { channel, id, serial } => homes.timer(channel, id, serial),
            Letter::Gone { channel, client } => homes.gone(&channel, client, &self.post),
            Letter::GraceOver { channel, who } => homes.grace_over(&channel, &who),
            Letter::Enter { channel, sender, metadata } => {
                homes.enter(&channel, &sender, metadata, &self.post);
            }
            Letter::Answered { client, frame } => self.answered(client, frame),
            Letter::ForgetOne { channel, shard } => homes.forget_one(&channel, shard, &self.post),
            Letter::Subscribed(answer) => self.subscribed(answer),
            Letter::Unsubscribed { channel, client, request } => {
                self.answer(client, request.as_ref(), Reply::Unsubscribed { channel });
            }
            Letter::Published { channel, client, request, result } => {
                self.published(channel, client, request, result);
            }
            Letter::Deliver(turn) => {
                let waiting = self.delivery.borrow_mut().deliver(&turn, alone);
                for plugin in waiting {
                    self.filtered.judge(plugin, turn.clone(), alone);
                }
            }
            Letter::ChannelGone(channel) => self.channel_gone(&channel),
            Letter::Direct { client, channel, event, payload } => {
                let connection = self.delivery.borrow().find(client).cloned();
                if let Some(connection) = connection {
                    self.send_direct(&connection, &channel, &event, &payload);
                }
            }
            Letter::Close { client, code, reason } => {
                let connection = self.delivery.borrow().find(client).cloned();
                if let Some(connection) = connection {
                    self.close(&connection, code, &reason);
                }
            }
            Letter::Order { client, order } => self.order(client, order),
            Letter::Ask(question) => question(self, homes),
            Letter::Install { registry, done } => {
                self.filters.install(&registry);
                homes.install(registry, &self.post);
                self.tell_judge();
                // The plugin host may have stopped waiting.
                let _ = done.send(());
            }
        }
    }

    fn wire(&self, id: WireId) -> &'static dyn Wire {
        self.settings.wires[usize::from(id.0)]
    }
}

fn is_one_delivery<'a>(letters: impl IntoIterator<Item = &'a Letter>) -> bool {
    letters.into_iter().filter(|letter| matches!(letter, Letter::Deliver(_))).count() == 1
}

/// Ends a task with its owner.
pub struct AbortOnDrop(pub tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::sync::oneshot;

    use super::*;
    use crate::core::{ChannelName, ClientId, Payload, Sender, UserId};
    use crate::hub::letter::{Origin, Subscribe};

    #[tokio::test]
    async fn a_turn_does_all_that_it_sets_off_and_asks_for_no_other() {
        let run = async {
            let (shard, _inbox) = fixture::alone();
            let turn = || {
                assert!(shard.post.queue.is_awake(), "asked for");
                shard.turn(Vec::new());
                assert!(!shard.post.queue.is_awake(), "all done");
            };
            let socket = Rc::new(fixture::Wide::default());
            let connection = shard.connect(WireId(0), socket.clone()).unwrap();
            let channel = ChannelName::parse("a").unwrap();
            shard.subscribe(&connection, Subscribe::plain(channel.clone(), connection.sender(), WireId(0)));
            turn();
            for receipt in [false, true] {
                let publication = Publication {
                    receipt,
                    ..Publication::new(channel.clone(), Bytes::new(), Payload::json("1"))
                };
                let answer = shard.publish_as_server(publication);
                turn();
                assert_eq!(socket.writes.take(), 1);
                answer.await.unwrap().unwrap();
            }
            shard.disconnect(&connection);
            turn();
        };
        tokio::task::LocalSet::new().run_until(run).await;
    }

    #[tokio::test]
    async fn the_api_is_answered_when_its_message_has_left_for_the_other_shards() {
        let (mesh, mut inboxes) = Mesh::new(2);
        let channel = ChannelName::parse("a").unwrap();
        let home = mesh.home(&channel);
        let shard = Shard::new(home, fixture::settings(), mesh, Registry::default().into()).unwrap();
        let other = 1 - home.index();
        let client = ClientId::new(ShardId(other as u8), 0, 1);
        let sender = Sender { client, user: UserId("ada".into()) };
        shard.homes.borrow_mut().subscribe(Subscribe::plain(channel.clone(), sender, WireId(0)), &shard.post);
        shard.turn(Vec::new());
        inboxes[other].try_next();

        let (answer, mut answered) = oneshot::channel();
        let publish = fixture::publish(channel, Origin::Server { sender: None, answer }, "1");
        shard.homes.borrow_mut().publish(publish, &shard.post);
        assert!(answered.try_recv().is_err(), "not yet");
        shard.turn(Vec::new());
        assert!(answered.try_recv().unwrap().is_ok());
        let left = inboxes[other].try_next().unwrap();
        assert!(matches!(left[..], [Letter::Deliver(_)]));
    }
}
