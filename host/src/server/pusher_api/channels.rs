//! What the HTTP API tells of channels: `GET /apps/{id}/channels`, `…/{name}` and `…/{name}/users`.

use std::collections::BTreeMap;

use serde::Serialize;
use tokio::sync::oneshot;

use super::super::api::ApiError;
use super::Call;
use crate::core::ChannelName;
use crate::core::apps::{Access, AppNames, ChannelKind};
use crate::core::clock::UnixMillis;
use crate::dialect::pusher::payload;
use crate::hub::Occupancy;
use crate::hub::letter::Inquiry;
use crate::session::pusher::App;

/// Channels of one answer, which has no pages.
const MOST: usize = 100_000;

/// What somebody wants to know of channels; what a channel has not, is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    user_count: bool,
    subscription_count: bool,
    /// What a cache channel remembers. Only told of a channel alone.
    cache: bool,
}

/// What is said of one channel.
#[derive(Debug, Default, Serialize)]
pub struct State {
    #[serde(skip_serializing_if = "Option::is_none")]
    occupied: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<Option<Cached>>,
}

/// The last event of a cache channel.
#[derive(Debug, Serialize)]
struct Cached {
    data: String,
    /// Seconds that it is still remembered.
    ttl: u64,
}

#[derive(Serialize)]
pub struct Channels {
    channels: BTreeMap<String, State>,
}

#[derive(Serialize)]
pub struct Users {
    users: Vec<User>,
}

#[derive(Serialize)]
struct User {
    id: String,
}

impl Info {
    /// Names that nobody knows are passed over.
    pub fn parse<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        names.fold(Self::default(), |info, name| match name {
            "user_count" => Self { user_count: true, ..info },
            "subscription_count" => Self { subscription_count: true, ..info },
            "cache" => Self { cache: true, ..info },
            _ => info,
        })
    }

    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Of each of an application's channels.
    pub async fn of(self, call: &Call, channels: &[(String, ChannelName)]) -> Result<Vec<State>, ApiError> {
        let names = channels.iter().map(|(_, channel)| channel.clone()).collect();
        let occupancies = call.shard().occupancies(names).await?;
        let states = channels.iter().zip(occupancies);
        Ok(states.map(|((name, _), occupancy)| self.state(ChannelKind::of(name), occupancy)).collect())
    }

    fn state(self, kind: ChannelKind, occupancy: Occupancy) -> State {
        let is_presence = kind.is_presence();
        State {
            occupied: None,
            user_count: (self.user_count && is_presence).then_some(occupancy.members),
            subscription_count: (self.subscription_count && !is_presence).then_some(occupancy.subscribers),
            cache: None,
        }
    }
}

/// The server's name for an application's channel.
///
/// # Errors
/// No channel has this name.
pub fn channel(app: &App, name: &str) -> Result<ChannelName, ApiError> {
    app.channel(name).map_err(|error| ApiError::invalid(format!("channel {name:?}: {error}")))
}

/// Those with subscribers. Users' own channels are not told.
pub async fn list(call: &Call) -> Result<Channels, ApiError> {
    let wanted = call.params.get("filter_by_prefix").unwrap_or_default();
    let info = Info::parse(call.params.list("info"));
    if info.user_count && !wanted.starts_with("presence-") {
        let says = "info: user_count is of presence channels: filter_by_prefix must begin with presence-";
        return Err(ApiError::invalid(says));
    }
    let names = AppNames::new(vec![call.app.prefix.clone()]);
    let (local, prefix) = (names.clone(), wanted.to_owned());
    let is_wanted = move |channel: &str| {
        let name = local.split(channel).map(|(_, name)| name).filter(|name| name.starts_with(&prefix));
        name.is_some_and(|name| ChannelKind::of(name).access != Access::User)
    };
    let found = call.shard().occupied(is_wanted, MOST).await?;
    if found.len() > MOST {
        let says = format!("More than {MOST} channels are occupied: ask for some, by filter_by_prefix.");
        return Err(ApiError::invalid(says));
    }
    let states = found.iter().map(|(channel, occupancy)| {
        let name = names.local(channel.as_str());
        (name.to_owned(), info.state(ChannelKind::of(name), *occupancy))
    });
    Ok(Channels { channels: states.collect() })
}

pub async fn one(call: &Call, name: &str) -> Result<State, ApiError> {
    let channel = channel(&call.app, name)?;
    let kind = ChannelKind::of(name);
    let info = Info::parse(call.params.list("info"));
    if info.user_count && !kind.is_presence() {
        return Err(ApiError::invalid("info: user_count is of presence channels only"));
    }
    let cache = if info.cache && kind.cache { Some(cached(call, &channel).await?) } else { None };
    let occupancies = call.shard().occupancies(vec![channel]).await?;
    let occupancy = occupancies.first().copied().unwrap_or_default();
    let occupied = occupancy.subscribers > 0;
    // Of one that is not there nothing more is said.
    let state = if occupied { info.state(kind, occupancy) } else { State::default() };
    Ok(State { occupied: Some(occupied), cache, ..state })
}

async fn cached(call: &Call, channel: &ChannelName) -> Result<Option<Cached>, ApiError> {
    let (answer, receiver) = oneshot::channel();
    call.shard().inquire(channel.clone(), Inquiry::Cached { answer });
    let remembered = receiver.await.map_err(|_| ApiError::unavailable("The server is shutting down."))??;
    Ok(remembered.map(|(message, until)| Cached {
        data: payload::text(&message.payload).into_owned(),
        ttl: until.0.saturating_sub(UnixMillis::now().0) / 1000,
    }))
}

pub async fn users(call: &Call, name: &str) -> Result<Users, ApiError> {
    let channel = channel(&call.app, name)?;
    if !ChannelKind::of(name).is_presence() {
        return Err(ApiError::invalid("Users are listed of presence channels only."));
    }
    let members = call.shard().members(channel).await?;
    Ok(Users { users: members.iter().map(|user| User { id: user.as_str().to_owned() }).collect() })
}
