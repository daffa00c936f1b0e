//! All groups of one gateway, under one lock: what each sends next, and what that does to the ledger.

use super::item::{Group, Item};
use crate::ledger::{Dropped, Ledger};
use crate::send::transport::Method;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// The groups and what is counted of them.
#[derive(Default)]
pub struct State {
    pub closed: bool,
    pub groups: HashMap<Arc<str>, Group>,
    /// Paths with something to send, the longest waiting first. A path whose request failed goes to the end, so that one
    /// poisoned group does not hold up the others.
    pub ready: VecDeque<Arc<str>>,
    /// The group of each oldest push pending, by its number. There may be very many groups, and callers wait meanwhile, so
    /// none of them is looked for one by one.
    pub oldest: BTreeMap<u64, Arc<str>>,
    /// The same for the oldest push that no request was made of.
    pub droppable: BTreeMap<u64, Arc<str>>,
    pub tail: u64,
    pub next_id: u64,
    pub items: u64,
    pub bytes: u64,
    pub panics: u32,
    pub ledger: Ledger,
}

impl State {
    /// Pushes and bytes that a new state of the group makes needless.
    pub fn waiting(&self, path: &str) -> (u64, u64) {
        let next = self.groups.get(path).map(|g| &g.next);
        next.into_iter().flatten().fold((0, 0), |(n, b), item| (n + item.pushes(), b + item.bytes()))
    }

    /// Queues a push, which makes what waits needless unless it is a POST.
    pub fn add(&mut self, item: Item) {
        let path = item.push.path.clone();
        self.items += item.pushes();
        self.bytes += item.bytes();
        let group = self.groups.entry(path.clone()).or_default();
        let mut needless = Vec::new();
        if item.push.method != Method::Post {
            needless.extend(group.next.drain(..));
        }
        group.next.push_back(item);
        let listed = std::mem::replace(&mut group.listed, true);
        for old in needless {
            self.forget(&old);
            self.ledger.superseded += old.pushes();
        }
        self.index(&path);
        if !listed {
            self.ready.push_back(path);
        }
    }

    /// Brings the two indices up to date, after each change of a group.
    pub fn index(&mut self, path: &Arc<str>) {
        let Some(group) = self.groups.get_mut(path) else { return };
        let (new, old) = (group.firsts(), group.indexed);
        group.indexed = new;
        for (index, (new, old)) in
            [&mut self.oldest, &mut self.droppable].into_iter().zip(new.into_iter().zip(old))
        {
            if new != old {
                old.and_then(|seq| index.remove(&seq));
                new.and_then(|seq| index.insert(seq, path.clone()));
            }
        }
    }

    /// Takes a push out of the counts of what is held.
    pub fn forget(&mut self, item: &Item) {
        self.items -= item.pushes();
        self.bytes -= item.bytes();
    }

    /// Drops the oldest push that is not in flight.
    pub fn drop_oldest(&mut self) -> bool {
        let Some(path) = self.droppable.first_key_value().map(|(_, path)| path.clone()) else { return false };
        let Some(item) = self.groups.get_mut(&path).and_then(|g| g.next.pop_front()) else { return false };
        self.index(&path);
        self.forget(&item);
        self.ledger.drop_items(Dropped::QueueFull, item.pushes());
        true
    }

    /// What a group sends next: the request that failed, unless a newer state replaces it, or the next push, POSTs merged.
    pub fn choose(&mut self, path: &Arc<str>) {
        let Some(group) = self.groups.get_mut(path) else { return };
        let replaced = group.next.front().is_some_and(|n| n.push.method != Method::Post);
        let mut done = None;
        if replaced {
            done = group.sending.take();
        }
        if group.sending.is_none()
            && let Some(first) = group.next.pop_front()
        {
            let mut parts = vec![first];
            let more = group.next.iter().take_while(|newer| parts[0].may_merge(newer)).count();
            parts.extend(group.next.drain(..more));
            let item = Item::of(parts);
            if item.unmerged {
                self.bytes += item.push.bytes();
            }
            self.next_id += 1;
            group.sending = Some((self.next_id, item));
        }
        self.index(path);
        if let Some((_, old)) = done {
            self.forget(&old);
            self.ledger.superseded += old.pushes();
        }
    }

    /// Puts the body that was made of the first `covered` parts in its place, unless the push was given up meanwhile.
    pub fn merged(&mut self, path: &Arc<str>, id: u64, body: Vec<u8>, covered: usize) {
        let Some(group) = self.groups.get_mut(path) else { return };
        let Some((_, item)) = group.sending.take_if(|(have, _)| *have == id) else { return };
        self.bytes -= item.push.bytes();
        let mut parts = item.merged;
        let rest = parts.split_off(covered);
        let mut item = Item::of(parts);
        if item.unmerged {
            item.push.body = body.into();
            item.unmerged = false;
            self.bytes += item.push.bytes();
        }
        group.sending = Some((id, item));
        self.put_back(path, rest);
        self.index(path);
    }

    /// Puts parts of a merged push back before what follows it. A PUT or DELETE that came meanwhile makes them needless.
    pub fn put_back(&mut self, path: &Arc<str>, parts: Vec<Item>) {
        let Some(group) = self.groups.get_mut(path) else { return };
        let replaced = group.next.front().is_some_and(|n| n.push.method != Method::Post);
        for part in parts.into_iter().rev() {
            if replaced {
                self.items -= 1;
                self.bytes -= part.bytes();
                self.ledger.superseded += 1;
            } else {
                group.next.push_front(part);
            }
        }
    }

    /// Pushes held, counted one by one.
    pub fn pending(&self) -> u64 {
        let of = |g: &Group| {
            let sending = g.sending.as_ref().map_or(0, |(_, item)| item.pushes());
            sending + g.next.iter().map(Item::pushes).sum::<u64>()
        };
        self.groups.values().map(of).sum()
    }
}
