//! CPU of server and client over a stretch of time.

use std::time::Instant;

use super::figures::{CLIENT_BUSY, Figures, RESIDENT, SERVER_BUSY};
use super::process::Process;

/// From its begin to its [`Usage::end`].
pub struct Usage {
    server: Option<Process>,
    server_cpu: Option<f64>,
    client_cpu: Option<f64>,
    began: Instant,
}

pub struct Used {
    /// Seconds by the clock.
    pub seconds: f64,
    /// Seconds of CPU; none if the server's process is not known.
    pub server_cpu: Option<f64>,
    client_cpu: Option<f64>,
    resident: Option<f64>,
}

impl Usage {
    pub fn begin(server: Option<Process>) -> Self {
        Self {
            server,
            server_cpu: server.and_then(Process::cpu_seconds),
            client_cpu: Process::this().cpu_seconds(),
            began: Instant::now(),
        }
    }

    pub fn end(&self) -> Used {
        let seconds = self.began.elapsed().as_secs_f64();
        let since = |now: Option<f64>, then: Option<f64>| Some(now? - then?);
        Used {
            seconds,
            server_cpu: since(self.server.and_then(Process::cpu_seconds), self.server_cpu),
            client_cpu: since(Process::this().cpu_seconds(), self.client_cpu),
            resident: self.server.and_then(Process::resident),
        }
    }
}

impl Used {
    /// A client that is as busy as its one thread can be measures itself.
    pub fn add_to(&self, figures: &mut Figures) {
        figures.add_known(SERVER_BUSY, self.server_cpu.map(|cpu| cpu / self.seconds));
        figures.add_known(CLIENT_BUSY, self.client_cpu.map(|cpu| cpu / self.seconds));
        figures.add_known(RESIDENT, self.resident);
    }
}
