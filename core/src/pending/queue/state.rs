//! What the queue holds, under its one lock: chunks of samples, the chunk in work, encoded requests, the ledger.

use super::Nudge;
use super::cut::Cut;
use crate::clock::Mono;
use crate::input::series::SeriesData;
use crate::ledger::{Dropped, Ledger, Rejected};
use crate::pending::source::{Outcome, Request, Take};
use crate::wire::v1::{Part, RawSample};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Samples in the order in which they were appended.
#[derive(Default)]
#[repr(C)]
pub struct Chunk {
    /// The number of the chunk, counted from 1.
    number: u64,
    samples: Vec<RawSample>,
    /// Samples before this one were dropped to make room.
    start: usize,
    /// The least mark of its samples; see [`State::settled_chunk`].
    least: u64,
    /// When the first sample came.
    pub opened: Mono,
    /// Whether it has as many samples as a request may have.
    pub full: bool,
}

impl Chunk {
    /// The samples that were not dropped.
    pub fn samples(&self) -> &[RawSample] {
        &self.samples[self.start..]
    }
}

/// See the module. Laid out as written: what an append touches stands first and shares a cache line with the lock, because
/// under contention that line is all that travels between processors.
#[repr(C)]
pub struct State {
    /// Position behind the last sample queued.
    tail: u64,
    /// An append below this position needs nothing but the room that is there: the one comparison of the fast path.
    stop: u64,
    /// Samples of a chunk.
    size: usize,
    /// The chunk that is being filled. Its memory is reserved, so an append never allocates.
    open: Chunk,
    /// Full chunks, oldest first.
    chunks: VecDeque<Chunk>,
    closed: bool,
    /// Position of the oldest sample queued.
    head: u64,
    /// How many may be queued.
    room: u64,
    /// The chunk in work: no longer queued, not yet in `requests`.
    current: Option<Arc<Chunk>>,
    /// Panics since the last request was settled.
    pub panics: u32,
    /// Encoded, oldest first; the first may be in flight.
    pub requests: VecDeque<Request>,
    /// Position of the first sample of the chunk that `current` and `requests` came from.
    base: u64,
    /// The least mark of that chunk.
    base_least: u64,
    /// Chunks ever opened.
    opened_chunks: u64,
    next_id: u64,
    spare: Vec<Vec<RawSample>>,
    /// Without `accepted` of the samples that were queued: those are counted by `tail`.
    counted: Ledger,
    /// When the registry was last swept.
    pub swept: Mono,
}

/// Emptied chunks that are kept to be used again.
const SPARE: usize = 4;

impl State {
    /// Nothing queued, and no room until [`State::set_room`].
    pub fn new(size: usize, now: Mono) -> Self {
        State {
            closed: false,
            chunks: VecDeque::new(),
            open: Chunk::default(),
            size,
            tail: 0,
            head: 0,
            stop: 0,
            room: 0,
            current: None,
            panics: 0,
            requests: VecDeque::new(),
            base: 0,
            base_least: 0,
            opened_chunks: 0,
            next_id: 0,
            spare: Vec::new(),
            counted: Ledger::default(),
            swept: now,
        }
    }

    /// Whether one more sample needs nothing but the room that is there.
    #[inline]
    pub fn has_room(&self) -> bool {
        self.tail < self.stop
    }

    /// Adds a sample; where there is no room it is accepted and dropped.
    #[inline]
    pub fn add(&mut self, series: &SeriesData, value: f64, timestamp_ms: i64) -> Nudge {
        if !self.has_room() {
            self.drop_newest(1);
            return Nudge::Later;
        }
        self.open.samples.push(RawSample { series: series.id(), value, timestamp_ms });
        self.tail += 1;
        series.touch(self.open.number);
        if self.open.samples.len() == self.size { Nudge::Now } else { Nudge::Later }
    }

    /// Adds as many of a lane's samples as there is room for, the first of which came at `opened`; says how many that was.
    pub fn add_held(&mut self, samples: &[RawSample], mark: u64, opened: Mono) -> (usize, Nudge) {
        let room = usize::try_from(self.stop.saturating_sub(self.tail)).unwrap_or(usize::MAX);
        let taken = room.min(samples.len());
        self.open.samples.extend_from_slice(&samples[..taken]);
        self.tail += taken as u64;
        if taken > 0 {
            self.open.least = self.open.least.min(mark);
            self.open.opened = self.open.opened.min(opened);
        }
        (taken, if taken > 0 && self.open.samples.len() == self.size { Nudge::Now } else { Nudge::Later })
    }

    /// Accepts samples and drops them, because there is no room.
    pub fn drop_newest(&mut self, samples: u64) {
        self.counted.accepted += samples;
        self.counted.drop_items(Dropped::QueueFull, samples);
    }

    /// The number of a chunk that is not settled and not later than the one that the next sample comes to.
    pub fn mark(&self) -> u64 {
        if self.open.samples.is_empty() { self.opened_chunks + 1 } else { self.open.number }
    }

    /// Sets `stop` after anything it depends on has changed.
    fn restop(&mut self) {
        let left = if self.open.samples.capacity() == 0 { 0 } else { self.size - self.open.samples.len() };
        self.stop = if self.closed { 0 } else { (self.tail + left as u64).min(self.head + self.room) };
    }

    /// Sees to it that the open chunk can take a sample, if the queue can.
    fn open_chunk(&mut self, now: impl FnOnce() -> Mono) {
        if self.open.samples.len() == self.size {
            let full = std::mem::take(&mut self.open);
            self.chunks.push_back(Chunk { full: true, ..full });
        }
        if self.open.samples.capacity() == 0 {
            self.open.samples = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(self.size));
        }
        if self.open.samples.is_empty() {
            self.opened_chunks += 1;
            self.open.number = self.opened_chunks;
            self.open.least = self.opened_chunks;
            self.open.opened = now();
        }
        self.restop();
    }

    /// Makes room for one more sample, by the oldest ones if `drop_oldest` says so. None is made in a queue that is closed,
    /// or full otherwise.
    pub fn make_room(&mut self, drop_oldest: bool, now: impl FnOnce() -> Mono) {
        if !self.is_full() || drop_oldest && self.drop_oldest() {
            self.open_chunk(now);
        }
    }

    /// How many may be queued.
    pub fn room(&self) -> u64 {
        self.room
    }

    /// Sets how many may be queued.
    pub fn set_room(&mut self, room: u64) {
        self.room = room;
        self.restop();
    }

    /// Whether no more may be queued.
    pub fn is_full(&self) -> bool {
        self.queued() >= self.room
    }

    /// Samples queued: neither in work nor encoded.
    pub fn queued(&self) -> u64 {
        self.tail - self.head
    }

    /// Whether no more is accepted.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Accepts no more.
    pub fn close(&mut self) {
        self.closed = true;
        self.restop();
    }

    /// Makes room by the oldest samples that no request was made of yet; false if there are none. A long queue gives up a
    /// few at once, at most one in 65 536, so that appends to a full queue mostly take the fast path.
    fn drop_oldest(&mut self) -> bool {
        if self.queued() == 0 {
            return false;
        }
        let few = 1 + usize::try_from(self.room >> 16).unwrap_or(0);
        let chunk = self.chunks.front_mut().unwrap_or(&mut self.open);
        let dropped = few.min(chunk.samples().len());
        chunk.start += dropped;
        let emptied = chunk.samples().is_empty();
        self.head += dropped as u64;
        self.counted.drop_items(Dropped::QueueFull, dropped as u64);
        if emptied {
            match self.chunks.pop_front() {
                Some(chunk) => self.keep(chunk.samples),
                None => {
                    self.open.samples.clear();
                    self.open.start = 0;
                }
            }
        }
        self.restop();
        true
    }

    /// Whether a chunk that lies ready would be of use soon.
    pub fn wants_spare(&self) -> bool {
        let small = self.size * size_of::<RawSample>() <= 1 << 20;
        small && self.spare.len() < 2 && !self.closed && !self.is_full()
    }

    /// Keeps the memory of a chunk.
    pub fn keep(&mut self, mut samples: Vec<RawSample>) {
        if self.spare.len() < SPARE {
            samples.clear();
            self.spare.push(samples);
        }
    }

    /// Takes the open chunk as it is.
    fn take_open(&mut self) -> Chunk {
        let chunk = std::mem::take(&mut self.open);
        Chunk { full: chunk.samples.len() == self.size, ..chunk }
    }

    /// The next chunk to make requests of, which is in work from now on, or why there is none yet.
    pub fn next_chunk(&mut self, now: Mono, linger: Duration, flush_to: u64) -> Result<Arc<Chunk>, Take> {
        if let Some(chunk) = &self.current {
            // left by a panic
            return Ok(chunk.clone());
        }
        let chunk = match self.chunks.pop_front() {
            Some(chunk) => chunk,
            None if self.queued() == 0 => return Err(Take::Nothing),
            None => {
                let due = self.open.opened + linger;
                let wanted = self.head < flush_to || self.closed;
                if self.open.samples.len() < self.size && now < due && !wanted {
                    return Err(Take::NotBefore(due));
                }
                self.take_open()
            }
        };
        self.base = self.head;
        self.base_least = chunk.least;
        self.head += chunk.samples().len() as u64;
        self.restop();
        let chunk = Arc::new(chunk);
        self.current = Some(chunk.clone());
        Ok(chunk)
    }

    /// Puts what was made of the chunk in work in its place, unless that was given up meanwhile.
    pub fn finish_chunk(&mut self, chunk: Arc<Chunk>, cut: Cut) {
        if self.current.take().is_none() {
            return;
        }
        self.panics = 0;
        self.counted.superseded += cut.superseded;
        self.counted.reject(Rejected::Panic, cut.failed);
        for mut request in cut.requests {
            self.next_id += 1;
            request.id = self.next_id;
            self.requests.push_back(request);
        }
        if let Ok(chunk) = Arc::try_unwrap(chunk) {
            self.keep(chunk.samples);
        }
    }

    /// See [`crate::pending::source::Source::settle`]; `parts` are the halves where the request is split.
    pub fn settle(&mut self, id: u64, outcome: Outcome, parts: Option<(Part, Part)>) -> Option<u64> {
        let first = self.requests.front_mut().filter(|first| first.id == id)?;
        self.panics = 0;
        let items = first.items;
        match outcome {
            Outcome::Again { ambiguous } => {
                first.attempt += 1;
                first.ambiguous |= ambiguous;
                return Some(0);
            }
            Outcome::Delivered => self.counted.delivered += items,
            Outcome::Rejected(why) => self.counted.reject(why, items),
            Outcome::Dropped(why) => self.counted.drop_items(why, items),
            Outcome::Spooled => self.counted.spooled += items,
            Outcome::Split => {}
        }
        let whole = self.requests.pop_front()?;
        let Some((older, newer)) = parts else { return Some(items) };
        for part in [newer, older] {
            self.next_id += 1;
            self.requests.push_front(Request {
                id: self.next_id,
                body: part.body.into(),
                items: part.samples as u64,
                attempt: 0,
                part: true,
                ..whole.clone()
            });
        }
        Some(0)
    }

    /// Drops what was accepted longer ago than `limit`; 0 means no limit.
    pub fn expire(&mut self, now: Mono, limit: Duration) {
        let old = |accepted: Mono| !limit.is_zero() && accepted + limit < now;
        while let Some(request) = self.requests.front().filter(|r| old(r.accepted)) {
            self.counted.drop_items(Dropped::TooOld, request.items);
            self.requests.pop_front();
        }
        loop {
            let chunk = match self.chunks.front() {
                Some(chunk) if old(chunk.opened) => self.chunks.pop_front(),
                None if self.queued() > 0 && old(self.open.opened) => Some(self.take_open()),
                _ => None,
            };
            let Some(chunk) = chunk else { return };
            let items = chunk.samples().len() as u64;
            self.head += items;
            self.counted.drop_items(Dropped::TooOld, items);
            self.keep(chunk.samples);
            self.restop();
        }
    }

    /// Gives up the first request, or the chunk in work, as `why`.
    pub fn give_up_work(&mut self, why: Rejected) -> u64 {
        let items = match (self.requests.pop_front(), self.current.take()) {
            (Some(request), _) => request.items,
            (None, Some(chunk)) => chunk.samples().len() as u64,
            (None, None) => 0,
        };
        self.counted.reject(why, items);
        items
    }

    /// Gives up everything pending and accepts no more.
    pub fn clear(&mut self, why: Dropped) -> u64 {
        let items = self.pending();
        self.requests.clear();
        self.current = None;
        self.chunks.clear();
        self.take_open();
        self.head = self.tail;
        self.counted.drop_items(why, items);
        self.close();
        items
    }

    /// The samples of the open chunk.
    #[cfg(test)]
    pub fn open_samples(&self) -> &[RawSample] {
        self.open.samples()
    }

    /// Position behind the last sample queued.
    pub fn position(&self) -> u64 {
        self.tail
    }

    /// Position before which everything is settled.
    pub fn settled(&self) -> u64 {
        if self.current.is_some() || !self.requests.is_empty() { self.base } else { self.head }
    }

    /// A series whose last mark is below this number has no sample in a chunk that is not wholly settled.
    ///
    /// The mark of a sample is the number of its chunk. One that went through a lane has the lane's mark, which may be an
    /// earlier number, because it was not known which chunk would take it; the chunk keeps the least.
    pub fn settled_chunk(&self) -> u64 {
        let work = (self.current.is_some() || !self.requests.is_empty()).then_some(self.base_least);
        let open = (!self.open.samples.is_empty()).then_some(self.open.least);
        let queued = self.chunks.iter().map(|chunk| chunk.least);
        queued.chain(work).chain(open).min().unwrap_or(self.opened_chunks + 1)
    }

    /// The ledger.
    pub fn ledger(&self) -> Ledger {
        Ledger { accepted: self.counted.accepted + self.tail, ..self.counted }
    }

    /// Samples held raw, counted one chunk after the other.
    pub fn samples(&self) -> usize {
        let queued: usize = self.chunks.iter().chain([&self.open]).map(|c| c.samples().len()).sum();
        queued + self.current.as_ref().map_or(0, |chunk| chunk.samples().len())
    }

    /// Samples held, raw or in requests.
    pub fn pending(&self) -> u64 {
        self.samples() as u64 + self.requests.iter().map(|r| r.items).sum::<u64>()
    }

    /// When the oldest sample held was accepted.
    pub fn oldest(&self) -> Option<Mono> {
        let request = self.requests.front().map(|r| r.accepted);
        let current = self.current.as_ref().map(|c| c.opened);
        let queued = self.chunks.front().or((self.queued() > 0).then_some(&self.open)).map(|c| c.opened);
        request.or(current).or(queued)
    }
}
