//! Raw samples, 24 bytes each, bounded; handed out in chunks and encoded only then.
//!
//! An append is one short lock and 24 bytes into a chunk that already has room. Chunks are as large as a request may have
//! samples, and emptied ones are used again, so nothing is allocated once the queue has seen its usual load, and nothing
//! is ever moved to make room.

use crate::clock::{Clock, Mono};
use crate::config::{Config, Overflow};
use crate::error::{Error, Result};
use crate::input::labels::Labels;
use crate::input::series::{Family, Meta, Pages, Registry, SeriesData};
use crate::ledger::{Balance, Dropped, Ledger, Rejected};
use crate::pending::source::{Headers, Outcome, Request, Source, Take};
use crate::send::transport::Method;
use crate::wire::v1::{self, Encoder, Limits, Metadata, RawSample, SeriesBytes};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Whether the worker should look now and not at its next tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nudge {
    /// There is time.
    Later,
    /// A whole request is ready.
    Now,
}

struct Chunk {
    samples: Vec<RawSample>,
    /// Samples before this one were dropped to make room.
    start: usize,
    opened: Mono,
}

impl Chunk {
    fn len(&self) -> usize {
        self.samples.len() - self.start
    }
}

struct State {
    closed: bool,
    chunks: VecDeque<Chunk>,
    /// Samples in `chunks`, kept beside them because an append compares it.
    queued: u64,
    /// How many may be queued: by count, and by what the registry leaves of the bytes.
    max_queued: u64,
    /// Position behind the last sample accepted.
    tail: u64,
    /// The chunk in work: taken from `chunks`, not yet wholly in `requests`.
    current: Option<Arc<Chunk>>,
    panics: u32,
    /// Encoded, oldest first; the first may be in flight.
    requests: VecDeque<Request>,
    /// Position of the first sample of the chunk that `current` and `requests` came from.
    base: u64,
    next_id: u64,
    spare: Vec<Vec<RawSample>>,
    ledger: Ledger,
    swept: Mono,
}

/// What a chunk was made into.
#[derive(Default)]
struct Cut {
    requests: Vec<Request>,
    superseded: u64,
    failed: u64,
}

/// What only the worker uses, kept to be used again.
struct Work {
    encoder: Encoder,
    scratch: Vec<RawSample>,
}

/// The queue of a writer.
pub struct Queue {
    state: Mutex<State>,
    space: Condvar,
    registry: Registry,
    work: Mutex<Work>,
    headers: Arc<Headers>,
    clock: Clock,
    config: Arc<Config>,
    chunk: usize,
}

/// The stamp of a sample that is recorded now: told apart from a given timestamp by its sign, because at the moment its
/// request is made it may have to move, and a given one never moves.
#[inline]
#[must_use]
pub fn now_stamp(now_ms: i64) -> i64 {
    !now_ms
}

/// How far a sample recorded now may be moved ahead of the clock.
const MOVE_MS: i64 = 1000;

/// Bytes of a pending sample.
const SAMPLE: usize = size_of::<RawSample>();

impl Queue {
    /// An empty queue with the limits of `config`.
    #[must_use]
    pub fn new(config: Arc<Config>, clock: Clock) -> Self {
        let content = [
            ("Content-Encoding", "snappy"),
            ("Content-Type", "application/x-protobuf"),
            ("X-Prometheus-Remote-Write-Version", "0.1.0"),
        ];
        let queue = Queue {
            state: Mutex::new(State {
                closed: false,
                chunks: VecDeque::new(),
                queued: 0,
                max_queued: 0,
                tail: 0,
                current: None,
                panics: 0,
                requests: VecDeque::new(),
                base: 0,
                next_id: 0,
                spare: Vec::new(),
                ledger: Ledger::default(),
                swept: clock.now(),
            }),
            space: Condvar::new(),
            registry: Registry::new(),
            work: Mutex::new(Work { encoder: Encoder::new(), scratch: Vec::new() }),
            headers: Arc::new(Headers(content.map(|(n, v)| (n.to_owned(), v.to_owned())).into())),
            chunk: config.max_samples_per_send,
            clock,
            config,
        };
        queue.set_room(&mut queue.lock(), 0);
        queue
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // a panic under this lock leaves counters and samples in step, since each change is made whole after its checks
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_room(&self, state: &mut State, registry: usize) {
        let bytes = self.config.capacity_bytes.saturating_sub(registry as u64);
        state.max_queued = self.config.capacity.min(bytes / SAMPLE as u64);
    }

    /// The series with these labels; see [`Registry::register`].
    ///
    /// # Errors
    /// [`Error::TooLarge`] for labels larger than a request, [`Error::QueueFull`] when the series alone fill
    /// `queue_config.capacity_bytes`, [`Error::Closed`].
    pub fn register(&self, labels: &Labels, meta: Option<(&str, Meta)>) -> Result<Arc<SeriesData>> {
        let series = self.registry.register(labels, meta, self.config.max_bytes_per_send)?;
        let mut state = self.lock();
        if state.closed {
            return Err(Error::Closed { what: "writer" });
        }
        self.set_room(&mut state, self.registry.bytes());
        if state.max_queued == 0 {
            self.registry.sweep(Self::settled(&state), true);
            self.set_room(&mut state, self.registry.bytes());
        }
        if state.max_queued == 0 {
            return Err(self.full(&state));
        }
        Ok(series)
    }

    /// Tells of a family; see [`Registry::describe`].
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
        let mut guard = self.lock();
        if !guard.has_room(self.chunk) {
            guard = self.make_room(guard)?;
        }
        Ok(guard.add(series, value, timestamp_ms, self.chunk))
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
            let mut guard = self.lock();
            for (series, value, timestamp_ms) in samples.by_ref().take(self.chunk) {
                if !guard.has_room(self.chunk) {
                    guard = self.make_room(guard)?;
                }
                if guard.add(series, value, timestamp_ms, self.chunk) == Nudge::Now {
                    nudge = Nudge::Now;
                }
            }
        }
        Ok(nudge)
    }

    /// Makes room for one more sample in the last chunk, as the overflow policy says. Where the sample itself is to be
    /// dropped there is no room, which [`State::add`] counts.
    #[cold]
    fn make_room<'q>(&'q self, mut guard: MutexGuard<'q, State>) -> Result<MutexGuard<'q, State>> {
        let mut deadline = None;
        loop {
            let state = &mut *guard;
            if state.closed {
                return Err(Error::Closed { what: "writer" });
            }
            if state.queued < state.max_queued {
                break;
            }
            match self.config.overflow {
                Overflow::DropOldest if state.drop_oldest() => break,
                Overflow::DropOldest | Overflow::DropNewest => return Ok(guard),
                Overflow::Error => return Err(self.full(state)),
                Overflow::Block => {
                    let now = Instant::now();
                    let left = deadline
                        .get_or_insert(now + self.config.block_timeout)
                        .saturating_duration_since(now);
                    if left.is_zero() {
                        return Err(self.full(state));
                    }
                    guard = self.space.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
        let state = &mut *guard;
        if state.chunks.back().is_none_or(|c| c.samples.len() == self.chunk) {
            let samples = state.spare.pop().unwrap_or_else(|| Vec::with_capacity(self.chunk));
            state.chunks.push_back(Chunk { samples, start: 0, opened: self.clock.now() });
        }
        Ok(guard)
    }

    fn full(&self, state: &State) -> Error {
        Error::QueueFull {
            samples: state.queued,
            bytes: state.queued * SAMPLE as u64 + self.registry.bytes() as u64,
            max_samples: self.config.capacity,
            max_bytes: self.config.capacity_bytes,
        }
    }

    fn settled(state: &State) -> u64 {
        if state.current.is_some() || !state.requests.is_empty() {
            state.base
        } else {
            state.tail - state.queued
        }
    }

    /// Metadata that is due among the families of `samples`.
    fn due(&self, pages: &Pages, samples: &[RawSample], now: Mono) -> Vec<Arc<Family>> {
        if !self.config.metadata_send {
            return Vec::new();
        }
        let ns = |t: Duration| u64::try_from(t.as_nanos()).unwrap_or(u64::MAX);
        let (now, next) = (ns(now), ns(now + self.config.metadata_send_interval));
        let mut due = Vec::new();
        let mut last = None;
        for sample in samples {
            if last == Some(sample.series) {
                continue;
            }
            last = Some(sample.series);
            if let Some(family) = pages.get(sample.series).and_then(|s| s.family())
                && family.take_due(now, next)
            {
                due.push(family.clone());
            }
        }
        due
    }

    /// Copies the samples and settles the time of those recorded now: one that falls on the millisecond of the last request
    /// of its series moves behind it, because it is newer and would otherwise be lost. The last samples of a burst, which
    /// are in a chunk that is not full, may move any distance, others only a little, or a long burst would run away from
    /// the clock.
    fn stamp(&self, chunk: &Chunk, pages: &Pages, out: &mut Vec<RawSample>) {
        let full = chunk.samples.len() == self.chunk;
        let limit = if full { self.clock.wall_ms() + MOVE_MS } else { i64::MAX };
        out.clear();
        out.extend(chunk.samples[chunk.start..].iter().map(|raw| {
            let mut sample = *raw;
            if sample.timestamp_ms < 0 {
                sample.timestamp_ms = !sample.timestamp_ms;
                let behind = pages.last_cut(sample.series).saturating_add(1);
                if sample.timestamp_ms < behind && behind <= limit {
                    sample.timestamp_ms = behind;
                }
            }
            sample
        }));
    }

    /// Encodes the chunk in work, without a lock on the state: callers go on appending.
    fn encode(&self, chunk: &Chunk, now: Mono) -> Cut {
        let mut pages = self.registry.pages();
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let Work { encoder, scratch } = &mut *work;
        let families = self.due(&pages, &chunk.samples[chunk.start..], now);
        let metas: Vec<(&str, Meta)> = families.iter().map(|f| (&*f.name, f.meta())).collect();
        let mut metadata = &metas[..];
        let limits =
            Limits { max_bytes: self.config.max_bytes_per_send, out_of_order: self.config.out_of_order };
        self.stamp(chunk, &pages, scratch);
        let mut rest = &scratch[..];
        let mut cut = Cut::default();
        while !rest.is_empty() {
            let told = metadata.iter().map(|(family, m)| Metadata {
                family,
                kind: m.kind as u32,
                help: &m.help,
                unit: &m.unit,
            });
            let Ok(encoded) = encoder.encode(rest, &mut pages, told, limits) else {
                // only a bug makes a request that its own limits do not hold
                cut.failed = rest.len() as u64;
                break;
            };
            rest = &rest[encoded.taken..];
            metadata = &metadata[encoded.metadata..];
            cut.superseded += encoded.superseded as u64;
            if encoded.samples > 0 {
                cut.requests.push(Request {
                    id: 0,
                    method: Method::Post,
                    path: None,
                    headers: self.headers.clone(),
                    body: encoded.body.into(),
                    items: encoded.samples as u64,
                    accepted: chunk.opened,
                    attempt: 0,
                    ambiguous: false,
                    part: false,
                });
            }
        }
        cut
    }
}

impl State {
    /// Whether one more sample fits: into the bounds and into the last chunk.
    #[inline]
    fn has_room(&self, chunk: usize) -> bool {
        self.queued < self.max_queued
            && !self.closed
            && self.chunks.back().is_some_and(|last| last.samples.len() < chunk)
    }

    /// Adds a sample to the last chunk; where there is no room it is accepted and dropped.
    #[inline]
    fn add(&mut self, series: &SeriesData, value: f64, timestamp_ms: i64, chunk: usize) -> Nudge {
        self.ledger.accepted += 1;
        let room = self.queued < self.max_queued;
        let Some(last) = self.chunks.back_mut().filter(|last| room && last.samples.len() < chunk) else {
            self.ledger.drop_items(Dropped::QueueFull, 1);
            return Nudge::Later;
        };
        last.samples.push(RawSample { series: series.id(), value, timestamp_ms });
        let full = last.samples.len() == chunk;
        self.queued += 1;
        self.tail += 1;
        series.touch(self.tail);
        if full { Nudge::Now } else { Nudge::Later }
    }

    /// Makes room by the oldest sample that no request was made of yet.
    fn drop_oldest(&mut self) -> bool {
        let Some(front) = self.chunks.front_mut() else { return false };
        front.start += 1;
        self.queued -= 1;
        self.ledger.drop_items(Dropped::QueueFull, 1);
        if front.len() == 0 {
            self.release_front();
        }
        true
    }

    fn release_front(&mut self) {
        if let Some(chunk) = self.chunks.pop_front() {
            self.keep_spare(chunk.samples);
        }
    }

    fn keep_spare(&mut self, mut samples: Vec<RawSample>) {
        if self.spare.len() < 4 {
            samples.clear();
            self.spare.push(samples);
        }
    }

    fn expire(&mut self, now: Mono, limit: Duration) {
        if limit.is_zero() {
            return;
        }
        while let Some(request) = self.requests.front()
            && request.accepted + limit < now
        {
            self.ledger.drop_items(Dropped::TooOld, request.items);
            self.requests.pop_front();
        }
        while let Some(chunk) = self.chunks.front()
            && chunk.opened + limit < now
        {
            let items = chunk.len() as u64;
            self.queued -= items;
            self.ledger.drop_items(Dropped::TooOld, items);
            self.release_front();
        }
    }
}

impl Source for Queue {
    fn take(&self, now: Mono, flush_to: u64) -> Take {
        loop {
            let chunk = {
                let mut state = self.lock();
                state.expire(now, self.config.sample_age_limit);
                if let Some(first) = state.requests.front() {
                    return Take::Request(first.clone());
                }
                if state.current.is_none() {
                    let Some(front) = state.chunks.front() else { return Take::Nothing };
                    let due = front.opened + self.config.batch_send_deadline;
                    let flushed = state.tail - state.queued < flush_to;
                    if front.samples.len() < self.chunk && now < due && !flushed && !state.closed {
                        return Take::NotBefore(due);
                    }
                    state.base = state.tail - state.queued;
                    state.current = state.chunks.pop_front().map(Arc::new);
                    state.queued -= state.current.as_ref().map_or(0, |c| c.len() as u64);
                    self.space.notify_all();
                }
                match &state.current {
                    Some(chunk) => chunk.clone(),
                    None => continue,
                }
            };
            let cut = self.encode(&chunk, now);
            let mut guard = self.lock();
            let state = &mut *guard;
            if state.current.take().is_none() {
                // cleared meanwhile
                continue;
            }
            state.panics = 0;
            state.ledger.superseded += cut.superseded;
            state.ledger.reject(Rejected::Panic, cut.failed);
            for mut request in cut.requests {
                state.next_id += 1;
                request.id = state.next_id;
                state.requests.push_back(request);
            }
            if let Ok(chunk) = Arc::try_unwrap(chunk) {
                state.keep_spare(chunk.samples);
            }
        }
    }

    fn settle(&self, request: &Request, outcome: Outcome) -> Option<u64> {
        let parts = match outcome {
            Outcome::Split => Some(v1::split(&request.body)?),
            _ => None,
        };
        let mut guard = self.lock();
        let state = &mut *guard;
        let first = state.requests.front_mut().filter(|first| first.id == request.id)?;
        let items = first.items;
        match outcome {
            Outcome::Again { ambiguous } => {
                first.attempt += 1;
                first.ambiguous |= ambiguous;
                state.panics = 0;
                return Some(0);
            }
            Outcome::Delivered => state.ledger.delivered += items,
            Outcome::Rejected(why) => state.ledger.reject(why, items),
            Outcome::Dropped(why) => state.ledger.drop_items(why, items),
            Outcome::Split => {}
        }
        let whole = state.requests.pop_front()?;
        state.panics = 0;
        if let Some((older, newer)) = parts {
            for part in [newer, older] {
                state.next_id += 1;
                state.requests.push_front(Request {
                    id: state.next_id,
                    body: part.body.into(),
                    items: part.samples as u64,
                    attempt: 0,
                    part: true,
                    ..whole.clone()
                });
            }
            return Some(0);
        }
        self.space.notify_all();
        Some(items)
    }

    fn recover(&self) -> u64 {
        let mut state = self.lock();
        state.panics += 1;
        if state.panics < 2 {
            return 0;
        }
        state.panics = 0;
        let items = match (state.requests.pop_front(), state.current.take()) {
            (Some(request), _) => request.items,
            (None, Some(chunk)) => chunk.len() as u64,
            (None, None) => 0,
        };
        state.ledger.reject(Rejected::Panic, items);
        items
    }

    fn position(&self) -> u64 {
        self.lock().tail
    }

    fn settled_to(&self, position: u64) -> bool {
        Self::settled(&self.lock()) >= position
    }

    fn clear(&self, why: Dropped) -> u64 {
        let mut guard = self.lock();
        let state = &mut *guard;
        state.closed = true;
        let items = state.pending();
        state.requests.clear();
        state.current = None;
        state.chunks.clear();
        state.queued = 0;
        state.ledger.drop_items(why, items);
        self.space.notify_all();
        items
    }

    fn close(&self) {
        self.lock().closed = true;
        self.space.notify_all();
    }

    fn balance(&self) -> Balance {
        let registry = self.registry.bytes() as u64;
        let state = self.lock();
        let bodies: usize = state.requests.iter().map(|r| r.body.len()).sum();
        let samples: usize = state.chunks.iter().map(Chunk::len).sum::<usize>()
            + state.current.as_ref().map_or(0, |chunk| chunk.len());
        Balance {
            ledger: state.ledger,
            pending: state.pending(),
            pending_bytes: (samples * SAMPLE + bodies) as u64 + registry,
        }
    }

    fn oldest(&self) -> Option<Mono> {
        let state = self.lock();
        let request = state.requests.front().map(|r| r.accepted);
        let current = state.current.as_ref().map(|c| c.opened);
        request.or(current).or(state.chunks.front().map(|c| c.opened))
    }

    fn tidy(&self, now: Mono) {
        let settled = {
            let mut state = self.lock();
            if now < state.swept + self.config.series_idle_timeout {
                return;
            }
            state.swept = now;
            Self::settled(&state)
        };
        self.registry.sweep(settled, false);
        let bytes = self.registry.bytes();
        self.set_room(&mut self.lock(), bytes);
    }
}

impl State {
    fn pending(&self) -> u64 {
        let queued: usize = self.chunks.iter().map(Chunk::len).sum();
        let current = self.current.as_ref().map_or(0, |chunk| chunk.len());
        (queued + current) as u64 + self.requests.iter().map(|r| r.items).sum::<u64>()
    }
}
