//! Appends from many threads at once, while others flush, look, sweep and close.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]

mod common;

use common::{NOW, Rig, queue};
use promwrite_core::error::Error;
use promwrite_core::input::series::SeriesData;
use promwrite_core::ledger::Dropped;
use promwrite_core::pending::queue::Queue;
use promwrite_core::pending::source::Source;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

const THREADS: usize = 8;
/// Series of a thread; every lane has some of each thread's.
const SERIES: usize = 40;
const APPENDS: i64 = 1000;

/// Appends to each of `series` in turn until all is appended or refused; returns how much of each was accepted.
fn append(queue: &Queue, series: &[Arc<SeriesData>], together: &Barrier) -> Vec<i64> {
    let mut accepted = vec![0; series.len()];
    together.wait();
    for i in 0..APPENDS {
        for (series, accepted) in series.iter().zip(&mut accepted) {
            // now and then by the other way in
            let result = match i % 97 {
                96 => queue.append_many([(&**series, i as f64, NOW + i)]),
                _ => queue.append(series, i as f64, NOW + i),
            };
            match result {
                Ok(_) => *accepted += 1,
                Err(Error::Closed { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
    accepted
}

/// Threads that append, one that looks at the ledger, and `drive` in the place of the worker until they have ended.
/// Returns how many samples of each series were accepted.
fn storm(rig: &mut Rig<Queue>, mut drive: impl FnMut(&mut Rig<Queue>, usize)) -> Vec<(String, i64)> {
    let series: Vec<Vec<Arc<SeriesData>>> =
        (0..THREADS).map(|t| (0..SERIES).map(|s| rig.series(&format!("t{t}_s{s}"))).collect()).collect();
    let (source, running, over) = (rig.source.clone(), AtomicUsize::new(THREADS), AtomicBool::new(false));
    let together = Barrier::new(THREADS + 1);
    std::thread::scope(|scope| {
        let appenders: Vec<_> = series
            .iter()
            .map(|series| {
                let (source, running, together) = (&source, &running, &together);
                scope.spawn(move || {
                    let accepted = append(source, series, together);
                    running.fetch_sub(1, Ordering::SeqCst);
                    accepted
                })
            })
            .collect();
        let watcher = scope.spawn(|| {
            let mut accepted = 0;
            while !over.load(Ordering::SeqCst) {
                let balance = source.balance();
                assert!(balance.ledger.balances(balance.pending), "{balance:?}");
                assert!(balance.ledger.accepted >= accepted, "a counter ran backwards");
                accepted = balance.ledger.accepted;
            }
        });
        together.wait();
        let mut round = 0;
        while running.load(Ordering::SeqCst) > 0 {
            drive(rig, round);
            round += 1;
        }
        over.store(true, Ordering::SeqCst);
        watcher.join().unwrap();
        let accepted = appenders.into_iter().flat_map(|t| t.join().unwrap());
        let names = (0..THREADS).flat_map(|t| (0..SERIES).map(move |s| format!("t{t}_s{s}")));
        names.zip(accepted).collect()
    })
}

fn in_order(rig: &Rig<Queue>, accepted: &[(String, i64)]) {
    let written = rig.written();
    for (name, count) in accepted.iter().filter(|(_, count)| *count > 0) {
        let expected: Vec<(i64, f64)> = (0..*count).map(|i| (NOW + i, i as f64)).collect();
        assert!(written[name] == expected, "{name}: {:?}", written[name]);
    }
}

#[test]
fn all_arrives_in_order_while_others_flush_look_and_sweep() {
    let mut rig = queue(|c| {
        c.series_idle_timeout = Duration::from_millis(1);
        c.max_samples_per_send = 600;
    });
    let accepted = storm(&mut rig, |rig, round| {
        if round % 3 == 0 {
            rig.flush();
        }
        // all that was accepted before a flush is settled after the worker's next rest
        let position = rig.source.position();
        if round % 3 == 1 {
            rig.flush();
        }
        rig.run();
        assert!(round % 3 == 2 || rig.source.settled_to(position));
        rig.clock.advance(Duration::from_millis(5));
    });
    assert!(accepted.iter().all(|(_, count)| *count == APPENDS));
    rig.flush();
    rig.run();
    let total = (THREADS * SERIES) as u64 * APPENDS as u64;
    let balance = rig.source.balance();
    let ledger = balance.ledger;
    assert_eq!((ledger.accepted, ledger.delivered, ledger.superseded, balance.pending), (total, total, 0, 0));
    in_order(&rig, &accepted);
}

#[test]
fn a_queue_that_is_closed_meanwhile_delivers_what_it_accepted_and_refuses_the_rest() {
    let mut rig = queue(|_| {});
    let accepted = storm(&mut rig, |rig, round| {
        rig.run();
        if round == 20 {
            rig.source.close();
        }
    });
    rig.source.close();
    rig.run();
    let total: i64 = accepted.iter().map(|(_, count)| count).sum();
    let balance = rig.source.balance();
    assert_eq!((balance.ledger.accepted, balance.ledger.delivered), (total as u64, total as u64));
    assert_eq!(balance.pending, 0);
    in_order(&rig, &accepted);
}

#[test]
fn a_full_queue_keeps_the_newest_of_each_series() {
    const CAPACITY: u64 = 40_000;
    let mut rig = queue(|c| c.capacity = CAPACITY);
    (0..100_000).for_each(|_| rig.transport.answer(503));
    let accepted = storm(&mut rig, |rig, _| {
        rig.run();
        rig.clock.advance(Duration::from_millis(1));
    });
    assert!(accepted.iter().all(|(_, count)| *count == APPENDS));
    let balance = rig.source.balance();
    // what is in flight is beyond the bound
    assert!((CAPACITY - 16..=CAPACITY + 2000).contains(&balance.pending), "{balance:?}");
    rig.transport.clear_replies();
    let before = rig.transport.requests().len();
    rig.pass(Duration::from_secs(60));
    rig.check();
    assert_eq!(rig.pending(), 0);
    let requests = rig.transport.requests();
    let mut newest = std::collections::BTreeMap::new();
    for (name, samples) in requests[before..].iter().flat_map(|r| common::decode(&r.body)) {
        let last = newest.entry(name).or_insert(i64::MIN);
        assert!(samples.iter().all(|(at, _)| *at > *last));
        *last = samples.last().unwrap().0;
    }
    // of the thread that ended last
    let complete = newest.values().filter(|last| **last == NOW + APPENDS - 1).count();
    assert!(complete >= SERIES, "{complete}");
    let ledger = rig.source.balance().ledger;
    assert_eq!(ledger.accepted, ledger.delivered + ledger.dropped[Dropped::QueueFull as usize]);
}
