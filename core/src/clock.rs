//! Now: the real clock and one that tests turn by hand.
//!
//! Waiting is the worker's own affair ([`crate::send::worker`]); everything else takes the time as an argument, so no
//! test sleeps.

use crate::sys;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Time since an arbitrary start, never set back: what every timer here counts in.
pub type Mono = Duration;

/// Where the time comes from. An enum and not a trait object, because an append reads it.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The system's clocks.
    #[default]
    Real,
    /// A clock that stands still until it is turned.
    Fake(Arc<FakeClock>),
}

impl Clock {
    /// The monotonic time.
    #[must_use]
    pub fn now(&self) -> Mono {
        match self {
            Clock::Real => sys::monotonic(),
            Clock::Fake(clock) => Duration::from_nanos(clock.mono_ns.load(Ordering::SeqCst)),
        }
    }

    /// Milliseconds since 1970, exact to a few milliseconds.
    #[inline]
    #[must_use]
    pub fn wall_ms(&self) -> i64 {
        match self {
            Clock::Real => sys::wall_ms(),
            Clock::Fake(clock) => clock.wall_ms.load(Ordering::SeqCst),
        }
    }
}

/// A clock for tests.
#[derive(Debug)]
pub struct FakeClock {
    mono_ns: AtomicU64,
    wall_ms: AtomicI64,
}

impl FakeClock {
    /// A clock that shows `wall_ms`.
    #[must_use]
    pub fn new(wall_ms: i64) -> Arc<Self> {
        Arc::new(FakeClock { mono_ns: AtomicU64::new(1_000_000_000_000), wall_ms: AtomicI64::new(wall_ms) })
    }

    /// Lets `by` pass on both clocks.
    pub fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.mono_ns.fetch_add(nanos, Ordering::SeqCst);
        self.wall_ms.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// Sets the wall clock alone, as an administrator or NTP does.
    pub fn set_wall(&self, wall_ms: i64) {
        self.wall_ms.store(wall_ms, Ordering::SeqCst);
    }
}
