//! Lanes: where an append puts its sample while another thread holds the queue's lock.
//!
//! A lane is a few samples under a lock of its own; a series always has the same one. An append goes to the queue itself
//! as long as it finds the lock free and its lane empty, so a single thread does what it would do without lanes. Else it
//! fills the lane, and the queue is locked once for all of its samples. So neither another thread nor the worker makes
//! an append wait, except for that one time.
//!
//! A lane holds samples that the queue has not yet counted, therefore whoever looks at the queue as a whole unloads all
//! lanes first. Locks are taken in the order lane, queue, and nobody holds two lanes.

use super::{Nudge, Queue, lock};
use crate::clock::Mono;
use crate::config::Overflow;
use crate::input::series::SeriesData;
use crate::wire::v1::RawSample;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

/// How many lanes a queue has: more than processors that are likely to append at the same moment.
const LANES: usize = 8;
/// Samples of a lane: the queue is locked once for so many.
const LANE: usize = 64;
/// All lanes together must be a small part of what may be queued, because the overflow policy does not see what is in them.
const SMALL_PART: u64 = 64;

/// What a lane holds.
struct Held {
    /// In the order of their appends.
    samples: Vec<RawSample>,
    /// The number of a chunk that is not later than the one that these samples will come to: see
    /// [`super::state::State::settled_chunk`].
    mark: u64,
    /// When the first sample came.
    opened: Mono,
    /// Whether all that comes goes to the queue itself, which is closed or about to be.
    closed: bool,
}

/// One lane. On cache lines of its own, two because processors fetch them in pairs.
#[repr(align(128))]
pub struct Lane {
    used: AtomicBool,
    held: Mutex<Held>,
}

impl Lane {
    /// Whether an append must go through the lane to stay behind an earlier one of its series. That earlier one is seen
    /// if it happened before, which is all that an order between two threads can mean.
    #[inline]
    pub fn is_used(&self) -> bool {
        self.used.load(Ordering::Acquire)
    }

    /// Says so, under the lane's lock. It is taken back only when the lane is empty, and not by the append that filled it:
    /// where threads meet once they go on to meet.
    fn set_used(&self, used: bool) {
        self.used.store(used, Ordering::Release);
    }
}

/// The lanes of a queue, if it has any.
pub struct Lanes(Box<[Lane]>);

impl Lanes {
    /// Lanes for a queue with this policy, room for `room` samples and chunks of `chunk`. None where they would show: where
    /// the caller must learn at once that the queue is full, or where they could hide a whole request or much of the queue.
    pub fn new(overflow: Overflow, room: u64, chunk: usize) -> Self {
        let hidden = LANES * LANE;
        let waits = matches!(overflow, Overflow::Error | Overflow::Block);
        let lanes = if waits || chunk < hidden || room < SMALL_PART * hidden as u64 { 0 } else { LANES };
        let lane = || Lane {
            used: AtomicBool::new(false),
            held: Mutex::new(Held {
                samples: Vec::with_capacity(LANE),
                mark: 1,
                opened: Mono::ZERO,
                closed: false,
            }),
        };
        Lanes((0..lanes).map(|_| lane()).collect())
    }

    /// The lane of the series with this number.
    #[inline]
    pub fn of(&self, series: u32) -> Option<&Lane> {
        self.0.get(series as usize % LANES)
    }
}

impl Queue {
    /// Queues one sample by way of its series' lane, unless that is closed.
    pub(super) fn append_to(
        &self,
        lane: &Lane,
        series: &SeriesData,
        value: f64,
        timestamp_ms: i64,
    ) -> Option<Nudge> {
        let mut held = lock(&lane.held);
        if held.closed {
            return None;
        }
        if held.samples.is_empty() {
            held.opened = self.clock.now();
            lane.set_used(true);
        }
        held.samples.push(RawSample { series: series.id(), value, timestamp_ms });
        series.touch(held.mark);
        if held.samples.len() < LANE {
            return Some(Nudge::Later);
        }
        let nudge = self.unload(&mut held);
        drop(held);
        if nudge == Nudge::Now {
            self.prepare();
        }
        Some(nudge)
    }

    /// Moves what a lane holds into the queue, as the overflow policy says.
    fn unload(&self, held: &mut Held) -> Nudge {
        let mut state = lock(&self.state);
        let (mut rest, mut nudge) = (&held.samples[..], Nudge::Later);
        while !rest.is_empty() {
            if !state.has_room() {
                state.make_room(self.drops_oldest(), || held.opened);
            }
            let (taken, full) = state.add_held(rest, held.mark, held.opened);
            if taken == 0 {
                state.drop_newest(rest.len() as u64);
                break;
            }
            rest = &rest[taken..];
            if full == Nudge::Now {
                nudge = Nudge::Now;
            }
        }
        held.samples.clear();
        held.mark = state.mark();
        nudge
    }

    /// Empties a lane.
    fn empty<'l>(&self, lane: &'l Lane) -> MutexGuard<'l, Held> {
        let mut held = lock(&lane.held);
        if !held.samples.is_empty() {
            self.unload(&mut held);
        }
        lane.set_used(false);
        held
    }

    /// Empties the lanes that have something which was appended before, as far as this thread can know.
    pub(super) fn unload_used(&self) {
        for lane in self.lanes.0.iter().filter(|lane| lane.is_used()) {
            drop(self.empty(lane));
        }
    }

    /// Empties all lanes. Returns a number below which no sample's mark is that comes to a lane afterwards.
    pub(super) fn unload_all(&self) -> u64 {
        if self.lanes.0.is_empty() {
            return u64::MAX;
        }
        let mark = lock(&self.state).mark();
        for lane in &self.lanes.0 {
            let mut held = self.empty(lane);
            held.mark = held.mark.max(mark);
        }
        mark
    }

    /// Empties all lanes for the last time, before the queue is closed: it refuses by itself what comes then.
    pub(super) fn close_lanes(&self) {
        for lane in &self.lanes.0 {
            self.empty(lane).closed = true;
        }
    }
}
