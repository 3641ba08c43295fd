//! Instances that a whole shard uses, one a plugin and purpose: made on first use, made
//! anew after a failure or a reload.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Mutex;

use super::bindings::{actions, auth};
use super::conduct::Culprit;
use super::failure::PluginFailure;
use super::generation::{Generation, Live};
use super::health::Health;
use crate::core::PluginName;

/// One instance, while there is one.
pub struct Slot<G> {
    generation: u64,
    live: Option<Live<G>>,
    health: Health,
}

impl<G> Default for Slot<G> {
    fn default() -> Self {
        Self { generation: 0, live: None, health: Health::default() }
    }
}

impl<G> Slot<G> {
    /// The instance for a call. It is given back with [`Slot::put`]; one that is not, because
    /// its call failed or was given up, is gone.
    pub async fn take(
        &mut self,
        generation: &Generation,
        make: impl AsyncFnOnce(&Generation) -> Result<Live<G>, PluginFailure>,
    ) -> Result<Live<G>, PluginFailure> {
        if self.generation != generation.number {
            *self = Self { generation: generation.number, ..Self::default() };
        }
        generation.conduct.check()?;
        self.health.check(Instant::now)?;
        match self.live.take() {
            Some(live) => Ok(live),
            None => match make(generation).await {
                Ok(live) => Ok(live),
                Err(failure) => {
                    self.failed(generation, &failure, "making an instance");
                    Err(failure)
                }
            },
        }
    }

    /// Did its last call go to this generation?
    pub fn is_of(&self, generation: &Generation) -> bool {
        self.generation == generation.number
    }

    /// Is there an instance? One that was taken and not put back is gone.
    pub fn is_live(&self) -> bool {
        self.live.is_some()
    }

    pub fn put(&mut self, live: Live<G>) {
        self.live = Some(live);
    }

    pub fn failed(&mut self, generation: &Generation, failure: &PluginFailure, doing: &str) {
        self.live = None;
        generation.note(failure, doing);
        if self.health.failed(Instant::now()).is_some() {
            generation.conduct.paused(Culprit::Instance);
        }
    }
}

/// A shard's slots of one purpose: one a version that is in use, of which there may be two. A
/// call waits for the one before it.
pub struct Slots<G>(RefCell<HashMap<PluginName, Vec<Versioned<G>>>>);

struct Versioned<G> {
    generation: Arc<Generation>,
    slot: Rc<Mutex<Slot<G>>>,
}

impl<G> Default for Slots<G> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<G> Slots<G> {
    pub fn of(&self, generation: &Arc<Generation>) -> Rc<Mutex<Slot<G>>> {
        let mut all = self.0.borrow_mut();
        if let Some([only]) = all.get(&generation.name).map(Vec::as_slice)
            && only.generation.number == generation.number
        {
            return only.slot.clone();
        }
        let versions = all.entry(generation.name.clone()).or_default();
        // Instances of versions that are no longer in use go with the first call of another.
        versions
            .retain(|of| of.generation.number == generation.number || !of.generation.conduct.is_withdrawn());
        if let Some(known) = versions.iter().find(|of| of.generation.number == generation.number) {
            return known.slot.clone();
        }
        let slot = Rc::<Mutex<Slot<G>>>::default();
        versions.push(Versioned { generation: generation.clone(), slot: slot.clone() });
        slot
    }
}

/// A shard's instances for auth and actions.
#[derive(Default)]
pub struct Services {
    pub(super) auth: Slots<auth::Guest>,
    pub(super) actions: Slots<actions::Guest>,
}

impl Services {
    pub fn new() -> Self {
        Self::default()
    }
}
