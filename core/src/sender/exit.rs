//! The end of the process: one budget for all senders, and the hook in the C library.

use super::Report;
use super::flush::{Flush, far};
use super::registry::{all, start_flush_all};
use crate::clock::Mono;
use crate::config::Config;
use crate::ledger::Dropped;
use crate::sys::{self, ForkCell};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static EXIT_BEGAN: ForkCell<Mono> = ForkCell::new();

/// The end of the process: flushes every sender and gives up `exit_idle_timeout` after the last delivery or
/// `exit_timeout` after the first call of this, whichever comes first. A push during exit, flushed by a second call, uses
/// what is left of the same time.
pub struct Exit {
    flush: Flush,
    began: Mono,
}

impl Exit {
    /// Starts to flush everything.
    #[must_use]
    pub fn start() -> Self {
        let began = *EXIT_BEGAN.get_or_init(sys::monotonic);
        Exit { flush: start_flush_all(Duration::MAX), began }
    }

    /// Waits at most `slice`; true when there is nothing more to wait for.
    #[must_use]
    pub fn wait(&self, slice: Duration) -> bool {
        let until = far(Instant::now(), slice);
        loop {
            let waiting: Vec<_> =
                self.flush.parts.iter().filter(|(s, position)| !s.source.settled_to(*position)).collect();
            let Some(&(first, position)) = waiting.first() else { return true };
            let last = self.flush.parts.iter().map(|(s, _)| s.last_delivery.load(Ordering::SeqCst)).max();
            let last = Duration::from_nanos(last.unwrap_or(0)).max(self.began);
            let longest = |of: fn(&Config) -> Duration| {
                waiting.iter().map(|(s, _)| of(&s.config)).max().unwrap_or_default()
            };
            let end = (last + longest(|c| c.exit_idle_timeout)).min(self.began + longest(|c| c.exit_timeout));
            let left = end.saturating_sub(sys::monotonic());
            if left.is_zero() {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            let _ = first.wait_settled(*position, until.min(far(Instant::now(), left)));
        }
    }

    /// Gives up what is left and says, sender by sender, what happened since the last report of whatever kind: what a
    /// caller was told already is not told again.
    #[must_use]
    pub fn finish(self) -> Vec<Report> {
        for (sender, position) in &self.flush.parts {
            if !sender.source.settled_to(*position) {
                sender.clear(Dropped::Shutdown);
            }
        }
        all().iter().map(|s| s.since(&s.told)).collect()
    }
}

static HOOK: AtomicBool = AtomicBool::new(false);

/// Says that the host flushes at exit by itself ([`Exit`]), as Python's `atexit` does, so that no hook is set in the C
/// library.
pub fn host_flushes_at_exit() {
    HOOK.store(true, Ordering::SeqCst);
}

/// Sets the hook, once.
pub(super) fn hook_exit() {
    extern "C" fn at_exit() {
        // nobody may see a panic that late
        let _ = std::panic::catch_unwind(|| {
            let exit = Exit::start();
            while !exit.wait(Duration::from_secs(1)) {}
            drop(exit.finish());
        });
    }
    if !HOOK.swap(true, Ordering::SeqCst) {
        sys::at_exit(at_exit);
    }
}
