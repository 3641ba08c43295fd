//! Who works off a store's mailbox: whoever finds it ready, on the spot, and a task what takes longer.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::runner::Runner;
use super::{ActorSink, Mailbox, OwnStore, Work};
use crate::plugin::limits::AT_A_STRETCH;

type Run = Pin<Box<dyn Future<Output = ()>>>;

pub(super) struct Worker<S: ActorSink> {
    pub sink: Rc<S>,
    pub mailbox: Rc<Mailbox<S::Ticket>>,
    /// None while it is under way. It never ends.
    run: RefCell<Option<Run>>,
}

impl<S: ActorSink> Worker<S> {
    pub fn new(sink: Rc<S>, own: Option<OwnStore>) -> Rc<Self> {
        let mailbox = Rc::<Mailbox<S::Ticket>>::default();
        Rc::new_cyclic(|this: &Weak<Self>| {
            let runner = Runner::new(sink.clone(), own);
            let run: Run = Box::pin(runner.run(this.clone(), mailbox.clone()));
            Self { sink, mailbox, run: RefCell::new(Some(run)) }
        })
    }

    pub fn push(self: &Rc<Self>, work: Work<S::Ticket>) {
        self.mailbox.work.borrow_mut().push_back(work);
        if !self.mailbox.busy.replace(true) {
            self.sink.ready(Ready(self.clone()));
        }
    }

    async fn go_on(self: Rc<Self>, mut run: Run) {
        std::future::poll_fn(|context| {
            let _ = run.as_mut().poll(context);
            if self.mailbox.busy.get() { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        self.run.replace(Some(run));
    }
}

/// A store that has something to do, and had nothing before.
pub struct Ready(Rc<dyn Works>);

impl Ready {
    /// Most calls are done at once: their answers are here when this returns. What is not done goes on as a
    /// task. Within a `LocalSet`.
    pub fn work(self) {
        self.0.work();
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
}

impl<S: ActorSink> Works for Worker<S> {
    fn work(self: Rc<Self>) {
        let Some(mut run) = self.run.take() else { return };
        // Another's task asks again itself, so nobody need be woken.
        let mut context = Context::from_waker(Waker::noop());
        let began = Instant::now();
        // A short call may be under way when a slice ends, but not when two do.
        for _ in 0..2 {
            let _ = run.as_mut().poll(&mut context);
            if !self.mailbox.busy.get() {
                self.run.replace(Some(run));
                return;
            }
            if began.elapsed() > AT_A_STRETCH {
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
}
