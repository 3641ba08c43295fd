//! A shard's filters: equal parameters are one filter, a message is judged once each, and
//! many messages cross into the plugin at once.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::Mutex;

use super::bindings::{filter, types};
use super::conduct::Culprit;
use super::failure::PluginFailure;
use super::generation::{Generation, Live};
use super::health::Health;
use super::limits::{REASON_BYTES, cut, line};
use super::lot::{Lot, Share};
use super::registry::Registry;
use super::slot::Slot;
use crate::core::{PayloadKind, PluginName};

/// After a batch has failed its filters are judged one by one; at this many failures the
/// rest of them stays closed for this batch. Those that failed pause, so the next gets further.
const FAILURES_A_BATCH: usize = 16;
/// Filters that may fail while they are made anew for one fresh instance after the other.
const FRESH_INSTANCES: usize = 8;

/// A filter of this shard; stays the same over reloads and failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FilterId(u64);

/// Why a filter was not made.
#[derive(Debug)]
pub enum FilterRefusal {
    /// The plugin's own reason.
    Refused(String),
    Failed(PluginFailure),
}

struct Expression {
    plugin: PluginName,
    params: Bytes,
    subscribers: usize,
}

/// A plugin's instance and the ids it has given to this shard's filters.
#[derive(Default)]
struct Runner {
    slot: Slot<filter::Guest>,
    /// None: this generation does not accept the parameters; it passes nothing.
    known: HashMap<FilterId, Option<u32>>,
    /// The generation that `known` is of; 0 when its instance is gone.
    known_of: u64,
    /// Filters that have failed: a pause is theirs, not their plugin's.
    failed: HashMap<FilterId, Health>,
}

#[derive(Default)]
pub struct Filters {
    /// Counted while a version is on trial.
    batches: Cell<u64>,
    next: Cell<u64>,
    expressions: RefCell<BTreeMap<FilterId, Expression>>,
    by_params: RefCell<HashMap<(PluginName, Bytes), FilterId>>,
    runners: RefCell<HashMap<PluginName, Rc<Mutex<Runner>>>>,
    generations: RefCell<HashMap<PluginName, Arc<Generation>>>,
    /// Versions on trial, each with an instance of its own.
    trials: RefCell<HashMap<PluginName, Trial>>,
}

/// A new version gets a share of the batches; what it fails by is judged by the one in use.
#[derive(Clone)]
struct Trial {
    generation: Arc<Generation>,
    runner: Rc<Mutex<Runner>>,
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
                let same =
                    before.remove(&generation.name).filter(|t| t.generation.number == generation.number);
                let runner = same.map(|trial| trial.runner).unwrap_or_default();
                (generation.name.clone(), Trial { generation: generation.clone(), runner, share: *share })
            })
            .collect();
    }

    /// One more subscriber with these parameters (JSON).
    pub async fn add(&self, generation: &Arc<Generation>, params: &Bytes) -> Result<FilterId, FilterRefusal> {
        let key = (generation.name.clone(), params.clone());
        let runner = self.runners.borrow_mut().entry(generation.name.clone()).or_default().clone();
        let mut runner = runner.lock().await;
        let known = self.by_params.borrow().get(&key).copied();
        if let Some(id) = known {
            if let Some(expression) = self.expressions.borrow_mut().get_mut(&id) {
                expression.subscribers += 1;
            }
            return Ok(id);
        }
        let mut live = self.ready(&mut runner, generation).await.map_err(FilterRefusal::Failed)?;
        let clock = live.arm(generation.limits.open_ms);
        match clock.watch(live.guest.call_add(&mut live.store, params)).await {
            Ok(Ok(guest_id)) => {
                runner.slot.put(live);
                let id = FilterId(self.next.replace(self.next.get() + 1));
                runner.known.insert(id, Some(guest_id));
                let expression =
                    Expression { plugin: generation.name.clone(), params: params.clone(), subscribers: 1 };
                self.expressions.borrow_mut().insert(id, expression);
                self.by_params.borrow_mut().insert(key, id);
                Ok(id)
            }
            Ok(Err(reason)) => {
                runner.slot.put(live);
                Err(FilterRefusal::Refused(cut(reason, REASON_BYTES)))
            }
            Err(error) => {
                let failure = PluginFailure::from_wasmtime(&error);
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
        let Some(expression) = expressions.get_mut(&id) else { return };
        expression.subscribers -= 1;
        if expression.subscribers == 0
            && let Some(gone) = expressions.remove(&id)
        {
            self.by_params.borrow_mut().remove(&(gone.plugin, gone.params));
        }
    }

    /// Judges messages by filters of one plugin. Never fails: what cannot be judged does not pass.
    pub async fn evaluate(&self, plugin: &PluginName, ids: &[FilterId], messages: &FilterBatch) -> Bits {
        if let Some(bits) = self.try_out(plugin, ids, messages).await {
            return bits;
        }
        let runner = self.runners.borrow().get(plugin).cloned();
        let generation = self.generations.borrow().get(plugin).cloned();
        let (Some(runner), Some(generation)) = (runner, generation) else { return Bits::none() };
        let mut runner = runner.lock().await;
        match self.judge(&mut runner, &generation, ids, messages).await {
            Ok(bits) => bits,
            Err(PluginFailure::Degraded { .. } | PluginFailure::Quarantined) => Bits::none(),
            Err(_) => self.judge_singly(&mut runner, &generation, ids, messages).await,
        }
    }

    /// By the version on trial, if there is one, it is its turn, and it can.
    async fn try_out(&self, plugin: &PluginName, ids: &[FilterId], messages: &FilterBatch) -> Option<Bits> {
        if self.trials.borrow().is_empty() {
            return None;
        }
        let Trial { generation, runner, share } = self.trials.borrow().get(plugin).cloned()?;
        let batch = self.batches.replace(self.batches.get().wrapping_add(1));
        if !share.takes(Lot::of(batch)) {
            return None;
        }
        let mut runner = runner.lock().await;
        let bits = self.judge(&mut runner, &generation, ids, messages).await.ok()?;
        if let Bits::Matrix { columns, .. } = &bits
            && (columns.is_empty() || columns.contains(&None))
        {
            let refused = PluginFailure::Other("it refuses or fails by a filter in use".into());
            generation.note(&refused, "filtering messages");
            return None;
        }
        Some(bits)
    }

    async fn judge_singly(
        &self,
        runner: &mut Runner,
        generation: &Generation,
        ids: &[FilterId],
        messages: &FilterBatch,
    ) -> Bits {
        let mut failures = 0;
        let mut singly = Vec::with_capacity(ids.len());
        for id in ids {
            let judged = if failures < FAILURES_A_BATCH {
                self.judge(runner, generation, &[*id], messages).await
            } else {
                Ok(Bits::none())
            };
            if judged.is_err() {
                failures += 1;
                runner.blame(*id);
                generation.conduct.paused(Culprit::One(id.0));
            }
            singly.push(judged.unwrap_or_else(|_| Bits::none()));
        }
        Bits::Singly(singly)
    }

    async fn judge(
        &self,
        runner: &mut Runner,
        generation: &Generation,
        ids: &[FilterId],
        messages: &FilterBatch,
    ) -> Result<Bits, PluginFailure> {
        let mut live = self.ready(runner, generation).await?;
        let mut guest_ids = Vec::with_capacity(ids.len());
        let columns: Vec<Option<usize>> = ids
            .iter()
            .map(|id| {
                let guest_id = runner.known.get(id).copied().flatten()?;
                if pauses(&mut runner.failed, *id) {
                    return None;
                }
                guest_ids.push(guest_id);
                Some(guest_ids.len() - 1)
            })
            .collect();
        if guest_ids.is_empty() {
            runner.slot.put(live);
            return Ok(Bits::none());
        }
        let batch = filter::Batch { kinds: &messages.kinds, ends: &messages.ends, data: &messages.data };
        let clock = live.arm(generation.limits.filter_ms);
        generation.conduct.called();
        match clock.watch(live.guest.call_evaluate(&mut live.store, &guest_ids, batch)).await {
            Ok(words) => {
                runner.slot.put(live);
                Ok(Bits::Matrix { words, width: guest_ids.len(), columns })
            }
            Err(error) => {
                let failure = PluginFailure::from_wasmtime(&error);
                // Whose fault it is shows when they are judged one by one.
                runner.lost();
                generation.note(&failure, "filtering messages");
                Err(failure)
            }
        }
    }

    /// An instance that knows every filter of its plugin that does not pause, and none that
    /// is gone.
    async fn ready(
        &self,
        runner: &mut Runner,
        generation: &Generation,
    ) -> Result<Live<filter::Guest>, PluginFailure> {
        // A new version may have mended what a filter failed by.
        if !runner.slot.is_of(generation) {
            runner.failed.clear();
        }
        let mut tries = 0;
        loop {
            // An instance whose call was given up was not put back: it is gone too.
            if runner.known_of != generation.number || !runner.slot.is_live() {
                runner.known.clear();
                runner.known_of = generation.number;
            }
            let mut live = runner.slot.take(generation, async |g: &Generation| g.filter().await).await?;
            let Err((culprit, failure)) = self.reconcile(runner, generation, &mut live).await else {
                return Ok(live);
            };
            tries += 1;
            match culprit {
                // It pauses, the others are made without it.
                Some(id) if tries < FRESH_INSTANCES => {
                    runner.blame(id);
                    runner.lost();
                    generation.note(&failure, "making a filter anew");
                }
                _ => {
                    culprit.into_iter().for_each(|id| runner.blame(id));
                    runner.failed(generation, &failure, "making filters anew");
                    return Err(failure);
                }
            }
        }
    }

    /// An error names the filter that could not be made, if that was it.
    async fn reconcile(
        &self,
        runner: &mut Runner,
        generation: &Generation,
        live: &mut Live<filter::Guest>,
    ) -> Result<(), (Option<FilterId>, PluginFailure)> {
        let (missing, gone) = {
            let expressions = self.expressions.borrow();
            let missing: Vec<(FilterId, Bytes)> = expressions
                .iter()
                .filter(|(id, e)| e.plugin == generation.name && !runner.known.contains_key(id))
                .filter(|(id, _)| !pauses(&mut runner.failed, **id))
                .map(|(id, e)| (*id, e.params.clone()))
                .collect();
            runner.failed.retain(|id, _| expressions.contains_key(id));
            let gone: Vec<FilterId> =
                runner.known.keys().filter(|id| !expressions.contains_key(id)).copied().collect();
            (missing, gone)
        };
        let failed = |error: wasmtime::Error| PluginFailure::from_wasmtime(&error);
        for id in gone {
            if let Some(Some(guest_id)) = runner.known.remove(&id) {
                let clock = live.arm(generation.limits.open_ms);
                let removed = clock.watch(live.guest.call_remove(&mut live.store, guest_id)).await;
                removed.map_err(|error| (None, failed(error)))?;
            }
        }
        for (id, params) in missing {
            let clock = live.arm(generation.limits.open_ms);
            let added = clock.watch(live.guest.call_add(&mut live.store, &params)).await;
            let added = added.map_err(|error| (Some(id), failed(error)))?;
            if let Err(reason) = &added {
                tracing::warn!(plugin = %generation.name, "the new version refuses a filter in use, which \
                    passes nothing from now on: {}", line(reason.clone(), REASON_BYTES));
            }
            runner.known.insert(id, added.ok());
        }
        Ok(())
    }
}

/// Has the filter failed a moment ago?
fn pauses(failed: &mut HashMap<FilterId, Health>, id: FilterId) -> bool {
    failed.get_mut(&id).is_some_and(|health| health.check(Instant::now).is_err())
}

impl Runner {
    /// This filter failed: it pauses, and nobody else.
    fn blame(&mut self, id: FilterId) {
        self.failed.entry(id).or_insert_with(|| Health::with_patience(1)).failed(Instant::now());
    }

    /// The instance is gone, and what it knew with it.
    fn lost(&mut self) {
        self.known_of = 0;
    }

    /// The plugin itself fails: it pauses for all.
    fn failed(&mut self, generation: &Generation, failure: &PluginFailure, doing: &str) {
        self.slot.failed(generation, failure, doing);
        self.lost();
    }
}

/// Messages packed as the contract has them. Kept and refilled, so that its memory serves again.
#[derive(Default)]
pub struct FilterBatch {
    kinds: Vec<types::PayloadKind>,
    ends: Vec<u32>,
    data: Vec<u8>,
}

impl FilterBatch {
    pub fn push(&mut self, event: &[u8], kind: PayloadKind, payload: &[u8]) {
        self.kinds.push(kind.into());
        self.data.extend_from_slice(event);
        // A turn is far below 4 GiB.
        self.ends.push(self.data.len() as u32);
        self.data.extend_from_slice(payload);
        self.ends.push(self.data.len() as u32);
    }

    /// Kinds, ends and data, as they cross into a plugin.
    pub(super) fn parts(&self) -> (&[types::PayloadKind], &[u32], &[u8]) {
        (&self.kinds, &self.ends, &self.data)
    }

    pub fn clear(&mut self) {
        self.kinds.clear();
        self.ends.clear();
        self.data.clear();
    }
}

/// Which messages pass which filters.
#[derive(Debug)]
pub enum Bits {
    Matrix { words: Vec<u64>, width: usize, columns: Vec<Option<usize>> },
    Singly(Vec<Bits>),
}

impl Bits {
    fn none() -> Self {
        Self::Matrix { words: Vec::new(), width: 0, columns: Vec::new() }
    }

    /// By the message's place in the batch and the filter's in the list that was judged.
    pub fn passes(&self, message: usize, filter: usize) -> bool {
        match self {
            Self::Matrix { words, width, columns } => {
                let Some(column) = columns.get(filter).copied().flatten() else { return false };
                let bit = message * width + column;
                // Missing words count as zeros.
                words.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
            }
            Self::Singly(all) => all.get(filter).is_some_and(|bits| bits.passes(message, 0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_read_by_message_and_filter() {
        let bits = Bits::Matrix { words: vec![0b10_01], width: 2, columns: vec![Some(0), None, Some(1)] };
        assert!(bits.passes(0, 0));
        assert!(!bits.passes(0, 2));
        assert!(bits.passes(1, 2));
        assert!(!bits.passes(1, 1), "a filter that the plugin refuses passes nothing");
        assert!(!bits.passes(99, 0), "missing words are zeros");
        assert!(!Bits::none().passes(0, 0));
    }
}
