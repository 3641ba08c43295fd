//! `tidegate:plugin/presence`, `history` and `groups`

use crate::core::ChannelName;
use crate::plugin::bindings::types::ReadFailure;
use crate::plugin::bindings::{groups, history, presence};
use crate::plugin::reads::{Found, MESSAGES, READS, Read, Unread};
use crate::plugin::store::StoreData;

impl presence::Host for StoreData {
    async fn members(&mut self, channel: String) -> Result<Vec<presence::Present>, ReadFailure> {
        let Found::Members(members) = self.read(&channel, Read::Members).await? else { return Err(other()) };
        let present = members.into_iter().map(|member| presence::Present {
            user: member.user.as_str().to_owned(),
            data: (!member.metadata.is_empty()).then(|| member.metadata.to_vec()),
            joined_at_ms: member.joined_at.0,
            connections: u32::try_from(member.connections).unwrap_or(u32::MAX),
        });
        Ok(present.collect())
    }

    async fn count(&mut self, channel: String) -> Result<u32, ReadFailure> {
        let Found::Count(count) = self.read(&channel, Read::Count).await? else { return Err(other()) };
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }
}

impl history::Host for StoreData {
    async fn last(&mut self, channel: String, limit: u32) -> Result<Vec<history::Past>, ReadFailure> {
        let limit = at_most(limit);
        past(self.read(&channel, |channel| Read::Last { channel, limit }).await?)
    }

    async fn since(
        &mut self,
        channel: String,
        offset: u64,
        limit: u32,
    ) -> Result<Vec<history::Past>, ReadFailure> {
        let limit = at_most(limit);
        past(self.read(&channel, |channel| Read::Since { channel, offset, limit }).await?)
    }
}

impl groups::Host for StoreData {
    async fn channels(&mut self, group: String) -> Result<Vec<String>, ReadFailure> {
        let Found::Channels(channels) = self.read(&group, Read::Channels).await? else {
            return Err(other());
        };
        Ok(channels.iter().map(ChannelName::to_string).collect())
    }
}

fn at_most(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX).min(MESSAGES)
}

fn past(found: Found) -> Result<Vec<history::Past>, ReadFailure> {
    let Found::Messages(messages) = found else { return Err(other()) };
    let past = messages.into_iter().map(|message| history::Past {
        offset: message.offset.0,
        event: (!message.event.is_empty()).then(|| String::from_utf8_lossy(&message.event).into_owned()),
        kind: message.payload.kind.into(),
        payload: message.payload.bytes.into(),
        at_ms: message.at.0,
    });
    Ok(past.collect())
}

/// Not an answer to what was asked: the reader's fault, which no plugin can see.
fn other() -> ReadFailure {
    unread(Unread::Nobody)
}

fn unread(why: Unread) -> ReadFailure {
    ReadFailure::Unavailable(why.to_string())
}

impl StoreData {
    async fn read(
        &mut self,
        name: &str,
        question: impl FnOnce(ChannelName) -> Read + Send,
    ) -> Result<Found, ReadFailure> {
        if self.is_filter {
            return Err(unread(Unread::Filter));
        }
        if self.reads >= READS {
            return Err(unread(Unread::TooOften));
        }
        self.reads += 1;
        let name = ChannelName::parse(name).map_err(|why| ReadFailure::BadName(why.to_string()))?;
        self.owner.reads.ask(question(name), &self.waited).await.map_err(unread)
    }
}
