//! What one connected client may do: who it is, and its requests turned into work for
//! the hub and the plugins. One session a connection, on the connection's shard.

mod expiry;
pub mod jwt;
mod keeper;
pub mod limits;
mod permissions;
pub mod pusher;
pub mod rules;
mod standing;

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use crate::core::meter::{Cost, Excess, OnExcess};
use crate::core::{ChannelName, Payload, Refusal, UserId};
use crate::dialect::{Command, FilterRequest, Request};
use crate::hub::audience::{FilterChoice, FilterFailure};
use crate::hub::letter::{About, Fate, Origin, PUBLICATIONS_A_MESSAGE, Publish, Question, Subscribe, Wishes};
use crate::hub::wire::{Reply, RequestId};
use crate::hub::{Connection, Shard};
use crate::plugin::{AuthAction, FilterRefusal, Handshake, Lot, Services};

pub use keeper::Keeper;
use keeper::KeeperOf;
use limits::{Allowance, Limits};
use rules::{KnownRules, Rule, Rules};
use standing::{Standing, denied};

/// Close code of a client past a limit that ends connections.
const RATE_LIMIT: u16 = 4002;

/// What sessions of a shard share.
pub struct Context {
    pub shard: Rc<Shard>,
    pub services: Services,
    /// Asked while no auth plugin is loaded.
    pub jwt: Option<Arc<jwt::Verifier>>,
    /// Subscriptions of one client.
    pub max_subscriptions: usize,
    /// Users are subscribed to their own channels without asking.
    pub subscribe_users: bool,
    /// For a client that is refused without a token to show one.
    pub handshake: std::time::Duration,
    pub limits: Arc<Limits>,
    pub rules: Arc<Rules>,
    /// Served in the Pusher Channels protocol.
    pub apps: Arc<pusher::Apps>,
    /// Asks auth plugins again about those who are connected.
    pub keeper: Rc<Keeper>,
}

impl Context {
    /// From now on subscriptions on this shard are judged again when it is time.
    pub fn keep(self: &Rc<Self>) {
        let judge = KeeperOf { keeper: self.keeper.clone(), context: Rc::downgrade(self) };
        self.shard.set_judge(Rc::new(judge));
        tokio::task::spawn_local(self.keeper.clone().run(Rc::downgrade(self)));
    }
}

/// The connection was told why and is closing; nothing more is read from it.
#[derive(Debug)]
pub struct Ended;

pub struct Session {
    context: Rc<Context>,
    connection: Rc<Connection>,
    standing: Standing,
    allowance: Option<Rc<Allowance>>,
    known_rules: KnownRules,
    /// See [`Session::subscribe_at_once`].
    at_once: bool,
    /// See [`Session::subscribe_to_own`].
    to_own: bool,
}

impl Session {
    /// Asks the auth plugins who the client is. `Err`: it is refused, and closing.
    pub async fn begin(
        context: Rc<Context>,
        connection: Rc<Connection>,
        handshake: Handshake,
        allowance: Option<Rc<Allowance>>,
    ) -> Result<Self, Ended> {
        connection.set_trace(handshake.trace());
        let standing = Standing::begin(&context, &connection, handshake, allowance.clone()).await?;
        let known_rules = KnownRules::default();
        Ok(Self { context, connection, standing, allowance, known_rules, at_once: false, to_own: false })
    }

    /// Handles one request that came as so many bytes; its answers go through the connection's
    /// outbox. Returns once the client may be read on. Whatever is not a publish is boxed: a
    /// connection's task has the size of the largest thing it may wait for.
    pub async fn handle(&mut self, request: Request, bytes: usize) -> Result<(), Ended> {
        let Request { id, command } = request;
        self.context.shard.received(bytes);
        let cost = match command {
            Ok(Command::Ping) => Cost::ping(bytes),
            _ => Cost::message(bytes),
        };
        if let Err(excess) = self.take(cost) {
            let channel = command.ok().and_then(Command::into_channel);
            return self.exceeded(id.as_ref(), channel, excess);
        }
        if !matches!(command, Ok(Command::Auth { .. })) {
            self.standing.require(&self.context, &self.connection)?;
        }
        let done = match command {
            Err(refusal) => Err((None, refusal)),
            Ok(Command::Auth { token }) => {
                let user = Box::pin(self.standing.renew(&self.context, &self.connection, token)).await?;
                self.reply(id.as_ref(), Reply::Authenticated { user });
                if self.to_own {
                    Box::pin(self.subscribe_to_own()).await;
                }
                Ok(())
            }
            Ok(Command::Ping) => {
                self.reply(id.as_ref(), Reply::Pong);
                Ok(())
            }
            Ok(Command::Publish { channel, event, payload, echo, receipt, key }) => {
                let rule = self.known_rules.find(&self.context.rules, &channel);
                let allowed = self.may_publish(&channel, &payload, rule.as_deref()).await;
                match allowed {
                    Err(refusal) => Err((Some(channel), refusal)),
                    Ok(()) => {
                        let echo = echo.unwrap_or(rule.is_none_or(|rule| rule.echo_to_sender));
                        let publish = Publish {
                            origin: Origin::Client {
                                sender: self.connection.sender(),
                                request: id.clone(),
                                subscribed: self.connection.is_subscribed(&channel),
                            },
                            except: (!echo).then_some(self.connection.id),
                            key,
                            budget: PUBLICATIONS_A_MESSAGE,
                            // Without an id nobody hears of it.
                            receipt: receipt && id.is_some(),
                            fate: Fate::Deliver,
                            trace: self.connection.trace(),
                            channel,
                            event,
                            payload,
                        };
                        self.context.shard.publish(&self.connection, publish);
                        Ok(())
                    }
                }
            }
            Ok(Command::Subscribe { channel, params, filter, wishes }) => {
                let subscribed = self.subscribe(channel.clone(), params, filter, wishes, id.clone());
                Box::pin(subscribed).await.map_err(|refusal| (Some(channel), refusal))
            }
            Ok(Command::Ask { channel, about }) => {
                let asked = self.ask(channel.clone(), about, id.clone());
                Box::pin(asked).await.map_err(|refusal| (Some(channel), refusal))
            }
            Ok(Command::Unsubscribe { channel }) => {
                self.connection.until_settled().await;
                self.context.shard.unsubscribe(&self.connection, channel, id.clone());
                Ok(())
            }
            Ok(Command::Action { name, data }) => {
                Box::pin(self.act(&name, data, id.as_ref())).await.map_err(|refusal| (None, refusal))
            }
        };
        if let Err((channel, refusal)) = done {
            self.reply(id.as_ref(), Reply::Refused { channel, refusal });
        }
        self.connection.until_credit().await;
        if self.connection.is_closing() { Err(Ended) } else { Ok(()) }
    }

    /// Its subscriptions, a few, are all asked for before anything is written: what they missed
    /// waits for the client together, not one after the other.
    pub fn subscribe_at_once(&mut self) {
        self.at_once = true;
    }

    /// Subscribes a client that has a user to the user's own channel, now and whenever it turns out
    /// to be another user, where the configuration says so. For dialects whose messages say where
    /// they are from.
    pub async fn subscribe_to_own(&mut self) {
        self.to_own = self.context.subscribe_users;
        let sender = self.connection.sender();
        let Some(user) = sender.named().filter(|_| self.to_own) else { return };
        // One whose id can be no part of a name has no channel.
        let Ok(channel) = ChannelName::of_user(user.as_str()) else { return };
        if self.connection.is_subscribed(&channel) {
            return;
        }
        let wishes = Wishes::default();
        if let Err(refusal) = self.subscribe(channel.clone(), None, None, wishes, None).await {
            self.reply(None, Reply::Refused { channel: Some(channel), refusal });
        }
    }

    /// The name of a client that is anonymous and may name itself. For others to see: the auth
    /// plugins have not seen it.
    pub fn call_itself(&self, name: UserId) {
        if self.connection.sender().named().is_none() {
            self.connection.set_own_name(name);
        }
    }

    /// A message of so many bytes that was not decoded: too large, or not of this dialect.
    pub fn refuse(&self, refusal: Refusal, bytes: usize) -> Result<(), Ended> {
        self.context.shard.received(bytes);
        match self.take(Cost::message(bytes)) {
            Ok(()) => self.reply(None, Reply::Refused { channel: None, refusal }),
            Err(excess) => self.exceeded(None, None, excess)?,
        }
        Ok(())
    }

    /// A ping of the transport's own. False: not to be answered.
    pub fn ping(&self, bytes: usize) -> Result<bool, Ended> {
        self.context.shard.received(bytes);
        match self.take(Cost::ping(bytes)) {
            Ok(()) => Ok(true),
            Err(excess) => self.exceeded(None, None, excess).map(|()| false),
        }
    }

    fn take(&self, cost: Cost) -> Result<(), Excess> {
        self.allowance.as_ref().map_or(Ok(()), |allowance| allowance.take(cost))
    }

    /// Past a limit.
    fn exceeded(
        &self,
        request: Option<&RequestId>,
        channel: Option<ChannelName>,
        excess: Excess,
    ) -> Result<(), Ended> {
        match excess.on_excess {
            OnExcess::Refuse => {
                self.reply(request, Reply::Refused { channel, refusal: excess.refusal() });
                Ok(())
            }
            OnExcess::Disconnect => {
                self.context.shard.close(&self.connection, RATE_LIMIT, &excess.reason());
                Err(Ended)
            }
        }
    }

    async fn may_publish(
        &mut self,
        channel: &ChannelName,
        payload: &Payload,
        rule: Option<&Rule>,
    ) -> Result<(), Refusal> {
        self.may(AuthAction::Publish, channel).await?;
        self.known_enough(channel, rule)?;
        rule.map_or(Ok(()), |rule| rule.payload(channel, payload))
    }

    /// Anonymous clients have no business in some channels. Asked after [`Session::may`], which
    /// may have found out anew who the client is.
    fn known_enough(&self, channel: &ChannelName, rule: Option<&Rule>) -> Result<(), Refusal> {
        if rule.is_some_and(|rule| rule.require_auth) && self.standing.is_anonymous() {
            return Err(denied(&self.connection, channel));
        }
        Ok(())
    }

    async fn may(&mut self, action: AuthAction, channel: &ChannelName) -> Result<(), Refusal> {
        self.standing.may(&self.context, &self.connection, action, channel).await?;
        let apps = &self.context.apps;
        // Where there are none, no channel is one of theirs.
        if !apps.is_empty()
            && (self.standing.is_anonymous() && apps.keeps_private(channel) || apps.is_for_one_user(channel))
        {
            return Err(denied(&self.connection, channel));
        }
        Ok(())
    }

    async fn subscribe(
        &mut self,
        channel: ChannelName,
        params: Option<Bytes>,
        filter: Option<FilterRequest>,
        wishes: Wishes,
        request: Option<RequestId>,
    ) -> Result<(), Refusal> {
        let rule = self.known_rules.find(&self.context.rules, &channel);
        let rule = rule.as_deref();
        self.until_room(&channel, rule).await?;
        self.may(AuthAction::Subscribe, &channel).await?;
        self.known_enough(&channel, rule)?;
        let params = match rule {
            Some(rule) => rule.params(&channel, params)?,
            None => params,
        };
        let filter = match filter {
            Some(filter) => {
                let failure = rule.map_or_else(FilterFailure::default, |rule| rule.filter_failure);
                Some(self.filter(&channel, filter, failure).await?)
            }
            None => None,
        };
        if (wishes.recover.is_some() || wishes.history > 0) && !self.at_once {
            // One replay at a time, so that who does not read cannot pile them up.
            self.connection.until_settled().await;
            self.connection.until_replayed().await;
        }
        let (sender, wire) = (self.connection.sender(), self.connection.wire);
        self.ask_home(Subscribe {
            replaces: self.connection.is_subscribed(&channel),
            channel,
            sender,
            wire,
            wishes,
            params,
            request,
            filter,
            joins: None,
            budget: PUBLICATIONS_A_MESSAGE,
            told: None,
            trace: None,
        })
    }

    /// May it have one subscription more?
    async fn until_room(&self, channel: &ChannelName, rule: Option<&Rule>) -> Result<(), Refusal> {
        if rule.is_some_and(|rule| rule.limited_places) {
            // Whether it has a place already must be known.
            self.connection.until_settled().await;
        }
        let limit = self.context.max_subscriptions;
        if self.connection.subscriptions() >= limit && !self.connection.is_subscribed(channel) {
            return Err(Refusal::LimitExceeded { limit, what: "subscriptions of one client" });
        }
        Ok(())
    }

    /// A subscription that nothing here speaks against.
    fn ask_home(&self, subscribe: Subscribe) -> Result<(), Refusal> {
        if let Some(allowance) = self.allowance.as_ref().filter(|_| !subscribe.replaces)
            && let Err(refusal) = allowance.subscribe()
        {
            self.context.shard.release(subscribe.filter);
            return Err(refusal);
        }
        self.context.shard.subscribe(&self.connection, subscribe);
        Ok(())
    }

    /// Who is in a channel and what was said there is for those who may subscribe to it.
    async fn ask(
        &mut self,
        channel: ChannelName,
        about: About,
        request: Option<RequestId>,
    ) -> Result<(), Refusal> {
        if about != About::Leave {
            let rule = self.known_rules.find(&self.context.rules, &channel);
            self.may(AuthAction::Subscribe, &channel).await?;
            self.known_enough(&channel, rule.as_deref())?;
        }
        // One at a time: answers may be as large as a replay.
        self.connection.until_settled().await;
        self.connection.until_replayed().await;
        let (sender, wire) = (self.connection.sender(), self.connection.wire);
        let question = Question { channel, sender, wire, request, about };
        self.context.shard.question(&self.connection, question, self.context.max_subscriptions)
    }

    async fn filter(
        &self,
        channel: &ChannelName,
        wanted: FilterRequest,
        failure: FilterFailure,
    ) -> Result<FilterChoice, Refusal> {
        let shard = &self.context.shard;
        let invalid = |details: String| Refusal::InvalidParams { subject: channel.to_string(), details };
        let registry = shard.registry();
        let Some(generation) = registry.filter(&wanted.plugin) else {
            return Err(invalid(format!("filter.plugin: no filter plugin '{}' is loaded", wanted.plugin)));
        };
        match shard.filters().add(generation, &wanted.params).await {
            Ok(id) => Ok(FilterChoice { plugin: generation.name.clone(), id, failure }),
            Err(FilterRefusal::Refused(reason)) => Err(invalid(format!("filter.params: {reason}"))),
            Err(FilterRefusal::Failed(failure)) => {
                tracing::warn!(plugin = %generation.name, %failure, "a filter could not be made");
                Err(Refusal::PluginFailed(generation.name.clone()))
            }
        }
    }

    async fn act(&self, name: &str, data: Bytes, request: Option<&RequestId>) -> Result<(), Refusal> {
        let registry = self.context.shard.registry();
        let sender = self.connection.sender();
        let Some(generation) = registry.action(name, Lot::of(sender.client.0)) else {
            return Err(Refusal::ActionNotFound(name.into()));
        };
        let _running = self.allowance.as_ref().map(|allowance| allowance.act()).transpose()?;
        let trace = self.connection.trace();
        match self.context.services.call_traced(generation, name, &sender, &data, trace).await {
            Ok(Ok((data, effects))) => {
                // A name that is no channel's can only be a plugin's own odd choice.
                if let Ok(name) = ChannelName::parse(name) {
                    self.context.shard.apply(&name, effects, trace);
                }
                self.reply(request, Reply::ActionCompleted { action: name.into(), data });
                Ok(())
            }
            Ok(Err(denial)) => Err(Refusal::Rejected { reason: denial.reason, code: denial.code }),
            Err(failure) => {
                tracing::warn!(plugin = %generation.name, action = name, %failure, "an action failed");
                Err(Refusal::PluginFailed(generation.name.clone()))
            }
        }
    }

    fn reply(&self, request: Option<&RequestId>, reply: Reply<'_>) {
        self.context.shard.reply(&self.connection, request, reply);
    }
}
