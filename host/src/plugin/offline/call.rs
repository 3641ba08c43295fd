//! What can be called.

use bytes::Bytes;

use crate::core::clock::UnixMillis;
use crate::core::{Captures, ChannelName, Payload, Sender};
use crate::plugin::{AuthAction, Handshake, Job};

/// One call into a plugin.
pub enum Call {
    Authenticate(Handshake),
    Authorize {
        who: Who,
        action: AuthAction,
        channel: ChannelName,
        captures: Option<Captures>,
    },
    /// Subscribe, publish, unsubscribe or timer, in a channel that is opened first where it is not yet.
    Handle {
        channel: ChannelName,
        /// None: what the plugin's own patterns take of the name.
        captures: Option<Captures>,
        /// To open it from.
        snapshot: Option<Vec<u8>>,
        job: Job,
    },
    /// What the channel would keep over a reload.
    Save {
        channel: ChannelName,
        captures: Option<Captures>,
        snapshot: Option<Vec<u8>>,
    },
    /// A filter is made of the parameters (JSON), judges the messages, and is removed.
    Filter {
        params: Bytes,
        messages: Vec<Judged>,
    },
    /// `data` is JSON.
    Action {
        name: String,
        who: Sender,
        data: Bytes,
    },
}

impl Call {
    /// Whose instance it is for: a channel has one of its own, all else shares one.
    pub fn channel(&self) -> Option<&ChannelName> {
        match self {
            Self::Handle { channel, .. } | Self::Save { channel, .. } => Some(channel),
            Self::Authenticate(_) | Self::Authorize { .. } | Self::Filter { .. } | Self::Action { .. } => {
                None
            }
        }
    }

    /// About the bytes that it holds.
    pub fn weight(&self) -> usize {
        let of = |snapshot: &Option<Vec<u8>>| snapshot.as_ref().map_or(0, Vec::len);
        match self {
            Self::Authenticate(handshake) => handshake.weight(),
            Self::Authorize { who, .. } => {
                who.claims.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
            }
            Self::Handle { snapshot, job, .. } => of(snapshot) + job.weight(),
            Self::Save { snapshot, .. } => of(snapshot),
            Self::Filter { params, messages } => {
                let messages = messages.iter().map(|judged| judged.event.len() + judged.payload.bytes.len());
                params.len() + messages.sum::<usize>()
            }
            Self::Action { data, .. } => data.len(),
        }
    }
}

/// What `authenticate` has said of a client.
#[derive(Clone, Debug, Default)]
pub struct Who {
    pub user: String,
    pub claims: Vec<(String, String)>,
    pub expires_at: Option<UnixMillis>,
}

/// A message that a filter judges.
pub struct Judged {
    /// Empty for none.
    pub event: Bytes,
    pub payload: Payload,
}
