//! A version in the shadow: it is called as the one in use is, on a thread of its own, and what it
//! gives is compared and thrown away. It has no grants, a store of its own, and nobody waits for it.
//!
//! Where it does not keep up calls are missed, and then what it remembers of channels is not what it
//! would be: so after a while it begins anew, from what the version in use remembers.

mod compare;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
pub use compare::Difference;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::engine::{PluginEngine, StoreShare};
use super::generation::Generation;
use super::host::PluginSettings;
use super::loader::{LoadError, Source};
use super::offline::Offline;
use super::report::FileError;
use super::tap::{Called, Observed, Tap, Taps};
use crate::core::{ChannelName, PluginName};

/// Channels that are followed; calls in others are missed.
const CHANNELS: usize = 256;
/// After calls were missed it begins anew, but not more often: each time the channels of the version
/// in use are saved once.
const ANEW: Duration = Duration::from_secs(10);

/// One that is loaded, and not called yet.
pub struct Shadowing(Offline);

impl Shadowing {
    /// # Errors
    /// Those of the loader.
    pub async fn load(
        source: Source,
        settings: &PluginSettings,
        engine: &PluginEngine,
    ) -> Result<Self, LoadError> {
        let engine = engine.apart().map_err(|error| LoadError::WrongImports(format!("{error:#}")))?;
        Offline::load(source, settings, &engine).await.map(Self)
    }

    pub fn generation(&self) -> &Arc<Generation> {
        self.0.generation()
    }
}

/// One that is called. Dropped, it is no more.
pub struct Shadow {
    pub generation: Arc<Generation>,
    counts: Arc<Counts>,
    /// Dropped with it: then the thread ends.
    _stop: oneshot::Sender<()>,
}

#[derive(Debug, Default)]
struct Counts {
    same: AtomicU64,
    differ: AtomicU64,
    missed: AtomicU64,
    last: Mutex<Option<Difference>>,
}

/// How many calls gave the same, something else, or were missed.
#[derive(Clone, Debug, Default)]
pub struct Compared {
    pub same: u64,
    pub differ: u64,
    pub missed: u64,
    pub last: Option<Difference>,
}

impl Shadow {
    /// It is called from now on.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn begin(Shadowing(plugin): Shadowing, taps: Arc<Taps>) -> Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (generation, counts) = (plugin.generation().clone(), Arc::<Counts>::default());
        let (tap, told) = (taps.listen(), counts.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new()
            .name("plugin-shadow".into())
            .spawn(move || {
                let follow = follow(&plugin, &taps, tap, &told);
                runtime.block_on(async {
                    tokio::select! {
                        () = follow => {}
                        _ = stopped => {}
                    }
                });
            })
            .context("cannot start a shadow's thread")?;
        Ok(Self { generation, counts, _stop: stop })
    }

    pub fn compared(&self) -> Compared {
        Compared {
            same: self.counts.same.load(Relaxed),
            differ: self.counts.differ.load(Relaxed),
            missed: self.counts.missed.load(Relaxed),
            last: self.counts.last.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// What is told of it where there is no plugin of its name.
    pub fn without(&self, name: &PluginName) -> FileError {
        let message = format!("it is not called: there is no plugin `{name}` that it could be the shadow of");
        FileError::of(&self.generation.file, message, self.generation.loaded_at)
    }
}

async fn follow(plugin: &Offline, taps: &Arc<Taps>, mut tap: Tap, counts: &Counts) {
    loop {
        let (anew, before) = (Instant::now() + ANEW, counts.missed.load(Relaxed));
        let mut following = Following { services: plugin.beside(), channels: HashMap::new(), plugin, counts };
        loop {
            let observed = tap.next().await;
            // Of the calls that wait, those before it are good. They are missed with it all the same:
            // it does not keep up.
            if tap.missed() > 0 {
                break;
            }
            following.take(&observed).await;
        }
        drop(following);
        let mut thrown_away = 1;
        loop {
            counts.missed.store(before + tap.missed() + thrown_away, Relaxed);
            match timeout_at(anew, tap.next()).await {
                Ok(_) => thrown_away += 1,
                Err(_) => break,
            }
        }
        tap = taps.listen();
    }
}

/// What it has in mind since it began.
struct Following<'a> {
    plugin: &'a Offline,
    counts: &'a Counts,
    /// For auth, actions and filters.
    services: Offline,
    channels: HashMap<ChannelName, Place>,
}

enum Place {
    At(Box<Offline>, #[allow(dead_code, reason = "held as long as the store")] StoreShare),
    /// It does not go on from the state that the channel has.
    Refused,
}

impl Following<'_> {
    async fn take(&mut self, observed: &Observed) {
        let called = match observed {
            Observed::Called(called) => called,
            Observed::Left(channel) => return drop(self.channels.remove(channel)),
        };
        let Some(place) = self.place(called) else {
            self.counts.missed.fetch_add(1, Relaxed);
            return;
        };
        let now = place.call(&called.call).await;
        let is_refused = called.begins && now.as_ref().is_err_and(|why| why.class() == "snapshot_refused");
        self.compared(called, Difference::between(called, now));
        if is_refused && let Some(place) = called.call.channel().and_then(|of| self.channels.get_mut(of)) {
            *place = Place::Refused;
        }
    }

    /// Where the call is made; none: what went before it is not known.
    fn place(&mut self, called: &Called) -> Option<&mut Offline> {
        let Some(channel) = called.call.channel() else { return Some(&mut self.services) };
        if called.begins {
            self.channels.remove(channel);
            if self.channels.len() < CHANNELS
                && let Some(share) = StoreShare::take(&self.plugin.generation().own_stores)
            {
                let place = Place::At(Box::new(self.plugin.beside()), share);
                self.channels.insert(channel.clone(), place);
            }
        }
        match self.channels.get_mut(channel) {
            Some(Place::At(place, _)) => Some(place),
            Some(Place::Refused) | None => None,
        }
    }

    fn compared(&self, called: &Called, difference: Option<Difference>) {
        let Some(difference) = difference else {
            self.counts.same.fetch_add(1, Relaxed);
            return;
        };
        let nth = self.counts.differ.fetch_add(1, Relaxed) + 1;
        // Ever less often.
        if nth.is_power_of_two() {
            difference.tell(called, self.plugin.generation(), nth);
        }
        *self.counts.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(difference);
    }
}
