//! Deliveries that a filter judges: within the shard's turn, so that they leave with what else it
//! writes. One that takes long goes on beside it, and what comes after waits: one queue a filter plugin,
//! in the channel's order, so that a slow filter delays only those who chose it.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};

use bytes::Bytes;

use super::audience::{FilterChoice, Panel};
use super::delivery::{Company, SharedDelivery};
use super::post::LocalQueue;
use super::turn::{Content, Turn};
use crate::core::{ClientId, PluginName};
use crate::plugin::{FilterBatch, Filters};

/// Past this many bytes of turns waiting for one plugin the newest are neither judged nor
/// delivered, whatever the channel's rule says of filters that fail: the others come first.
const WAITING_BYTES: usize = 32 << 20;

/// Who a turn is for.
#[derive(Clone)]
enum To {
    /// All subscribers with a filter of the plugin. `alone`: nothing else is delivered in the turn
    /// that brought it.
    Everyone { alone: bool },
    /// One that has just come, with what it missed, and what it gets after that.
    Newcomer(ClientId, FilterChoice, Bytes),
}

#[derive(Default)]
struct Waiting {
    turns: VecDeque<(To, Arc<Turn>)>,
    bytes: usize,
    running: bool,
}

pub struct Filtered {
    filters: Rc<Filters>,
    delivery: SharedDelivery,
    queue: Rc<LocalQueue>,
    waiting: RefCell<HashMap<PluginName, Waiting>>,
}

impl Filtered {
    pub fn new(filters: Rc<Filters>, delivery: SharedDelivery, queue: Rc<LocalQueue>) -> Rc<Self> {
        Rc::new(Self { filters, delivery, queue, waiting: RefCell::default() })
    }

    /// Nothing waits for a judgement.
    pub fn is_idle(&self) -> bool {
        self.waiting.borrow().is_empty()
    }

    /// `alone`: nothing else is delivered now.
    pub fn judge(self: &Rc<Self>, plugin: PluginName, turn: Arc<Turn>, alone: bool) {
        self.wait(plugin, To::Everyone { alone }, turn);
    }

    /// What a new subscriber missed, and the frames `then`, come before all that is published
    /// from now on.
    pub fn judge_replay(
        self: &Rc<Self>,
        client: ClientId,
        choice: FilterChoice,
        turn: Arc<Turn>,
        then: Bytes,
    ) {
        self.wait(choice.plugin.clone(), To::Newcomer(client, choice, then), turn);
    }

    fn wait(self: &Rc<Self>, plugin: PluginName, to: To, turn: Arc<Turn>) {
        let mut all = self.waiting.borrow_mut();
        let waiting = all.entry(plugin.clone()).or_default();
        if waiting.bytes > WAITING_BYTES {
            tracing::warn!(%plugin, channel = %turn.channel, messages = turn.messages.len(),
                "the filter is behind by more than {WAITING_BYTES} bytes of messages: these are not delivered");
            if let To::Newcomer(client, _, then) = to {
                self.delivery.borrow_mut().push_to(client, then);
                self.queue.wake();
            }
            return;
        }
        waiting.bytes += turn.weight();
        waiting.turns.push_back((to, turn));
        if std::mem::replace(&mut waiting.running, true) {
            return;
        }
        drop(all);
        let this = self.clone();
        let mut run: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async move { this.run(plugin).await });
        // Most filters are done at once; a short call may be under way when a slice ends, but not when two
        // do. Another's task asks again itself, so nobody need be woken.
        let mut context = Context::from_waker(Waker::noop());
        if !(0..2).any(|_| run.as_mut().poll(&mut context).is_ready()) {
            tokio::task::spawn_local(run);
        }
    }

    async fn run(self: Rc<Self>, plugin: PluginName) {
        let mut batch = FilterBatch::default();
        while let Some((to, turn)) = self.next(&plugin) {
            if turn.content() != Content::Messages {
                self.delivery.borrow_mut().deliver_unjudged(&turn, &plugin);
                self.queue.wake();
                continue;
            }
            if turn.is_aside() {
                self.delivery.borrow_mut().deliver_asides(&turn, Some(&plugin));
                self.queue.wake();
                continue;
            }
            let panel = match &to {
                To::Everyone { .. } => self.delivery.borrow_mut().panel(&turn.channel, &plugin),
                To::Newcomer(_, choice, _) => Some(Panel::from([choice.id])),
            };
            let Some(panel) = panel else { continue };
            batch.clear();
            for message in &turn.messages {
                batch.push(&message.event, message.payload.kind, &message.payload.bytes);
            }
            let bits = self.filters.evaluate(&plugin, &panel, &batch).await;
            match to {
                To::Everyone { alone } => {
                    let is_last = self.waiting.borrow().get(&plugin).is_none_or(|w| w.turns.is_empty());
                    let mut delivery = self.delivery.borrow_mut();
                    let company = if is_last { delivery.company(&turn, alone) } else { Company::Anything };
                    delivery.deliver_filtered(&turn, &plugin, &panel, &bits, company);
                }
                To::Newcomer(client, choice, then) => {
                    let passes = |message| choice.delivers(bits.verdict(message, 0));
                    let mut delivery = self.delivery.borrow_mut();
                    delivery.deliver_replay(client, &turn, passes);
                    delivery.push_to(client, then);
                }
            }
            self.queue.wake();
        }
    }

    fn next(&self, plugin: &PluginName) -> Option<(To, Arc<Turn>)> {
        let mut all = self.waiting.borrow_mut();
        let waiting = all.get_mut(plugin)?;
        let turn = waiting.turns.pop_front();
        match &turn {
            Some((_, turn)) => waiting.bytes -= turn.weight(),
            None => {
                all.remove(plugin);
            }
        }
        turn
    }
}
