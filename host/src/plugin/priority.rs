//! The kernel's side of giving way: a thread that has its share of the processors, and is never in the way.

use std::io::{Error, Result};
use std::time::Duration;

/// Beside a shard's 0: a tenth of a processor where there is something else to do all the time.
const NICE: i32 = 10;
/// At a time, the most that Linux lets a thread ask for. Who asks for long goes after who asks for less, so
/// whatever wakes up goes first; with a low priority alone it waits until this one's turn is over, for half a
/// millisecond or more. Heeded since Linux 6.12 (`sched_setattr(2)`).
const SLICE: Duration = Duration::from_millis(100);

/// This thread gives way to others, whatever priority the process has. One that was given a policy of its
/// own, for real time or for idle time, keeps it.
///
/// # Errors
/// The system does not allow it; then nothing has changed.
pub fn give_way() -> Result<()> {
    let mut attributes = attributes()?;
    let policy = i32::try_from(attributes.sched_policy).unwrap_or(libc::SCHED_IDLE);
    if !matches!(policy, libc::SCHED_OTHER | libc::SCHED_BATCH) {
        return Ok(());
    }
    const LAST: i32 = 19;
    attributes.sched_nice = (attributes.sched_nice + NICE).min(LAST);
    attributes.sched_runtime = u64::try_from(SLICE.as_nanos()).unwrap_or(u64::MAX);
    // SAFETY: the kernel reads a structure of the size that it names, which outlives the call; 0 is this thread.
    #[allow(unsafe_code)]
    let failed = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if failed == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}

/// This thread's.
fn attributes() -> Result<libc::sched_attr> {
    let mut attributes = libc::sched_attr {
        size: 0,
        sched_policy: 0,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    let size = size_of_val(&attributes);
    // SAFETY: the kernel writes at most as many bytes as it is told there are; 0 is this thread.
    #[allow(unsafe_code)]
    let failed = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    if failed == 0 { Ok(attributes) } else { Err(Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_gives_way_and_its_process_does_not() {
        let before = attributes().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                give_way().unwrap();
                let mine = attributes().unwrap();
                assert_eq!(mine.sched_nice, (before.sched_nice + NICE).min(19));
                // Before 6.12 the kernel says nothing of it.
                let slice = Duration::from_nanos(mine.sched_runtime);
                assert!([Duration::ZERO, SLICE].contains(&slice), "{slice:?}");
                // Twice is no error.
                give_way().unwrap();
            });
        });
        assert_eq!(attributes().unwrap().sched_nice, before.sched_nice);
    }
}
