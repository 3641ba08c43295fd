//! `tidegate bench connect`: a storm of connections, and what each of them holds afterwards.

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::entrance::{self, Entrance, Host, Wish};
use super::figures::{self, Figures};
use super::latency::Latency;
use super::options::{CrowdOptions, OutputOptions, TargetOptions};
use super::progress::Progress;
use super::report::{self, Subject};
use super::swarm::{Id, Listener, Swarm};
use super::target::{Needs, Target};
use super::usage::Usage;

/// What the first connections make is not a connection's own.
const WARM: usize = 100;

#[derive(Args)]
pub struct Connect {
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections: u32,
    /// Each subscribes to a channel, of which there are so many, before it counts; else none does
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    channels: Option<u32>,
    #[command(flatten)]
    crowd: CrowdOptions,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    output: OutputOptions,
}

impl Connect {
    pub fn run(&self) -> Result<()> {
        let what = match self.channels {
            Some(channels) => format!(", each in one of {channels} channels"),
            None => String::new(),
        };
        let subject = Subject {
            scenario: "connect",
            words: format!("{} connections{what}, {} at once", self.connections, self.crowd.at_once),
            settings: json!({
                "dialect": self.target.dialect.name(),
                "connections": self.connections, "channels": self.channels, "at_once": self.crowd.at_once,
            }),
        };
        crate::cli::descriptors::raise_limit();
        report::runs(&subject, &self.output, |label| self.storm(label))
    }

    fn storm(&self, label: String) -> Result<Figures> {
        let target = Target::reach(&self.target, Needs::default())?;
        let mut progress = Progress::new(label);
        let mut swarm = Swarm::new(target.door())?;
        let mut storm = Storm {
            command: self,
            entrance: Entrance::new(self.target.dialect, &self.target.secret),
            begun: Vec::new(),
            latency: Latency::new()?,
        };
        let at_once = self.crowd.at_once as usize;
        entrance::let_in(&mut swarm, &mut storm, WARM, at_once, |_| false, &mut progress)?;
        storm.latency.clear();
        let before = target.process.and_then(|process| process.resident());
        let usage = Usage::begin(target.process);
        let count = self.connections as usize;
        entrance::let_in(&mut swarm, &mut storm, count, at_once, |_| false, &mut progress)?;
        let used = usage.end();
        let after = target.process.and_then(|process| process.resident());

        let count = f64::from(self.connections);
        let mut figures = Figures::default();
        figures.add(figures::CONNECTIONS, count / used.seconds);
        figures.add_known(figures::CPU_A_CONNECTION, used.server_cpu.map(|cpu| cpu / count * 1e6));
        figures.add_known(
            figures::A_CONNECTION,
            after.zip(before).map(|(after, before)| (after - before) / count),
        );
        figures.add(figures::P50, storm.latency.at(0.5));
        figures.add(figures::P99, storm.latency.at(0.99));
        figures.add(figures::LONGEST, storm.latency.longest());
        used.add_to(&mut figures);
        Ok(figures)
    }
}

struct Storm<'a> {
    command: &'a Connect,
    entrance: Entrance,
    /// When each connection was begun.
    begun: Vec<u64>,
    latency: Latency,
}

impl Connect {
    fn wish(&self, id: Id) -> Option<Wish> {
        let channel = self.target.dialect.channel(&format!("bench-{:05}", id % self.channels? as usize));
        Some(Wish { channel, more: String::new() })
    }
}

impl Listener for Storm<'_> {
    fn opened(&mut self, id: Id, now: u64, out: &mut Vec<u8>) -> Result<()> {
        let command = self.command;
        if self.entrance.opened(|| command.wish(id), out)? {
            self.latency.took(self.begun[id], now);
        }
        Ok(())
    }

    fn message(&mut self, id: Id, payload: &[u8], now: u64, out: &mut Vec<u8>) -> Result<()> {
        let command = self.command;
        if self.entrance.heard(payload, || command.wish(id), out)? {
            self.latency.took(self.begun[id], now);
        }
        Ok(())
    }
}

impl Host for Storm<'_> {
    fn inside(&self) -> usize {
        self.entrance.inside
    }

    fn begun(&mut self, _id: Id, now: u64) {
        self.begun.push(now);
    }
}
