//! The loop: take, send, judge, wait. The only file that sleeps.
//!
//! [`Worker::step`] does one of those things and says what to do next, so that tests turn it by hand with a clock of
//! their own; [`Worker::start`] turns it in a thread. A worker has at most one request in flight, which is what keeps a
//! series' samples in order and a sick receiver unharmed.

use crate::clock::Mono;
use crate::config::Config;
use crate::error::shown;
use crate::ledger::{Dropped, Rejected};
use crate::pending::source::{Outcome, Request, Take};
use crate::send::transport::{Failure, HttpRequest, Response};
use crate::send::verdict::{Attempt, Backoff, Verdict, judge};
use crate::sender::Sender;
use crate::sys;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// What a worker does after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The next step, at once.
    Again,
    /// The next step at this time, or when it is nudged.
    Wait(Mono),
    /// Nothing is pending since `idle_thread_timeout`, or the sender was cleared: end.
    End,
}

/// How callers reach the worker of a sender.
#[derive(Debug, Default)]
pub struct Signal {
    nudged: Mutex<bool>,
    changed: Condvar,
    /// A worker runs, or is being started.
    pub alive: AtomicBool,
    /// Everything accepted before this position is wanted now.
    pub flush_to: AtomicU64,
    /// Counts flushes; each wakes a back-off once.
    pub flushes: AtomicU64,
    /// The worker waits out a back-off, in which more data is no reason to wake it.
    pub pausing: AtomicBool,
    /// The sender gave up what was pending.
    pub cleared: AtomicBool,
}

impl Signal {
    /// Lets the worker look now.
    pub fn nudge(&self) {
        *self.nudged.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    fn wait(&self, longest: Duration) {
        let nudged = self.nudged.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = self.changed.wait_timeout_while(nudged, longest, |nudged| !*nudged);
        *wait.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

/// Requests a minute that may be spent on finding refused samples, for each endpoint.
pub const SPLIT_BUDGET: u32 = 64;
const MINUTE: Duration = Duration::from_secs(60);

/// The state of the loop between two steps.
pub struct Worker {
    backoff: Backoff,
    /// No request before this time.
    not_before: Mono,
    /// The wait was asked for by the receiver; a flush does not shorten it.
    asked: bool,
    failures: u32,
    seen_flush: u64,
    idle_since: Option<Mono>,
    split_window: Mono,
    split_requests: u32,
    logged: Option<(Mono, &'static str)>,
    /// Of each reason that is reported, how many were.
    dropped: [u64; Dropped::ALL.len()],
    random: u64,
}

impl Worker {
    /// A worker that has sent nothing yet.
    #[must_use]
    pub fn new(config: &Config, seed: u64) -> Self {
        Worker {
            backoff: Backoff {
                min: config.min_backoff,
                max: config.max_backoff,
                max_retry_after: config.max_retry_after,
                hold: config.hold_interval,
            },
            not_before: Mono::ZERO,
            asked: false,
            failures: 0,
            seen_flush: 0,
            idle_since: None,
            split_window: Mono::ZERO,
            split_requests: 0,
            logged: None,
            dropped: [0; Dropped::ALL.len()],
            random: seed | 1,
        }
    }

    /// Starts the thread of `sender`'s worker. Each sender has at most one, by `Signal::alive`.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn start(sender: Arc<Sender>) -> std::io::Result<()> {
        sys::spawn("promwrite", move || {
            Self::run(&sender);
            drop(sender);
            crate::sender::prune();
        })
    }

    fn run(sender: &Arc<Sender>) {
        let seed = u64::try_from(sys::monotonic().as_nanos()).unwrap_or(1) ^ (Arc::as_ptr(sender) as u64);
        let mut worker = Worker::new(&sender.config, seed);
        let mut panics: Vec<Mono> = Vec::new();
        loop {
            let step = catch_unwind(AssertUnwindSafe(|| worker.step(sender)));
            match step {
                Ok(Step::Again) => {}
                Ok(Step::Wait(until)) => {
                    let now = sender.clock.now();
                    // a flush that asked while the worker was busy has left its mark, not a nudge
                    sender.signal.wait(until.saturating_sub(now));
                }
                Ok(Step::End) => {
                    sender.signal.alive.store(false, Ordering::SeqCst);
                    // what was appended before the store saw a living worker and did not start one
                    let pending =
                        sender.source.oldest().is_some() && !sender.signal.cleared.load(Ordering::SeqCst);
                    if !pending || sender.signal.alive.swap(true, Ordering::SeqCst) {
                        return;
                    }
                    worker.idle_since = None;
                }
                Err(panic) => {
                    let now = sender.clock.now();
                    panics.retain(|at| *at + MINUTE > now);
                    panics.push(now);
                    let message = format!("worker panicked: {}", panic_text(&*panic));
                    sender.note_settled(true, || Some((sender.source.recover(), message)));
                    if panics.len() >= 3 {
                        sender.fail();
                        sender.signal.alive.store(false, Ordering::SeqCst);
                        return;
                    }
                    sender.progress();
                }
            }
        }
    }

    /// One step of the loop.
    pub fn step(&mut self, sender: &Sender) -> Step {
        if sender.signal.cleared.load(Ordering::SeqCst) {
            return Step::End;
        }
        let now = sender.clock.now();
        let flushes = sender.signal.flushes.load(Ordering::SeqCst);
        if now < self.not_before {
            let wake = flushes != self.seen_flush && !self.asked;
            self.seen_flush = flushes;
            if !wake {
                sender.signal.pausing.store(true, Ordering::Relaxed);
                let look = sender.source.make_room(now);
                sender.note_notices();
                return Step::Wait(look.map_or(self.not_before, |look| look.min(self.not_before)));
            }
            self.not_before = now;
        }
        sender.signal.pausing.store(false, Ordering::Relaxed);
        self.seen_flush = flushes;
        let taken = sender.source.take(now, sender.signal.flush_to.load(Ordering::SeqCst));
        self.report_drops(sender);
        sender.note_notices();
        match taken {
            Take::Request(request) => {
                self.idle_since = None;
                self.attempt(sender, &request);
                Step::Again
            }
            Take::NotBefore(at) => {
                self.idle_since = None;
                // nobody nudges a living worker for a partial request, so that an append makes no system call
                Step::Wait(at)
            }
            Take::Nothing => {
                sender.source.tidy(now);
                sender.progress();
                let since = *self.idle_since.get_or_insert(now);
                if now >= since + sender.config.idle_thread_timeout {
                    return Step::End;
                }
                // as above: what is appended meanwhile is seen at the next tick
                Step::Wait(
                    (now + sender.config.batch_send_deadline).min(since + sender.config.idle_thread_timeout),
                )
            }
        }
    }

    fn attempt(&mut self, sender: &Sender, request: &Request) {
        let body = request.body.len();
        let result = send(sender, request);
        let now = sender.clock.now();
        let verdict = judge(
            &Attempt {
                result: result.as_ref(),
                failures: self.failures,
                attempt: request.attempt,
                ambiguous: request.ambiguous,
                body,
                split: sender.config.split_on_reject,
                wall_ms: sender.clock.wall_ms(),
                jitter: self.jitter(),
            },
            &self.backoff,
        );
        sender.count(|r| match verdict {
            Verdict::Delivered => {
                r.succeeded += 1;
                r.bytes += body as u64;
            }
            Verdict::Retry { .. } | Verdict::Hold { .. } => {
                r.failed += 1;
                r.retried += request.items;
            }
            Verdict::Split { .. } | Verdict::Reject(_) => r.failed += 1,
        });
        match verdict {
            Verdict::Delivered => {
                self.recovered(sender);
                sender.source.settle(request, Outcome::Delivered);
                sender.delivered(now);
            }
            Verdict::Retry { wait, asked, ambiguous } => {
                self.failures += 1;
                self.pause(now, wait, asked);
                sender.source.settle(request, Outcome::Again { ambiguous });
                self.complain(sender, now, "retry", &describe(&result));
            }
            Verdict::Hold { wait, refresh } => {
                self.failures += 1;
                self.pause(now, wait, false);
                if refresh {
                    sender.transport.refresh_credentials();
                }
                sender.source.settle(request, Outcome::Again { ambiguous: false });
                self.complain(sender, now, "hold", &describe(&result));
            }
            Verdict::Split { otherwise, budget } => {
                let allowed = !budget || self.spend_split(now);
                if !allowed || sender.source.settle(request, Outcome::Split).is_none() {
                    self.reject(sender, request, otherwise, &result);
                }
            }
            Verdict::Reject(why) => self.reject(sender, request, why, &result),
        }
        sender.progress();
    }

    fn reject(
        &mut self,
        sender: &Sender,
        request: &Request,
        why: Rejected,
        result: &Result<Response, Failure>,
    ) {
        // the receiver answers, so the next request need not wait
        self.failures = 0;
        let message = format!("rejected ({}): {}", why.name(), describe(result));
        sender.note_settled(true, || {
            sender.source.settle(request, Outcome::Rejected(why)).map(|items| (items, message))
        });
    }

    /// Takes two requests from the minute's budget for finding refused samples.
    fn spend_split(&mut self, now: Mono) -> bool {
        if now >= self.split_window + MINUTE {
            (self.split_window, self.split_requests) = (now, 0);
        }
        let allowed = self.split_requests + 2 <= SPLIT_BUDGET;
        if allowed {
            self.split_requests += 2;
        }
        allowed
    }

    fn pause(&mut self, now: Mono, wait: Duration, asked: bool) {
        (self.not_before, self.asked) = (now + wait, asked);
    }

    fn recovered(&mut self, sender: &Sender) {
        if self.failures > 0 {
            sender.note("delivering again", 0, self.logged.is_some());
        }
        (self.failures, self.logged) = (0, None);
    }

    /// A line a minute for a fault that lasts, at once for a new kind of fault.
    fn complain(&mut self, sender: &Sender, now: Mono, kind: &'static str, message: &str) {
        // nothing is kept once the sender was cleared, which ends a request in flight
        if sender.is_cleared() {
            return;
        }
        let log = self.logged.is_none_or(|(at, before)| before != kind || now >= at + MINUTE);
        if log {
            self.logged = Some((now, kind));
        }
        let pending = sender.source.balance().pending;
        let advice = match kind {
            "hold" => "; kept and tried again: check address and credentials",
            _ => "; kept and tried again",
        };
        sender.note(&format!("{message}{advice}, {pending} pending"), 0, log);
    }

    fn report_drops(&mut self, sender: &Sender) {
        let dropped = sender.source.ledger().dropped;
        for (why, advice) in [
            (Dropped::QueueFull, "the receiver is too slow or away; queue_config.capacity bounds it"),
            (Dropped::TooOld, "the receiver was away for longer than queue_config.sample_age_limit"),
            (Dropped::Expired, "they were in the spool for longer than spool_max_age"),
            (
                Dropped::SpoolFull,
                "the oldest in the spool made room for newer ones; spool_max_bytes bounds it",
            ),
            (Dropped::Damaged, "they were found damaged in the spool"),
        ] {
            let (count, seen) = (dropped[why as usize], &mut self.dropped[why as usize]);
            if count > *seen {
                sender.note(&format!("dropped ({}): {advice}", why.name()), count - *seen, *seen == 0);
                *seen = count;
            }
        }
    }

    fn jitter(&mut self) -> f64 {
        // xorshift: only has to differ between processes
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// One attempt; a second at once if the first met a connection that the server had closed while it was idle.
fn send(sender: &Sender, request: &Request) -> Result<Response, Failure> {
    let http = HttpRequest {
        method: request.method,
        path_and_query: request.path.as_deref().unwrap_or(&sender.path),
        headers: &request.headers.0,
        body: &request.body,
        attempt: request.attempt,
    };
    match sender.transport.send(&http, sender.config.remote_timeout) {
        Err(failure) if failure.stale => sender.transport.send(&http, sender.config.remote_timeout),
        result => result,
    }
}

fn describe(result: &Result<Response, Failure>) -> String {
    match result {
        Err(failure) => failure.message.clone(),
        Ok(response) => {
            let text = shown(response.body.trim_ascii());
            let (colon, text) = if response.body.is_empty() { ("", "") } else { (": ", &*text) };
            let hint = match response.status {
                300..=399 => " (redirects are not followed: put the address it points to into the URL)",
                _ => "",
            };
            format!("the receiver answered {}{colon}{text}{hint}", response.status)
        }
    }
}

/// The message of a caught panic.
#[must_use]
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "unknown panic".to_owned())
}
