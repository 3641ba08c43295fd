//! Who is in the channels that are at home here, for those who ask without a wish to use them:
//! asking makes no channel.

use super::Homes;
use crate::core::{ChannelName, UserId};
use crate::hub::presence::Presence;

/// How many are in a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    pub subscribers: u64,
    /// Users, where there is presence.
    pub members: usize,
}

impl Homes {
    /// Of a channel that is not there: nobody.
    pub fn occupancy(&self, channel: &ChannelName) -> Occupancy {
        let home = self.homes.get(channel);
        home.map_or(Occupancy::default(), |home| Occupancy {
            subscribers: home.subscribed(),
            members: home.presence.as_deref().map_or(0, Presence::len),
        })
    }

    /// At most `most` channels that have subscribers and are wanted, in no order. Looks at every
    /// channel once.
    pub fn occupied(&self, wanted: impl Fn(&str) -> bool, most: usize) -> Vec<(ChannelName, Occupancy)> {
        let homes = self.homes.iter().filter(|(name, home)| home.has_subscribers() && wanted(name.as_str()));
        homes.take(most).map(|(name, _)| (name.clone(), self.occupancy(name))).collect()
    }

    /// The users in a channel, by name.
    pub fn members(&self, channel: &ChannelName) -> Vec<UserId> {
        let presence = self.homes.get(channel).and_then(|home| home.presence.as_deref());
        presence.into_iter().flat_map(Presence::members).map(|member| member.user.clone()).collect()
    }
}
