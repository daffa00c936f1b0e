//! One sender: a source, its connection, its worker; the registry of all senders of this process; flush of all; exit.
//!
//! The only file that ties the floors together. A sender lives as long as somebody holds it, it has something pending, or
//! its worker runs; the registry lets go of the others.

use crate::clock::{Clock, Mono};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::ledger::{Balance, Dropped, Event, Ledger, Recent, Requests};
use crate::pending::source::Source;
use crate::send::transport::Transport;
use crate::send::worker::{Signal, Worker};
use crate::sys::{self, ForkCell};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a sender counts: never added up with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Samples of a writer.
    Samples,
    /// Pushes to a gateway.
    Pushes,
}

/// What a flush or a close achieved, since the report before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The endpoint, without user, password and query.
    pub url: String,
    /// What is counted.
    pub kind: Kind,
    /// What was counted since the last report.
    pub ledger: Ledger,
    /// Items still pending.
    pub pending: u64,
    /// Recent failures, oldest first.
    pub failures: Vec<Event>,
}

impl Report {
    /// Whether nothing is pending, rejected or dropped.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.pending == 0 && self.ledger.rejected_total() == 0 && self.ledger.dropped_total() == 0
    }
}

/// Everything a sender counts, since it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// The endpoint, without user, password and query.
    pub url: String,
    /// What is counted.
    pub kind: Kind,
    /// The ledger, with what is pending at the same instant.
    pub balance: Balance,
    /// Requests made.
    pub requests: Requests,
    /// Age of the oldest item pending.
    pub oldest_pending_age: Option<Duration>,
    /// The worker panicked three times within a minute; nothing is sent any more.
    pub failed: bool,
    /// Recent failures, oldest first.
    pub failures: Vec<Event>,
}

#[derive(Default)]
struct Notes {
    requests: Requests,
    recent: Recent,
}

/// A source, its connection and its worker.
pub struct Sender {
    /// The options.
    pub config: Arc<Config>,
    /// What is to be sent.
    pub source: Arc<dyn Source>,
    /// How it leaves.
    pub transport: Arc<dyn Transport>,
    /// The time.
    pub clock: Clock,
    /// How callers reach the worker.
    pub signal: Signal,
    /// Path and query of the endpoint, for requests without their own.
    pub path: String,
    url: String,
    kind: Kind,
    notes: Mutex<Notes>,
    progress: Mutex<u64>,
    progressed: Condvar,
    failed: AtomicBool,
    start_after: AtomicU64,
    last_delivery: AtomicU64,
    reported: Mutex<Ledger>,
}

fn nanos(time: Mono) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // what these locks guard is whole after each statement
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a [`Sender`] is made of.
pub struct Parts {
    /// The options.
    pub config: Arc<Config>,
    /// What is to be sent.
    pub source: Arc<dyn Source>,
    /// How it leaves.
    pub transport: Arc<dyn Transport>,
    /// The time.
    pub clock: Clock,
    /// The endpoint for messages.
    pub url: String,
    /// Path and query of the endpoint.
    pub path: String,
    /// What is counted.
    pub kind: Kind,
}

impl Sender {
    /// A sender that no registry knows: it is flushed by nobody but its owner.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Sender {
            config: parts.config,
            source: parts.source,
            transport: parts.transport,
            clock: parts.clock,
            signal: Signal::default(),
            path: parts.path,
            url: parts.url,
            kind: parts.kind,
            notes: Mutex::default(),
            progress: Mutex::new(0),
            progressed: Condvar::new(),
            failed: AtomicBool::new(false),
            start_after: AtomicU64::new(0),
            last_delivery: AtomicU64::new(0),
            reported: Mutex::default(),
        }
    }

    /// A sender that is flushed when the process ends.
    #[must_use]
    pub fn registered(parts: Parts) -> Arc<Self> {
        let sender = Arc::new(Self::new(parts));
        prune();
        lock(senders()).push(sender.clone());
        hook_exit();
        sender
    }

    /// The endpoint, without user, password and query.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sees to it that a worker runs. One atomic load when it does.
    #[inline]
    pub fn ensure_worker(self: &Arc<Self>) {
        if !self.signal.alive.load(Ordering::SeqCst) {
            self.start_worker();
        }
    }

    /// Lets the worker look now.
    pub fn nudge(self: &Arc<Self>) {
        self.ensure_worker();
        self.signal.nudge();
    }

    /// A whole request is ready: lets the worker look now, unless it waits out a back-off.
    pub fn request_ready(self: &Arc<Self>) {
        self.ensure_worker();
        if !self.signal.pausing.load(Ordering::Relaxed) {
            self.signal.nudge();
        }
    }

    #[cold]
    fn start_worker(self: &Arc<Self>) {
        let now = self.clock.now();
        // a process that may start no thread is not asked again at every append
        if nanos(now) < self.start_after.load(Ordering::Relaxed)
            || self.failed.load(Ordering::SeqCst)
            || self.signal.cleared.load(Ordering::SeqCst)
            || self.signal.alive.swap(true, Ordering::SeqCst)
        {
            return;
        }
        if let Err(error) = Worker::start(self.clone()) {
            self.start_after.store(nanos(now + Duration::from_secs(1)), Ordering::Relaxed);
            self.signal.alive.store(false, Ordering::SeqCst);
            self.count(|r| r.worker_start_failed += 1);
            self.note(&format!("the worker thread could not be started, tried again: {error}"), 0, true);
        }
    }

    /// The error for a closed source: that of the worker, if it failed.
    #[must_use]
    pub fn closed(&self, error: Error) -> Error {
        if matches!(error, Error::Closed { .. }) && self.failed.load(Ordering::SeqCst) {
            return Error::SenderFailed;
        }
        error
    }

    /// Starts to flush what was accepted until now; does not wait.
    #[must_use]
    pub fn start_flush(self: &Arc<Self>) -> u64 {
        let position = self.source.position();
        if !self.source.settled_to(position) {
            self.signal.flush_to.fetch_max(position, Ordering::SeqCst);
            self.signal.flushes.fetch_add(1, Ordering::SeqCst);
            self.nudge();
        }
        position
    }

    /// Waits until everything up to `position` is settled or `deadline` has passed; says which.
    #[must_use]
    pub fn wait_settled(&self, position: u64, deadline: Instant) -> bool {
        let mut seen = lock(&self.progress);
        loop {
            if self.source.settled_to(position) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            seen = self.progressed.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Gives up what is pending, ends the request in flight and the worker; accepts no more.
    pub fn clear(&self, why: Dropped) -> u64 {
        let lost = self.source.clear(why);
        self.signal.cleared.store(true, Ordering::SeqCst);
        if lost > 0 {
            let items = match self.kind {
                Kind::Samples => "samples",
                Kind::Pushes => "pushes",
            };
            let cause = lock(&self.notes).recent.last().map(|e| format!(", last failure: {}", e.message));
            let cause = cause.unwrap_or_default();
            self.note(
                &format!("dropped ({}): {lost} {items} were still pending{cause}", why.name()),
                lost,
                true,
            );
        }
        self.transport.cancel();
        self.signal.nudge();
        self.progress();
        lost
    }

    /// Whether [`Sender::clear`] was called.
    #[must_use]
    pub fn is_cleared(&self) -> bool {
        self.signal.cleared.load(Ordering::SeqCst)
    }

    /// Closes: no more is accepted, what is there is flushed until `deadline`, the rest is given up.
    pub fn start_close(self: &Arc<Self>) -> u64 {
        self.source.close();
        self.start_flush()
    }

    /// Marks the sender as failed: its worker panicked too often.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::SeqCst);
        self.clear(Dropped::Shutdown);
    }

    /// Tells waiters that something was settled.
    pub fn progress(&self) {
        *lock(&self.progress) += 1;
        self.progressed.notify_all();
    }

    /// Notes the time of a delivery, by which the end of the process knows that waiting helps.
    pub fn delivered(&self, now: Mono) {
        self.last_delivery.store(nanos(now), Ordering::SeqCst);
    }

    /// Changes the counters of requests.
    pub fn count(&self, change: impl FnOnce(&mut Requests)) {
        change(&mut lock(&self.notes).requests);
    }

    /// Notes something that went wrong; with `log` it is worth a line in the caller's log.
    pub fn note(&self, message: &str, items: u64, log: bool) {
        let event = Event {
            at_ms: self.clock.wall_ms(),
            url: self.url.clone(),
            message: message.to_owned(),
            items,
            times: 1,
        };
        if log {
            let mut lines = lock(LOG.get_or_init(Mutex::default));
            if lines.len() < LOG_LINES {
                lines.push(event.clone());
                FRESH.store(true, Ordering::Release);
            }
        }
        lock(&self.notes).recent.note(event);
    }

    /// What happened since `cursor`, which is moved to now.
    #[must_use]
    pub fn report(&self, cursor: &Mutex<Ledger>) -> Report {
        let mut cursor = lock(cursor);
        let balance = self.source.balance();
        let ledger = balance.ledger.since(&cursor);
        *cursor = balance.ledger;
        let failures = lock(&self.notes).recent.events();
        Report { url: self.url.clone(), kind: self.kind, ledger, pending: balance.pending, failures }
    }

    /// Everything counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let now = self.clock.now();
        let notes = lock(&self.notes);
        Stats {
            url: self.url.clone(),
            kind: self.kind,
            balance: self.source.balance(),
            requests: notes.requests,
            oldest_pending_age: self.source.oldest().map(|at| now.saturating_sub(at)),
            failed: self.failed.load(Ordering::SeqCst),
            failures: notes.recent.events(),
        }
    }
}

static SENDERS: ForkCell<Mutex<Vec<Arc<Sender>>>> = ForkCell::new();
static LOG: ForkCell<Mutex<Vec<Event>>> = ForkCell::new();
static FRESH: AtomicBool = AtomicBool::new(false);
/// Lines kept for a log that nobody takes.
const LOG_LINES: usize = 64;

fn senders() -> &'static Mutex<Vec<Arc<Sender>>> {
    SENDERS.get_or_init(Mutex::default)
}

/// Lets go of senders that nobody holds, with nothing pending and no worker.
pub(crate) fn prune() {
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

/// A flush of several senders under way; waits in slices so that a caller can look after signals in between.
pub struct Flush {
    parts: Vec<(Arc<Sender>, u64)>,
    deadline: Instant,
}

impl Flush {
    /// Starts to flush `senders`; they share one deadline.
    #[must_use]
    pub fn start(senders: impl IntoIterator<Item = Arc<Sender>>, timeout: Duration) -> Self {
        let deadline = far(Instant::now(), timeout);
        Flush {
            parts: senders.into_iter().map(|s| (s.start_flush(), s)).map(|(p, s)| (s, p)).collect(),
            deadline,
        }
    }

    /// Starts to close `senders`: as [`Flush::start`], and no more is accepted.
    #[must_use]
    pub fn start_close(senders: impl IntoIterator<Item = Arc<Sender>>, timeout: Duration) -> Self {
        let deadline = far(Instant::now(), timeout);
        Flush {
            parts: senders.into_iter().map(|s| (s.start_close(), s)).map(|(p, s)| (s, p)).collect(),
            deadline,
        }
    }

    /// Waits at most `slice`; true when there is nothing more to wait for: all is settled or the deadline has passed.
    #[must_use]
    pub fn wait(&self, slice: Duration) -> bool {
        let until = self.deadline.min(far(Instant::now(), slice));
        let settled = self.parts.iter().all(|(sender, position)| sender.wait_settled(*position, until));
        settled || Instant::now() >= self.deadline
    }

    /// Waits until there is nothing more to wait for.
    pub fn finish(&self) {
        while !self.wait(Duration::from_secs(3600)) {}
    }
}

/// `from + by`, for waits that are given as "for ever".
fn far(from: Instant, by: Duration) -> Instant {
    from.checked_add(by).unwrap_or_else(|| from + Duration::from_secs(365 * 24 * 3600))
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

/// What every sender did since the last call of this function.
#[must_use]
pub fn report_all() -> Vec<Report> {
    all().iter().map(|s| s.report(&s.reported)).collect()
}

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

    /// Gives up what is left and says what that cost, sender by sender.
    #[must_use]
    pub fn finish(self) -> Vec<Report> {
        for (sender, position) in &self.flush.parts {
            if !sender.source.settled_to(*position) {
                sender.clear(Dropped::Shutdown);
            }
        }
        report_all()
    }
}

static HOOK: AtomicBool = AtomicBool::new(false);

/// Says that the host flushes at exit by itself ([`Exit`]), as Python's `atexit` does, so that no hook is set in the C
/// library.
pub fn host_flushes_at_exit() {
    HOOK.store(true, Ordering::SeqCst);
}

fn hook_exit() {
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

/// The error of a call on something closed.
pub(crate) fn closed<T>(what: &'static str) -> Result<T> {
    Err(Error::Closed { what })
}
