//! A sender on a clock that tests turn, with a transport in memory: nothing here sleeps or opens a socket.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, clippy::expect_used, missing_docs)]

use promwrite_core::clock::{Clock, FakeClock};
use promwrite_core::config::Config;
use promwrite_core::error::SendErrorKind;
use promwrite_core::input::labels::{Labels, NameScheme};
use promwrite_core::input::series::SeriesData;
use promwrite_core::pending::gateway::{Gateway, Push};
use promwrite_core::pending::queue::Queue;
use promwrite_core::pending::source::{Headers, Source};
use promwrite_core::send::transport::memory::MemoryTransport;
use promwrite_core::send::transport::{Failure, Method, Response};
use promwrite_core::send::worker::{Step, Worker};
use promwrite_core::sender::{Kind, Parts, Sender};
use promwrite_core::wire::proto;
use promwrite_core::wire::v1::{decode_labels, encode_labels};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Where the fake wall clock starts.
pub const NOW: i64 = 1_700_000_000_000;

pub struct Rig<S> {
    pub clock: Arc<FakeClock>,
    pub transport: Arc<MemoryTransport>,
    pub source: Arc<S>,
    pub sender: Arc<Sender>,
    pub worker: Worker,
}

pub fn config(change: impl FnOnce(&mut Config)) -> Arc<Config> {
    let mut config = Config::default();
    change(&mut config);
    Arc::new(config)
}

pub fn queue(change: impl FnOnce(&mut Config)) -> Rig<Queue> {
    Rig::new(config(change), Kind::Samples, Queue::new)
}

pub fn gateway(change: impl FnOnce(&mut Config)) -> Rig<Gateway> {
    Rig::new(config(change), Kind::Pushes, Gateway::new)
}

impl<S: Source + 'static> Rig<S> {
    pub fn new(config: Arc<Config>, kind: Kind, make: impl FnOnce(Arc<Config>, Clock) -> S) -> Self {
        let clock = FakeClock::new(NOW);
        let transport = Arc::new(MemoryTransport::new());
        let source = Arc::new(make(config.clone(), Clock::Fake(clock.clone())));
        let worker = Worker::new(&config, 7);
        let sender = Arc::new(Sender::new(Parts {
            config,
            source: source.clone(),
            transport: transport.clone(),
            clock: Clock::Fake(clock.clone()),
            url: "http://receiver".into(),
            path: "/api/v1/write".into(),
            kind,
        }));
        Rig { clock, transport, source, sender, worker }
    }

    pub fn step(&mut self) -> Step {
        let step = self.worker.step(&self.sender);
        self.check();
        step
    }

    /// Steps until the worker waits or ends; returns how long it would wait.
    pub fn run(&mut self) -> Option<Duration> {
        loop {
            match self.step() {
                Step::Again => {}
                Step::Wait(until) => return Some(until.saturating_sub(self.sender.clock.now())),
                Step::End => return None,
            }
        }
    }

    /// Lets time pass and the worker run, in small steps, until `span` has passed.
    pub fn pass(&mut self, span: Duration) {
        let end = self.sender.clock.now() + span;
        loop {
            let wait = self.run().unwrap_or(span);
            let left = end.saturating_sub(self.sender.clock.now());
            if left.is_zero() {
                return;
            }
            self.clock.advance(wait.max(Duration::from_millis(1)).min(left));
        }
    }

    /// Flushes as a caller does, without waiting.
    pub fn flush(&mut self) {
        let position = self.source.position();
        self.sender.signal.flush_to.store(position, std::sync::atomic::Ordering::SeqCst);
        self.sender.signal.flushes.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }

    /// The equation holds.
    pub fn check(&self) {
        let balance = self.source.balance();
        assert!(balance.ledger.balances(balance.pending), "{balance:?}");
    }

    pub fn pending(&self) -> u64 {
        self.source.balance().pending
    }
}

impl Rig<Queue> {
    pub fn series(&self, name: &str) -> Arc<SeriesData> {
        let labels = Labels::new(name, [("job", "test")], &[], NameScheme::Legacy).unwrap();
        self.source.register(&encode_labels(&labels), None).unwrap()
    }

    pub fn append(&self, series: &SeriesData, value: f64, at: i64) {
        self.source.append(series, value, at).unwrap();
        self.check();
    }

    /// What the requests of this transport wrote, whatever they were answered: series name to samples, in order.
    pub fn written(&self) -> BTreeMap<String, Vec<(i64, f64)>> {
        let mut all: BTreeMap<String, Vec<(i64, f64)>> = BTreeMap::new();
        for request in self.transport.requests() {
            for (name, samples) in decode(&request.body) {
                all.entry(name).or_default().extend(samples);
            }
        }
        all
    }
}

/// The samples of one body, series by series.
pub fn decode(body: &[u8]) -> Vec<(String, Vec<(i64, f64)>)> {
    let request = proto::decode_v1(body, 1 << 25).unwrap();
    request
        .timeseries
        .iter()
        .map(|series| {
            let name = series.labels.iter().find(|l| l.name == "__name__").unwrap().value.clone();
            (name, series.samples.iter().map(|s| (s.timestamp, s.value)).collect())
        })
        .collect()
}

pub fn labels_of(series: &SeriesData) -> Vec<(String, String)> {
    decode_labels(series.labels()).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

pub fn push(method: Method, group: &str, body: &str) -> Push {
    let headers = [("Content-Type".to_owned(), "text/plain; version=0.0.4".to_owned())];
    Push {
        method,
        path: format!("/metrics/job/{group}").into(),
        headers: Arc::new(Headers(headers.into())),
        body: body.as_bytes().into(),
    }
}

pub fn reset(ambiguous: bool) -> Failure {
    Failure { ambiguous, ..Failure::new(SendErrorKind::Disconnected, "connection reset") }
}

pub fn refused() -> Failure {
    Failure::new(SendErrorKind::Connect, "connection refused")
}

pub fn status(status: u16, retry_after: &str) -> Response {
    let headers = vec![("retry-after".to_owned(), retry_after.to_owned())];
    Response { status, headers, body: Vec::new() }
}
