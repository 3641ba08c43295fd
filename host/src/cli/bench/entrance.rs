//! How connections come in: opened, greeted where the dialect wants it, and subscribed.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::dialect::{Dialect, Said};
use super::progress::Progress;
use super::swarm::{Id, Listener, Swarm};

/// Nothing at all comes for so long: it is not going to.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How long a turn waits, so that patience and progress are looked after.
pub const BEAT: Duration = Duration::from_millis(50);

/// What a connection subscribes to.
#[derive(Clone, Debug)]
pub struct Wish {
    pub channel: String,
    /// Fields beside the channel, each with a comma before it; native only.
    pub more: String,
}

/// How far each connection is.
pub struct Entrance {
    dialect: Dialect,
    /// `KEY:SECRET` of a Pusher application.
    secret: String,
    /// How many are in.
    pub inside: usize,
}

impl Entrance {
    pub fn new(dialect: Dialect, secret: &str) -> Self {
        Self { dialect, secret: secret.to_owned(), inside: 0 }
    }

    pub fn opened(&mut self, wish: impl FnOnce() -> Option<Wish>, out: &mut Vec<u8>) -> Result<bool> {
        if self.dialect.is_ready_when_open() { self.ready(wish, "", out) } else { Ok(false) }
    }

    /// A frame that is no message. True if the connection came in by it.
    pub fn heard(
        &mut self,
        payload: &[u8],
        wish: impl FnOnce() -> Option<Wish>,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        let said = self.dialect.read(payload);
        self.dialect.answer(&said, out);
        match said {
            Said::Ready(client) => self.ready(wish, &client, out),
            Said::Subscribed => {
                self.inside += 1;
                Ok(true)
            }
            Said::Refused(words) => bail!("the server refuses: {words}"),
            Said::Hello | Said::Ping | Said::Other => Ok(false),
        }
    }

    fn ready(
        &mut self,
        wish: impl FnOnce() -> Option<Wish>,
        client: &str,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        match wish() {
            Some(wish) => {
                self.dialect.subscribe(&wish.channel, &wish.more, client, &self.secret, out)?;
                Ok(false)
            }
            None => {
                self.inside += 1;
                Ok(true)
            }
        }
    }
}

/// A listener whose connections come in by an [`Entrance`].
pub trait Host: Listener {
    fn inside(&self) -> usize;

    /// A connection was begun.
    fn begun(&mut self, _id: Id, _now: u64) {}

    /// Between two turns; how long the next may wait.
    fn tend(&mut self, _swarm: &mut Swarm) -> Result<Duration> {
        Ok(BEAT)
    }
}

/// Opens so many more connections, at most `at_once` of them on their way, and waits until
/// all are in.
///
/// # Errors
/// If one is refused, or none comes in for [`PATIENCE`].
pub fn let_in(
    swarm: &mut Swarm,
    host: &mut impl Host,
    count: usize,
    at_once: usize,
    is_narrow: impl Fn(Id) -> bool,
    progress: &mut Progress,
) -> Result<()> {
    let end = swarm.len() + count;
    let (mut inside, mut moved) = (host.inside(), Instant::now());
    while host.inside() < end {
        while swarm.len() < end && swarm.len() - host.inside() < at_once {
            let now = swarm.now();
            let id = swarm.open(is_narrow(swarm.len()))?;
            host.begun(id, now);
        }
        let wait = host.tend(swarm)?;
        swarm.turn(wait, host)?;
        progress.tick(|| format!("{} of {end} connections", host.inside()));
        if host.inside() != inside {
            (inside, moved) = (host.inside(), Instant::now());
        } else if moved.elapsed() > PATIENCE {
            bail!("{inside} of {end} connections are in, and none more since {PATIENCE:?}");
        }
    }
    Ok(())
}
