//! Asking auth plugins who a client is and what it may do. Whatever fails is a refusal.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::bindings::auth;
use super::calls::Function;
use super::failure::PluginFailure;
use super::generation::Generation;
use super::limits::{CLAIMS_BYTES, REASON_BYTES, USER_BYTES, cut};
use super::lot::Lot;
use super::meter::Call;
use super::offline::{self, Who, said};
use super::slot::Services;
use super::tap::failed;
use crate::core::clock::UnixMillis;
use crate::core::{Captures, ChannelName, PluginName, TraceParent};

/// What a client showed when it connected. Kept as long as the connection.
#[derive(Clone, Debug)]
pub struct Handshake {
    pub path: String,
    pub query: String,
    pub headers: Headers,
    pub token: Option<String>,
    pub peer: String,
}

/// Names and values of headers, packed: every connection has some, and hardly anybody looks at them.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    text: Box<str>,
    /// Where in the text each name and each value ends, in turn.
    ends: Box<[u32]>,
}

impl Headers {
    /// Goes through them twice, so that all of them are two allocations.
    pub fn pack<'a, I: Iterator<Item = (&'a str, &'a str)>>(headers: impl Fn() -> I) -> Self {
        let sizes = headers().map(|(name, value)| name.len() + value.len());
        let (count, length) = sizes.fold((0, 0), |(count, length), size| (count + 1, length + size));
        let mut text = String::with_capacity(length);
        let mut ends = Vec::with_capacity(count * 2);
        for part in headers().flat_map(|(name, value)| [name, value]) {
            text.push_str(part);
            // A request's head is far below 4 GiB.
            ends.push(text.len() as u32);
        }
        Self { text: text.into(), ends: ends.into() }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let begins = std::iter::once(0).chain(self.ends.iter().skip(1).step_by(2).copied());
        let ends = self.ends.chunks_exact(2);
        begins.zip(ends).map(|(begin, ends)| {
            let part = |from: u32, to: u32| self.text.get(from as usize..to as usize).unwrap_or_default();
            (part(begin, ends[0]), part(ends[0], ends[1]))
        })
    }
}

impl Handshake {
    /// Its token's; of a client without one its address's.
    pub fn lot(&self) -> Lot {
        Lot::of(self.token.as_deref().unwrap_or(&self.peer))
    }

    /// The trace context that it came with; of several none counts.
    pub fn trace(&self) -> Option<TraceParent> {
        let mut said = self.headers.iter().filter(|(name, _)| *name == TraceParent::HEADER);
        let (_, first) = said.next()?;
        if said.next().is_some() { None } else { TraceParent::parse(first) }
    }
}

/// Who a client is, as all auth plugins together see it.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Empty: an anonymous client.
    pub user: String,
    /// The earliest end that a plugin has named.
    pub expires_at: Option<UnixMillis>,
    /// What each plugin has said, for that plugin alone.
    claims: Vec<(PluginName, Claims)>,
    /// Which version is asked about the client while two of one plugin are in use.
    pub lot: Lot,
    /// Of the request that the client came by: calls about it are of the same trace.
    trace: Option<TraceParent>,
}

type Claims = Vec<(String, String)>;

impl Identity {
    /// Of one who was not asked of any plugin.
    pub fn named(user: String, expires_at: Option<UnixMillis>) -> Self {
        let lot = Lot::of(&user);
        Self { user, expires_at, claims: Vec::new(), lot, trace: None }
    }

    /// Has each of these plugins accepted the client? One that came later has not been asked.
    pub fn is_known_to(&self, plugins: &[Arc<Generation>]) -> bool {
        plugins.iter().all(|generation| self.claims_of(generation).is_some())
    }

    /// What some plugin has said under this name: the first that has.
    pub fn claim(&self, name: &str) -> Option<&str> {
        let mut claims = self.claims.iter().flat_map(|(_, claims)| claims);
        claims.find_map(|(known, value)| (known == name).then_some(value.as_str()))
    }

    fn claims_of(&self, generation: &Generation) -> Option<&Claims> {
        self.claims.iter().find(|(plugin, _)| *plugin == generation.name).map(|(_, claims)| claims)
    }

    fn add(&mut self, plugin: PluginName, accepted: auth::IdentityResult) {
        if self.user.is_empty() {
            self.user = accepted.user;
        }
        let end = accepted.expires_at_ms.map(UnixMillis);
        self.expires_at = self.expires_at.into_iter().chain(end).min();
        self.claims.push((plugin, accepted.claims));
    }
}

/// A plugin's refusal of a client, for the client to read.
#[derive(Clone, Debug)]
pub struct Refused {
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthAction {
    Subscribe,
    Publish,
}

/// What auth plugins say of a client and what it wants to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permission {
    /// For so long, at least a second; none: for as long as plugins and identity are the same.
    Granted(Option<Duration>),
    /// Why, in the plugin's own words; may be empty.
    Refused(String),
}

impl Permission {
    /// Of two that both must allow it.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Granted(one), Self::Granted(other)) => Self::Granted(one.into_iter().chain(other).min()),
            (refused @ Self::Refused(_), _) | (_, refused) => refused,
        }
    }
}

impl From<auth::Permission> for Permission {
    fn from(permission: auth::Permission) -> Self {
        match permission {
            auth::Permission::Granted => Self::Granted(None),
            auth::Permission::GrantedFor(seconds) => {
                Self::Granted(Some(Duration::from_secs(u64::from(seconds.max(1)))))
            }
            auth::Permission::Refused(reason) => Self::Refused(cut(reason, REASON_BYTES)),
        }
    }
}

const DOING: &str = "authenticating a client";

/// Within what a client may weigh.
fn check(identity: auth::IdentityResult) -> Result<auth::IdentityResult, PluginFailure> {
    let user = identity.user.len();
    if user > USER_BYTES {
        let why = format!("a user of {user} bytes; at most {USER_BYTES} are allowed");
        return Err(PluginFailure::BadOutput(why));
    }
    let claims: usize = identity.claims.iter().map(|(name, value)| name.len() + value.len()).sum();
    if claims > CLAIMS_BYTES {
        let why = format!("claims of {claims} bytes; at most {CLAIMS_BYTES} are allowed");
        return Err(PluginFailure::BadOutput(why));
    }
    Ok(identity)
}

impl From<AuthAction> for auth::Action {
    fn from(action: AuthAction) -> Self {
        match action {
            AuthAction::Subscribe => Self::Subscribe,
            AuthAction::Publish => Self::Publish,
        }
    }
}

impl Services {
    /// Every plugin is asked: the first refusal decides, the first name is the user's, the
    /// earliest end holds. With no plugin to ask everyone is anonymous.
    pub async fn authenticate(
        &self,
        plugins: &[Arc<Generation>],
        handshake: &Handshake,
    ) -> Result<Identity, Refused> {
        let (lot, trace) = (handshake.lot(), handshake.trace());
        let mut identity = Identity { lot, trace, ..Identity::default() };
        for generation in plugins {
            match self.authenticate_by(generation, handshake).await {
                Ok(Ok(accepted)) => identity.add(generation.name.clone(), accepted),
                Ok(Err(reason)) => return Err(Refused { reason }),
                Err(_) => {
                    let reason =
                        format!("Authentication is not available: plugin '{}' failed.", generation.name);
                    return Err(Refused { reason });
                }
            }
        }
        Ok(identity)
    }

    async fn authenticate_by(
        &self,
        generation: &Arc<Generation>,
        handshake: &Handshake,
    ) -> Result<Result<auth::IdentityResult, String>, PluginFailure> {
        let slot = self.auth.of(generation);
        let mut slot = slot.lock().await;
        let mut live = slot.take(generation, async |g: &Generation| g.auth().await).await?;
        let headers: Vec<(&str, &str)> = handshake.headers.iter().collect();
        let request = auth::Handshake {
            path: &handshake.path,
            query: &handshake.query,
            headers: &headers,
            token: handshake.token.as_deref(),
            peer: &handshake.peer,
        };
        let call = Call::of(Function::Authenticate).traced(handshake.trace());
        let clock = live.meter.arm(&mut live.store, call, generation.limits.auth_ms);
        generation.conduct.called();
        let answer = clock.watch(pin!(live.guest.call_authenticate(&mut live.store, request))).await;
        generation.tell(|| {
            let said = answer.as_ref().map(said::identity);
            (
                offline::Call::Authenticate(handshake.clone()),
                said.map_err(|error| failed(&PluginFailure::of_call(error))),
            )
        });
        match answer {
            Ok(answer) => {
                let meter = live.meter.clone();
                slot.put(live);
                let checked = answer.map(check).map_err(|refusal| cut(refusal.reason, REASON_BYTES));
                checked.map_or_else(
                    |reason| Ok(Err(reason)),
                    |identity| {
                        identity.map(Ok).inspect_err(|failure| {
                            meter.refused(Function::Authenticate, failure);
                            generation.note(failure, DOING);
                        })
                    },
                )
            }
            Err(error) => {
                let failure = PluginFailure::of_call(&error);
                slot.failed(generation, &failure, DOING);
                Err(failure)
            }
        }
    }

    /// May this client do that? All plugins must say so, and the shortest time holds.
    pub async fn authorize(
        &self,
        plugins: &[Arc<Generation>],
        who: &Identity,
        action: AuthAction,
        channel: &ChannelName,
        captures: &Captures,
    ) -> Result<Permission, (PluginName, PluginFailure)> {
        let mut all = Permission::Granted(None);
        for generation in plugins {
            match self.authorize_by(generation, who, action, channel, captures).await {
                Ok(refused @ Permission::Refused(_)) => return Ok(refused),
                Ok(granted) => all = all.and(granted),
                Err(failure) => return Err((generation.name.clone(), failure)),
            }
        }
        Ok(all)
    }

    async fn authorize_by(
        &self,
        generation: &Arc<Generation>,
        who: &Identity,
        action: AuthAction,
        channel: &ChannelName,
        captures: &Captures,
    ) -> Result<Permission, PluginFailure> {
        let slot = self.auth.of(generation);
        let mut slot = slot.lock().await;
        let mut live = slot.take(generation, async |g: &Generation| g.auth().await).await?;
        let claims = who.claims_of(generation).into_iter().flatten();
        let claims: Vec<(&str, &str)> = claims.map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let identity = auth::IdentityParam {
            user: &who.user,
            claims: &claims,
            expires_at_ms: who.expires_at.map(|at| at.0),
        };
        let taken = captures.pairs();
        let call = Call::of(Function::Authorize).about(channel).traced(who.trace);
        let clock = live.meter.arm(&mut live.store, call, generation.limits.auth_ms);
        generation.conduct.called();
        let (store, action_of) = (&mut live.store, action.into());
        let answer = clock
            .watch(pin!(live.guest.call_authorize(store, identity, action_of, channel.as_str(), &taken)))
            .await;
        generation.tell(|| {
            let of = Who {
                user: who.user.clone(),
                claims: who.claims_of(generation).cloned().unwrap_or_default(),
                expires_at: who.expires_at,
            };
            let (channel, captures) = (channel.clone(), Some(captures.clone()));
            let said = answer.as_ref().map(said::permission);
            let said = said.map_err(|error| failed(&PluginFailure::of_call(error)));
            (offline::Call::Authorize { who: of, action, channel, captures }, said)
        });
        match answer {
            Ok(permission) => {
                slot.put(live);
                Ok(permission.into())
            }
            Err(error) => {
                let failure = PluginFailure::of_call(&error);
                slot.failed(generation, &failure, "authorizing a client");
                Err(failure)
            }
        }
    }
}
