//! The source of a writer with a spool: its queue, what it moved to disk, what others left there.
//!
//! The queue and the spool have a ledger each, and each balances by itself: what is moved to disk leaves the queue's as
//! `spooled`; a record of the spool counts as `adopted` at the moment when it is settled, and stays on disk until then. So
//! their sum balances at every instant too, and nothing on disk is ever pending.

use super::record::Meta;
use super::work::{Counts, is_from_spool};
use super::{Directory, From, Limits, Spool};
use crate::clock::{Clock, Mono};
use crate::config::Config;
use crate::error::Result;
use crate::ledger::{Balance, Dropped, Ledger, Rejected};
use crate::pending::queue::{Queue, content_headers};
use crate::pending::source::{Headers, Notice, Outcome, Request, Source, Take};
use crate::send::endpoint::Endpoint;
use crate::wire::v1;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often the worker looks after the queue's room while it waits out a back-off: chunks that fill up wake it besides.
const LOOK: Duration = Duration::from_secs(1);

/// Where a spool is, checked.
#[derive(Debug, Clone)]
pub struct Place {
    directory: Directory,
    fingerprint: [u8; 16],
    limits: Limits,
}

impl Place {
    /// The place for what goes to `endpoint`, in directory `path`.
    ///
    /// # Errors
    /// Those of [`Directory::open`] and [`Endpoint::identity`].
    pub fn new(path: &Path, endpoint: &Endpoint, config: &Config) -> Result<Self> {
        let limits = Limits { max_age: config.spool_max_age, max_bytes: config.spool_max_bytes };
        Ok(Place { directory: Directory::open(path)?, fingerprint: endpoint.identity()?, limits })
    }
}

/// A queue with a spool behind it.
pub struct Spooling {
    queue: Arc<Queue>,
    clock: Clock,
    /// None once the sender was cleared: what is left is for others then.
    spool: Mutex<Option<Spool>>,
    counts: Mutex<Counts>,
    notices: Mutex<Vec<Notice>>,
    headers: Arc<Headers>,
    /// The request that the worker has taken and not settled.
    in_flight: AtomicU64,
    /// Whether the last request was one that another process left.
    replayed: AtomicBool,
    /// Set when there was nothing to take, of any kind.
    drained: AtomicBool,
    /// Whether all that counts is what others left: see [`crate::sender::start_drain`].
    drains: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // each change is made whole after its checks
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Spooling {
    /// A queue with a spool behind it.
    #[must_use]
    pub fn new(queue: Arc<Queue>, place: Place, clock: Clock) -> Self {
        Self::with(queue, place, clock, false)
    }

    /// Only what others left: settled when there is no more of it.
    #[must_use]
    pub fn draining(queue: Arc<Queue>, place: Place, clock: Clock) -> Self {
        Self::with(queue, place, clock, true)
    }

    fn with(queue: Arc<Queue>, place: Place, clock: Clock, drains: bool) -> Self {
        Spooling {
            queue,
            clock,
            spool: Mutex::new(Some(Spool::new(place.directory, place.fingerprint, place.limits))),
            counts: Mutex::default(),
            notices: Mutex::default(),
            headers: content_headers(),
            in_flight: AtomicU64::new(0),
            // live data first
            replayed: AtomicBool::new(true),
            drained: AtomicBool::new(false),
            drains,
        }
    }

    /// Counts and tells what came up in the spool.
    fn note(&self, spool: &mut Spool) {
        let mut counts = lock(&self.counts);
        for (why, items) in spool.lost.drain(..) {
            counts.ledger.adopted += items;
            counts.ledger.drop_items(why, items);
        }
        for from in spool.withdrawn.drain(..) {
            counts.give_up(from, Dropped::SpoolFull);
        }
        counts.own_from = spool.own_from();
        drop(counts);
        lock(&self.notices).append(&mut spool.notices);
    }

    fn nearly_full(&self) -> bool {
        let (queued, room) = self.queue.fill();
        queued > 0 && queued >= room - room / 4
    }

    /// Moves the oldest requests of the queue to disk as long as `more` holds; false if the disk does not take them.
    fn move_to_disk(&self, spool: &mut Spool, now: Mono, more: impl Fn() -> bool) -> bool {
        while more() {
            let position = self.queue.settled();
            let Take::Request(request) = self.queue.take(now, u64::MAX) else { return true };
            if !self.write(spool, &request, position, now) {
                return false;
            }
            // in this order, so that there is no moment when it is nowhere
            lock(&self.counts).own_from = spool.own_from();
            self.queue.settle(&request, Outcome::Spooled);
        }
        true
    }

    fn write(&self, spool: &mut Spool, request: &Request, position: u64, now: Mono) -> bool {
        let waited = i64::try_from(now.saturating_sub(request.accepted).as_millis()).unwrap_or(i64::MAX);
        let meta = Meta {
            items: u32::try_from(request.items).unwrap_or(u32::MAX),
            newest_ms: request.newest_ms,
            created_ms: self.clock.wall_ms().saturating_sub(waited),
            ambiguous: request.ambiguous || self.in_flight.load(Ordering::SeqCst) == request.id,
        };
        spool.write(&request.body, meta, position, now)
    }

    fn relieve(&self, spool: &mut Spool, now: Mono) {
        if self.nearly_full() {
            let half = || {
                let (queued, room) = self.queue.fill();
                queued > room / 2
            };
            self.move_to_disk(spool, now, half);
            self.note(spool);
        }
    }

    /// The next part of a record, read from disk if none is in work.
    fn next(&self, spool: &mut Spool, from: From, now: Mono) -> Option<Request> {
        let in_work = lock(&self.counts).next(from);
        if let Some(request) = in_work {
            if request.accepted + spool.limits().max_age >= now {
                return Some(request);
            }
            let seq = lock(&self.counts).give_up(from, Dropped::Expired)?;
            spool.settle(from, seq);
        }
        let wall_ms = self.clock.wall_ms();
        let next = spool.next(from, now, wall_ms);
        self.note(spool);
        Some(lock(&self.counts).begin(from, next?, self.headers.clone(), (now, wall_ms)))
    }

    /// What this process accepted, oldest first.
    fn live(&self, spool: &mut Spool, now: Mono, flush_to: u64) -> Take {
        match self.next(spool, From::Own, now) {
            Some(request) => Take::Request(request),
            None => self.queue.take(now, flush_to),
        }
    }

    /// Settles a part that made the worker panic twice.
    fn reject_panicked(&self, id: u64) -> u64 {
        let settled = lock(&self.counts).settle(id, Outcome::Rejected(Rejected::Panic), None);
        let Some((items, done)) = settled else { return 0 };
        self.settled_record(done);
        items
    }

    /// Takes a record that is settled off the disk.
    fn settled_record(&self, done: Option<(From, u64)>) {
        if let Some((from, seq)) = done
            && let Some(spool) = lock(&self.spool).as_mut()
        {
            spool.settle(from, seq);
            self.note(spool);
        }
    }

    fn other(&self, spool: &mut Spool, now: Mono) -> Option<Take> {
        self.next(spool, From::Other, now).map(Take::Request)
    }
}

impl Source for Spooling {
    fn take(&self, now: Mono, flush_to: u64) -> Take {
        let mut guard = lock(&self.spool);
        let Some(spool) = guard.as_mut() else { return Take::Nothing };
        self.relieve(spool, now);
        // a flush is not held up by what others left
        let live_first = self.replayed.load(Ordering::SeqCst) || !self.settled_to(flush_to);
        let (take, replayed) = if live_first {
            match self.live(spool, now, flush_to) {
                Take::Request(request) => (Take::Request(request), false),
                nothing => match self.other(spool, now) {
                    Some(take) => (take, true),
                    None => (nothing, false),
                },
            }
        } else {
            match self.other(spool, now) {
                Some(take) => (take, true),
                None => (self.live(spool, now, flush_to), false),
            }
        };
        match &take {
            Take::Request(request) => {
                self.in_flight.store(request.id, Ordering::SeqCst);
                self.replayed.store(replayed, Ordering::SeqCst);
            }
            _ => self.drained.store(true, Ordering::SeqCst),
        }
        take
    }

    fn settle(&self, request: &Request, outcome: Outcome) -> Option<u64> {
        if !is_from_spool(request.id) {
            let settled = self.queue.settle(request, outcome);
            self.in_flight.store(0, Ordering::SeqCst);
            return settled;
        }
        let parts = match outcome {
            Outcome::Split => Some(v1::split(&request.body)?),
            _ => None,
        };
        self.in_flight.store(0, Ordering::SeqCst);
        let (items, done) = lock(&self.counts).settle(request.id, outcome, parts)?;
        self.settled_record(done);
        Some(items)
    }

    fn recover(&self) -> u64 {
        let id = self.in_flight.load(Ordering::SeqCst);
        let panicked = lock(&self.counts).panicked(id);
        match panicked {
            None => self.queue.recover(),
            Some(false) => 0,
            Some(true) => self.reject_panicked(id),
        }
    }

    fn position(&self) -> u64 {
        self.queue.position()
    }

    fn settled_to(&self, position: u64) -> bool {
        if self.drains {
            return self.drained.load(Ordering::SeqCst);
        }
        // in this order, because what leaves the queue is on disk before
        self.queue.settled_to(position) && lock(&self.counts).own_from.is_none_or(|from| from >= position)
    }

    fn clear(&self, why: Dropped) -> u64 {
        self.queue.close();
        let mut guard = lock(&self.spool);
        if let Some(spool) = guard.as_mut() {
            let before = self.queue.ledger().spooled;
            spool.try_again();
            self.move_to_disk(spool, self.clock.now(), || true);
            self.note(spool);
            let moved = self.queue.ledger().spooled - before;
            lock(&self.counts).give_back();
            if moved > 0 {
                let at = spool.path().display();
                let message = format!("spool: {moved} samples are left in {at} for a later process");
                lock(&self.notices).push(Notice { message, fault: true });
            }
            if self.drains {
                // what was to be sent and was not, or a report would say that all is well
                let left = spool.left();
                let mut counts = lock(&self.counts);
                counts.ledger.adopted += left;
                counts.left += left;
            }
        }
        // unlocks the files
        *guard = None;
        self.drained.store(true, Ordering::SeqCst);
        self.queue.clear(why)
    }

    fn close(&self) {
        self.queue.close();
    }

    fn ledger(&self) -> Ledger {
        let mut ledger = self.queue.ledger();
        ledger.add(&lock(&self.counts).ledger);
        ledger
    }

    fn balance(&self) -> Balance {
        let mut balance = self.queue.balance();
        let counts = lock(&self.counts);
        balance.ledger.add(&counts.ledger);
        balance.pending += counts.left;
        balance
    }

    fn oldest(&self) -> Option<Mono> {
        self.queue.oldest()
    }

    fn make_room(&self, now: Mono) -> Option<Mono> {
        let mut guard = lock(&self.spool);
        self.relieve(guard.as_mut()?, now);
        Some(now + LOOK)
    }

    fn wants_room(&self) -> bool {
        self.nearly_full()
    }

    fn notices(&self) -> Vec<Notice> {
        std::mem::take(&mut *lock(&self.notices))
    }

    fn tidy(&self, now: Mono) {
        self.queue.tidy(now);
    }
}
