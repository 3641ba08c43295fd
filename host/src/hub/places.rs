//! How far a connection has come in each of its channels: what a client whose protocol has but
//! one mark for all of them has to be told, so that it can come back to the same place.

use super::wire::Position;
use crate::core::ChannelName;

/// At most as many as the client has subscriptions.
#[derive(Default)]
pub struct Places {
    at: Vec<(ChannelName, Position)>,
    moved: bool,
}

impl Places {
    pub fn set(&mut self, channel: &ChannelName, position: Position) {
        self.moved = true;
        match self.at.iter_mut().find(|(known, _)| known == channel) {
            Some((_, at)) => *at = position,
            None => self.at.push((channel.clone(), position)),
        }
    }

    /// All places, if any has changed since they were asked for last.
    pub fn moved(&mut self) -> Option<&[(ChannelName, Position)]> {
        std::mem::take(&mut self.moved).then_some(&*self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Offset;
    use crate::hub::wire::Epoch;

    #[test]
    fn all_places_are_told_once_when_one_has_moved() {
        let at = |offset| Position { epoch: Epoch(1), offset: Offset(offset) };
        let name = |name| ChannelName::parse(name).unwrap();
        let mut places = Places::default();
        assert_eq!(places.moved(), None);
        places.set(&name("a"), at(1));
        places.set(&name("b"), at(5));
        places.set(&name("a"), at(2));
        assert_eq!(places.moved(), Some(&[(name("a"), at(2)), (name("b"), at(5))][..]));
        assert_eq!(places.moved(), None);
    }
}
