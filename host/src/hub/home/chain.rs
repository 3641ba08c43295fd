//! The plugins that handle one channel: each is asked in its turn, and may pass, change or refuse.

use crate::core::{Captures, PluginName};
use crate::hub::post::Verdicts;
use crate::plugin::{Actor, Effect, Job, Response};

use super::{Request, Ticket};

/// A plugin's place at one channel, for as long as it handles it: it stays the same over reloads,
/// and when the plugins' order changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkId(u32);

/// One plugin, and the channel's place in it.
pub struct Link {
    pub id: LinkId,
    pub plugin: PluginName,
    pub actor: Actor<Verdicts>,
}

impl Link {
    pub fn ask(&self, job: Job, request: Request, passed: Option<Box<Passed>>) {
        let trace = request.trace();
        self.actor.send_traced(job, trace, Ticket { link: self.id, passed, request: Box::new(request) });
    }
}

/// In the order in which they are asked. Most channels have one or none.
#[derive(Default)]
pub struct Chain {
    links: Box<[Link]>,
    next: u32,
}

/// What those that were asked before have answered. None of it is in effect until the last has.
#[derive(Default)]
pub struct Passed {
    pub effects: Vec<(LinkId, Vec<Effect>)>,
    /// Of the first that gives one.
    pub response: Option<Response>,
}

impl Passed {
    fn has(&self, link: LinkId) -> bool {
        self.effects.iter().any(|(passed, _)| *passed == link)
    }
}

impl Chain {
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    pub fn first(&self) -> Option<&Link> {
        self.links.first()
    }

    pub fn get(&self, id: LinkId) -> Option<&Link> {
        self.links.iter().find(|link| link.id == id)
    }

    pub fn ids(&self) -> Vec<LinkId> {
        self.links.iter().map(|link| link.id).collect()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Link> {
        self.links.iter()
    }

    /// Who is asked after this one. By who has been asked and not by place, because the chain may have changed
    /// meanwhile: nobody is left out, and nobody asked twice.
    pub fn after(&self, link: LinkId, passed: Option<&Passed>) -> Option<&Link> {
        self.links.iter().find(|next| next.id != link && passed.is_none_or(|passed| !passed.has(next.id)))
    }

    /// The plugins of a new registry, in its order. Who was there keeps its place and moves to its new version;
    /// who is no longer is dropped.
    pub fn install<'a, P: 'a>(
        &mut self,
        wanted: impl Iterator<Item = (&'a P, Captures)>,
        name: impl Fn(&P) -> &PluginName,
        swap: impl Fn(&Actor<Verdicts>, &P, Captures),
        attach: impl Fn(&P, Captures) -> Actor<Verdicts>,
    ) {
        let mut before = std::mem::take(&mut self.links).into_vec();
        let link = |(plugin, captures): (&'a P, Captures)| {
            if let Some(at) = before.iter().position(|link| link.plugin == *name(plugin)) {
                let link = before.swap_remove(at);
                swap(&link.actor, plugin, captures);
                return link;
            }
            let id = LinkId(self.next);
            self.next = self.next.wrapping_add(1);
            Link { id, plugin: name(plugin).clone(), actor: attach(plugin, captures) }
        };
        self.links = wanted.map(link).collect();
    }
}
