//! A filter plugin's instance on a shard: which of the shard's filters it knows, by which ids of its own,
//! and which of them pause.

use std::collections::HashMap;
use std::time::Instant;

use super::{Columns, FilterId};
use crate::plugin::bindings::filter;
use crate::plugin::conduct::Culprit;
use crate::plugin::failure::PluginFailure;
use crate::plugin::generation::Generation;
use crate::plugin::health::Health;
use crate::plugin::slot::Slot;

/// A plugin's instance and the ids it has given to this shard's filters.
#[derive(Default)]
pub struct Runner {
    pub slot: Slot<filter::Guest>,
    /// By the filters' slots.
    known: Vec<Option<Known>>,
    /// The generation that `known` is of; 0 when its instance is gone.
    known_of: u64,
    /// The instance may not know every filter yet.
    pub incomplete: bool,
    /// Filters that have failed: a pause is theirs, not their plugin's.
    pub failed: HashMap<FilterId, Health>,
}

pub struct Known {
    serial: u32,
    /// None: this generation does not accept the parameters, and is not asked about them.
    guest_id: Option<u32>,
}

impl Runner {
    /// A new version may have mended what a filter failed by.
    pub fn begin(&mut self, generation: &Generation) {
        if !self.slot.is_of(generation) {
            self.failed.clear();
        }
    }

    /// What an instance that is gone knew, its successor does not. One whose call was given up was not put back: it is
    /// gone too.
    pub fn look_at_instance(&mut self, generation: &Generation) {
        if self.known_of != generation.number || !self.slot.is_live() {
            self.known.clear();
            self.known_of = generation.number;
            self.incomplete = true;
        }
    }

    /// Has the filter failed a moment ago?
    pub fn pauses(&mut self, id: FilterId) -> bool {
        pauses(&mut self.failed, id)
    }

    pub fn known(&self, id: FilterId) -> Option<&Known> {
        self.known.get(id.slot as usize)?.as_ref().filter(|known| known.serial == id.serial)
    }

    pub fn knows(&mut self, id: FilterId, guest_id: Option<u32>) {
        let slot = id.slot as usize;
        if self.known.len() <= slot {
            self.known.resize_with(slot + 1, || None);
        }
        self.known[slot] = Some(Known { serial: id.serial, guest_id });
    }

    pub fn forget(&mut self, id: FilterId) -> Option<Option<u32>> {
        let known = self.known(id)?.guest_id;
        self.known[id.slot as usize] = None;
        Some(known)
    }

    /// The ids that the instance knows filters by, and where in its answer theirs is.
    pub fn ask_about(&mut self, ids: &[FilterId]) -> (Vec<u32>, Columns) {
        let mut guest_ids = Vec::with_capacity(ids.len());
        let mut columns = Columns::All;
        for (at, id) in ids.iter().enumerate() {
            let asked = self.known(*id).and_then(|known| known.guest_id);
            let asked = asked.filter(|_| self.failed.is_empty() || !pauses(&mut self.failed, *id));
            match (&mut columns, asked) {
                (Columns::All, Some(_)) => {}
                (Columns::All, None) => {
                    let before = (0..at).map(Some).chain([None]).collect();
                    columns = Columns::Some(before);
                }
                (Columns::Some(columns), asked) => columns.push(asked.map(|_| guest_ids.len())),
            }
            guest_ids.extend(asked);
        }
        (guest_ids, columns)
    }

    /// This filter failed, as is noted already: it pauses, and nobody else.
    pub fn blame(&mut self, generation: &Generation, id: FilterId) {
        self.failed.entry(id).or_insert_with(|| Health::with_patience(1)).failed(Instant::now());
        generation.conduct.paused(Culprit::of(id));
    }

    /// The instance is gone, and what it knew with it.
    pub fn lost(&mut self) {
        self.known_of = 0;
    }

    /// The plugin itself fails: it pauses for all.
    pub fn failed(&mut self, generation: &Generation, failure: &PluginFailure, doing: &str) {
        self.slot.failed(generation, failure, doing);
        self.lost();
    }
}

fn pauses(failed: &mut HashMap<FilterId, Health>, id: FilterId) -> bool {
    failed.get_mut(&id).is_some_and(|health| health.check(Instant::now).is_err())
}
