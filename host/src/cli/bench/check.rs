//! What a subscriber must see of a stream: each message that is meant for it, once, in order.

use std::fmt;

/// Which of a stream's messages a subscriber sees. Messages are of some kinds in turn: the
/// first is of kind 0, the next of kind 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sees {
    kinds: u32,
    /// Kinds from the first to before the second.
    from: u32,
    until: u32,
}

impl Sees {
    pub const ALL: Self = Self { kinds: 1, from: 0, until: 1 };

    /// Those of so many kinds (1 at least) that are `from` or later.
    pub fn from_kind(from: u32, kinds: u32) -> Self {
        Self { kinds, from, until: kinds }
    }

    /// One of so many kinds.
    pub fn only_kind(kind: u32, kinds: u32) -> Self {
        Self { kinds, from: kind, until: kind + 1 }
    }

    pub fn passes(self, number: u64) -> bool {
        (self.from..self.until).contains(&self.kind(number))
    }

    fn kind(self, number: u64) -> u32 {
        (number.wrapping_sub(1) % u64::from(self.kinds)) as u32
    }

    /// The first after a message that passes; none if no kind does.
    fn next(self, last: u64) -> Option<u64> {
        let kind = self.kind(last + 1);
        let later = match kind {
            kind if kind < self.from => self.from - kind,
            kind if kind < self.until => 0,
            kind => self.kinds - kind + self.from,
        };
        (self.from < self.until).then(|| last + 1 + u64::from(later))
    }
}

/// One subscriber's view of one stream.
#[derive(Clone, Debug)]
pub struct Checker {
    sees: Sees,
    last: u64,
}

/// How a view differs from what was published.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Inexact {
    Skipped { expected: u64, got: u64 },
    Again { number: u64, last: u64 },
    Unasked { number: u64 },
    Missing { after: u64, sent: u64 },
}

impl Checker {
    pub fn new(sees: Sees) -> Self {
        Self { sees, last: 0 }
    }

    /// The number of the last message that was seen; 0 before the first.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Sees a message. What comes after a wrong one is judged by it.
    ///
    /// # Errors
    /// If it is not the next one.
    pub fn see(&mut self, number: u64) -> Result<(), Inexact> {
        let last = self.last;
        if number <= last || number == 0 {
            return Err(Inexact::Again { number, last });
        }
        let expected = self.next();
        self.last = number;
        if !self.sees.passes(number) {
            return Err(Inexact::Unasked { number });
        }
        if Some(number) != expected {
            return Err(Inexact::Skipped { expected: expected.unwrap_or(0), got: number });
        }
        Ok(())
    }

    /// After so many messages were sent and there was time for them to come.
    ///
    /// # Errors
    /// If some are missing.
    pub fn end(&self, sent: u64) -> Result<(), Inexact> {
        match self.next() {
            Some(next) if next <= sent => Err(Inexact::Missing { after: self.last, sent }),
            _ => Ok(()),
        }
    }

    /// None if it sees no kind at all.
    fn next(&self) -> Option<u64> {
        self.sees.next(self.last)
    }
}

impl fmt::Display for Inexact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skipped { expected, got } => write!(f, "message {got} came where {expected} was due"),
            Self::Again { number, last } => write!(f, "message {number} came after message {last}"),
            Self::Unasked { number } => write!(f, "message {number} came through a filter that refuses it"),
            Self::Missing { after, sent } => {
                write!(f, "nothing came after message {after}, and {sent} were sent")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(sees: Sees, numbers: impl IntoIterator<Item = u64>) -> Result<Checker, Inexact> {
        let mut checker = Checker::new(sees);
        numbers.into_iter().try_for_each(|number| checker.see(number))?;
        Ok(checker)
    }

    #[test]
    fn each_once_and_in_order_is_exact() {
        let checker = seen(Sees::ALL, 1..=1000).unwrap();
        assert_eq!((checker.last(), checker.end(1000)), (1000, Ok(())));
    }

    #[test]
    fn every_failure_is_seen() {
        let wrong = |numbers: &[u64]| seen(Sees::ALL, numbers.iter().copied()).unwrap_err();
        assert_eq!(wrong(&[1, 3]), Inexact::Skipped { expected: 2, got: 3 });
        assert_eq!(wrong(&[2]), Inexact::Skipped { expected: 1, got: 2 });
        assert_eq!(wrong(&[1, 1]), Inexact::Again { number: 1, last: 1 });
        assert_eq!(wrong(&[1, 2, 1]), Inexact::Again { number: 1, last: 2 });
        assert_eq!(wrong(&[0]), Inexact::Again { number: 0, last: 0 });
        let end = seen(Sees::ALL, 1..=9).unwrap().end(10);
        assert_eq!(end, Err(Inexact::Missing { after: 9, sent: 10 }));
    }

    #[test]
    fn a_filter_hides_what_it_hides_and_no_more() {
        // Of five kinds the last two: 4, 5, 9, 10, 14, …
        let sees = Sees::from_kind(3, 5);
        let passing: Vec<u64> = (1..=15).filter(|number| sees.passes(*number)).collect();
        assert_eq!(passing, [4, 5, 9, 10, 14, 15]);
        assert!(seen(sees, passing).unwrap().end(18).is_ok());
        assert_eq!(seen(sees, [4, 6]).unwrap_err(), Inexact::Unasked { number: 6 });
        assert_eq!(seen(sees, [4, 9]).unwrap_err(), Inexact::Skipped { expected: 5, got: 9 });
        assert_eq!(seen(sees, [4]).unwrap().end(5), Err(Inexact::Missing { after: 4, sent: 5 }));
        assert_eq!(seen(sees, []).unwrap().end(3).err(), None, "none was meant for it");
        assert_eq!(seen(Sees::from_kind(5, 5), []).unwrap().end(9), Ok(()), "it sees none at all");
    }

    #[test]
    fn one_channel_of_several_has_its_own_order() {
        let sees = Sees::only_kind(1, 3);
        assert_eq!(seen(sees, [2, 5, 8]).unwrap().end(10), Ok(()));
        assert_eq!(seen(sees, [2, 5, 8]).unwrap().end(11), Err(Inexact::Missing { after: 8, sent: 11 }));
        assert_eq!(seen(sees, [5]).unwrap_err(), Inexact::Skipped { expected: 2, got: 5 });
        assert_eq!(seen(sees, [3]).unwrap_err(), Inexact::Unasked { number: 3 });
    }
}
