//! Pushes to a Pushgateway: of each group what is in flight and the state that comes next.
//!
//! Not a queue, because a push is the state of its group and not an event: a PUT makes every earlier push of its group
//! needless, a DELETE likewise, and a late retry must never overwrite a newer state. POSTs replace only the families
//! they name, so they are kept in order, and merged by the worker where that has the same effect.

use crate::clock::{Clock, Mono};
use crate::config::{Config, Overflow};
use crate::error::{Error, Result};
use crate::input::exposition;
use crate::ledger::{Balance, Dropped, Ledger, Rejected};
use crate::pending::source::{Headers, Outcome, Request, Source, Take};
use crate::send::transport::Method;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// One push, as a caller hands it over.
#[derive(Debug, Clone)]
pub struct Push {
    /// PUT, POST or DELETE.
    pub method: Method,
    /// The group's path with the gateway's prefix.
    pub path: Arc<str>,
    /// Content headers and those of the caller.
    pub headers: Arc<Headers>,
    /// The body.
    pub body: Arc<[u8]>,
}

/// What a push takes beside its body and path.
const OVERHEAD: u64 = 256;

impl Push {
    fn bytes(&self) -> u64 {
        (self.body.len() + self.path.len()) as u64 + OVERHEAD
    }

    /// Whether its body is a text page as it is.
    fn is_plain_text(&self) -> bool {
        let encoded = self.headers.0.iter().any(|(n, _)| n.eq_ignore_ascii_case("content-encoding"));
        let kind = self.headers.0.iter().find(|(n, _)| n.eq_ignore_ascii_case("content-type"));
        !encoded && kind.is_none_or(|(_, v)| v.starts_with("text/plain"))
    }
}

struct Item {
    push: Push,
    /// Position among all pushes accepted.
    seq: u64,
    accepted: Mono,
    attempt: u32,
    ambiguous: bool,
    /// The pushes that `push` was merged from; each counts for itself if the merged one is refused.
    merged: Vec<Item>,
    /// `push` is only the first of `merged` as yet.
    unmerged: bool,
    /// Came back from a merged push that was refused.
    part: bool,
}

impl Item {
    fn pushes(&self) -> u64 {
        self.merged.len().max(1) as u64
    }

    fn bytes(&self) -> u64 {
        self.push.bytes() + self.merged.iter().map(Item::bytes).sum::<u64>()
    }

    fn first_seq(&self) -> u64 {
        self.merged.first().map_or(self.seq, |first| first.seq)
    }
}

/// A group: what was handed out, or is to be sent again, and what follows it, in order: at most one PUT or DELETE, and it
/// comes first.
#[derive(Default)]
struct Group {
    sending: Option<(u64, Item)>,
    next: VecDeque<Item>,
    /// Whether the group stands in `ready`.
    listed: bool,
    /// What stands in [`State::oldest`] and [`State::droppable`] for it.
    indexed: [Option<u64>; 2],
}

impl Group {
    /// The pushes that [`State::oldest`] and [`State::droppable`] list.
    fn firsts(&self) -> [Option<u64>; 2] {
        let next = self.next.front();
        let sending = self.sending.as_ref().map(|(_, item)| item.first_seq());
        [sending.or(next.map(Item::first_seq)), next.map(|item| item.seq)]
    }
}

struct State {
    closed: bool,
    groups: HashMap<Arc<str>, Group>,
    /// Paths with something to send, the longest waiting first. A path whose request failed goes to the end, so that one
    /// poisoned group does not hold up the others.
    ready: VecDeque<Arc<str>>,
    /// The group of each oldest push pending, by its number. There may be very many groups, and callers wait meanwhile, so
    /// none of them is looked for one by one.
    oldest: BTreeMap<u64, Arc<str>>,
    /// The same for the oldest push that no request was made of.
    droppable: BTreeMap<u64, Arc<str>>,
    tail: u64,
    next_id: u64,
    items: u64,
    bytes: u64,
    panics: u32,
    ledger: Ledger,
}

/// The pushes that wait for one gateway.
pub struct Gateway {
    state: Mutex<State>,
    space: Condvar,
    clock: Clock,
    config: Arc<Config>,
}

impl Gateway {
    /// A gateway with nothing pending and the limits of `config`.
    #[must_use]
    pub fn new(config: Arc<Config>, clock: Clock) -> Self {
        Gateway {
            state: Mutex::new(State {
                closed: false,
                groups: HashMap::new(),
                ready: VecDeque::new(),
                oldest: BTreeMap::new(),
                droppable: BTreeMap::new(),
                tail: 0,
                next_id: 0,
                items: 0,
                bytes: 0,
                panics: 0,
                ledger: Ledger::default(),
            }),
            space: Condvar::new(),
            clock,
            config,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues one push.
    ///
    /// # Errors
    /// [`Error::Closed`]; [`Error::TooLarge`] for a body above `queue_config.capacity_bytes`; [`Error::QueueFull`] with the
    /// policies `error` and `block`.
    pub fn push(&self, push: Push) -> Result<()> {
        let item = Item {
            push,
            seq: 0,
            accepted: self.clock.now(),
            attempt: 0,
            ambiguous: false,
            merged: Vec::new(),
            unmerged: false,
            part: false,
        };
        let bytes = item.bytes();
        if bytes > self.config.capacity_bytes {
            return Err(Error::TooLarge {
                field: "body of one push (option queue_config.capacity_bytes)".into(),
                size: item.push.body.len(),
                limit: usize::try_from(self.config.capacity_bytes).unwrap_or(usize::MAX),
            });
        }
        let deadline = Instant::now() + self.config.block_timeout;
        let mut guard = self.lock();
        loop {
            let state = &mut *guard;
            if state.closed {
                return Err(Error::Closed { what: "pusher" });
            }
            // a state that replaces others needs no more room than it frees
            let replaced =
                if item.push.method == Method::Post { (0, 0) } else { state.waiting(&item.push.path) };
            let items = state.items - replaced.0 + 1;
            if items <= self.config.capacity && state.bytes - replaced.1 + bytes <= self.config.capacity_bytes
            {
                break;
            }
            match self.config.overflow {
                Overflow::DropOldest if state.drop_oldest() => {}
                Overflow::DropOldest | Overflow::DropNewest => {
                    state.tail += 1;
                    state.ledger.accepted += 1;
                    state.ledger.drop_items(Dropped::QueueFull, 1);
                    return Ok(());
                }
                Overflow::Error => return Err(self.full(state)),
                Overflow::Block => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(self.full(state));
                    }
                    guard = self.space.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
        let state = &mut *guard;
        state.tail += 1;
        state.ledger.accepted += 1;
        state.add(Item { seq: state.tail, ..item });
        Ok(())
    }

    fn full(&self, state: &State) -> Error {
        Error::QueueFull {
            samples: state.items,
            bytes: state.bytes,
            max_samples: self.config.capacity,
            max_bytes: self.config.capacity_bytes,
        }
    }
}

impl State {
    /// Pushes and bytes that a new state of the group makes needless.
    fn waiting(&self, path: &str) -> (u64, u64) {
        let next = self.groups.get(path).map(|g| &g.next);
        next.into_iter().flatten().fold((0, 0), |(n, b), item| (n + item.pushes(), b + item.bytes()))
    }

    fn add(&mut self, item: Item) {
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
    fn index(&mut self, path: &Arc<str>) {
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

    fn forget(&mut self, item: &Item) {
        self.items -= item.pushes();
        self.bytes -= item.bytes();
    }

    /// Drops the oldest push that is not in flight.
    fn drop_oldest(&mut self) -> bool {
        let Some(path) = self.droppable.first_key_value().map(|(_, path)| path.clone()) else { return false };
        let Some(item) = self.groups.get_mut(&path).and_then(|g| g.next.pop_front()) else { return false };
        self.index(&path);
        self.forget(&item);
        self.ledger.drop_items(Dropped::QueueFull, item.pushes());
        true
    }

    /// What a group sends next: the request that failed, unless a newer state replaces it, or the next push, POSTs merged.
    fn choose(&mut self, path: &Arc<str>) {
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
}

impl Item {
    /// Whether `newer` and this may be POSTed as one.
    fn may_merge(&self, newer: &Item) -> bool {
        [self, newer].iter().all(|i| i.push.method == Method::Post && !i.part && i.push.is_plain_text())
            && self.push.headers == newer.push.headers
    }

    /// The push of `parts`, of which there is at least one; still to be merged where there are more.
    fn of(mut parts: Vec<Item>) -> Item {
        let last = parts.remove(parts.len() - 1);
        let Some(first) = parts.first() else { return last };
        let (push, accepted, seq) = (first.push.clone(), first.accepted, last.seq);
        parts.push(last);
        Item { push, seq, accepted, attempt: 0, ambiguous: false, merged: parts, unmerged: true, part: false }
    }
}

/// The body with the effect of `bodies`, one POSTed after the other, and how many of them it covers: as many as it can
/// be known for.
fn merge(bodies: &[Arc<[u8]>]) -> (Vec<u8>, usize) {
    let mut merged = bodies[0].to_vec();
    for (covered, body) in bodies.iter().enumerate().skip(1) {
        match exposition::merge(&merged, body) {
            Some(both) => merged = both,
            None => return (merged, covered),
        }
    }
    (merged, bodies.len())
}

impl State {
    /// Puts the body that was made of the first `covered` parts in its place, unless the push was given up meanwhile.
    fn merged(&mut self, path: &Arc<str>, id: u64, body: Vec<u8>, covered: usize) {
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
    fn put_back(&mut self, path: &Arc<str>, parts: Vec<Item>) {
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
}

impl Source for Gateway {
    fn take(&self, now: Mono, _flush_to: u64) -> Take {
        let mut guard = self.lock();
        let limit = self.config.sample_age_limit;
        while let Some(path) = guard.ready.front().cloned() {
            let state = &mut *guard;
            state.choose(&path);
            let sending = state.groups.get_mut(&path).and_then(|g| g.sending.as_mut());
            let Some((id, item)) = sending else {
                state.ready.pop_front();
                state.groups.remove(&path);
                continue;
            };
            if !limit.is_zero() && item.accepted + limit < now {
                let old = state.groups.get_mut(&path).and_then(|g| g.sending.take());
                state.index(&path);
                if let Some((_, old)) = old {
                    state.forget(&old);
                    state.ledger.drop_items(Dropped::TooOld, old.pushes());
                }
                continue;
            }
            if item.unmerged {
                let (id, parts) =
                    (*id, item.merged.iter().map(|part| part.push.body.clone()).collect::<Vec<_>>());
                // parsing takes long, and callers push meanwhile
                drop(guard);
                let (body, covered) = merge(&parts);
                guard = self.lock();
                guard.merged(&path, id, body, covered);
                continue;
            }
            return Take::Request(Request {
                id: *id,
                method: item.push.method,
                path: Some(item.push.path.clone()),
                headers: item.push.headers.clone(),
                body: item.push.body.clone(),
                items: item.pushes(),
                accepted: item.accepted,
                attempt: item.attempt,
                ambiguous: item.ambiguous,
                part: item.part,
            });
        }
        Take::Nothing
    }

    fn settle(&self, request: &Request, outcome: Outcome) -> Option<u64> {
        let path = request.path.as_ref()?;
        let mut guard = self.lock();
        let state = &mut *guard;
        state.panics = 0;
        let group = state.groups.get_mut(path)?;
        let (_, item) = group.sending.as_mut().filter(|(id, _)| *id == request.id)?;
        match outcome {
            Outcome::Again { ambiguous } => {
                item.attempt += 1;
                item.ambiguous |= ambiguous;
                // the request in flight is of the first in line
                state.ready.rotate_left(1);
                return Some(0);
            }
            Outcome::Split if item.merged.is_empty() => return None,
            _ => {}
        }
        let (_, item) = group.sending.take()?;
        let pushes = item.pushes();
        if outcome == Outcome::Split {
            state.bytes -= item.push.bytes();
            let before = state.ledger.superseded;
            let parts = item.merged.into_iter().map(|part| Item { part: true, ..part }).collect();
            state.put_back(path, parts);
            state.index(path);
            return Some(state.ledger.superseded - before);
        }
        state.index(path);
        state.forget(&item);
        match outcome {
            Outcome::Delivered => state.ledger.delivered += pushes,
            Outcome::Rejected(why) => state.ledger.reject(why, pushes),
            Outcome::Dropped(why) => state.ledger.drop_items(why, pushes),
            Outcome::Again { .. } | Outcome::Split => {}
        }
        self.space.notify_all();
        Some(pushes)
    }

    fn recover(&self) -> u64 {
        let mut guard = self.lock();
        let state = &mut *guard;
        state.panics += 1;
        if state.panics < 2 {
            return 0;
        }
        state.panics = 0;
        let Some(path) = state.ready.front().cloned() else { return 0 };
        let Some((_, item)) = state.groups.get_mut(&path).and_then(|g| g.sending.take()) else { return 0 };
        state.index(&path);
        state.forget(&item);
        state.ledger.reject(Rejected::Panic, item.pushes());
        item.pushes()
    }

    fn position(&self) -> u64 {
        self.lock().tail
    }

    fn settled_to(&self, position: u64) -> bool {
        // positions count from 1: what was accepted before `position` has a number up to it
        self.lock().oldest.first_key_value().is_none_or(|(seq, _)| *seq > position)
    }

    fn clear(&self, why: Dropped) -> u64 {
        let mut guard = self.lock();
        let state = &mut *guard;
        state.closed = true;
        let items = state.pending();
        state.groups.clear();
        state.ready.clear();
        state.oldest.clear();
        state.droppable.clear();
        (state.items, state.bytes) = (0, 0);
        state.ledger.drop_items(why, items);
        self.space.notify_all();
        items
    }

    fn close(&self) {
        self.lock().closed = true;
        self.space.notify_all();
    }

    fn ledger(&self) -> Ledger {
        self.lock().ledger
    }

    fn balance(&self) -> Balance {
        let state = self.lock();
        Balance { ledger: state.ledger, pending: state.pending(), pending_bytes: state.bytes }
    }

    fn oldest(&self) -> Option<Mono> {
        let state = self.lock();
        let (_, path) = state.oldest.first_key_value()?;
        let group = state.groups.get(path)?;
        group.sending.as_ref().map(|(_, item)| item).or(group.next.front()).map(|item| item.accepted)
    }

    fn tidy(&self, _now: Mono) {}
}

impl State {
    fn pending(&self) -> u64 {
        let of = |g: &Group| {
            let sending = g.sending.as_ref().map_or(0, |(_, item)| item.pushes());
            sending + g.next.iter().map(Item::pushes).sum::<u64>()
        };
        self.groups.values().map(of).sum()
    }
}
