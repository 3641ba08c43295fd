//! What a process has used, as the system tells it (Linux; elsewhere nothing is known).

use std::fs;

/// A process on this machine.
#[derive(Clone, Copy, Debug)]
pub struct Process(u32);

/// Linux counts CPU time in hundredths of a second on every architecture that matters here.
const TICKS_A_SECOND: f64 = 100.0;

impl Process {
    pub fn of(pid: u32) -> Self {
        Self(pid)
    }

    pub fn this() -> Self {
        Self(std::process::id())
    }

    pub fn is_there(self) -> bool {
        fs::exists(format!("/proc/{}/stat", self.0)).unwrap_or(false)
    }

    /// Seconds of user and system time so far, in steps of 10 ms.
    pub fn cpu_seconds(self) -> Option<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).ok()?;
        // The name, in brackets, may have blanks in it.
        let (_, fields) = stat.rsplit_once(')')?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().ok());
        Some(ticks.sum::<Option<u64>>()? as f64 / TICKS_A_SECOND)
    }

    /// Resident memory in bytes.
    pub fn resident(self) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
        Some(kib as f64 * 1024.0)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_known_and_one_that_is_not_is_not() {
        let me = Process::this();
        assert!(me.is_there() && me.cpu_seconds().is_some());
        assert!(me.resident().is_some_and(|bytes| bytes > 65_536.0));
        // No system has so many.
        let nobody = Process::of(u32::MAX);
        assert!(!nobody.is_there() && nobody.cpu_seconds().is_none() && nobody.resident().is_none());
    }
}
