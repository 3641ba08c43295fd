//! What became of one message, counted on every shard that delivers it. Nobody waits for the
//! count: whoever lets go of the message last reports.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many subscribers a message reached, or did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// It is in their outboxes.
    pub delivered: u64,
    /// Their filters refused it, or could not judge it.
    pub filtered: u64,
    /// They were left out by the publisher.
    pub excluded: u64,
}

pub struct Tally {
    delivered: AtomicU64,
    filtered: AtomicU64,
    excluded: AtomicU64,
    report: Option<Box<dyn FnOnce(Receipt) + Send + Sync>>,
}

impl Tally {
    pub fn new(report: impl FnOnce(Receipt) + Send + Sync + 'static) -> Self {
        Self {
            delivered: AtomicU64::new(0),
            filtered: AtomicU64::new(0),
            excluded: AtomicU64::new(0),
            report: Some(Box::new(report)),
        }
    }

    pub fn add(&self, more: Receipt) {
        self.delivered.fetch_add(more.delivered, Ordering::Relaxed);
        self.filtered.fetch_add(more.filtered, Ordering::Relaxed);
        self.excluded.fetch_add(more.excluded, Ordering::Relaxed);
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let receipt = Receipt {
            delivered: *self.delivered.get_mut(),
            filtered: *self.filtered.get_mut(),
            excluded: *self.excluded.get_mut(),
        };
        if let Some(report) = self.report.take() {
            report(receipt);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use super::*;

    #[test]
    fn the_last_one_reports_for_all() {
        let (sender, receiver) = mpsc::channel();
        let tally = Arc::new(Tally::new(move |receipt| sender.send(receipt).unwrap()));
        let threads: Vec<_> = (1..=3)
            .map(|n| {
                let tally = tally.clone();
                std::thread::spawn(move || tally.add(Receipt { delivered: n, filtered: 1, excluded: 0 }))
            })
            .collect();
        drop(tally);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(receiver.recv().unwrap(), Receipt { delivered: 6, filtered: 3, excluded: 0 });
        assert!(receiver.recv().is_err(), "once");
    }
}
