//! What one connection adds to sums that it shares with others, on whatever shard they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Takes what it has added away again when it is dropped.
#[derive(Default)]
pub struct Share {
    sums: Vec<Arc<AtomicUsize>>,
    added: usize,
}

impl Share {
    pub fn new(sums: Vec<Arc<AtomicUsize>>) -> Self {
        Self { sums, added: 0 }
    }

    /// From now on its part of the sums is `count`; not asked for where there is no sum.
    pub fn set(&mut self, count: impl FnOnce() -> usize) {
        if self.sums.is_empty() {
            return;
        }
        let count = count();
        for sum in &self.sums {
            // Wrapping: a difference below zero is added as well.
            sum.fetch_add(count.wrapping_sub(self.added), Relaxed);
        }
        self.added = count;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(|| 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_what_all_have_added() {
        let sum = Arc::new(AtomicUsize::new(0));
        let (mut one, mut other) = (Share::new(vec![sum.clone()]), Share::new(vec![sum.clone()]));
        one.set(|| 5);
        other.set(|| 2);
        one.set(|| 3);
        assert_eq!(sum.load(Relaxed), 5);
        drop(one);
        assert_eq!(sum.load(Relaxed), 2);
        other.set(|| 0);
        assert_eq!(sum.load(Relaxed), 0);
    }
}
