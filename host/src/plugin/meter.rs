//! A call begins: it gets its time, is counted, and the instance's store knows on whose behalf it is.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;
use wasmtime::Store;

use super::aside::aside;
use super::calls::{Function, Tally};
use super::failure::{OutOfTime, PluginFailure};
use super::lane::Turn;
use super::lasting::Lasting;
use super::reads::Waited;
use super::stint::Stint;
use super::store::{AfterSlice, StoreData};
use crate::core::{ChannelName, ClientId, TraceParent};

/// A call, and what it is about.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    function: Function,
    channel: Option<&'a ChannelName>,
    client: Option<ClientId>,
    trace: Option<TraceParent>,
}

impl<'a> Call<'a> {
    pub fn of(function: Function) -> Self {
        Self { function, channel: None, client: None, trace: None }
    }

    pub fn about(self, channel: &'a ChannelName) -> Self {
        Self { channel: Some(channel), ..self }
    }

    pub fn by(self, client: impl Into<Option<ClientId>>) -> Self {
        Self { client: client.into(), ..self }
    }

    pub fn traced(self, trace: Option<TraceParent>) -> Self {
        Self { trace, ..self }
    }
}

/// What a call is about, for as long as it is under way: for log lines and for what it sets off.
#[derive(Clone, Debug, Default)]
pub struct UnderWay {
    pub channel: Option<ChannelName>,
    pub client: Option<ClientId>,
    pub trace: Option<TraceParent>,
}

impl UnderWay {
    /// Most calls of a store are about the channel of the one before: then its name stays where it is.
    pub fn set(&mut self, call: &Call<'_>) {
        match (&self.channel, call.channel) {
            (Some(before), Some(now)) if before.is_same_as(now) => {}
            (None, None) => {}
            (_, now) => self.channel = now.cloned(),
        }
        self.client = call.client;
        self.trace = call.trace;
    }
}

/// Counts the calls of one instance.
#[derive(Clone)]
pub struct Meter {
    tally: Arc<Tally>,
    lasting: Arc<Lasting>,
    turn: Arc<Turn>,
    waited: Arc<Waited>,
    stint: Arc<Stint>,
}

impl Meter {
    /// For an instance of this thread, in this store.
    pub fn new(lasting: &Arc<Lasting>, store: &Store<StoreData>) -> Self {
        let data = store.data();
        Self {
            tally: lasting.calls.tally(),
            lasting: lasting.clone(),
            turn: data.turn.clone(),
            waited: data.waited.clone(),
            stint: data.stint.clone(),
        }
    }

    /// Gives the next call of a store so many milliseconds, and counts it.
    pub fn arm(&self, store: &mut Store<StoreData>, call: Call<'_>, ms: u64) -> Clock<'_> {
        let waits = give(store, &call, ms);
        // Whoever waits in the middle of a call would keep its turn, and all others waiting.
        if waits.is_none() {
            store.data_mut().after_slice = AfterSlice::TakesTurns;
        }
        let began = self.tally.begins(call.function).then(Instant::now);
        Clock { ms, waits, counted: Some((self, call.function)), began }
    }

    /// What a call has answered is not allowed. What comes to nothing by itself, [`Clock::watch`] counts.
    pub fn refused(&self, function: Function, failure: &PluginFailure) {
        self.lasting.calls.failed(function, failure.class());
    }
}

/// How long may the call wait for what is outside, if it can?
fn give(store: &mut Store<StoreData>, call: &Call<'_>, ms: u64) -> Option<Duration> {
    store.set_epoch_deadline(1);
    store.data_mut().arm(call, ms)
}

/// The same without counting: for who has no meter.
pub fn arm(store: &mut Store<StoreData>, ms: u64) -> Clock<'static> {
    let waits = give(store, &Call::of(Function::Start), ms);
    Clock { ms, waits, counted: None, began: None }
}

/// Ticks count while the component runs. One that waits in the host, for a timer of WASI,
/// does not run: the wall clock ends it.
#[must_use = "a call that waits in the host ends only by `watch`"]
pub struct Clock<'a> {
    ms: u64,
    /// None: it cannot wait. Else how long it may for what is outside, beyond its own time.
    waits: Option<Duration>,
    counted: Option<(&'a Meter, Function)>,
    /// If the call is one of those that are timed.
    began: Option<Instant>,
}

/// Given up or not, the call's turn is over.
impl Drop for Clock<'_> {
    fn drop(&mut self) {
        if let Some((meter, _)) = self.counted {
            meter.turn.over();
        }
    }
}

impl Clock<'_> {
    /// Beyond the call's own time, because the wall clock counts the neighbours' too.
    const GRACE: Duration = Duration::from_secs(1);

    /// Awaits the call, which stays where it is: it is large. After an error the store must not be
    /// used again.
    pub async fn watch<T: Send + 'static>(
        self,
        call: Pin<&mut (impl Future<Output = wasmtime::Result<T>> + Send)>,
    ) -> wasmtime::Result<T> {
        let done = match (self.waits, self.counted) {
            (None, _) => self.go_on(call).await,
            (Some(patience), None) => self.in_time(patience, call).await,
            (Some(patience), Some((meter, _))) => {
                let call = pin!(meter.stint.of(call));
                self.in_time(patience, self.go_on(call)).await
            }
        };
        self.done(done)
    }

    /// Ended where it waits longer than it may for what is outside.
    async fn in_time<T>(
        &self,
        patience: Duration,
        call: impl Future<Output = wasmtime::Result<T>>,
    ) -> wasmtime::Result<T> {
        let mut call = pin!(call);
        let end = tokio::time::Instant::now() + Duration::from_millis(self.ms) + Self::GRACE + patience;
        loop {
            let waited = self.waited();
            match timeout_at(end + waited, call.as_mut()).await {
                Ok(done) => return done,
                Err(_) if self.waited() > waited => {}
                Err(_) => return Err(OutOfTime { ms: self.ms }.into()),
            }
        }
    }

    /// What the server itself has made it wait, which does not count.
    fn waited(&self) -> Duration {
        self.counted.map_or(Duration::ZERO, |(meter, _)| meter.waited.so_far())
    }

    /// The same for a call that was not awaited.
    pub fn done<T>(self, done: wasmtime::Result<T>) -> wasmtime::Result<T> {
        if self.began.is_some() || done.is_err() {
            self.count(done.as_ref().err());
        }
        done
    }

    /// Beside the shard, if it runs long.
    async fn go_on<T: Send + 'static>(
        &self,
        call: Pin<&mut (impl Future<Output = wasmtime::Result<T>> + Send)>,
    ) -> wasmtime::Result<T> {
        let Some((meter, _)) = self.counted else { return call.await };
        // SAFETY: awaited where it is made, so it is dropped with the task that waits for the call. Tasks are
        // the runtime's, which drops them; nothing here is leaked (clippy's `mem_forget`).
        #[allow(unsafe_code)]
        unsafe { aside(call, || meter.turn.is_long()) }.await
    }

    #[cold]
    fn count(&self, error: Option<&wasmtime::Error>) {
        let Some((meter, function)) = self.counted else { return };
        if let Some(began) = self.began {
            let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            meter.tally.took(function, nanos);
        }
        if let Some(error) = error {
            meter.lasting.calls.failed(function, PluginFailure::of_call(error).class());
        }
    }
}
