//! One sender: a source, its connection, its worker; the registry of all senders of this process; flush of all; exit.
//!
//! The only room that ties the floors together. A sender lives as long as somebody holds it, it has something pending, or
//! its worker runs; the registry lets go of the others.

mod drain;
mod exit;
mod flush;
mod registry;

pub use drain::{finish_drain, start_drain};
pub use exit::{Exit, host_flushes_at_exit};
pub use flush::Flush;
pub(crate) use registry::prune;
pub use registry::{all, finish_close_all, has_log, report_all, start_close_all, start_flush_all, take_log};

use crate::clock::{Clock, Mono};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::ledger::{Balance, Dropped, Event, Ledger, Recent, Requests};
use crate::pending::source::{Notice, Source};
use crate::send::transport::Transport;
use crate::send::worker::{Signal, Worker};
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
    /// Whether nothing is pending, rejected or dropped, and no more was put into the spool than taken out of it.
    #[must_use]
    pub fn complete(&self) -> bool {
        let lost = self.ledger.rejected_total() + self.ledger.dropped_total();
        self.pending == 0 && lost == 0 && self.ledger.spooled <= self.ledger.adopted
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
    /// Up to where [`report_all`] has told, and up to where any report has.
    reported: Mutex<Ledger>,
    told: Mutex<Ledger>,
}

/// How soon after a failure the worker is started again.
const RESTART: Duration = Duration::from_secs(1);

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
            told: Mutex::default(),
        }
    }

    /// A sender that is flushed when the process ends.
    #[must_use]
    pub fn registered(parts: Parts) -> Arc<Self> {
        let sender = Arc::new(Self::new(parts));
        registry::add(sender.clone());
        exit::hook_exit();
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

    /// A whole request is ready: lets the worker look now, unless it waits out a back-off and the queue has room.
    pub fn request_ready(self: &Arc<Self>) {
        self.ensure_worker();
        if !self.signal.pausing.load(Ordering::Relaxed) || self.source.wants_room() {
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
            self.start_after.store(nanos(now + RESTART), Ordering::Relaxed);
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

    /// Waits until everything up to `position` is settled or `deadline` has passed; says which. Where the worker could not
    /// be started before, it is tried again meanwhile.
    #[must_use]
    pub fn wait_settled(self: &Arc<Self>, position: u64, deadline: Instant) -> bool {
        let mut seen = lock(&self.progress);
        loop {
            if self.source.settled_to(position) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.ensure_worker();
            let left = if self.signal.alive.load(Ordering::SeqCst) { left } else { left.min(RESTART) };
            seen = self.progressed.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Gives up what is pending, ends the request in flight and the worker; accepts no more.
    pub fn clear(&self, why: Dropped) -> u64 {
        let items = match self.kind {
            Kind::Samples => "samples",
            Kind::Pushes => "pushes",
        };
        let cause = lock(&self.notes).recent.last().map(|e| format!(", last failure: {}", e.message));
        let cause = cause.unwrap_or_default();
        let mut lost = 0;
        self.note_settled(true, || {
            lost = self.source.clear(why);
            let message = format!("dropped ({}): {lost} {items} were still pending{cause}", why.name());
            (lost > 0).then_some((lost, message))
        });
        self.note_notices();
        self.signal.cleared.store(true, Ordering::SeqCst);
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
        self.note_settled(log, || Some((items, message.to_owned())));
    }

    /// Notes what the source has to say.
    pub fn note_notices(&self) {
        for Notice { message, fault } in self.source.notices() {
            match fault {
                true => self.note(&message, 0, true),
                false => registry::log(self.event(0, message)),
            }
        }
    }

    /// Settles something with the source and notes what it cost, under one lock: no report has the loss without the reason.
    pub fn note_settled(&self, log: bool, settle: impl FnOnce() -> Option<(u64, String)>) {
        let mut notes = lock(&self.notes);
        let Some((items, message)) = settle() else { return };
        let event = self.event(items, message);
        if log {
            registry::log(event.clone());
        }
        notes.recent.note(event);
    }

    fn event(&self, items: u64, message: String) -> Event {
        Event { at_ms: self.clock.wall_ms(), url: self.url.clone(), message, items, times: 1 }
    }

    /// What happened since `cursor`, which is moved to now.
    #[must_use]
    pub fn report(&self, cursor: &Mutex<Ledger>) -> Report {
        let report = self.since(cursor);
        *lock(&self.told) = *lock(cursor);
        report
    }

    fn since(&self, cursor: &Mutex<Ledger>) -> Report {
        let mut cursor = lock(cursor);
        let notes = lock(&self.notes);
        let balance = self.source.balance();
        let ledger = balance.ledger.since(&cursor);
        *cursor = balance.ledger;
        let failures = notes.recent.events();
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

/// The error of a call on something closed.
pub(crate) fn closed<T>(what: &'static str) -> Result<T> {
    Err(Error::Closed { what })
}
