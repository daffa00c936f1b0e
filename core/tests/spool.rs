//! A writer's queue with a spool behind it: overflow, close, replay, and what the ledger says of them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]

mod common;

use common::{NOW, Rig, config, decode, refused, reset};
use promwrite_core::config::Config;
use promwrite_core::input::labels::{Labels, NameScheme};
use promwrite_core::input::series::SeriesData;
use promwrite_core::ledger::{Dropped, Ledger, Rejected};
use promwrite_core::pending::queue::Queue;
use promwrite_core::pending::source::Source;
use promwrite_core::pending::spool::{Place, Spooling};
use promwrite_core::send::endpoint::{Endpoint, HttpOptions};
use promwrite_core::send::transport::memory::Reply;
use promwrite_core::sender::Kind;
use promwrite_core::wire::v1::encode_labels;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);

/// A process with a writer, as far as the spool can tell.
struct Process {
    rig: Rig<Spooling>,
    queue: Arc<Queue>,
}

impl Process {
    fn new(directory: &Path, change: impl FnOnce(&mut Config)) -> Self {
        let config = config(|config| {
            config.max_samples_per_send = 10;
            config.spool_dir = Some(directory.into());
            change(config);
        });
        let mut queue = None;
        let rig = Rig::new(config, Kind::Samples, |config, clock| {
            let endpoint =
                Endpoint::parse("http://receiver/api/v1/write", "url", HttpOptions::default()).unwrap();
            let place = Place::new(config.spool_dir.as_ref().unwrap(), &endpoint, &config).unwrap();
            let inner = queue.insert(Arc::new(Queue::new(config, clock.clone()))).clone();
            Spooling::new(inner, place, clock)
        });
        Process { rig, queue: queue.unwrap() }
    }

    fn series(&self, name: &str) -> Arc<SeriesData> {
        let labels = Labels::new(name, [("job", "test")], &[], NameScheme::Legacy).unwrap();
        self.queue.register(&encode_labels(&labels), None).unwrap()
    }

    fn append(&self, series: &SeriesData, from: i64, to: i64) {
        for at in from..to {
            self.queue.append(series, at as f64, NOW + at).unwrap();
        }
        self.rig.check();
    }

    fn ledger(&self) -> Ledger {
        self.rig.check();
        self.rig.source.balance().ledger
    }

    fn dropped(&self, why: Dropped) -> u64 {
        self.ledger().dropped[why as usize]
    }

    /// The receiver is away for as many requests as this.
    fn away(&self, requests: usize) {
        (0..requests).for_each(|_| self.rig.transport.fail(refused()));
    }

    fn close(&mut self) -> u64 {
        let lost = self.rig.sender.clear(Dropped::Shutdown);
        self.rig.check();
        lost
    }

    fn flush(&mut self) {
        self.rig.flush();
        self.rig.pass(60 * SECOND);
    }

    /// What was answered with 2xx: the requests beyond the first `failed` ones.
    fn stored(&self, failed: usize) -> BTreeMap<String, Vec<i64>> {
        let mut all: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for request in self.rig.transport.requests().iter().skip(failed) {
            for (name, samples) in decode(&request.body) {
                all.entry(name).or_default().extend(samples.iter().map(|(at, _)| at - NOW));
            }
        }
        all
    }

    fn messages(&self) -> Vec<String> {
        self.rig.sender.stats().failures.into_iter().map(|event| event.message).collect()
    }
}

fn temp() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn files(directory: &TempDir) -> usize {
    std::fs::read_dir(directory.path()).unwrap().count()
}

#[test]
fn an_outage_that_overflows_the_queue_loses_nothing_and_keeps_the_order() {
    let directory = temp();
    let mut process = Process::new(directory.path(), |c| c.capacity = 40);
    let series = process.series("up");
    process.away(1000);
    for batch in 0..100 {
        process.append(&series, batch * 10, batch * 10 + 10);
        process.rig.pass(SECOND / 10);
    }
    let failed = process.rig.transport.requests().len();
    let ledger = process.ledger();
    assert!(ledger.spooled >= 900 && ledger.dropped_total() == 0, "{ledger:?}");
    assert!(files(&directory) > 0);
    process.rig.transport.clear_replies();
    process.flush();
    assert_eq!(process.stored(failed)["up"], (0..1000).collect::<Vec<_>>());
    let ledger = process.ledger();
    assert_eq!((ledger.delivered, ledger.spooled), (1000, ledger.adopted));
    assert_eq!((process.rig.pending(), files(&directory)), (0, 0));
}

#[test]
fn a_flush_waits_for_what_was_moved_to_disk_before() {
    let directory = temp();
    let mut process = Process::new(directory.path(), |c| c.capacity = 20);
    let series = process.series("up");
    process.append(&series, 0, 20);
    process.away(3);
    process.rig.run();
    assert!(process.ledger().spooled > 0);
    let position = process.rig.source.position();
    assert!(!process.rig.source.settled_to(position));
    process.flush();
    assert!(process.rig.source.settled_to(position));
    assert_eq!(process.ledger().delivered, 20);
}

#[test]
fn what_is_left_at_close_is_sent_by_a_later_process() {
    let directory = temp();
    let mut first = Process::new(directory.path(), |_| {});
    let (a, b) = (first.series("a"), first.series("b"));
    first.append(&a, 0, 25);
    first.append(&b, 0, 7);
    first.away(1);
    first.rig.run();
    assert_eq!(first.close(), 0);
    let ledger = first.ledger();
    assert_eq!((ledger.accepted, ledger.spooled, ledger.dropped_total()), (32, 32, 0));
    assert!(first.messages().iter().any(|m| m.contains("32 samples are left in")), "{:?}", first.messages());

    let mut second = Process::new(directory.path(), |_| {});
    second.rig.run();
    let stored = second.stored(0);
    assert_eq!((&stored["a"], &stored["b"]), (&(0..25).collect(), &(0..7).collect()));
    let ledger = second.ledger();
    assert_eq!((ledger.accepted, ledger.adopted, ledger.delivered), (0, 32, 32));
    assert_eq!(files(&directory), 0);
}

#[test]
fn what_speaks_of_the_set_up_consumes_nothing() {
    let directory = temp();
    let mut first = Process::new(directory.path(), |_| {});
    first.append(&first.series("up"), 0, 30);
    assert_eq!(first.close(), 0);
    for status in [401, 403, 404, 302, 503, 429] {
        let mut process = Process::new(directory.path(), |_| {});
        (0..1000).for_each(|_| process.rig.transport.answer(status));
        process.rig.pass(20 * SECOND);
        assert_eq!((process.close(), process.ledger().adopted), (0, 0), "{status}");
        assert!(!process.rig.transport.requests().is_empty());
    }
    let mut last = Process::new(directory.path(), |_| {});
    last.rig.run();
    assert_eq!(last.ledger().delivered, 30);
}

#[test]
fn a_replayed_request_that_is_refused_costs_the_bad_sample() {
    let directory = temp();
    let mut first = Process::new(directory.path(), |_| {});
    for i in 0..10 {
        first.append(&first.series(&format!("m{i}")), i, i + 1);
    }
    assert_eq!(first.close(), 0);
    let mut second = Process::new(directory.path(), |_| {});
    for _ in 0..20 {
        second.rig.transport.call(|request| {
            let bad = decode(&request.body).iter().any(|(name, _)| name == "m3");
            Ok(promwrite_core::send::transport::Response::new(if bad { 400 } else { 204 }))
        });
    }
    second.rig.run();
    let ledger = second.ledger();
    assert_eq!((ledger.delivered, ledger.rejected[Rejected::BadRequest as usize]), (9, 1));
    assert_eq!((ledger.adopted, files(&directory)), (10, 0));
}

#[test]
fn a_request_whose_answer_was_lost_is_known_for_it_after_a_close() {
    let directory = temp();
    let mut first = Process::new(directory.path(), |_| {});
    first.append(&first.series("up"), 0, 10);
    first.rig.transport.fail(reset(true));
    first.rig.run();
    assert_eq!(first.close(), 0);
    let mut second = Process::new(directory.path(), |_| {});
    second.rig.transport.answer(400);
    second.rig.run();
    assert_eq!(second.ledger().rejected[Rejected::AfterAmbiguous as usize], 10);
}

#[test]
fn live_data_comes_first_and_replay_takes_at_most_every_second_request() {
    let directory = temp();
    let mut first = Process::new(directory.path(), |_| {});
    first.append(&first.series("old"), 0, 100);
    assert_eq!(first.close(), 0);
    let mut second = Process::new(directory.path(), |_| {});
    second.append(&second.series("new"), 0, 50);
    second.rig.run();
    let order: Vec<String> =
        second.rig.transport.requests().iter().map(|r| decode(&r.body)[0].0.clone()).collect();
    let expected = ["new", "old"].repeat(5).into_iter().chain(["old"; 5]).collect::<Vec<_>>();
    assert_eq!(order, expected);
    let stored = second.stored(0);
    assert_eq!((&stored["old"], &stored["new"]), (&(0..100).collect(), &(0..50).collect()));
}

#[test]
fn a_flush_is_not_held_up_by_what_others_left() {
    let directory = temp();
    let mut first = Process::new(directory.path(), |_| {});
    first.append(&first.series("old"), 0, 100);
    assert_eq!(first.close(), 0);
    let mut second = Process::new(directory.path(), |_| {});
    second.append(&second.series("new"), 0, 50);
    second.rig.flush();
    second.rig.run();
    let requests = second.rig.transport.requests();
    assert!(requests[..5].iter().all(|r| decode(&r.body)[0].0 == "new") && requests.len() == 15);
}

#[test]
fn files_of_a_process_that_ends_meanwhile_are_found_within_half_a_minute() {
    let directory = temp();
    let mut first = Process::new(directory.path(), |c| c.capacity = 10);
    first.append(&first.series("old"), 0, 10);
    first.away(100);
    first.rig.run();
    assert!(files(&directory) > 0);
    let mut second = Process::new(directory.path(), |_| {});
    let series = second.series("new");
    second.rig.run();
    assert_eq!(second.ledger().adopted, 0, "the first one lives");
    first.close();
    for at in 0..31 {
        second.append(&series, at, at + 1);
        second.rig.pass(SECOND);
    }
    second.rig.run();
    assert_eq!(second.ledger().adopted, 10);
}

#[test]
fn a_disk_that_takes_nothing_leaves_the_queue_as_it_is_without_one() {
    let directory = temp();
    let path = directory.path().join("spool");
    let mut process = Process::new(&path, |c| c.capacity = 20);
    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, "in the way").unwrap();
    let series = process.series("up");
    process.away(1000);
    for batch in 0..10 {
        process.append(&series, batch * 10, batch * 10 + 10);
        process.rig.run();
    }
    assert_eq!((process.ledger().spooled, process.rig.pending()), (0, 30));
    assert_eq!(process.dropped(Dropped::QueueFull), 70);
    let told = process.messages().iter().filter(|m| m.contains("tried again in 30s")).count();
    assert_eq!(told, 1, "{:?}", process.messages());
    std::fs::remove_file(&path).unwrap();
    process.rig.pass(31 * SECOND);
    process.append(&series, 100, 200);
    process.rig.pass(2 * SECOND);
    assert!(process.ledger().spooled > 0);
    assert_eq!(process.close(), 0);
}

#[test]
fn a_spool_that_is_full_drops_its_oldest_and_says_so() {
    let directory = temp();
    let mut process = Process::new(directory.path(), |c| (c.capacity, c.spool_max_bytes) = (20, 4096));
    let series = process.series("up");
    process.away(1000);
    for batch in 0..200 {
        process.append(&series, batch * 10, batch * 10 + 10);
        process.rig.run();
        process.rig.clock.advance(2 * SECOND);
    }
    assert!(process.dropped(Dropped::SpoolFull) > 500 && process.dropped(Dropped::QueueFull) == 0);
    assert!(process.messages().iter().any(|m| m.contains("spool_max_bytes")), "{:?}", process.messages());
    process.rig.transport.clear_replies();
    let failed = process.rig.transport.requests().len();
    process.flush();
    let kept = process.stored(failed).remove("up").unwrap();
    assert_eq!(kept, (2000 - kept.len() as i64..2000).collect::<Vec<_>>(), "the newest, in order");
    let ledger = process.ledger();
    assert_eq!((ledger.delivered, ledger.adopted), (kept.len() as u64, ledger.spooled));
}

#[test]
fn what_is_in_the_spool_for_too_long_is_counted_as_expired() {
    let directory = temp();
    let mut process = Process::new(directory.path(), |c| (c.capacity, c.spool_max_age) = (10, 600 * SECOND));
    process.append(&process.series("up"), 0, 10);
    process.away(1);
    process.rig.run();
    assert_eq!(process.ledger().spooled, 10);
    process.rig.clock.advance(601 * SECOND);
    process.rig.run();
    assert_eq!((process.dropped(Dropped::Expired), files(&directory)), (10, 0));
}

#[test]
fn a_replay_that_makes_the_worker_panic_twice_is_rejected() {
    let directory = temp();
    let mut first = Process::new(directory.path(), |_| {});
    first.append(&first.series("up"), 0, 10);
    first.close();
    let mut second = Process::new(directory.path(), |_| {});
    for rejected in [0, 10] {
        second.rig.transport.push(Reply::Call(Box::new(|_| panic!("on purpose"))));
        let step = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| second.rig.step()));
        assert!(step.is_err());
        assert_eq!(second.rig.source.recover(), rejected);
    }
    assert_eq!(second.ledger().rejected[Rejected::Panic as usize], 10);
    assert_eq!(files(&directory), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever the receiver answers and whenever processes end: nothing is lost, and the ledgers balance at each step.
    #[test]
    fn a_chain_of_processes_delivers_everything(
        lives in proptest::collection::vec((1..60_i64, proptest::collection::vec(0..8_u8, 0..30)), 1..5)
    ) {
        let directory = temp();
        let (mut accepted, mut delivered) = (0, 0);
        let mut stored: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        let lives: Vec<_> = lives.into_iter().chain([(1, Vec::new())]).collect();
        let last = lives.len() - 1;
        for (life, (samples, answers)) in lives.into_iter().enumerate() {
            let mut process = Process::new(directory.path(), |c| c.capacity = 20);
            let series = process.series(&format!("life{life}"));
            for answer in &answers {
                match answer {
                    0..4 => process.rig.transport.answer(503),
                    4 => process.rig.transport.answer(401),
                    _ => process.away(1),
                }
            }
            for at in 0..samples {
                process.append(&series, at, at + 1);
                process.rig.pass(SECOND / 5);
            }
            if life == last {
                process.flush();
                process.rig.pass(60 * SECOND);
            }
            prop_assert_eq!(process.close(), 0);
            let ledger = process.ledger();
            prop_assert_eq!(ledger.dropped_total() + ledger.rejected_total() + ledger.superseded, 0);
            let failed = answers.len() - process.rig.transport.left();
            for (name, at) in process.stored(failed) {
                stored.entry(name).or_default().extend(at);
            }
            accepted += ledger.accepted;
            delivered += ledger.delivered;
        }
        prop_assert_eq!(accepted, delivered);
        prop_assert_eq!(stored.values().map(|s| s.len() as u64).sum::<u64>(), accepted);
        for samples in stored.values() {
            prop_assert_eq!(samples, &(0..samples.len() as i64).collect::<Vec<_>>());
        }
        prop_assert_eq!(files(&directory), 0);
    }
}
