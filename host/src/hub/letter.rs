//! What shards say to each other. A letter to one's own shard goes the same way, so a
//! channel's home being here or elsewhere makes no difference to the code.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::groups::{GroupInquiry, GroupName};
use super::home::{Homes, RepeatKey};
use super::presence::Member;
use super::shard::Shard;
use super::tally::Receipt;
use super::turn::Turn;
use super::wire::{Epoch, Position, RequestId, WireId};
use crate::core::clock::UnixMillis;
use crate::core::{
    ChannelName, ClientId, IdempotencyKey, Message, Offset, Payload, Refusal, Sender, ShardId, TraceParent,
};
use crate::plugin::{Departure, Registry};

/// What a publish led to: the message's place, or none where the channel's handler dropped it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    pub epoch: Epoch,
    pub offset: Option<Offset>,
    /// Where it was asked for.
    pub receipt: Option<Receipt>,
    /// Nobody was there to take it: it waits for who comes.
    pub queued: bool,
}

/// Messages of a channel where they wait until somebody takes them, and whom they have reached.
pub struct Settled {
    pub channel: ChannelName,
    /// Of the channel when they were sent.
    pub epoch: Epoch,
    /// In their order.
    pub messages: Vec<Message>,
    pub receipt: Receipt,
    /// Who published the only one, where they asked for a receipt.
    pub answer: Option<(Origin, Published)>,
}

/// Where a message comes from, and who hears what became of it.
pub enum Origin {
    Client {
        sender: Sender,
        request: Option<RequestId>,
        subscribed: bool,
    },
    /// The server's own API, maybe in somebody's name.
    Server {
        sender: Option<Sender>,
        answer: oneshot::Sender<Result<Published, Refusal>>,
    },
    /// A message with an idempotency key: all who sent it wait for its answer under this key.
    Keyed {
        key: RepeatKey,
        sender: Option<Sender>,
    },
    /// An effect of a plugin; see [`Publish::budget`].
    Plugin,
}

impl Origin {
    pub fn sender(&self) -> Option<&Sender> {
        match self {
            Self::Client { sender, .. } => Some(sender),
            Self::Server { sender, .. } | Self::Keyed { sender, .. } => sender.as_ref(),
            Self::Plugin => None,
        }
    }
}

/// A message on its way to its channel's home.
pub struct Publish {
    pub channel: ChannelName,
    pub origin: Origin,
    pub event: Bytes,
    pub payload: Payload,
    pub except: Option<ClientId>,
    /// A repeat with the same key is answered as the first, and not published.
    pub key: Option<IdempotencyKey>,
    /// How many publications this message may still set off, directly or through others.
    pub budget: u16,
    /// Whoever published it wants to hear how many it reached.
    pub receipt: bool,
    pub fate: Fate,
    /// Of the request that it is of; what it sets off keeps it.
    pub trace: Option<TraceParent>,
}

/// What becomes of a message once its channel has taken it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// It gets a place, is kept as the rule says, and goes to all subscribers.
    #[default]
    Deliver,
    /// It goes to these if they subscribe, between the messages before it and those after it. It
    /// gets no place and is not kept.
    Only(Box<[ClientId]>),
    /// It gets a place and is kept, and goes to nobody.
    Keep,
}

impl Fate {
    fn weight(&self) -> usize {
        match self {
            Self::Only(clients) => size_of_val(&**clients),
            Self::Deliver | Self::Keep => 0,
        }
    }
}

/// All that one message sets off is at most this many publications.
pub const PUBLICATIONS_A_MESSAGE: u16 = 1024;

/// What a subscriber wants of the past and of presence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Everything since its last visit.
    pub recover: Option<Position>,
    /// The last so many messages, where it does not recover.
    pub history: usize,
    /// Who is there, and who comes and goes.
    pub presence: bool,
    /// What is done when it is slow, where the channel's rule lets it choose.
    pub slow: Option<super::slow::SlowPolicy>,
    /// The message that a cache channel remembers, or that there is none.
    pub cached: bool,
}

/// A subscription that makes its user a member of the channel.
#[derive(Clone, Debug)]
pub struct Joining {
    /// What it says of itself, if its user is not there yet.
    pub metadata: Bytes,
    /// Members that there may be.
    pub most: usize,
}

pub struct Subscribe {
    pub channel: ChannelName,
    pub sender: Sender,
    pub wire: WireId,
    pub wishes: Wishes,
    pub params: Option<Bytes>,
    pub request: Option<RequestId>,
    /// The subscriber's own, carried there and back.
    pub filter: Option<super::audience::FilterChoice>,
    /// The client has a subscription, which this one replaces: it needs no further place.
    pub replaces: bool,
    pub joins: Option<Joining>,
    /// See [`Publish::budget`].
    pub budget: u16,
    /// Who asked for it in the client's place, and hears what became of it.
    pub told: Option<Told>,
    /// See [`Publish::trace`].
    pub trace: Option<TraceParent>,
}

impl Subscribe {
    /// To a channel, and nothing beside.
    pub fn plain(channel: ChannelName, sender: Sender, wire: WireId) -> Self {
        Self {
            channel,
            sender,
            wire,
            wishes: Wishes::default(),
            params: None,
            request: None,
            filter: None,
            replaces: false,
            joins: None,
            budget: PUBLICATIONS_A_MESSAGE,
            told: None,
            trace: None,
        }
    }
}

/// A subscription ends.
pub struct Unsubscribe {
    pub channel: ChannelName,
    pub sender: Sender,
    /// The client is told; none: its connection has ended.
    pub request: Option<Option<RequestId>>,
    /// It had a subscription: the home counts one less.
    pub subscribed: bool,
    pub why: Departure,
    /// See [`Publish::budget`].
    pub budget: u16,
    /// See [`Publish::trace`].
    pub trace: Option<TraceParent>,
}

/// What a plugin has done to one client, on the client's shard.
#[derive(Debug)]
pub enum Order {
    /// `params` is JSON; `budget` as in [`Publish::budget`].
    Subscribe {
        channel: ChannelName,
        params: Option<Bytes>,
        budget: u16,
    },
    Unsubscribe {
        channel: ChannelName,
        budget: u16,
    },
    /// `metadata` as in [`About::Join`].
    Join {
        channel: ChannelName,
        metadata: Option<Bytes>,
    },
    Leave {
        channel: ChannelName,
    },
}

/// The server's API, which waits for a subscription that it asked for.
pub type Told = oneshot::Sender<Result<(), Refusal>>;

/// What a home answers to a subscription.
pub struct Subscribed {
    pub channel: ChannelName,
    pub sender: Sender,
    pub request: Option<RequestId>,
    pub filter: Option<super::audience::FilterChoice>,
    pub told: Option<Told>,
    pub result: Result<Accepted, Refusal>,
}

/// A subscription that a home has taken.
pub struct Accepted {
    /// The first message after it follows this one.
    pub since: Offset,
    /// Where it stands, where messages show their offsets.
    pub position: Option<Position>,
    pub slow: super::slow::SlowPolicy,
    pub presence: bool,
    /// The answer to the client.
    pub frame: Bytes,
    /// What it asked for of the past, to be delivered next.
    pub replay: Option<Arc<Turn>>,
    /// What follows that, encoded; empty for nothing.
    pub response: Bytes,
}

/// A client's question to a channel's home, which is answered with a frame of its dialect.
pub struct Question {
    pub channel: ChannelName,
    pub sender: Sender,
    pub wire: WireId,
    pub request: Option<RequestId>,
    pub about: About,
}

#[derive(Clone, Debug, PartialEq)]
pub enum About {
    /// Join, or change one's metadata: a JSON object, empty for none.
    Join {
        metadata: Option<Bytes>,
    },
    Leave,
    Presence,
    /// What came after a place, at most so many.
    History {
        since: Option<Position>,
        limit: usize,
    },
}

/// What the server's own API asks of a channel's home.
pub enum Inquiry {
    History {
        since: Option<Position>,
        limit: usize,
        answer: oneshot::Sender<Result<Page, Refusal>>,
    },
    ClearHistory {
        answer: oneshot::Sender<Result<Position, Refusal>>,
    },
    Presence {
        answer: oneshot::Sender<Result<Vec<Member>, Refusal>>,
    },
    /// What a cache channel remembers, and until when.
    Cached {
        answer: oneshot::Sender<Result<Option<(Message, UnixMillis)>, Refusal>>,
    },
    ClearPresence {
        answer: oneshot::Sender<Result<usize, Refusal>>,
    },
}

/// Some of a channel's history, oldest first.
pub struct Page {
    pub position: Position,
    /// Nothing after the place that was asked for is gone.
    pub complete: bool,
    pub messages: Vec<Message>,
}

/// What somebody wants to know of a shard, or done there. Runs within the shard's turn: briefly,
/// without a borrow of the shard's homes other than the one it is handed.
pub type Errand = Box<dyn FnOnce(&Rc<Shard>, &mut Homes) + Send>;

pub enum Letter {
    // to a channel's home
    Publish(Publish),
    /// Boxed: larger than a message, and rarer.
    Subscribe(Box<Subscribe>),
    Unsubscribe(Unsubscribe),
    Question(Question),
    /// What became of a message with an idempotency key and a receipt.
    Counted {
        channel: ChannelName,
        origin: Origin,
        published: Published,
    },
    Settled(Settled),
    Group {
        group: GroupName,
        inquiry: GroupInquiry,
    },
    Inquiry {
        channel: ChannelName,
        inquiry: Inquiry,
    },
    /// A handler's timer is over.
    Timer {
        channel: ChannelName,
        id: u32,
        serial: u64,
    },
    /// A client whose connection has ended might have come back until now.
    GraceOver {
        channel: ChannelName,
        who: Sender,
    },
    /// A plugin makes a client's user a member. `metadata` as in [`About::Join`].
    Enter {
        channel: ChannelName,
        sender: Sender,
        metadata: Option<Bytes>,
    },
    /// A connection that had joined has ended, or is to leave.
    Gone {
        channel: ChannelName,
        client: ClientId,
    },
    /// A subscription that replaced an earlier one of the same client.
    ForgetOne {
        channel: ChannelName,
        shard: ShardId,
    },

    // from a home to a shard with its subscribers or its publishers
    Subscribed(Subscribed),
    Unsubscribed {
        channel: ChannelName,
        client: ClientId,
        request: Option<RequestId>,
    },
    Published {
        channel: ChannelName,
        client: ClientId,
        request: Option<RequestId>,
        result: Result<Published, Refusal>,
    },
    /// A question's answer, encoded.
    Answered {
        client: ClientId,
        frame: Bytes,
    },
    Deliver(Arc<Turn>),
    /// The channel's handler was removed: its subscribers are told, and are none any more.
    ChannelGone(ChannelName),
    Direct {
        client: ClientId,
        channel: ChannelName,
        event: Bytes,
        payload: Payload,
    },
    Close {
        client: ClientId,
        code: u16,
        reason: String,
    },
    Order {
        client: ClientId,
        order: Order,
    },

    /// The answer, if any, goes its own way.
    Ask(Errand),

    // from the plugin host
    Install {
        registry: Arc<Registry>,
        done: std::sync::mpsc::Sender<()>,
    },
}

impl Letter {
    /// Roughly what it holds in memory, in bytes: what the mesh's bound counts.
    pub fn weight(&self) -> usize {
        match self {
            Self::Publish(p) => 256 + p.payload.bytes.len() + p.fate.weight(),
            Self::Order { order: Order::Subscribe { params, .. }, .. } => {
                128 + params.as_ref().map_or(0, Bytes::len)
            }
            Self::Deliver(turn) => turn.weight(),
            Self::Direct { payload, .. } => 128 + payload.bytes.len(),
            Self::Settled(s) => {
                128 + s.messages.iter().map(|message| 128 + message.payload.bytes.len()).sum::<usize>()
            }
            Self::Subscribed(Subscribed { result: Ok(accepted), .. }) => {
                256 + accepted.frame.len() + accepted.response.len()
            }
            Self::Subscribe(s) => 256 + s.params.as_ref().map_or(0, Bytes::len),
            _ => 128,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::post::Event;

    /// Each message is moved through the shard's queue, and its answer again.
    #[test]
    fn a_letter_is_no_larger_than_a_message() {
        assert!(size_of::<Publish>() <= 248, "{}", size_of::<Publish>());
        assert!(size_of::<Event>() <= 256, "{}", size_of::<Event>());
    }
}
