//! A queue from whose middle entries can be taken. Some of them are marked, and also in a queue
//! of their own. Nothing here takes longer with more entries.

use slab::Slab;

/// No entry.
const NONE: u32 = u32::MAX;
/// The two queues that an entry may be in.
const ALL: usize = 0;
const MARKED: usize = 1;

/// An entry, for as long as it is in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle(u32);

struct Node<T> {
    item: T,
    before: [u32; 2],
    after: [u32; 2],
    marked: bool,
}

pub struct Chain<T> {
    nodes: Slab<Node<T>>,
    first: [u32; 2],
    last: [u32; 2],
}

impl<T> Default for Chain<T> {
    fn default() -> Self {
        Self { nodes: Slab::new(), first: [NONE; 2], last: [NONE; 2] }
    }
}

impl<T> Chain<T> {
    pub fn push_back(&mut self, item: T, marked: bool) -> Handle {
        let at = self.insert(item, marked);
        self.link(ALL, at, NONE);
        if marked {
            self.link(MARKED, at, NONE);
        }
        Handle(at)
    }

    /// Puts an entry before another, and marks it if that one is.
    pub fn insert_before(&mut self, next: Handle, item: T) -> Handle {
        let marked = self.nodes[next.0 as usize].marked;
        let at = self.insert(item, marked);
        self.link(ALL, at, next.0);
        if marked {
            self.link(MARKED, at, next.0);
        }
        Handle(at)
    }

    pub fn remove(&mut self, handle: Handle) -> T {
        self.unmark(handle);
        self.unlink(ALL, handle.0);
        self.nodes.remove(handle.0 as usize).item
    }

    pub fn unmark(&mut self, handle: Handle) {
        let node = &mut self.nodes[handle.0 as usize];
        if std::mem::take(&mut node.marked) {
            self.unlink(MARKED, handle.0);
        }
    }

    /// Marks an entry that stands before all marked ones.
    pub fn mark_first(&mut self, handle: Handle) {
        if !std::mem::replace(&mut self.nodes[handle.0 as usize].marked, true) {
            self.link(MARKED, handle.0, self.first[MARKED]);
        }
    }

    pub fn front(&self) -> Option<Handle> {
        some(self.first[ALL])
    }

    pub fn first_marked(&self) -> Option<Handle> {
        some(self.first[MARKED])
    }

    /// The marked entry after a marked one.
    pub fn next_marked(&self, handle: Handle) -> Option<Handle> {
        some(self.nodes[handle.0 as usize].after[MARKED])
    }

    pub fn get(&self, handle: Handle) -> &T {
        &self.nodes[handle.0 as usize].item
    }

    pub fn get_mut(&mut self, handle: Handle) -> &mut T {
        &mut self.nodes[handle.0 as usize].item
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let next = |at: &Handle| some(self.nodes[at.0 as usize].after[ALL]);
        std::iter::successors(self.front(), next).map(|at| self.get(at))
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub fn capacity(&self) -> usize {
        self.nodes.capacity()
    }

    fn insert(&mut self, item: T, marked: bool) -> u32 {
        // Each entry is at least a byte of an outbox's bound: there are far fewer than 2^32.
        self.nodes.insert(Node { item, before: [NONE; 2], after: [NONE; 2], marked }) as u32
    }

    /// Before `next`, or at the end.
    fn link(&mut self, queue: usize, at: u32, next: u32) {
        let before = match next {
            NONE => std::mem::replace(&mut self.last[queue], at),
            next => std::mem::replace(&mut self.nodes[next as usize].before[queue], at),
        };
        match before {
            NONE => self.first[queue] = at,
            before => self.nodes[before as usize].after[queue] = at,
        }
        let node = &mut self.nodes[at as usize];
        (node.before[queue], node.after[queue]) = (before, next);
    }

    fn unlink(&mut self, queue: usize, at: u32) {
        let node = &mut self.nodes[at as usize];
        let before = std::mem::replace(&mut node.before[queue], NONE);
        let after = std::mem::replace(&mut node.after[queue], NONE);
        match before {
            NONE => self.first[queue] = after,
            before => self.nodes[before as usize].after[queue] = after,
        }
        match after {
            NONE => self.last[queue] = before,
            after => self.nodes[after as usize].before[queue] = before,
        }
    }
}

fn some(at: u32) -> Option<Handle> {
    (at != NONE).then_some(Handle(at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push(bool),
        Insert(usize),
        Remove(usize),
        Unmark(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            any::<bool>().prop_map(Step::Push),
            (0..100usize).prop_map(Step::Insert),
            (0..100usize).prop_map(Step::Remove),
            (0..100usize).prop_map(Step::Unmark),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_list_and_the_list_of_what_is_marked(steps in proptest::collection::vec(step(), 0..60)) {
            let mut chain = Chain::default();
            let mut list: Vec<(usize, bool, Handle)> = Vec::new();
            for (n, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Push(marked) => {
                        let handle = chain.push_back(n, marked);
                        list.push((n, marked, handle));
                    }
                    _ if list.is_empty() => continue,
                    Step::Insert(at) => {
                        let at = at % list.len();
                        let (_, marked, next) = list[at];
                        let handle = chain.insert_before(next, n);
                        list.insert(at, (n, marked, handle));
                    }
                    Step::Remove(at) => {
                        let (item, _, handle) = list.remove(at % list.len());
                        prop_assert_eq!(chain.remove(handle), item);
                    }
                    Step::Unmark(at) => {
                        let at = at % list.len();
                        chain.unmark(list[at].2);
                        list[at].1 = false;
                    }
                }
                let want: Vec<_> = list.iter().map(|(item, ..)| *item).collect();
                prop_assert_eq!(chain.iter().copied().collect::<Vec<_>>(), want);
                let marked = std::iter::successors(chain.first_marked(), |at| chain.next_marked(*at));
                let want: Vec<_> = list.iter().filter(|(_, marked, _)| *marked).map(|(.., h)| *h).collect();
                prop_assert_eq!(marked.collect::<Vec<_>>(), want);
                prop_assert_eq!((chain.len(), chain.front()), (list.len(), list.first().map(|(.., h)| *h)));
            }
        }
    }
}
