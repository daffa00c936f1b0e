//! Raw samples, 24 bytes each, bounded; handed out in chunks and encoded only then.
//!
//! An append is one short lock and 24 bytes into a chunk that already has room, or into a lane while others hold that lock. Chunks are as large as a request may have
//! samples, and emptied ones are used again, so nothing is allocated once the queue has seen its usual load, and nothing
//! is ever moved to make room.

mod cut;
mod lanes;
mod state;
#[cfg(test)]
mod tests;

pub(crate) use cut::content_headers;
pub use cut::now_stamp;

use crate::clock::{Clock, Mono};
use crate::config::{Config, Overflow};
use crate::error::{Error, Result};
use crate::input::request::TimeSeries;
use crate::input::series::{Family, Meta, Registry, SeriesData};
use crate::ledger::{Balance, Dropped, Ledger, Rejected};
use crate::pending::source::{Outcome, Request, Source, Take};
use crate::wire::v1::{self, RawSample};
use cut::Cutter;
use lanes::Lanes;
use state::State;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;

/// Whether the worker should look now and not at its next tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nudge {
    /// There is time.
    Later,
    /// A whole request is ready.
    Now,
}

/// The queue of a writer.
#[repr(C, align(64))]
pub struct Queue {
    state: Mutex<State>,
    lanes: Lanes,
    space: Condvar,
    registry: Registry,
    cutter: Mutex<Cutter>,
    clock: Clock,
    config: Arc<Config>,
}

/// Bytes of a pending sample.
const SAMPLE: usize = size_of::<RawSample>();

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // a panic under these locks leaves counters and samples in step, since each change is made whole after its checks
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lock, if nobody holds it.
fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

impl Queue {
    /// An empty queue with the limits of `config`.
    #[must_use]
    pub fn new(config: Arc<Config>, clock: Clock) -> Self {
        let queue = Queue {
            state: Mutex::new(State::new(config.max_samples_per_send, clock.now())),
            lanes: Lanes::new(
                config.overflow,
                config.capacity.min(config.capacity_bytes / SAMPLE as u64),
                config.max_samples_per_send,
            ),
            space: Condvar::new(),
            registry: Registry::new(),
            cutter: Mutex::new(Cutter::new(config.clone())),
            clock,
            config,
        };
        queue.set_room(&mut lock(&queue.state), 0);
        queue
    }

    /// How many samples may be queued: by count, and by what the registry leaves of the bytes.
    fn set_room(&self, state: &mut State, registry: usize) {
        let bytes = self.config.capacity_bytes.saturating_sub(registry as u64);
        state.set_room(self.config.capacity.min(bytes / SAMPLE as u64));
    }

    /// The series with these encoded labels; see [`Registry::register`].
    ///
    /// # Errors
    /// [`Error::TooLarge`] for labels larger than a request, [`Error::QueueFull`] when the series alone fill
    /// `queue_config.capacity_bytes`, [`Error::Closed`].
    pub fn register(&self, encoded: &[u8], family: Option<&Arc<Family>>) -> Result<Arc<SeriesData>> {
        let (series, new) = self.registry.register(encoded, family, self.config.max_bytes_per_send)?;
        if let Some(bytes) = new {
            let mut state = lock(&self.state);
            if state.is_closed() {
                drop(state);
                // its worker has ended, so nobody else would ever let go of it
                drop(series);
                self.sweep(true);
                return Err(Error::Closed { what: "writer" });
            }
            self.set_room(&mut state, bytes);
            if state.room() == 0 {
                drop(state);
                self.sweep(true);
                state = lock(&self.state);
                self.set_room(&mut state, self.registry.bytes());
            }
            if state.room() == 0 {
                return Err(self.full(&state));
            }
        }
        Ok(series)
    }

    /// Looks many series up; see [`Registry::find`].
    pub(crate) fn find(
        &self,
        given: &[TimeSeries<'_>],
        complete: bool,
        found: &mut Vec<(Arc<SeriesData>, usize)>,
    ) {
        self.registry.find(given, complete, found);
    }

    /// Lets other label bytes lead to a series; see [`Registry::alias`].
    pub(crate) fn alias(&self, given: &[u8], series: &Arc<SeriesData>) {
        let max = usize::try_from(self.config.capacity_bytes / 2).unwrap_or(usize::MAX);
        if let Some(bytes) = self.registry.alias(given, series, max) {
            self.set_room(&mut lock(&self.state), bytes);
        }
    }

    /// The family of this name; see [`Registry::describe`].
    pub fn describe(&self, name: &str, meta: Meta) -> Arc<Family> {
        self.registry.describe(name, meta)
    }

    /// Series known.
    #[must_use]
    pub fn series_count(&self) -> usize {
        self.registry.len()
    }

    /// Queues one sample.
    ///
    /// # Errors
    /// [`Error::Closed`]; [`Error::QueueFull`] with the policies `error` and `block`.
    #[inline]
    pub fn append(&self, series: &SeriesData, value: f64, timestamp_ms: i64) -> Result<Nudge> {
        let mut state = match self.lanes.of(series.id()) {
            None => lock(&self.state),
            Some(lane) => {
                let free = if lane.is_used() { None } else { try_lock(&self.state) };
                match free {
                    Some(state) => state,
                    None => match self.append_to(lane, series, value, timestamp_ms) {
                        Some(nudge) => return Ok(nudge),
                        None => lock(&self.state),
                    },
                }
            }
        };
        if !state.has_room() {
            state = self.make_room(state)?;
        }
        let nudge = state.add(series, value, timestamp_ms);
        drop(state);
        if nudge == Nudge::Now {
            self.prepare();
        }
        Ok(nudge)
    }

    /// Sees to it that chunks lie ready, their memory fetched while nobody waits for the lock, and that no lane falls behind
    /// by more than a chunk.
    #[cold]
    fn prepare(&self) {
        self.unload_all();
        if lock(&self.state).wants_spare() {
            let size = self.config.max_samples_per_send;
            let mut samples = vec![RawSample { series: 0, value: 0.0, timestamp_ms: 1 }; size];
            samples.clear();
            lock(&self.state).keep(samples);
        }
    }

    /// Queues many samples; a lock a request's worth of them, because a long one would hold up other threads.
    ///
    /// # Errors
    /// As [`Queue::append`]; the samples before the one that failed are accepted.
    pub fn append_many<'a>(
        &self,
        samples: impl IntoIterator<Item = (&'a SeriesData, f64, i64)>,
    ) -> Result<Nudge> {
        let mut nudge = Nudge::Later;
        let mut samples = samples.into_iter().peekable();
        while samples.peek().is_some() {
            self.unload_used();
            let mut state = lock(&self.state);
            for (series, value, timestamp_ms) in samples.by_ref().take(self.config.max_samples_per_send) {
                if !state.has_room() {
                    state = self.make_room(state)?;
                }
                if state.add(series, value, timestamp_ms) == Nudge::Now {
                    nudge = Nudge::Now;
                }
            }
        }
        Ok(nudge)
    }

    /// Makes room for one more sample, as the overflow policy says. Where the sample itself is to be dropped there is no
    /// room, which [`State::add`] counts.
    #[cold]
    fn make_room<'q>(&'q self, mut state: MutexGuard<'q, State>) -> Result<MutexGuard<'q, State>> {
        let mut deadline = None;
        loop {
            if state.is_closed() {
                return Err(Error::Closed { what: "writer" });
            }
            if state.is_full() {
                match self.config.overflow {
                    Overflow::DropOldest | Overflow::DropNewest => {}
                    Overflow::Error => return Err(self.full(&state)),
                    Overflow::Block => {
                        let now = Instant::now();
                        let until = deadline.get_or_insert(now + self.config.block_timeout);
                        let left = until.saturating_duration_since(now);
                        if left.is_zero() {
                            return Err(self.full(&state));
                        }
                        state =
                            self.space.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
                        continue;
                    }
                }
            }
            state.make_room(self.drops_oldest(), || self.clock.now());
            return Ok(state);
        }
    }

    /// How many samples are queued, and how many may be. What is in lanes is not counted.
    pub(crate) fn fill(&self) -> (u64, u64) {
        let state = lock(&self.state);
        (state.queued(), state.room())
    }

    /// The position before which everything is settled.
    pub(crate) fn settled(&self) -> u64 {
        lock(&self.state).settled()
    }

    fn drops_oldest(&self) -> bool {
        self.config.overflow == Overflow::DropOldest
    }

    /// The queue with everything in it that was appended before.
    fn whole(&self) -> MutexGuard<'_, State> {
        self.unload_all();
        lock(&self.state)
    }

    /// Lets go of series that are not used; see [`Registry::sweep`].
    fn sweep(&self, now: bool) {
        let least = self.unload_all();
        self.sweep_below(least, now);
    }

    /// As [`Queue::sweep`], after the lanes were unloaded; no mark below `least` has come to a lane since.
    fn sweep_below(&self, least: u64, now: bool) {
        let settled = lock(&self.state).settled_chunk().min(least);
        self.registry.sweep(settled, now);
    }

    fn full(&self, state: &State) -> Error {
        Error::QueueFull {
            samples: state.queued(),
            bytes: state.queued() * SAMPLE as u64 + self.registry.bytes() as u64,
            max_samples: self.config.capacity,
            max_bytes: self.config.capacity_bytes,
        }
    }
}

impl Source for Queue {
    fn take(&self, now: Mono, flush_to: u64) -> Take {
        self.unload_all();
        loop {
            let chunk = {
                let mut state = lock(&self.state);
                state.expire(now, self.config.sample_age_limit);
                if let Some(first) = state.requests.front() {
                    return Take::Request(first.clone());
                }
                match state.next_chunk(now, self.config.batch_send_deadline, flush_to) {
                    Ok(chunk) => chunk,
                    Err(take) => return take,
                }
            };
            self.space.notify_all();
            // without a lock on the state: callers go on appending
            let cut = lock(&self.cutter).cut(&chunk, self.registry.pages(), now, self.clock.wall_ms());
            lock(&self.state).finish_chunk(chunk, cut);
        }
    }

    fn settle(&self, request: &Request, outcome: Outcome) -> Option<u64> {
        let parts = match outcome {
            Outcome::Split => Some(v1::split(&request.body)?),
            _ => None,
        };
        lock(&self.state).settle(request.id, outcome, parts)
    }

    fn recover(&self) -> u64 {
        let mut state = lock(&self.state);
        state.panics += 1;
        if state.panics < 2 {
            return 0;
        }
        state.panics = 0;
        state.give_up_work(Rejected::Panic)
    }

    fn position(&self) -> u64 {
        self.whole().position()
    }

    fn settled_to(&self, position: u64) -> bool {
        lock(&self.state).settled() >= position
    }

    fn clear(&self, why: Dropped) -> u64 {
        self.close_lanes();
        let lost = lock(&self.state).clear(why);
        self.space.notify_all();
        lost
    }

    fn close(&self) {
        self.close_lanes();
        lock(&self.state).close();
        self.space.notify_all();
    }

    fn ledger(&self) -> Ledger {
        self.whole().ledger()
    }

    fn balance(&self) -> Balance {
        let registry = self.registry.bytes() as u64;
        let state = self.whole();
        let bodies: usize = state.requests.iter().map(|r| r.body.len()).sum();
        Balance {
            ledger: state.ledger(),
            pending: state.pending(),
            pending_bytes: (state.samples() * SAMPLE + bodies) as u64 + registry,
        }
    }

    fn oldest(&self) -> Option<Mono> {
        self.whole().oldest()
    }

    fn tidy(&self, now: Mono) {
        {
            let mut state = lock(&self.state);
            if now < state.swept + self.config.series_idle_timeout {
                return;
            }
            state.swept = now;
        }
        self.sweep(false);
        let bytes = self.registry.bytes();
        self.set_room(&mut lock(&self.state), bytes);
    }
}
