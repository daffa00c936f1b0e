//! Pushes to a Pushgateway: of each group what is in flight and the state that comes next.
//!
//! Not a queue, because a push is the state of its group and not an event: a PUT makes every earlier push of its group
//! needless, a DELETE likewise, and a late retry must never overwrite a newer state. POSTs replace only the families
//! they name, so they are kept in order, and merged by the worker where that has the same effect.

mod item;
mod state;

use crate::clock::{Clock, Mono};
use crate::config::{Config, Overflow};
use crate::error::{Error, Result};
use crate::ledger::{Balance, Dropped, Ledger, Rejected};
use crate::pending::source::{Headers, Outcome, Request, Source, Take};
use crate::send::transport::Method;
use item::{Item, merge};
use state::State;
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
        Gateway { state: Mutex::default(), space: Condvar::new(), clock, config }
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
                newest_ms: 0,
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
            Outcome::Spooled => state.ledger.spooled += pushes,
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
