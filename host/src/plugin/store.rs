//! What stands behind one store: its limits, its clock, and WASI, as far as it is granted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::ResourceTable;
use wasmtime::{Engine, ResourceLimiter, Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::failure::{OutOfMemory, OutOfTime, TableTooLarge};
use super::grants::{Grants, Hooks};
use super::imports::log::LINES_A_SECOND;
use super::imports::stdio::LineLog;
use super::interrupts::{Interrupts, SLICE};
use super::lane::Turn;
use super::lasting::Lasting;
use super::limits::{
    FIELDS_BYTES, HANDLES, INSTANCES, MEMORIES, PluginLimits, TABLE_ELEMENTS, TABLES, WASI_HANDLES,
};
use super::log_budget::LogBudget;
use super::meter::{Call, UnderWay};
use super::offline::Recording;
use super::quick::Quick;
use super::reads::{Reads, Waited};
use super::stint::Stint;
use crate::core::TraceParent;

/// Who a store belongs to, for its log lines and settings.
#[derive(Clone, Debug)]
pub struct Owner {
    pub plugin: String,
    pub version: String,
    pub settings: Arc<BTreeMap<String, String>>,
    pub grants: Arc<Grants>,
    pub lasting: Arc<Lasting>,
    pub interrupts: Arc<Interrupts>,
    pub reads: Reads,
    /// What it reads is answered from this, and not by a server.
    pub recording: Option<Recording>,
    /// Its component can wait in the host, for a timer of WASI or an answer.
    pub waits: bool,
    pub quick: Arc<Quick>,
}

/// What WASI keeps for one store.
struct Wasi {
    context: WasiCtx,
    table: ResourceTable,
    http: WasiHttpCtx,
    hooks: Hooks,
}

pub struct StoreData {
    pub(super) owner: Owner,
    pub(super) log: LogBudget,
    /// Calls of the contract's `store` in the call under way.
    pub(super) key_value_calls: u32,
    pub(super) under_way: UnderWay,
    /// Questions to the server in the call under way.
    pub(super) reads: u32,
    pub(super) waited: Arc<Waited>,
    /// What it answers must depend on what it is given.
    pub(super) is_filter: bool,
    wasi: Option<Box<Wasi>>,
    memory_limit: usize,
    /// Of all its memories together.
    memory: usize,
    /// Of its own time, what the call under way has used and may use.
    used: Duration,
    budget_ms: u64,
    pub(super) turn: Arc<Turn>,
    pub(super) stint: Arc<Stint>,
    /// Of the call under way.
    pub(super) after_slice: AfterSlice,
}

/// What a call does that has had a slice, and needs another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterSlice {
    /// It goes on: its stack is the shard's, which nobody else can use meanwhile.
    GoesOn,
    /// The shard's other work goes on, and then the call.
    #[default]
    Yields,
    /// The same, but others of its kind have their slices first. Somebody ends its turn.
    TakesTurns,
}

impl StoreData {
    /// Of all its memories together, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory
    }

    pub(super) fn recording(&self) -> Option<&Recording> {
        self.owner.recording.as_ref()
    }
}

/// A store for one instance.
pub fn new_store(engine: &Engine, owner: Owner, limits: &PluginLimits) -> Store<StoreData> {
    let data = StoreData {
        turn: Turn::new(owner.lasting.calls.tally().lane.clone()),
        owner,
        log: LogBudget::new(LINES_A_SECOND),
        key_value_calls: 0,
        under_way: UnderWay::default(),
        reads: 0,
        waited: Arc::default(),
        stint: Arc::default(),
        is_filter: false,
        wasi: None,
        memory_limit: limits.memory_bytes,
        memory: 0,
        used: Duration::ZERO,
        budget_ms: 0,
        after_slice: AfterSlice::default(),
    };
    data.owner.lasting.calls.instance_made();
    let mut store = Store::new(engine, data);
    store.limiter(|data| data);
    store.set_hostcall_fuel(limits.hostcall_bytes);
    store.set_max_component_handles(HANDLES);
    store.epoch_deadline_callback(|mut context| {
        let data = context.data_mut();
        let slice = data.owner.interrupts.last_slice();
        let own = data.stint.count(slice).unwrap_or(slice);
        data.used = data.owner.interrupts.needs_another(data.used, own);
        if data.used > Duration::from_millis(data.budget_ms) {
            return Err(OutOfTime { ms: data.budget_ms }.into());
        }
        // It has waited for most of that slice, so it is none of its own: it has yet to run long.
        if own < slice / 2 {
            return Ok(UpdateDeadline::Continue(1));
        }
        data.turn.slice_ends();
        // Long, but within its time.
        let next = match data.after_slice {
            AfterSlice::GoesOn => return Ok(UpdateDeadline::Continue(1)),
            AfterSlice::Yields => None,
            AfterSlice::TakesTurns => Some(data.turn.next()),
        };
        let interrupts = data.owner.interrupts.clone();
        Ok(UpdateDeadline::YieldCustom(
            1,
            Box::pin(async move {
                match next {
                    Some(next) => next.await,
                    None => tokio::task::yield_now().await,
                }
                // The clock may have stopped meanwhile.
                interrupts.needed();
            }),
        ))
    });
    store
}

impl StoreData {
    /// What the call under way hands on with its own requests, if anything.
    pub fn traceparent(&self) -> Option<TraceParent> {
        self.under_way.trace
    }

    /// For the call that [`Self::arm`] was for: has it no need of a stack of its own, by all that is known?
    pub(super) fn goes_straight(&mut self) -> bool {
        let straight = self.owner.quick.expects();
        if straight {
            self.after_slice = AfterSlice::GoesOn;
        }
        straight
    }

    /// Such a call has ended.
    pub(super) fn has_ended(&self) {
        if self.used > SLICE {
            self.owner.quick.was_long();
        }
    }

    /// For the next call. Without it even instantiation would stop at once. How long may it wait for
    /// what is outside, beyond its own time, if it can?
    pub(super) fn arm(&mut self, call: &Call<'_>, ms: u64) -> Option<Duration> {
        self.used = Duration::ZERO;
        self.after_slice = AfterSlice::Yields;
        self.turn.call_begins();
        self.key_value_calls = 0;
        self.reads = 0;
        self.budget_ms = ms;
        self.under_way.set(call);
        self.owner.interrupts.needed();
        self.owner.waits.then(|| {
            self.waited.call_begins();
            self.stint.call_begins();
            self.owner.grants.patience()
        })
    }
}

impl Drop for StoreData {
    fn drop(&mut self) {
        self.owner.lasting.calls.instance_gone(self.memory);
    }
}

impl ResourceLimiter for StoreData {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let memory = self.memory.saturating_sub(current).saturating_add(desired);
        if memory > self.memory_limit {
            // An error rather than a refusal: so the trap says what it was.
            return Err(OutOfMemory { limit: self.memory_limit }.into());
        }
        self.owner.lasting.calls.memory_grew(memory.saturating_sub(self.memory));
        self.memory = memory;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS {
            return Err(TableTooLarge { limit: TABLE_ELEMENTS }.into());
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}

impl StoreData {
    /// Made when first used: most plugins never do.
    fn wasi(&mut self) -> &mut Wasi {
        let owner = &self.owner;
        self.wasi.get_or_insert_with(|| {
            let mut builder = WasiCtx::builder();
            builder.stdout(LineLog::new(owner.clone())).stderr(LineLog::new(owner.clone()));
            owner.grants.furnish(&mut builder);
            let (mut table, mut http) = (ResourceTable::new(), WasiHttpCtx::new());
            table.set_max_capacity(WASI_HANDLES);
            http.set_field_size_limit(FIELDS_BYTES);
            Box::new(Wasi {
                context: builder.build(),
                table,
                http,
                hooks: Hooks { grants: owner.grants.clone(), trace: None },
            })
        })
    }
}

impl WasiView for StoreData {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi();
        WasiCtxView { ctx: &mut wasi.context, table: &mut wasi.table }
    }
}

impl WasiHttpView for StoreData {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let trace = self.traceparent();
        let wasi = self.wasi();
        wasi.hooks.trace = trace;
        WasiHttpCtxView { ctx: &mut wasi.http, table: &mut wasi.table, hooks: &mut wasi.hooks }
    }
}
