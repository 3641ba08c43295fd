//! A plugin without a server: its functions called one by one, with what it reads of the server
//! answered from a recording. For the tools of those who write plugins.

mod call;
mod guest;
mod imports;
mod read;
mod recorded;
pub(super) mod said;
mod shapes;
mod write;

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
pub use call::{Call, Judged, Who};
pub(super) use imports::{add_reads_to_linker, add_to_linker};
pub use read::BadInput;
pub use recorded::{Kept, Present, Recorded};
pub use said::{Given, bytes};
use serde_json::Value;

use super::actor::{Opened, Version};
use super::bindings::{actions, auth, filter};
use super::engine::PluginEngine;
use super::failure::PluginFailure;
use super::generation::{Generation, Live};
use super::host::PluginSettings;
use super::loader::{LoadError, Source, load};
use crate::core::{Captures, ChannelMap, ChannelName};

/// What a store without a server reads from, shared by all instances of one plugin.
pub type Recording = Arc<Mutex<Recorded>>;

/// One plugin: an instance for each interface, made when it is first called, and kept as the server
/// keeps it. What its calls leave behind in it is there for the next.
pub struct Offline {
    generation: Arc<Generation>,
    handler: Version,
    rooms: ChannelMap<Opened>,
    auth: Option<Live<auth::Guest>>,
    filter: Option<Live<filter::Guest>>,
    /// The filter that was made last in it, and its parameters.
    judge: Option<(Bytes, u32)>,
    actions: Option<Live<actions::Guest>>,
}

impl Offline {
    /// Loads a file as the server would; `config` of the recording are the plugin's settings.
    ///
    /// # Errors
    /// Those of the server's loader.
    pub async fn load(
        source: Source,
        settings: &PluginSettings,
        engine: &PluginEngine,
    ) -> Result<Self, LoadError> {
        let generation = Arc::new(load(engine, source, settings).await?);
        Ok(Self::of(generation))
    }

    /// The same plugin with instances of its own.
    pub fn beside(&self) -> Self {
        Self::of(self.generation.clone())
    }

    /// One that is loaded already.
    pub(super) fn of(generation: Arc<Generation>) -> Self {
        Self {
            handler: Version::new(&generation),
            generation,
            rooms: ChannelMap::default(),
            auth: None,
            filter: None,
            judge: None,
            actions: None,
        }
    }

    pub fn generation(&self) -> &Arc<Generation> {
        &self.generation
    }

    /// What the function gave, as JSON, in the words of `docs/plugin-tools.md`.
    ///
    /// # Errors
    /// As on the server; the instance is gone then, and the next call has a fresh one.
    pub async fn call(&mut self, call: &Call) -> Result<Value, PluginFailure> {
        self.run(call).await.map(|given| given.json())
    }

    /// The call alone, for who measures it.
    ///
    /// # Errors
    /// As [`Offline::call`].
    pub async fn run(&mut self, call: &Call) -> Result<Given, PluginFailure> {
        match call {
            Call::Authenticate(handshake) => self.authenticate(handshake).await.map(Given::Identity),
            Call::Authorize { who, action, channel, captures } => {
                let captures = captures.clone().unwrap_or_default();
                self.authorize(who, *action, channel, &captures).await.map(Given::Permission)
            }
            Call::Action { name, who, data } => self.action(name, who, data).await.map(Given::Reply),
            Call::Filter { params, messages } => self.judge(params, messages).await.map(Given::Passes),
            Call::Handle { channel, captures, snapshot, job } => {
                let opened = self.room(channel, captures.as_ref(), snapshot.as_deref()).await?;
                let answer = pin!(self.handler.call(opened, job, channel, None)).await;
                match answer {
                    Ok(answer) => Ok(Given::Answer(answer)),
                    Err(failure) => Err(self.lost(failure)),
                }
            }
            Call::Save { channel, captures, snapshot } => {
                let opened = self.room(channel, captures.as_ref(), snapshot.as_deref()).await?;
                match self.handler.save(opened).await {
                    Ok(snapshot) => Ok(Given::Snapshot(snapshot)),
                    Err(failure) => Err(self.lost(failure)),
                }
            }
        }
    }

    /// How long one more instance takes to be made, and the bytes of its memories.
    ///
    /// # Errors
    /// It is not made.
    pub async fn start(&self) -> Result<(Duration, usize), PluginFailure> {
        let generation = &self.generation;
        let began = Instant::now();
        let has = &generation.capabilities;
        let memory = if has.channel_handler.is_some() {
            generation.channel_handler().await?.store.data().memory_bytes()
        } else if has.auth.is_some() {
            generation.auth().await?.store.data().memory_bytes()
        } else if has.filter.is_some() {
            generation.filter().await?.store.data().memory_bytes()
        } else {
            generation.actions().await?.store.data().memory_bytes()
        };
        Ok((began.elapsed(), memory))
    }

    /// The channel, opened with its first call.
    async fn room(
        &mut self,
        channel: &ChannelName,
        captures: Option<&Captures>,
        snapshot: Option<&[u8]>,
    ) -> Result<Opened, PluginFailure> {
        match self.rooms.get(channel) {
            Some(opened) => Ok(*opened),
            None => pin!(self.open(channel, captures, snapshot)).await,
        }
    }

    async fn open(
        &mut self,
        channel: &ChannelName,
        captures: Option<&Captures>,
        snapshot: Option<&[u8]>,
    ) -> Result<Opened, PluginFailure> {
        if self.generation.capabilities.channel_handler.is_none() {
            return Err(guest::not_exported("channel-handler"));
        }
        let captures = match captures {
            Some(captures) => captures.clone(),
            None => {
                let mut routes: Vec<_> = self.generation.routes.iter().collect();
                routes.sort_by_key(|pattern| std::cmp::Reverse(pattern.specificity()));
                let route = routes.into_iter().find(|pattern| pattern.matches(channel.as_str()));
                Captures::of(route, channel.as_str())
            }
        };
        match self.handler.open(channel, &captures, snapshot).await {
            Ok(opened) => {
                self.rooms.insert(channel.clone(), opened);
                Ok(opened)
            }
            // These leave the store as it was.
            Err(failure @ (PluginFailure::OpenRefused(_) | PluginFailure::SnapshotRefused(_))) => {
                Err(failure)
            }
            Err(failure) => Err(self.lost(failure)),
        }
    }

    /// A handler's store is gone, and its channels with it.
    fn lost(&mut self, failure: PluginFailure) -> PluginFailure {
        self.handler.end_store();
        self.rooms.clear();
        failure
    }
}
