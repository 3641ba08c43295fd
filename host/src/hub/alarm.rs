//! A clock that wakes a shard to the microsecond; tokio's counts in milliseconds.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

pub struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
    /// # Errors
    /// Without a descriptor left.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O.
    pub fn new() -> io::Result<Self> {
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        #[allow(unsafe_code)]
        // SAFETY: an `OwnedFd` is open and gives the same descriptor for as long as it lives, and
        // nothing here gives out the means to replace it.
        let timer = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?;
        Ok(Self(timer))
    }

    /// Rings once, so long from now; setting it again forgets the time before.
    pub fn set(&self, after: Duration) {
        // Zero would turn it off.
        let after = after.max(Duration::from_nanos(1));
        let value = Timespec { tv_sec: after.as_secs() as i64, tv_nsec: after.subsec_nanos().into() };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        if let Err(error) = timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once) {
            tracing::error!("a shard's alarm cannot be set: {error}");
        }
    }

    /// Pending until the time has come. May be given up and asked again.
    pub async fn rings(&self) {
        loop {
            let Ok(mut ready) = self.0.readable().await else { return std::future::pending().await };
            let mut count = [0; 8];
            match rustix::io::read(self.0.get_ref(), &mut count) {
                Ok(_) => return,
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(error) => {
                    tracing::error!("a shard's alarm cannot be read: {error}");
                    return std::future::pending().await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn rings_once_for_each_time_it_is_set() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let alarm = Alarm::new().unwrap();
            for _ in 0..3 {
                let began = Instant::now();
                alarm.set(Duration::from_hours(1));
                alarm.set(Duration::from_micros(300));
                alarm.rings().await;
                assert!(began.elapsed() >= Duration::from_micros(300));
            }
            alarm.set(Duration::ZERO);
            alarm.rings().await;
            let silent = tokio::time::timeout(Duration::from_millis(20), alarm.rings()).await;
            assert!(silent.is_err(), "nobody set it");
        });
    }
}
