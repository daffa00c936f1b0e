//! An append never waits for the receiver, whatever that does.

use crate::rig::*;
use promwrite_receiver::{Behaviour, Script};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const THREADS: usize = 8;
const APPENDS: usize = 100_000;
const CAPACITY: u64 = 50_000;

/// 8 threads append far more than the queue holds while another one reads the ledger all the time.
fn storm(dead: Dead) {
    let receiver = dead.start();
    let capacity = CAPACITY.to_string();
    let writer =
        writer(&receiver, &[("queue_config.capacity", &capacity), ("queue_config.capacity_bytes", "4MiB")]);
    let series: Vec<_> = (0..THREADS).map(|i| plain_series(&writer, &format!("m{i}"))).collect();
    let base = now_ms() - 200_000;
    let (over, begun) = (AtomicBool::new(false), Instant::now());
    let (slowest, looks) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let (mut looks, mut accepted) = (0_u64, 0);
            while !over.load(Ordering::SeqCst) {
                let balance = balanced(stats(&writer).balance);
                assert!(balance.ledger.accepted >= accepted, "a counter ran backwards");
                assert!(balance.pending_bytes <= (4 << 20) * 11 / 10, "{balance:?}");
                (accepted, looks) = (balance.ledger.accepted, looks + 1);
            }
            looks
        });
        let appenders: Vec<_> = series
            .iter()
            .map(|series| {
                scope.spawn(move || {
                    let mut slowest = Duration::ZERO;
                    for i in 0..APPENDS {
                        let before = Instant::now();
                        series.append_at(i as f64, base + i as i64).unwrap();
                        slowest = slowest.max(before.elapsed());
                    }
                    slowest
                })
            })
            .collect();
        let slowest = appenders.into_iter().map(|t| t.join().unwrap()).max().unwrap();
        over.store(true, Ordering::SeqCst);
        (slowest, watcher.join().unwrap())
    });
    assert!(slowest < SLACK, "{dead:?}: an append took {slowest:?}");
    assert!(begun.elapsed() < LONG, "{dead:?}: {:?}", begun.elapsed());
    assert!(looks > 0);
    let balance = balanced(stats(&writer).balance);
    assert_eq!(balance.ledger.accepted, (THREADS * APPENDS) as u64);
    assert_eq!(balance.ledger.delivered, 0, "{dead:?}");
    // what is in flight is beyond the bound
    assert!((CAPACITY..=CAPACITY + 2000).contains(&balance.pending), "{dead:?}: {balance:?}");
    let report = writer.close(Duration::ZERO);
    assert_eq!(balanced(stats(&writer).balance).pending, 0, "{report:?}");
}

#[test]
fn appends_do_not_wait_for_a_receiver_that_refuses() {
    storm(Dead::Refused);
}

#[test]
fn appends_do_not_wait_for_a_receiver_that_never_accepts() {
    storm(Dead::NeverAccepts);
}

#[test]
fn appends_do_not_wait_for_a_receiver_that_hangs() {
    storm(Dead::Hung);
}

#[test]
fn appends_do_not_wait_for_a_receiver_that_drips() {
    storm(Dead::Drips);
}

#[test]
fn appends_do_not_wait_for_a_handshake_that_stalls() {
    storm(Dead::TlsStalls);
}

#[test]
fn a_full_queue_keeps_the_newest_and_what_is_in_flight_and_counts_the_rest() {
    let receiver = start(Script::first([Behaviour::held()]));
    let options = [("queue_config.capacity", "100"), ("queue_config.max_samples_per_send", "10")];
    let writer = writer(&receiver, &options);
    let series = plain_series(&writer, "m");
    let base = now_ms() - 10_000;
    let append = |i: i64| series.append_at(i as f64, base + i).unwrap();
    (0..10).for_each(append);
    assert!(receiver.wait_held(1, LONG));
    (10..1000).for_each(append);
    let balance = balanced(stats(&writer).balance);
    assert_eq!((balance.pending, balance.ledger.dropped_total()), (110, 890));
    receiver.release();
    deliver(&writer);
    let expected: Vec<f64> = (0..10).chain(900..1000).map(f64::from).collect();
    assert_eq!(values(&receiver, "m"), expected);
    assert_eq!(ledger(&writer).delivered, 110);
}
