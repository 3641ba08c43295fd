//! What a shard does once a second: heartbeats, the sweep of what nobody uses, and forgiving failures.

use std::rc::Weak;
use std::time::Duration;

use bytes::BytesMut;

use super::Shard;
use crate::hub::connection::Connection;

impl Shard {
    /// Heartbeats: each connection's from its own beginning, so that no second has them all.
    pub(super) async fn keep_time(&self) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        // No second is shorter than one, so that nobody is sooner idle, unheard or forgotten for one that came late.
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let interval = self.settings.heartbeat.as_secs().max(1);
        let sweep_secs = self.settings.sweep_secs;
        loop {
            ticks.tick().await;
            let now = self.second.get() + 1;
            self.second.set(now);
            let due: Vec<_> = {
                let delivery = self.delivery.borrow();
                let is_due = |born: u64| now > born + 1 && (now - born - 1).is_multiple_of(interval);
                delivery.connections().filter(|connection| is_due(connection.born)).cloned().collect()
            };
            for connection in due {
                // Whose socket is not read cannot be heard.
                if connection.is_held_back() {
                    connection.heard();
                    continue;
                }
                let unheard = connection.unheard.get();
                if unheard >= self.settings.missed_heartbeats {
                    self.close(&connection, 4000, "Heartbeat missed.");
                    continue;
                }
                let mut ping = BytesMut::new();
                self.wire(connection.wire).ping(&mut ping);
                if !ping.is_empty() {
                    connection.unheard.set(unheard + 1);
                    self.send(&connection, ping.freeze());
                }
            }
            let remembers_any = |connection: &Weak<Connection>| {
                connection.upgrade().is_some_and(|connection| connection.forget_failures())
            };
            self.failing.borrow_mut().retain(remembers_any);
            self.close_idle(now);
            self.homes.borrow_mut().tell_counts(&self.post);
            if now.is_multiple_of(u64::from(sweep_secs)) {
                self.homes.borrow_mut().sweep(sweep_secs);
            }
        }
    }

    /// Ends the connections that have done nothing for too long, and wait for nothing.
    fn close_idle(&self, now: u64) {
        let Some(idle_secs) = self.settings.idle_secs else { return };
        let mut idle = Vec::new();
        for connection in self.delivery.borrow().connections() {
            if !connection.waits_for_nothing() {
                connection.active.set(now);
            } else if now > connection.active.get() + idle_secs {
                idle.push(connection.clone());
            }
        }
        for connection in idle {
            let reason = format!("Idle: no message and no subscription for {idle_secs} s.");
            self.close(&connection, 1000, &reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::hub::shard::fixture;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_second_that_comes_late_does_not_make_the_next_one_shorter() {
        let run = async {
            let (shard, _inbox) = fixture::alone();
            let timed = shard.clone();
            tokio::task::spawn_local(async move { timed.keep_time().await });
            let after = async |ms| {
                tokio::time::advance(Duration::from_millis(ms)).await;
                tokio::task::yield_now().await;
                shard.second.get()
            };
            assert_eq!(after(1).await, 1);
            assert_eq!(after(1900).await, 2, "late");
            assert_eq!(after(900).await, 2);
            assert_eq!(after(200).await, 3);
        };
        tokio::task::LocalSet::new().run_until(run).await;
    }
}
