//! The subscribers of one channel on one shard, in groups that get the same bytes.

use std::collections::HashMap;
use std::rc::Rc;

use super::slow::SlowPolicy;
use super::wire::WireId;
use crate::core::{ChannelName, ClientId, Offset, PluginName};
use crate::plugin::FilterId;

/// What becomes of a message that a filter could not judge: its plugin failed, was too late, is gone,
/// or does not accept the filter any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FilterFailure {
    /// It is not delivered.
    #[default]
    Closed,
    /// It is delivered.
    Open,
}

/// A filter that a subscriber chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterChoice {
    pub plugin: PluginName,
    pub id: FilterId,
    /// By the channel's rule.
    pub failure: FilterFailure,
}

impl FilterChoice {
    /// Is a message delivered that was judged so, or not at all?
    pub fn delivers(&self, verdict: Option<bool>) -> bool {
        verdict.unwrap_or(self.failure == FilterFailure::Open)
    }
}

/// The distinct filters of one plugin among a channel's subscribers, in the order in which they are
/// judged.
pub type Panel = Rc<[FilterId]>;

/// What members of a group have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupKey {
    pub wire: WireId,
    pub filter: Option<FilterChoice>,
    /// Is told who comes and goes.
    pub presence: bool,
    pub slow: SlowPolicy,
}

pub struct Member {
    pub client: ClientId,
    /// The channel's offset when it subscribed: it gets what comes after.
    pub since: Offset,
}

pub struct Group {
    pub key: GroupKey,
    pub members: Vec<Member>,
    /// Where its filter stands in the panels, unless those are stale.
    place: Place,
}

#[derive(Clone, Copy, Default)]
struct Place {
    panel: usize,
    column: usize,
}

/// Where a subscriber sits: what it takes to find and remove it without a search.
#[derive(Clone, Debug)]
pub struct Seat {
    pub audience: usize,
    pub(super) group: usize,
    pub(super) index: usize,
}

pub struct Audience {
    /// Shared with what waits in its members' outboxes.
    pub channel: Rc<ChannelName>,
    pub groups: Vec<Group>,
    /// Of all groups.
    members: usize,
    /// The groups of each filter: there may be thousands.
    by_filter: HashMap<FilterId, Vec<usize>>,
    /// Places of groups with filters that have emptied. Used again, so that seats of others stay valid.
    free: Vec<usize>,
    panels: Vec<(PluginName, Panel)>,
    /// A filter has come or gone since the panels were made.
    stale: bool,
}

impl Audience {
    pub fn new(channel: ChannelName) -> Self {
        Self {
            channel: Rc::new(channel),
            groups: Vec::new(),
            members: 0,
            by_filter: HashMap::new(),
            free: Vec::new(),
            panels: Vec::new(),
            stale: false,
        }
    }

    /// Seats a subscriber; `audience` is this audience's own key.
    pub fn add(&mut self, audience: usize, key: GroupKey, member: Member) -> Seat {
        let group = self.find(&key).unwrap_or_else(|| self.open(key));
        let members = &mut self.groups[group].members;
        members.push(member);
        self.members += 1;
        Seat { audience, group, index: members.len() - 1 }
    }

    fn find(&self, key: &GroupKey) -> Option<usize> {
        match &key.filter {
            // There are few without a filter, however many there are with one.
            None => self.groups.iter().position(|group| group.key.filter.is_none() && group.key == *key),
            Some(choice) => {
                let places = self.by_filter.get(&choice.id)?;
                places.iter().copied().find(|place| self.groups[*place].key == *key)
            }
        }
    }

    fn open(&mut self, key: GroupKey) -> usize {
        let filter = key.filter.as_ref().map(|choice| choice.id);
        let group = Group { key, members: Vec::new(), place: Place::default() };
        let place = match self.free.pop() {
            Some(free) => {
                self.groups[free] = group;
                free
            }
            None => {
                self.groups.push(group);
                self.groups.len() - 1
            }
        };
        if let Some(filter) = filter {
            self.by_filter.entry(filter).or_default().push(place);
            self.stale = true;
        }
        place
    }

    /// Frees a seat. The member that moved into it, if any, must be told its new seat.
    pub fn remove(&mut self, seat: &Seat) -> Removed {
        let group = &mut self.groups[seat.group];
        group.members.swap_remove(seat.index);
        self.members -= 1;
        let (filter, moved) = (group.key.filter.clone(), group.members.get(seat.index).map(|m| m.client));
        if let Some(choice) = &filter
            && group.members.is_empty()
        {
            if let Some(places) = self.by_filter.get_mut(&choice.id) {
                places.retain(|place| *place != seat.group);
                if places.is_empty() {
                    self.by_filter.remove(&choice.id);
                }
            }
            self.free.push(seat.group);
            self.stale = true;
        }
        Removed { filter, moved }
    }

    pub fn is_empty(&self) -> bool {
        self.members == 0
    }

    /// Members of all groups.
    pub fn len(&self) -> usize {
        self.members
    }

    /// Has nobody chosen a filter?
    pub fn is_unfiltered(&self) -> bool {
        self.by_filter.is_empty()
    }

    // === filters ===

    /// The plugins whose filters its subscribers have chosen.
    pub fn judges(&mut self) -> impl Iterator<Item = &PluginName> {
        self.refresh();
        self.panels.iter().map(|(plugin, _)| plugin)
    }

    /// Whom one of them is asked about.
    pub fn panel(&mut self, plugin: &PluginName) -> Option<Panel> {
        self.refresh();
        self.panels.iter().find(|(judge, _)| judge == plugin).map(|(_, panel)| panel.clone())
    }

    /// A filter in two dialects is two groups, but is judged once.
    fn refresh(&mut self) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        let mut panels: Vec<(PluginName, Vec<FilterId>)> = Vec::new();
        let mut places: HashMap<FilterId, Place> = HashMap::with_capacity(self.by_filter.len());
        for group in self.groups.iter_mut().filter(|group| !group.members.is_empty()) {
            let Some(choice) = &group.key.filter else { continue };
            group.place = *places.entry(choice.id).or_insert_with(|| {
                let panel = panels.iter().position(|(plugin, _)| *plugin == choice.plugin);
                let panel = panel.unwrap_or_else(|| {
                    panels.push((choice.plugin.clone(), Vec::new()));
                    panels.len() - 1
                });
                panels[panel].1.push(choice.id);
                Place { panel, column: panels[panel].1.len() - 1 }
            });
        }
        self.panels = panels.into_iter().map(|(plugin, ids)| (plugin, ids.into())).collect();
    }

    /// Finds groups' filters in a panel that may be an older one.
    pub fn columns(&self, plugin: &PluginName, panel: &Panel) -> ColumnsOf {
        let same = |(judge, ids): &(PluginName, Panel)| judge == plugin && Rc::ptr_eq(ids, panel);
        match self.panels.iter().position(same).filter(|_| !self.stale) {
            Some(at) => ColumnsOf::Present(at),
            None => ColumnsOf::Older(panel.iter().enumerate().map(|(column, id)| (*id, column)).collect()),
        }
    }
}

/// Of the groups' filters in a panel.
pub enum ColumnsOf {
    /// It is the one that the groups know their places in.
    Present(usize),
    Older(HashMap<FilterId, usize>),
}

impl ColumnsOf {
    /// None: the group is not in it.
    pub fn of(&self, group: &Group) -> Option<usize> {
        let choice = group.key.filter.as_ref()?;
        match self {
            Self::Present(panel) => {
                let is_in = group.place.panel == *panel && !group.members.is_empty();
                is_in.then_some(group.place.column)
            }
            Self::Older(columns) => columns.get(&choice.id).copied(),
        }
    }
}

pub struct Removed {
    pub filter: Option<FilterChoice>,
    /// This client now sits in the freed seat.
    pub moved: Option<ClientId>,
}

impl Seat {
    /// The seat that `other` has left.
    pub(super) fn take_over(&mut self, other: &Seat) {
        self.index = other.index;
    }
}
