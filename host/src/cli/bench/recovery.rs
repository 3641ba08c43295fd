//! `tidegate bench recovery`: everybody comes back at once and asks for what was missed, while
//! the channel goes on. Each must get it all, once and in order, and then what is new.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::check::{Checker, Sees};
use super::entrance::{self, BEAT, Entrance, Host, PATIENCE, Wish};
use super::figures::{self, Figures};
use super::latency::Latency;
use super::mark::{Finder, Mark};
use super::options::{CrowdOptions, OutputOptions, TargetOptions};
use super::plan::padded;
use super::progress::Progress;
use super::report::{self, Subject};
use super::stream::{Stream, Template};
use super::swarm::{Id, Listener, Swarm};
use super::target::{Needs, Target};
use super::usage::Usage;

/// Keeps as much as the scenario may ask for.
const CONFIG: &str = "[[channel]]\npattern = \"*\"\nhistory = { messages = 10000, bytes = 16777216 }\n";
const MOST: i64 = 10_000;
const CHANNEL: &str = "bench-00000";
/// The publisher, who first looks where the channel is.
const SCOUT: Id = 0;
/// Publishes on their way before the storm.
const WINDOW: u64 = 64;

#[derive(Args)]
pub struct Recovery {
    /// Clients that come back
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    clients: u32,
    /// Messages that each of them missed
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=MOST))]
    missed: u32,
    /// Messages a second while they come back
    #[arg(long, value_name = "PER_SECOND", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    live: u32,
    /// Bytes of a message's data
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(64..=1000))]
    bytes: u32,
    #[command(flatten)]
    crowd: CrowdOptions,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    output: OutputOptions,
}

impl Recovery {
    pub fn run(&self) -> Result<()> {
        self.target.dialect.needs_native("recovery")?;
        let subject = Subject {
            scenario: "recovery",
            words: format!(
                "{} clients missed {} messages of {} bytes, {} come at once, {} new messages/s",
                self.clients, self.missed, self.bytes, self.crowd.at_once, self.live
            ),
            settings: json!({
                "dialect": "native", "clients": self.clients, "missed": self.missed, "bytes": self.bytes,
                "live": self.live, "at_once": self.crowd.at_once,
            }),
        };
        crate::cli::descriptors::raise_limit();
        report::runs(&subject, &self.output, |label| self.storm(label))
    }

    fn storm(&self, label: String) -> Result<Figures> {
        let needs = Needs { config: CONFIG, ..Needs::default() };
        let target = Target::reach(&self.target, needs)?;
        let mut progress = Progress::new(label);
        let mut swarm = Swarm::new(target.door())?;
        let mut storm = Storm::new(self)?;
        entrance::let_in(&mut swarm, &mut storm, 1, 1, |_| false, &mut progress)?;
        storm.publish_missed(&mut swarm)?;

        let usage = Usage::begin(target.process);
        storm.live_from = Some(swarm.now());
        let (count, at_once) = (self.clients as usize, self.crowd.at_once as usize);
        entrance::let_in(&mut swarm, &mut storm, count, at_once, |_| false, &mut progress)?;
        let used = usage.end();
        storm.end(&mut swarm)?;

        let delivered = storm.delivered as f64;
        let mut figures = Figures::default();
        figures.add(figures::RECOVERIES, count as f64 / used.seconds);
        figures.add(figures::DELIVERIES, delivered / used.seconds);
        figures.add_known(figures::CPU_A_MILLION, used.server_cpu.map(|cpu| cpu / delivered * 1e6));
        figures.add(figures::P50, storm.latency.at(0.5));
        figures.add(figures::P99, storm.latency.at(0.99));
        figures.add(figures::LONGEST, storm.latency.longest());
        used.add_to(&mut figures);
        Ok(figures)
    }
}

struct Storm<'a> {
    command: &'a Recovery,
    entrance: Entrance,
    finder: Finder,
    stream: Stream,
    /// Of each client, the scout too.
    clients: Vec<Client>,
    /// Clients that have got what they missed, and the scout.
    inside: usize,
    /// Where the channel was before anything was missed.
    before: Option<(String, u64)>,
    /// Since when there are new messages.
    live_from: Option<u64>,
    latency: Latency,
    delivered: u64,
}

struct Client {
    begun: u64,
    checker: Checker,
}

impl<'a> Storm<'a> {
    fn new(command: &'a Recovery) -> Result<Self> {
        let mark = Mark { stream: 0, number: 0 };
        let data = padded(r#"{"text":""#, mark, command.bytes as usize);
        let template = Template::new(&command.target.dialect.publish(CHANNEL, &data));
        Ok(Self {
            command,
            entrance: Entrance::new(command.target.dialect, &command.target.secret),
            finder: Finder::default(),
            // Of what the scout gets; the others are counted by their checkers.
            stream: Stream::new(vec![template], vec![1]),
            clients: Vec::new(),
            inside: 0,
            before: None,
            live_from: None,
            latency: Latency::new()?,
            delivered: 0,
        })
    }

    fn missed(&self) -> u64 {
        u64::from(self.command.missed)
    }

    fn publish_missed(&mut self, swarm: &mut Swarm) -> Result<()> {
        let mut moved = Instant::now();
        while self.stream.done < self.missed() {
            let end = self.missed().min(self.stream.done + WINDOW);
            while self.stream.sent < end {
                self.stream.send(swarm.now(), swarm.out(SCOUT));
            }
            swarm.flush(SCOUT)?;
            let done = self.stream.done;
            swarm.turn(BEAT, self)?;
            if self.stream.done != done {
                moved = Instant::now();
            }
            ensure!(moved.elapsed() < PATIENCE, "no message came for {PATIENCE:?}");
        }
        Ok(())
    }

    /// Until everybody has what is new, too.
    fn end(&mut self, swarm: &mut Swarm) -> Result<()> {
        self.live_from = None;
        let sent = self.stream.sent;
        let began = Instant::now();
        while self.clients.iter().any(|client| client.checker.last() < sent) {
            if began.elapsed() > PATIENCE {
                break;
            }
            swarm.turn(BEAT, self)?;
        }
        swarm.turn(BEAT, self)?;
        for (id, client) in self.clients.iter().enumerate() {
            if let Err(wrong) = client.checker.end(sent) {
                bail!("client {id}: {wrong}");
            }
        }
        Ok(())
    }
}

impl Storm<'_> {
    fn wish(&self, id: Id) -> Option<Wish> {
        let more = match &self.before {
            Some((epoch, offset)) if id != SCOUT => {
                format!(r#","recover":{{"epoch":{},"offset":{offset}}}"#, json!(epoch))
            }
            _ => String::new(),
        };
        Some(Wish { channel: CHANNEL.into(), more })
    }

    /// The answer to a subscription: where the channel is, or that what was missed follows.
    fn subscribed(&mut self, id: Id, answer: &[u8]) -> Result<()> {
        let answer: Value = serde_json::from_slice(answer).context("an answer that is not JSON")?;
        if id != SCOUT {
            ensure!(answer["recovered"] == true, "client {id} cannot recover: {answer}");
            return Ok(());
        }
        let place = answer["epoch"].as_str().map(str::to_owned).zip(answer["offset"].as_u64());
        self.before = Some(place.context("the channel keeps no history: the server needs a rule for one")?);
        self.inside += 1;
        Ok(())
    }
}

impl Listener for Storm<'_> {
    fn opened(&mut self, id: Id, _now: u64, out: &mut Vec<u8>) -> Result<()> {
        let wish = self.wish(id);
        self.entrance.opened(|| wish, out).map(drop)
    }

    fn message(&mut self, id: Id, payload: &[u8], now: u64, out: &mut Vec<u8>) -> Result<()> {
        let Some(mark) = self.finder.find(payload) else {
            if self.entrance.heard(payload, || None, out)? {
                self.subscribed(id, payload)?;
            }
            return Ok(());
        };
        let missed = self.missed();
        let client = &mut self.clients[id];
        if let Err(wrong) = client.checker.see(mark.number) {
            bail!("client {id}: {wrong}");
        }
        if id == SCOUT {
            self.stream.delivered(mark.number);
            return Ok(());
        }
        self.delivered += 1;
        if mark.number == missed {
            self.inside += 1;
            self.latency.took(client.begun, now);
        }
        Ok(())
    }
}

impl Host for Storm<'_> {
    fn inside(&self) -> usize {
        self.inside
    }

    fn begun(&mut self, _id: Id, now: u64) {
        self.clients.push(Client { begun: now, checker: Checker::new(Sees::ALL) });
    }

    /// Publishes what is due.
    fn tend(&mut self, swarm: &mut Swarm) -> Result<Duration> {
        let Some(from) = self.live_from else { return Ok(BEAT) };
        let rate = u64::from(self.command.live);
        let due = (swarm.now() - from) * rate / 1_000_000_000;
        if self.stream.sent < self.missed() + due {
            while self.stream.sent < self.missed() + due {
                self.stream.send(swarm.now(), swarm.out(SCOUT));
            }
            swarm.flush(SCOUT)?;
        }
        Ok(BEAT.min(Duration::from_micros(1_000_000 / rate)))
    }
}
