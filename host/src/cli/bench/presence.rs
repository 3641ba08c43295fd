//! `tidegate bench presence`: members that come and go, and watchers who are told. Each member
//! has one change on its way at a time, so it cannot be faster than it is told of.

use anyhow::Result;
use clap::Args;

use super::check::Sees;
use super::figures;
use super::mark;
use super::options::{LoadOptions, OutputOptions, TargetOptions};
use super::plan::Plan;
use super::scenario::{self, Defaults};
use super::target::Needs;

#[derive(Args)]
pub struct Presence {
    /// Those who join and leave
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    members: u32,
    /// Those who are told
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    watchers: u32,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    load: LoadOptions,
    #[command(flatten)]
    output: OutputOptions,
}

impl Presence {
    pub fn run(&self) -> Result<()> {
        self.target.dialect.needs_native("presence")?;
        let plan = Plan {
            members: self.watchers as usize,
            publishers: self.members as usize,
            more: |_, _| r#","presence":true"#.into(),
            // A join, a leave, and so on: two kinds, and both are told.
            sees: |_, _| Sees::from_kind(0, 2),
            texts: |_, _, channel, mark, _| {
                let mark = mark.text();
                vec![
                    format!(r#"{{"type":"join","channel":"{channel}","data":{{"mark":"{mark}"}}}}"#),
                    format!(r#"{{"type":"leave","channel":"{channel}"}}"#),
                ]
            },
            // Who leaves is told with the metadata that it joined with.
            number: |frame, mark| mark.number + u64::from(frame.starts_with(br#"{"type":"leave""#)),
            published: figures::CHANGES,
            ..Plan::new("bench")
        };
        debug_assert!(plan.publishers <= mark::STREAMS);
        let words = format!("{} members come and go before {} watchers", self.members, self.watchers);
        let defaults = Defaults { window: 1, messages: 20_000 };
        let options = (&self.target, &self.load, &self.output);
        scenario::run("presence", words, &plan, Needs::default(), defaults, options)
    }
}
