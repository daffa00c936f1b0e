//! All senders of this process, and the lines they have for the caller's log.

use super::flush::Flush;
use super::{Report, Sender, lock};
use crate::ledger::{Dropped, Event};
use crate::sys::ForkCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

static SENDERS: ForkCell<Mutex<Vec<Arc<Sender>>>> = ForkCell::new();
static LOG: ForkCell<Mutex<Vec<Event>>> = ForkCell::new();
static FRESH: AtomicBool = AtomicBool::new(false);
/// Lines kept for a log that nobody takes.
const LOG_LINES: usize = 64;

fn senders() -> &'static Mutex<Vec<Arc<Sender>>> {
    SENDERS.get_or_init(Mutex::default)
}

/// Registers a sender.
pub fn add(sender: Arc<Sender>) {
    prune();
    lock(senders()).push(sender);
}

/// Keeps a line for the caller's log.
pub fn log(event: Event) {
    let mut lines = lock(LOG.get_or_init(Mutex::default));
    if lines.len() < LOG_LINES {
        lines.push(event);
        FRESH.store(true, Ordering::Release);
    }
}

/// Lets go of senders that nobody holds, with nothing pending and no worker.
pub fn prune() {
    let unused: Vec<Arc<Sender>> = {
        let mut all = lock(senders());
        let (used, unused) = std::mem::take(&mut *all)
            .into_iter()
            .partition(|s| Arc::strong_count(s) > 1 || s.source.oldest().is_some());
        *all = used;
        unused
    };
    // outside the lock, because it closes connections
    drop(unused);
}

/// Whether [`take_log`] has something, for one atomic load.
#[inline]
#[must_use]
pub fn has_log() -> bool {
    FRESH.load(Ordering::Acquire)
}

/// Takes the lines for the caller's log that have come up since the last call, for all senders of this process.
#[must_use]
pub fn take_log() -> Vec<Event> {
    if !FRESH.swap(false, Ordering::AcqRel) {
        return Vec::new();
    }
    LOG.get().map(|lines| std::mem::take(&mut *lock(lines))).unwrap_or_default()
}

/// Every sender of this process.
#[must_use]
pub fn all() -> Vec<Arc<Sender>> {
    lock(senders()).clone()
}

/// Starts to flush every sender of this process.
#[must_use]
pub fn start_flush_all(timeout: Duration) -> Flush {
    Flush::start(all(), timeout)
}

/// Starts to close every sender of this process: as [`start_flush_all`], and no more is accepted.
#[must_use]
pub fn start_close_all(timeout: Duration) -> Flush {
    Flush::start_close(all(), timeout)
}

/// Gives up what [`start_close_all`] did not deliver and says, sender by sender, what happened since the last report of
/// whatever kind.
#[must_use]
pub fn finish_close_all(flush: &Flush) -> Vec<Report> {
    let senders = flush.parts.iter().map(|(sender, _)| sender);
    for sender in senders.clone() {
        sender.clear(Dropped::Shutdown);
    }
    senders.map(|sender| sender.since(&sender.told)).collect()
}

/// What every sender did since the last call of this function.
#[must_use]
pub fn report_all() -> Vec<Report> {
    all().iter().map(|s| s.report(&s.reported)).collect()
}
