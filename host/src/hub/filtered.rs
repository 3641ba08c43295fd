//! Deliveries that wait for a filter's judgement: one queue a filter plugin, in the
//! channel's order, so that a slow filter delays only those who chose it.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use super::delivery::SharedDelivery;
use super::post::LocalQueue;
use super::turn::Turn;
use crate::core::PluginName;
use crate::plugin::{FilterBatch, Filters};

/// Past this many bytes of turns waiting for one plugin the newest are not judged,
/// and so, filters being closed by default, not delivered.
const WAITING_BYTES: usize = 32 << 20;

#[derive(Default)]
struct Waiting {
    turns: VecDeque<Arc<Turn>>,
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

    pub fn judge(self: &Rc<Self>, plugin: PluginName, turn: Arc<Turn>) {
        let mut all = self.waiting.borrow_mut();
        let waiting = all.entry(plugin.clone()).or_default();
        if waiting.bytes > WAITING_BYTES {
            tracing::warn!(%plugin, channel = %turn.channel, messages = turn.messages.len(),
                "the filter is behind by more than {WAITING_BYTES} bytes of messages: these are not delivered");
            return;
        }
        waiting.bytes += turn.weight();
        waiting.turns.push_back(turn);
        if !std::mem::replace(&mut waiting.running, true) {
            let this = self.clone();
            tokio::task::spawn_local(async move { this.run(plugin).await });
        }
    }

    async fn run(self: Rc<Self>, plugin: PluginName) {
        let mut batch = FilterBatch::default();
        while let Some(turn) = self.next(&plugin) {
            let choices = self.delivery.borrow().filters(&turn.channel, &plugin);
            if choices.is_empty() {
                continue;
            }
            let ids: Vec<_> = choices.iter().map(|choice| choice.id).collect();
            let index: HashMap<_, _> = ids.iter().enumerate().map(|(i, id)| (*id, i)).collect();
            batch.clear();
            for message in &turn.messages {
                batch.push(&message.event, message.payload.kind, &message.payload.bytes);
            }
            let bits = self.filters.evaluate(&plugin, &ids, &batch).await;
            self.delivery.borrow_mut().deliver_filtered(&turn, &plugin, |message, choice| {
                index.get(&choice.id).is_some_and(|i| bits.passes(message, *i))
            });
            self.queue.wake();
        }
    }

    fn next(&self, plugin: &PluginName) -> Option<Arc<Turn>> {
        let mut all = self.waiting.borrow_mut();
        let waiting = all.get_mut(plugin)?;
        let turn = waiting.turns.pop_front();
        match &turn {
            Some(turn) => waiting.bytes -= turn.weight(),
            None => {
                all.remove(plugin);
            }
        }
        turn
    }
}
