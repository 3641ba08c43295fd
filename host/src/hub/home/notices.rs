//! What homes put up on the board, where there is one.

use bytes::Bytes;

use super::Homes;
use super::channel::Home;
use crate::core::{ChannelName, ClientId, Message, Payload};
use crate::hub::notice::{Board, Said, What};
use crate::hub::presence::PresenceEvent;

/// Begins the names of events that clients may send each other.
const CLIENT_EVENT: &[u8] = b"client-";

impl Homes {
    pub fn with_board(self, board: Option<Board>) -> Self {
        Self { board, ..self }
    }

    /// A subscriber has been counted in. `first`: there was none. `missed`: it has asked for what the
    /// channel remembers, and that is nothing.
    pub(super) fn notice_coming(&self, channel: &ChannelName, first: bool, missed: bool) {
        let Some(board) = &self.board else { return };
        if first {
            board.put(channel, What::Occupied);
        }
        if missed {
            board.put(channel, What::CacheMiss);
        }
    }

    /// A subscriber has been counted out.
    pub(super) fn notice_going(&self, channel: &ChannelName) {
        let Some(board) = &self.board else { return };
        if self.homes.get(channel).is_some_and(|home| !home.has_subscribers()) {
            board.put(channel, What::Vacated);
        }
    }

    pub(super) fn notice_presence(&self, channel: &ChannelName, events: &[PresenceEvent]) {
        let Some(board) = &self.board else { return };
        for event in events {
            let what = match event {
                PresenceEvent::Join(member) => What::MemberAdded(member.user.clone()),
                PresenceEvent::Update(_) => continue,
                PresenceEvent::Leave(member) => What::MemberRemoved(member.user.clone()),
            };
            board.put(channel, what);
        }
    }
}

/// A channel is no more: nobody is in it.
pub fn closed(board: &Board, home: &Home) {
    for member in home.presence.iter().flat_map(|presence| presence.members()) {
        board.put(&home.name, What::MemberRemoved(member.user.clone()));
    }
    if home.has_subscribers() {
        board.put(&home.name, What::Vacated);
    }
}

/// A message has got its place. Only what clients say to each other is told.
pub fn message(board: &Board, channel: &ChannelName, message: &Message) {
    let sender = message.sender.as_ref().filter(|sender| sender.client != ClientId::NOBODY);
    if let Some(sender) = sender.filter(|_| message.event.starts_with(CLIENT_EVENT)) {
        // Of its own: what came may be a piece of a larger buffer.
        let bytes = Bytes::copy_from_slice(&message.payload.bytes);
        let said = Said {
            event: message.event.clone(),
            payload: Payload { bytes, ..message.payload },
            client: sender.client,
            user: sender.user.clone(),
        };
        board.put(channel, What::Said(said));
    }
}
