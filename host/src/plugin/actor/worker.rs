//! Who works off a store's mailbox: whoever finds it ready, on the spot, and a task what takes longer.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::mailbox::{Mailbox, Queue, Standing};
use super::runner::Runner;
use super::{ActorSink, OwnStore, Work};
use crate::plugin::limits::AT_A_STRETCH;

type Run = Pin<Box<dyn Future<Output = ()>>>;

pub(super) struct Worker<S: ActorSink> {
    pub sink: Rc<S>,
    pub mailbox: Rc<Mailbox<S::Ticket>>,
    pub next_channel: Cell<u32>,
    /// None while it is under way. It never ends.
    run: RefCell<Option<Run>>,
}

impl<S: ActorSink> Worker<S> {
    pub fn new(sink: Rc<S>, own: Option<OwnStore>) -> Rc<Self> {
        let mailbox = Rc::<Mailbox<S::Ticket>>::default();
        Rc::new_cyclic(|this: &Weak<Self>| {
            let runner = Runner::new(sink.clone(), own);
            let run: Run = Box::pin(runner.run(this.clone(), mailbox.clone()));
            Self { sink, mailbox, next_channel: Cell::default(), run: RefCell::new(Some(run)) }
        })
    }

    /// Work of a channel.
    pub fn push(self: &Rc<Self>, of: &Rc<Queue<S::Ticket>>, work: Work<S::Ticket>) {
        self.mailbox.push(of, work);
        if self.mailbox.standing() == Standing::Idle {
            self.mailbox.stands(Standing::Ready);
            self.sink.ready(Ready(self.clone()));
        }
    }

    /// Until there is no more work, or others have their turn.
    async fn go_on(self: Rc<Self>, mut run: Run) {
        std::future::poll_fn(|context| match self.poll(&mut run, context) {
            Standing::Busy => Poll::Pending,
            Standing::Idle | Standing::Ready | Standing::Paused => Poll::Ready(()),
        })
        .await;
        self.rest(run);
    }

    fn poll(&self, run: &mut Run, context: &mut Context<'_>) -> Standing {
        self.mailbox.stands(Standing::Busy);
        let _ = run.as_mut().poll(context);
        self.mailbox.standing()
    }

    /// Nothing is under way.
    fn rest(self: Rc<Self>, run: Run) {
        self.run.replace(Some(run));
        if self.mailbox.standing() != Standing::Idle {
            self.sink.ready(Ready(self.clone()));
        }
    }
}

/// A store that has something to do, and does nothing.
pub struct Ready(Rc<dyn Works>);

impl Ready {
    /// Most calls are done at once: their answers are here when this returns. A call that is not done goes on as a
    /// task; after many the store is ready again. Within a `LocalSet`.
    pub fn work(self) {
        self.0.work();
    }

    /// Some of its channels have not had their turn: it comes before all that are ready already.
    pub fn goes_on(&self) -> bool {
        self.0.goes_on()
    }

    /// As a task, within a `LocalSet`.
    pub fn spawn(self) {
        self.0.spawn();
    }
}

/// A worker, whatever its sink.
trait Works {
    fn work(self: Rc<Self>);
    fn spawn(self: Rc<Self>);
    fn goes_on(&self) -> bool;
}

impl<S: ActorSink> Works for Worker<S> {
    fn work(self: Rc<Self>) {
        let Some(mut run) = self.run.take() else { return };
        // Another's task asks again itself, so nobody need be woken.
        let mut context = Context::from_waker(Waker::noop());
        let began = Instant::now();
        loop {
            let begun = self.mailbox.begun();
            if self.poll(&mut run, &mut context) != Standing::Busy {
                return self.rest(run);
            }
            // A short call may be under way when a slice ends, but not when two do.
            if self.mailbox.begun() == begun || began.elapsed() > AT_A_STRETCH {
                break;
            }
        }
        tokio::task::spawn_local(self.go_on(run));
    }

    fn spawn(self: Rc<Self>) {
        if let Some(run) = self.run.take() {
            tokio::task::spawn_local(self.go_on(run));
        }
    }

    fn goes_on(&self) -> bool {
        self.mailbox.standing() == Standing::Paused
    }
}
