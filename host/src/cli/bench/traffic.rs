//! Publishers, rooms and subscribers: the load of most scenarios.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::check::Checker;
use super::dialect::Dialect;
use super::entrance::{self, BEAT, Entrance, Host, PATIENCE};
use super::figures::{self, Figures};
use super::latency::Latency;
use super::mark::{Finder, Mark};
use super::options::TargetOptions;
use super::pace::{Length, Pace};
use super::plan::Plan;
use super::progress::Progress;
use super::stream::{Stream, Template};
use super::swarm::{Id, Listener, Swarm};
use super::target::Target;
use super::usage::Usage;

/// So long after the last delivery a double would still be seen.
const QUIET: Duration = Duration::from_millis(250);
/// A socket whose owner has just sent something puts its acknowledgements off, in hope of something to send
/// them with, and then makes them at the cost of whoever sends to it, if both are on one machine. It is over
/// that once it has put one off in vain, for 200 ms at most (Linux): here that of the answer to the
/// subscription.
const REST: Duration = Duration::from_millis(250);
/// Subscriptions of one connection on their way at once; their answers fit into any outbox.
const SUBSCRIPTIONS: usize = 100;

/// One run.
pub fn run(
    plan: &Plan,
    target: &Target,
    options: &TargetOptions,
    pace: Pace,
    length: Length,
    bytes: usize,
    label: String,
) -> Result<Figures> {
    let mut progress = Progress::new(label);
    let mut traffic = Traffic::new(plan, options, bytes)?;
    let mut swarm = Swarm::new(target.door())?;
    let quick = plan.subscribers() + plan.streams();
    let at_once = 100;
    let is_slow = |id| id >= quick;
    entrance::let_in(&mut swarm, &mut traffic, quick + plan.slow, at_once, is_slow, &mut progress)?;
    traffic.widen(&mut swarm, &mut progress)?;
    for id in quick..quick + plan.slow {
        swarm.pause(id)?;
    }
    traffic.rest(&mut swarm)?;
    traffic.publish(&mut swarm, pace, length.tenth(), &mut progress)?;
    traffic.latency.clear();
    let before = (traffic.delivered, traffic.published());
    let usage = Usage::begin(target.process);
    traffic.publish(&mut swarm, pace, length, &mut progress)?;
    let used = usage.end();
    let deliveries = (traffic.delivered - before.0) as f64;
    let published = (traffic.published() - before.1) as f64;
    for id in quick..quick + plan.slow {
        swarm.resume(id)?;
    }
    traffic.end(&mut swarm)?;

    let mut figures = Figures::default();
    figures.add(figures::DELIVERIES, deliveries / used.seconds);
    figures.add(plan.published, published / used.seconds);
    figures.add_known(figures::CPU_A_MILLION, used.server_cpu.map(|cpu| cpu / deliveries * 1e6));
    figures.add(figures::P50, traffic.latency.at(0.5));
    figures.add(figures::P99, traffic.latency.at(0.99));
    figures.add(figures::P999, traffic.latency.at(0.999));
    figures.add(figures::LONGEST, traffic.latency.longest());
    if plan.slow > 0 {
        figures.add(figures::SLOW_CLOSED, traffic.closed as f64);
    }
    used.add_to(&mut figures);
    Ok(figures)
}

struct Traffic<'a> {
    plan: &'a Plan,
    dialect: Dialect,
    entrance: Entrance,
    finder: Finder,
    /// Of each subscriber, its room's publishers in order; of each of these, the room's channels.
    checkers: Vec<Checker>,
    streams: Vec<Stream>,
    /// Streams whose window has got room.
    moved: Vec<usize>,
    latency: Latency,
    delivered: u64,
    /// Messages that slow consumers got when they began to read.
    late: u64,
    /// Slow consumers that the server has closed.
    closed: usize,
}

impl<'a> Traffic<'a> {
    fn new(plan: &'a Plan, options: &TargetOptions, bytes: usize) -> Result<Self> {
        let dialect = options.dialect;
        let mut streams = Vec::new();
        for stream in 0..plan.streams() {
            let room = stream / plan.publishers;
            let texts: Vec<String> = (0..plan.channels)
                .map(|at| plan.channel_of(dialect, room, at))
                .flat_map(|channel| (plan.texts)(plan, dialect, &channel, Mark { stream, number: 0 }, bytes))
                .collect();
            let audience = (1..=texts.len() as u64)
                .map(|number| (0..plan.members).filter(|at| (plan.sees)(plan, *at).passes(number)).count());
            let audience = audience.map(|count| count as u64).collect();
            streams.push(Stream::new(texts.iter().map(|text| Template::new(text)).collect(), audience));
        }
        let member = |at: usize| at / plan.channels / plan.publishers % plan.members;
        let checkers = (0..plan.subscribers() * plan.publishers * plan.channels)
            .map(|at| Checker::new(plan.sees_in(member(at), at % plan.channels)))
            .collect();
        Ok(Self {
            plan,
            dialect,
            entrance: Entrance::new(dialect, &options.secret),
            finder: Finder::default(),
            checkers,
            streams,
            moved: Vec::new(),
            latency: Latency::new()?,
            delivered: 0,
            late: 0,
            closed: 0,
        })
    }

    fn published(&self) -> u64 {
        self.streams.iter().map(|stream| stream.sent).sum()
    }

    /// Subscribes everybody to the channels beyond the first.
    fn widen(&mut self, swarm: &mut Swarm, progress: &mut Progress) -> Result<()> {
        let (plan, dialect) = (self.plan, self.dialect);
        let beyond: Vec<usize> = (1..plan.channels).collect();
        for some in beyond.chunks(SUBSCRIPTIONS) {
            let (end, began) = (self.entrance.inside + some.len() * plan.subscribers(), Instant::now());
            for id in 0..plan.subscribers() {
                for at in some {
                    let channel = plan.channel_of(dialect, id / plan.members, *at);
                    dialect.subscribe(&channel, "", "", "", swarm.out(id))?;
                }
                swarm.flush(id)?;
            }
            while self.entrance.inside < end {
                swarm.turn(BEAT, self)?;
                progress.tick(|| format!("{} of {} channels", some[0], plan.channels));
                ensure!(began.elapsed() < PATIENCE, "no answers to subscriptions for {PATIENCE:?}");
            }
        }
        Ok(())
    }

    /// Publishes for so long, and returns when all is delivered.
    fn publish(
        &mut self,
        swarm: &mut Swarm,
        pace: Pace,
        length: Length,
        progress: &mut Progress,
    ) -> Result<()> {
        let (begin, began) = (swarm.now(), Instant::now());
        let mut ends = self.ends(length);
        let (mut delivered, mut moved) = (self.delivered, Instant::now());
        let (before, mut left) = (delivered, length.messages().unwrap_or(0));
        self.moved = (0..self.streams.len()).collect();
        loop {
            if let Length::Time(time) = length
                && began.elapsed() >= time
            {
                ends = self.streams.iter().map(|stream| stream.sent).collect();
            }
            let wait = match pace {
                Pace::Window(window) => {
                    self.fill(swarm, &ends, window)?;
                    BEAT
                }
                Pace::Rate(rate) => self.keep_up(swarm, begin, length, &mut left, rate)?,
            };
            if self.streams.iter().zip(&ends).all(|(stream, end)| stream.done == *end) {
                return Ok(());
            }
            swarm.turn(wait, self)?;
            progress.tick(|| {
                let rate = (self.delivered - before) as f64 / began.elapsed().as_secs_f64();
                let done: u64 = self.streams.iter().map(|stream| stream.done).sum();
                format!("{done} messages delivered, {:.2} M deliveries/s", rate / 1e6)
            });
            if self.delivered != delivered {
                (delivered, moved) = (self.delivered, Instant::now());
            } else if moved.elapsed() > PATIENCE {
                self.check_end()?;
                bail!("no message came for {PATIENCE:?}");
            }
        }
    }

    /// The number of each stream's last message.
    fn ends(&self, length: Length) -> Vec<u64> {
        let streams = self.streams.len() as u64;
        let end = |(at, stream): (u64, &Stream)| match length {
            Length::Messages(messages) => {
                stream.sent + messages / streams + u64::from(at < messages % streams)
            }
            Length::Time(_) => u64::MAX,
        };
        (0..).zip(&self.streams).map(end).collect()
    }

    /// Closed loop: fills the windows that have got room.
    fn fill(&mut self, swarm: &mut Swarm, ends: &[u64], window: u64) -> Result<()> {
        let subscribers = self.plan.subscribers();
        while let Some(at) = self.moved.pop() {
            let (stream, now) = (&mut self.streams[at], swarm.now());
            let end = ends[at].min(stream.done + window);
            if stream.sent < end {
                while stream.sent < end {
                    stream.send(now, swarm.out(subscribers + at));
                }
                swarm.flush(subscribers + at)?;
            }
        }
        Ok(())
    }

    /// Open loop: sends what is due by now; how long until the next is.
    fn keep_up(
        &mut self,
        swarm: &mut Swarm,
        begin: u64,
        length: Length,
        left: &mut u64,
        rate: u64,
    ) -> Result<Duration> {
        let messages = length.messages().unwrap_or(0);
        let due = |number: u64| begin + (u128::from(number) * 1_000_000_000 / u128::from(rate)) as u64;
        let now = swarm.now();
        while *left > 0 && due(messages - *left) <= now {
            let number = messages - *left;
            let at = (number % self.streams.len() as u64) as usize;
            self.streams[at].send(due(number), swarm.out(self.plan.subscribers() + at));
            self.moved.push(at);
            *left -= 1;
        }
        while let Some(at) = self.moved.pop() {
            swarm.flush(self.plan.subscribers() + at)?;
        }
        if *left == 0 {
            return Ok(BEAT);
        }
        // The poll counts in milliseconds; what is nearer is waited for by looking.
        let wait = Duration::from_nanos(due(messages - *left).saturating_sub(now));
        Ok(BEAT.min(Duration::from_millis(wait.as_millis() as u64)))
    }

    /// Lets all connections come to rest.
    fn rest(&mut self, swarm: &mut Swarm) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < REST {
            swarm.turn(REST.saturating_sub(began.elapsed()), self)?;
        }
        Ok(())
    }

    /// Nothing more may come but to those who begin to read only now, and everything must have.
    fn end(&mut self, swarm: &mut Swarm) -> Result<()> {
        let (began, mut last, mut late) = (Instant::now(), Instant::now(), self.late);
        while last.elapsed() < QUIET && began.elapsed() < PATIENCE {
            swarm.turn(QUIET.saturating_sub(last.elapsed()), self)?;
            if self.late != late {
                (last, late) = (Instant::now(), self.late);
            }
        }
        self.check_end()
    }

    fn check_end(&self) -> Result<()> {
        for (at, checker) in self.checkers.iter().enumerate() {
            let at = at / self.plan.channels;
            let (id, publisher) = (at / self.plan.publishers, at % self.plan.publishers);
            let stream = id / self.plan.members * self.plan.publishers + publisher;
            if let Err(wrong) = checker.end(self.streams[stream].sent) {
                bail!("subscriber {id}, publisher {stream}: {wrong}");
            }
        }
        Ok(())
    }

    fn delivery(&mut self, id: Id, mark: Mark, payload: &[u8], now: u64) -> Result<()> {
        let plan = self.plan;
        let first = id / plan.members * plan.publishers;
        let (Some(stream), Some(publisher)) = (
            self.streams.get_mut(mark.stream),
            mark.stream.checked_sub(first).filter(|publisher| *publisher < plan.publishers),
        ) else {
            bail!("subscriber {id} got a message of publisher {}, who is in another room", mark.stream);
        };
        let number = (plan.number)(payload, mark);
        let channel = (number.wrapping_sub(1) % plan.channels as u64) as usize;
        let checker = (id * plan.publishers + publisher) * plan.channels + channel;
        if let Err(wrong) = self.checkers[checker].see(number) {
            bail!("subscriber {id}, publisher {}: {wrong}", mark.stream);
        }
        let done = stream.done;
        let Some(sent) = stream.delivered(number) else {
            bail!("subscriber {id} got message {number} of publisher {}, which was not sent", mark.stream);
        };
        if stream.done != done {
            self.moved.push(mark.stream);
        }
        self.latency.took(sent, now);
        self.delivered += 1;
        Ok(())
    }
}

impl Listener for Traffic<'_> {
    fn opened(&mut self, id: Id, _now: u64, out: &mut Vec<u8>) -> Result<()> {
        let (plan, dialect) = (self.plan, self.dialect);
        self.entrance.opened(|| plan.wish(dialect, id), out).map(drop)
    }

    fn message(&mut self, id: Id, payload: &[u8], now: u64, out: &mut Vec<u8>) -> Result<()> {
        match self.finder.find(payload) {
            Some(mark) if id < self.plan.subscribers() => self.delivery(id, mark, payload, now),
            // A publisher's own, or what a slow one finds when it reads again at the end.
            Some(_) => {
                self.late += 1;
                Ok(())
            }
            None => {
                let (plan, dialect) = (self.plan, self.dialect);
                self.entrance.heard(payload, || plan.wish(dialect, id), out).map(drop)
            }
        }
    }

    fn ended(&mut self, id: Id, why: &str) -> Result<()> {
        if id < self.plan.subscribers() + self.plan.streams() {
            bail!("the server ended connection {id}: {why}");
        }
        self.closed += 1;
        self.late += 1;
        Ok(())
    }
}

impl Host for Traffic<'_> {
    fn inside(&self) -> usize {
        self.entrance.inside
    }
}
