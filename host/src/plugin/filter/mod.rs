//! A shard's filters: equal parameters are one filter, a message is judged once each, and
//! many messages cross into the plugin at once.

mod bits;
mod runner;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

pub use bits::{Bits, Columns, FilterBatch};
use bytes::Bytes;
use runner::Runner;
use slab::Slab;
use tokio::sync::Mutex;

use super::bindings::filter;
use super::calls::Function;
use super::failure::PluginFailure;
use super::generation::{Generation, Live};
use super::limits::{AT_A_STRETCH, REASON_BYTES, cut, line};
use super::lot::{Lot, Share};
use super::meter::Call;
use super::offline;
use super::registry::Registry;
use crate::core::PluginName;

/// After a batch has failed its filters are judged one by one; at this many failures the
/// rest of them stays closed for this batch. Those that failed pause, so the next gets further.
const FAILURES_A_BATCH: usize = 16;
/// Of so many filters those who listen hear, a batch.
const FILTERS_TOLD: usize = 16;
/// Filters that may fail while they are made anew for one fresh instance after the other.
const FRESH_INSTANCES: usize = 8;

/// Judgements that one call is asked for: so that it stays within its time also where each takes 2 µs.
const JUDGEMENTS_A_CALL: usize = 2048;

/// A filter of this shard; stays the same over reloads and failures, and is never another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FilterId {
    slot: u32,
    serial: u32,
}

/// Why a filter was not made.
#[derive(Debug)]
pub enum FilterRefusal {
    /// The plugin's own reason.
    Refused(String),
    Failed(PluginFailure),
}

struct Expression {
    serial: u32,
    plugin: PluginName,
    params: Bytes,
    subscribers: usize,
}

/// A plugin's filters on this shard.
#[derive(Default)]
struct Shelf {
    runner: Mutex<Runner>,
    /// The plugin has not heard yet that these have no subscribers any more.
    gone: RefCell<Vec<FilterId>>,
}

#[derive(Default)]
pub struct Filters {
    /// Counted while a version is on trial.
    batches: Cell<u64>,
    serial: Cell<u32>,
    expressions: RefCell<Slab<Expression>>,
    by_params: RefCell<HashMap<(PluginName, Bytes), FilterId>>,
    shelves: RefCell<HashMap<PluginName, Rc<Shelf>>>,
    generations: RefCell<HashMap<PluginName, Arc<Generation>>>,
    judged: Cell<u64>,
    /// Versions on trial, each with an instance of its own.
    trials: RefCell<HashMap<PluginName, Rc<Trial>>>,
}

/// A new version gets a share of the batches; what it fails by is judged by the one in use.
struct Trial {
    generation: Arc<Generation>,
    shelf: Shelf,
    /// The newest filter when its instance was last told of them.
    serial: Cell<u32>,
    share: Share,
}

impl Filters {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the filter plugins of a registry; their instances move at their next call.
    pub fn install(&self, registry: &Registry) {
        let filters = registry.plugins().filter(|g| g.capabilities.filter.is_some());
        *self.generations.borrow_mut() = filters.map(|g| (g.name.clone(), g.clone())).collect();
        let mut before = self.trials.take();
        let trials = registry.canaries().filter(|(g, _)| g.capabilities.filter.is_some());
        *self.trials.borrow_mut() = trials
            .map(|(generation, share)| {
                let before = before.remove(&generation.name);
                let same = before.filter(|trial| trial.generation.number == generation.number);
                let trial = same.unwrap_or_else(|| {
                    let (generation, share) = (generation.clone(), *share);
                    Rc::new(Trial { generation, share, shelf: Shelf::default(), serial: Cell::new(0) })
                });
                (generation.name.clone(), trial)
            })
            .collect();
    }

    /// One more subscriber with these parameters (JSON).
    pub async fn add(&self, generation: &Arc<Generation>, params: &Bytes) -> Result<FilterId, FilterRefusal> {
        let key = (generation.name.clone(), params.clone());
        let shelf = self.shelves.borrow_mut().entry(generation.name.clone()).or_default().clone();
        let mut runner = shelf.runner.lock().await;
        let known = self.by_params.borrow().get(&key).copied();
        if let Some(id) = known {
            if let Some(expression) = find(&mut self.expressions.borrow_mut(), id) {
                expression.subscribers += 1;
            }
            return Ok(id);
        }
        let mut live = self.ready(&shelf, &mut runner, generation).await.map_err(FilterRefusal::Failed)?;
        let clock = live.meter.arm(&mut live.store, Call::of(Function::FilterAdd), generation.limits.open_ms);
        let added = clock.watch(pin!(live.guest.call_add(&mut live.store, params))).await;
        match added {
            Ok(Ok(guest_id)) => {
                runner.slot.put(live);
                let serial = self.serial.replace(self.serial.get().wrapping_add(1));
                let (plugin, params) = (generation.name.clone(), params.clone());
                let expression = Expression { serial, plugin, params, subscribers: 1 };
                let slot = self.expressions.borrow_mut().insert(expression) as u32;
                let id = FilterId { slot, serial };
                runner.knows(id, Some(guest_id));
                self.by_params.borrow_mut().insert(key, id);
                Ok(id)
            }
            Ok(Err(reason)) => {
                runner.slot.put(live);
                Err(FilterRefusal::Refused(cut(reason, REASON_BYTES)))
            }
            Err(error) => {
                let failure = PluginFailure::of_call(&error);
                // The fault of these parameters, as far as anybody knows: nobody else pauses.
                runner.lost();
                generation.note(&failure, "making a filter");
                Err(FilterRefusal::Failed(failure))
            }
        }
    }

    /// One subscriber less. The plugin hears of the last one at its next call.
    pub fn release(&self, id: FilterId) {
        let mut expressions = self.expressions.borrow_mut();
        let Some(expression) = find(&mut expressions, id) else { return };
        expression.subscribers -= 1;
        if expression.subscribers == 0 {
            let gone = expressions.remove(id.slot as usize);
            if let Some(shelf) = self.shelves.borrow().get(&gone.plugin) {
                shelf.gone.borrow_mut().push(id);
            }
            if let Some(trial) = self.trials.borrow().get(&gone.plugin) {
                trial.shelf.gone.borrow_mut().push(id);
            }
            self.by_params.borrow_mut().remove(&(gone.plugin, gone.params));
        }
    }

    /// Messages times filters that plugins were asked about so far.
    pub fn judged(&self) -> u64 {
        self.judged.get()
    }

    /// Judges messages by filters of one plugin. Never fails: what cannot be judged is told apart.
    pub async fn evaluate(&self, plugin: &PluginName, ids: &[FilterId], messages: &FilterBatch) -> Bits {
        if let Some(bits) = self.try_out(plugin, ids, messages).await {
            return bits;
        }
        let shelf = self.shelves.borrow().get(plugin).cloned();
        let generation = self.generations.borrow().get(plugin).cloned();
        let (Some(shelf), Some(generation)) = (shelf, generation) else { return Bits::Nothing };
        self.evaluate_by(&shelf, &generation, ids, messages, &mut 0).await
    }

    /// By the version on trial, if there is one, it is its turn, and it can judge by all of them.
    async fn try_out(&self, plugin: &PluginName, ids: &[FilterId], messages: &FilterBatch) -> Option<Bits> {
        if self.trials.borrow().is_empty() {
            return None;
        }
        let trial = self.trials.borrow().get(plugin).cloned()?;
        let batch = self.batches.replace(self.batches.get().wrapping_add(1));
        if !trial.share.takes(Lot::of(batch)) {
            return None;
        }
        if trial.serial.replace(self.serial.get()) != self.serial.get() {
            trial.shelf.runner.lock().await.incomplete = true;
        }
        let mut failures = 0;
        let (shelf, generation) = (&trial.shelf, &trial.generation);
        let bits = self.evaluate_by(shelf, generation, ids, messages, &mut failures).await;
        if failures == 0 && (0..ids.len()).all(|filter| bits.verdict(0, filter).is_some()) {
            return Some(bits);
        }
        if failures == 0 {
            let refused = PluginFailure::Other("it refuses a filter in use".into());
            generation.note(&refused, "filtering messages");
        }
        None
    }

    async fn evaluate_by(
        &self,
        shelf: &Shelf,
        generation: &Generation,
        ids: &[FilterId],
        messages: &FilterBatch,
        failures: &mut usize,
    ) -> Bits {
        let mut runner = shelf.runner.lock().await;
        let a_call = (JUDGEMENTS_A_CALL / messages.len().max(1)).max(1);
        if ids.len() <= a_call {
            return self.judge_all(shelf, &mut runner, generation, ids, messages, failures).await;
        }
        let shift = a_call.ilog2();
        let mut parts = Vec::with_capacity((ids.len() >> shift) + 1);
        let mut since = Instant::now();
        for ids in ids.chunks(1 << shift) {
            if since.elapsed() > AT_A_STRETCH {
                tokio::task::yield_now().await;
                since = Instant::now();
            }
            parts.push(self.judge_all(shelf, &mut runner, generation, ids, messages, failures).await);
        }
        Bits::Parts { parts, shift }
    }

    async fn judge_all(
        &self,
        shelf: &Shelf,
        runner: &mut Runner,
        generation: &Generation,
        ids: &[FilterId],
        messages: &FilterBatch,
        failures: &mut usize,
    ) -> Bits {
        match self.judge(shelf, runner, generation, ids, messages).await {
            Ok(bits) => return bits,
            Err(PluginFailure::Paused { .. } | PluginFailure::Quarantined) => return Bits::Nothing,
            Err(_) => {}
        }
        let mut singly = Vec::with_capacity(ids.len());
        for id in ids {
            let judged = match *failures < FAILURES_A_BATCH {
                true => self.judge(shelf, runner, generation, &[*id], messages).await,
                false => Ok(Bits::Nothing),
            };
            if judged.is_err() {
                *failures += 1;
                runner.blame(generation, *id);
            }
            singly.push(judged.unwrap_or(Bits::Nothing));
        }
        Bits::Singly(singly)
    }

    async fn judge(
        &self,
        shelf: &Shelf,
        runner: &mut Runner,
        generation: &Generation,
        ids: &[FilterId],
        messages: &FilterBatch,
    ) -> Result<Bits, PluginFailure> {
        let mut live = self.ready(shelf, runner, generation).await?;
        let (guest_ids, columns) = runner.ask_about(ids);
        if guest_ids.is_empty() {
            runner.slot.put(live);
            return Ok(Bits::Nothing);
        }
        let batch = filter::Batch { kinds: &messages.kinds, ends: &messages.ends, data: &messages.data };
        generation.conduct.called();
        let call = Call::of(Function::FilterEvaluate);
        let clock = live.meter.arm(&mut live.store, call, generation.limits.filter_ms);
        let words = clock.watch(pin!(live.guest.call_evaluate(&mut live.store, &guest_ids, batch))).await;
        match words {
            Ok(words) => {
                runner.slot.put(live);
                if generation.taps.newest().is_some() {
                    self.tell(generation, ids, messages, &words, guest_ids.len(), &columns);
                }
                self.judged.set(self.judged.get() + (guest_ids.len() * messages.len()) as u64);
                Ok(Bits::Matrix { words, width: guest_ids.len(), columns })
            }
            Err(error) => {
                let failure = PluginFailure::of_call(&error);
                // Whose fault it is shows when they are judged one by one.
                runner.lost();
                generation.note(&failure, "filtering messages");
                Err(failure)
            }
        }
    }

    /// For those who listen: each filter's judgement of the batch, as a call of its own.
    fn tell(
        &self,
        generation: &Generation,
        ids: &[FilterId],
        messages: &FilterBatch,
        words: &[u64],
        width: usize,
        columns: &Columns,
    ) {
        let mut expressions = self.expressions.borrow_mut();
        for (filter, id) in ids.iter().enumerate().take(FILTERS_TOLD) {
            let Some(expression) = find(&mut expressions, *id) else { continue };
            let passes: Option<Vec<bool>> = (0..messages.len())
                .map(|message| bits::verdict(words, width, columns, message, filter))
                .collect();
            let Some(passes) = passes else { continue };
            let call =
                offline::Call::Filter { params: expression.params.clone(), messages: messages.unpacked() };
            generation.taps.tell(call, Ok(serde_json::json!({ "passes": passes })));
        }
    }

    /// An instance that knows every filter of its plugin that does not pause, and none that
    /// is gone.
    async fn ready(
        &self,
        shelf: &Shelf,
        runner: &mut Runner,
        generation: &Generation,
    ) -> Result<Live<filter::Guest>, PluginFailure> {
        runner.begin(generation);
        let mut tries = 0;
        loop {
            runner.look_at_instance(generation);
            let mut live = runner.slot.take(generation, async |g: &Generation| g.filter().await).await?;
            let Err((culprit, failure)) = self.reconcile(shelf, runner, generation, &mut live).await else {
                return Ok(live);
            };
            tries += 1;
            match culprit {
                // It pauses, the others are made without it.
                Some(id) if tries < FRESH_INSTANCES => {
                    runner.lost();
                    generation.note(&failure, "making a filter anew");
                    runner.blame(generation, id);
                }
                _ => {
                    runner.failed(generation, &failure, "making filters anew");
                    culprit.into_iter().for_each(|id| runner.blame(generation, id));
                    return Err(failure);
                }
            }
        }
    }

    /// An error names the filter that could not be made, if that was it.
    async fn reconcile(
        &self,
        shelf: &Shelf,
        runner: &mut Runner,
        generation: &Generation,
        live: &mut Live<filter::Guest>,
    ) -> Result<(), (Option<FilterId>, PluginFailure)> {
        let failed = |error: wasmtime::Error| PluginFailure::of_call(&error);
        let gone = shelf.gone.take();
        for id in gone {
            runner.failed.remove(&id);
            if let Some(Some(guest_id)) = runner.forget(id) {
                let call = Call::of(Function::FilterRemove);
                let clock = live.meter.arm(&mut live.store, call, generation.limits.open_ms);
                let removed = clock.watch(pin!(live.guest.call_remove(&mut live.store, guest_id))).await;
                removed.map_err(|error| (None, failed(error)))?;
            }
        }
        // The usual case looks at no filter. One that has failed is made again after its pause.
        if !runner.incomplete && runner.failed.is_empty() {
            return Ok(());
        }
        for (id, params) in self.missing(runner, generation) {
            let call = Call::of(Function::FilterAdd);
            let clock = live.meter.arm(&mut live.store, call, generation.limits.open_ms);
            let added = clock.watch(pin!(live.guest.call_add(&mut live.store, &params))).await;
            let added = added.map_err(|error| (Some(id), failed(error)))?;
            if let Err(reason) = &added {
                tracing::warn!(plugin = %generation.name, "the new version refuses a filter in use, which \
                    judges nothing from now on: {}", line(reason.clone(), REASON_BYTES));
            }
            runner.knows(id, added.ok());
        }
        runner.incomplete = false;
        Ok(())
    }

    /// Those of the plugin that its instance does not know, but for those that pause.
    fn missing(&self, runner: &mut Runner, generation: &Generation) -> Vec<(FilterId, Bytes)> {
        let expressions = self.expressions.borrow();
        let mut missing = Vec::new();
        for (slot, expression) in expressions.iter().filter(|(_, e)| e.plugin == generation.name) {
            let id = FilterId { slot: slot as u32, serial: expression.serial };
            if runner.known(id).is_none() && !runner.pauses(id) {
                missing.push((id, expression.params.clone()));
            }
        }
        missing
    }
}

fn find(expressions: &mut Slab<Expression>, id: FilterId) -> Option<&mut Expression> {
    expressions.get_mut(id.slot as usize).filter(|expression| expression.serial == id.serial)
}
