//! A call that runs long goes on beside its shard, on a thread that gives way to shards: what else the
//! shard has to do waits for two of its slices, and not for one before each step. So does what the server
//! itself has to do for long on a plugin's behalf.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll::{Pending, Ready};

use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::priority::give_way;

/// What a helper does.
type Errand = Pin<Box<dyn Future<Output = ()> + Send>>;

thread_local! {
    /// This thread's helper. It has as many errands at most as there are instances here, and ends with the
    /// thread. None: the system has no thread for it.
    static HELPER: Option<UnboundedSender<Errand>> = helper();
}

fn helper() -> Option<UnboundedSender<Errand>> {
    let (errands, coming) = unbounded_channel();
    let started = std::thread::Builder::new().name("plugin-aside".into()).spawn(|| help(coming));
    match started {
        Ok(_) => Some(errands),
        Err(error) => {
            tracing::warn!(%error, "no thread for plugins' calls that run long: they stay on their shard");
            None
        }
    }
}

fn help(mut coming: UnboundedReceiver<Errand>) {
    if let Err(error) = give_way() {
        tracing::info!(%error, "plugins' calls that run long have the same claim to a processor as all else");
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return };
    runtime.block_on(async {
        while let Some(errand) = coming.recv().await {
            tokio::spawn(errand);
        }
    });
}

/// False: there is no helper, and the errand is dropped.
fn send(errand: Errand) -> bool {
    let send = |helper: &Option<UnboundedSender<Errand>>| {
        helper.as_ref().is_some_and(|helper| helper.send(errand).is_ok())
    };
    HELPER.try_with(send).unwrap_or(false)
}

/// A call that is away. Whoever has the lock may touch it, until it is taken back.
struct Away<F>(Mutex<Option<NonNull<F>>>);

// SAFETY: the pointer stands for the `&mut F` that it is made of, and is used only under the lock.
#[allow(unsafe_code)]
unsafe impl<F: Send> Send for Away<F> {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl<F: Send> Sync for Away<F> {}

impl<F> Away<F> {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<NonNull<F>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the call back when dropped; waits for the helper's slice to end, if there is one.
struct Leash<F>(Arc<Away<F>>);

impl<F> Drop for Leash<F> {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}

/// Awaits a call, on this thread as long as `is_long` is false after a slice of it, and then beside it.
///
/// # Safety
/// What is returned must not be leaked: dropped, it takes the call back before what that has borrowed ends.
#[allow(unsafe_code)]
pub async unsafe fn aside<F>(mut call: Pin<&mut F>, is_long: impl Fn() -> bool) -> F::Output
where
    F: Future + Send,
    F::Output: Send + 'static,
{
    let here = poll_fn(|context| match call.as_mut().poll(context) {
        Ready(done) => Ready(Some(done)),
        Pending if is_long() => Ready(None),
        Pending => Pending,
    });
    if let Some(done) = here.await {
        return done;
    }
    let (done, comes_home) = oneshot::channel();
    // SAFETY: nothing is moved out of it.
    let pointer = NonNull::from(unsafe { call.as_mut().get_unchecked_mut() });
    let away = Arc::new(Away(Mutex::new(Some(pointer))));
    let leash = Leash(away.clone());
    let errand = go_on(away, done, Handle::try_current().ok());
    // SAFETY: what makes it shorter-lived than 'static is the call, which is out of reach once the leash is
    // dropped; that happens below, or with this future, which the caller does not leak. What is dropped
    // with the errand is a lock, a channel for a 'static answer, and a handle.
    let errand =
        unsafe { std::mem::transmute::<Pin<Box<dyn Future<Output = ()> + Send + '_>>, Errand>(errand) };
    let answer = if send(errand) { comes_home.await.ok() } else { None };
    drop(leash);
    match answer {
        Some(Ok(answer)) => answer,
        Some(Err(panic)) => resume_unwind(panic),
        // There is no helper (any more).
        None => call.await,
    }
}

/// Does on this thread's helper what takes long and borrows nothing.
pub async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let work = Arc::new(Mutex::new(Some(work)));
    let (done, comes_home) = oneshot::channel();
    let away = work.clone();
    send(Box::pin(async move {
        if let Some(work) = take(&away) {
            // Who waited for it may be gone.
            let _ = done.send(catch_unwind(AssertUnwindSafe(work)));
        }
    }));
    match (comes_home.await, take(&work)) {
        (Ok(Ok(answer)), _) => answer,
        (Ok(Err(panic)), _) => resume_unwind(panic),
        (Err(_), Some(work)) => work(),
        (Err(_), None) => unreachable!("who takes the work says what came of it"),
    }
}

fn take<F>(work: &Mutex<Option<F>>) -> Option<F> {
    work.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// The helper's part, with the timers of the call's own runtime.
fn go_on<'a, F>(
    away: Arc<Away<F>>,
    done: oneshot::Sender<std::thread::Result<F::Output>>,
    runtime: Option<Handle>,
) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>
where
    F: Future + Send + 'a,
    F::Output: Send + 'static,
{
    let slices = poll_fn(move |context| {
        let mut away = away.lock();
        let Some(call) = away.as_mut() else { return Ready(None) };
        let _timers = runtime.as_ref().map(Handle::enter);
        // SAFETY: it is pinned where it lives, which it does while it is not taken back; that waits for
        // the lock, and nobody else touches it meanwhile.
        #[allow(unsafe_code)]
        let call = unsafe { Pin::new_unchecked(call.as_mut()) };
        match catch_unwind(AssertUnwindSafe(|| call.poll(context))) {
            Ok(Pending) => Pending,
            Ok(Ready(answer)) => Ready(Some(Ok(answer))),
            Err(panic) => Ready(Some(Err(panic))),
        }
    });
    Box::pin(async move {
        if let Some(answer) = slices.await {
            // Who waited for it may be gone.
            let _ = done.send(answer);
        }
    })
}

#[cfg(test)]
#[allow(unsafe_code, reason = "each call is awaited or dropped where it is made")]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
    use std::thread::{ThreadId, current};

    use futures_util::FutureExt;

    use super::*;

    async fn aside<F>(call: F, is_long: impl Fn() -> bool) -> F::Output
    where
        F: Future + Send,
        F::Output: Send + 'static,
    {
        let call = pin!(call);
        // SAFETY: no test leaks it.
        unsafe { super::aside(call, is_long) }.await
    }

    /// Yields until it is somewhere else than here, and says where it has been.
    async fn travels(polls: &AtomicUsize) -> Vec<ThreadId> {
        let mut been = vec![current().id()];
        while been.len() < 2 {
            polls.fetch_add(1, SeqCst);
            tokio::task::yield_now().await;
            if current().id() != been[0] {
                been.push(current().id());
            }
        }
        been
    }

    #[tokio::test]
    async fn a_call_that_is_short_stays() {
        let (polls, slices) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let call = async {
            for _ in 0..3 {
                polls.fetch_add(1, SeqCst);
                tokio::task::yield_now().await;
            }
            current().id()
        };
        let is_long = || slices.fetch_add(1, SeqCst) > 3;
        let done = aside(call, is_long).await;
        assert_eq!((done, polls.into_inner(), slices.into_inner()), (current().id(), 3, 3));
    }

    #[tokio::test]
    async fn a_call_that_runs_long_goes_on_elsewhere_and_brings_its_answer_home() {
        let polls = AtomicUsize::new(0);
        let been = aside(travels(&polls), || true).await;
        assert_eq!(been[0], current().id());
        assert_ne!(been[1], current().id());
        // By the same helper as the next one.
        let next = aside(travels(&polls), || true).await;
        assert_eq!(been, next);
    }

    #[tokio::test]
    async fn timers_go_on_elsewhere_too() {
        let call = async {
            tokio::task::yield_now().await;
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            current().id()
        };
        assert_ne!(aside(call, || true).await, current().id());
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_is_not_touched_any_more() {
        for _ in 0..100 {
            let (is_away, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
            let here = current().id();
            let call = poll_fn(|context| {
                assert!(!is_over.load(SeqCst), "what it has borrowed may be gone");
                is_away.fetch_or(current().id() != here, SeqCst);
                context.waker().wake_by_ref();
                std::task::Poll::<()>::Pending
            });
            let mut given_up = Box::pin(aside(call, || true));
            while !is_away.load(SeqCst) {
                assert!((&mut given_up).now_or_never().is_none());
                std::thread::yield_now();
            }
            drop(given_up);
            is_over.store(true, SeqCst);
            // A helper that went on would be at it now.
            for _ in 0..10 {
                std::thread::yield_now();
            }
        }
        // It has not died of it.
        aside(travels(&AtomicUsize::new(0)), || true).await;
    }

    #[tokio::test]
    async fn a_panic_comes_home() {
        let call = async {
            tokio::task::yield_now().await;
            panic!("elsewhere")
        };
        let gone =
            AssertUnwindSafe(aside::<Pin<Box<dyn Future<Output = ()> + Send>>>(Box::pin(call), || true));
        let why = gone.catch_unwind().await.unwrap_err();
        assert_eq!(why.downcast_ref::<&str>(), Some(&"elsewhere"));
        aside(travels(&AtomicUsize::new(0)), || true).await;
    }

    #[tokio::test]
    async fn what_takes_long_is_done_elsewhere_and_panics_come_home() {
        assert_ne!(beside(|| current().id()).await, current().id());
        let gone = AssertUnwindSafe(beside(|| panic!("elsewhere")));
        let why = gone.catch_unwind().await.unwrap_err();
        assert_eq!(why.downcast_ref::<&str>(), Some(&"elsewhere"));
        assert_eq!(beside(|| 7).await, 7, "it has not died of it");
    }

    #[tokio::test]
    async fn without_a_helper_it_goes_on_here() {
        let (away, done) =
            (Arc::new(Away(Mutex::new(None::<NonNull<std::future::Ready<()>>>))), oneshot::channel());
        // Taken back before the helper has begun.
        go_on(away, done.0, None).await;
        assert!(done.1.await.is_err());
    }
}
