//! Flush and close end in time, whatever the receiver does.

use crate::rig::*;
use promwrite_core::error::Error;
use promwrite_core::ledger::Dropped;
use promwrite_core::pusher::Pusher;
use std::sync::Barrier;
use std::time::{Duration, Instant};

const TIMES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(100), Duration::from_secs(2)];

/// Runs `wait` for each fault and time, all faults at once because they only wait.
fn each_fault(wait: impl Fn(Dead, Duration) + Sync) {
    std::thread::scope(|scope| {
        for dead in Dead::ALL {
            let wait = &wait;
            scope.spawn(move || TIMES.map(|time| wait(dead, time)));
        }
    });
}

/// `run` takes at least most of `time` and not much longer.
fn in_time<T>(case: &str, time: Duration, run: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = run();
    let taken = begun.elapsed();
    assert!(taken >= time && taken < time + SLACK, "{case}: {taken:?} for {time:?}");
    result
}

#[test]
fn a_flush_takes_no_longer_than_it_may_and_says_what_is_left() {
    each_fault(|dead, time| {
        let receiver = dead.start();
        let writer = writer(&receiver, &[]);
        (0..10).for_each(|i| plain_series(&writer, "m").append(f64::from(i)).unwrap());
        let report = in_time(&format!("{dead:?}"), time, || writer.flush(time));
        assert!(!report.complete() && report.ledger.delivered == 0, "{dead:?}: {report:?}");
        assert_eq!(report.pending + report.ledger.superseded, 10, "{dead:?}: {report:?}");
        assert_eq!(balanced(stats(&writer).balance).pending, report.pending, "{dead:?}");
    });
}

#[test]
fn a_close_takes_no_longer_than_it_may_and_counts_what_it_gives_up() {
    each_fault(|dead, time| {
        let receiver = dead.start();
        let writer = writer(&receiver, &[]);
        let series: Vec<_> = (0..10).map(|i| plain_series(&writer, &format!("m{i}"))).collect();
        series.iter().for_each(|s| s.append(1.0).unwrap());
        let report = in_time(&format!("{dead:?}"), time, || writer.close(time));
        assert_eq!(report.ledger.dropped[Dropped::Shutdown as usize], 10, "{dead:?}: {report:?}");
        let balance = balanced(stats(&writer).balance);
        assert_eq!((balance.pending, balance.ledger.accepted), (0, 10), "{dead:?}");
        // a second close finds nothing and a use says so
        let again = in_time("again", Duration::ZERO, || writer.close(time));
        assert_eq!((again.pending, again.ledger.dropped_total()), (0, 0), "{dead:?}: {again:?}");
        assert_eq!(series[0].append(2.0), Err(Error::Closed { what: "writer" }), "{dead:?}");
        assert!(matches!(writer.series::<&str, &str>("n", &[], None), Err(Error::Closed { .. })));
        assert!(matches!(writer.append::<&str, &str>("n", &[], 1.0, None), Err(Error::Closed { .. })));
        assert_eq!(balanced(stats(&writer).balance), balance, "{dead:?}");
    });
}

#[test]
fn a_pusher_flushes_and_closes_in_time_too() {
    each_fault(|dead, time| {
        let receiver = dead.start();
        let pusher = Pusher::new(&receiver.url(""), "job", [], config(&[])).unwrap();
        pusher.push(b"m 1\n".to_vec(), "text/plain").unwrap();
        let report = in_time(&format!("{dead:?}"), time, || pusher.flush(time)).unwrap();
        assert_eq!((report.pending, report.complete()), (1, false), "{dead:?}: {report:?}");
        let report = in_time(&format!("{dead:?}"), time, || pusher.close(time)).unwrap();
        assert_eq!(report.ledger.dropped[Dropped::Shutdown as usize], 1, "{dead:?}: {report:?}");
        assert!(matches!(pusher.push(Vec::new(), ""), Err(Error::Closed { .. })), "{dead:?}");
        for stats in pusher.handler().stats() {
            assert_eq!(balanced(stats.balance).pending, 0, "{dead:?}");
        }
    });
}

#[test]
fn threads_that_close_at_once_all_return_in_time_and_each_loss_is_counted_once() {
    let receiver = Dead::Hung.start();
    let writer = writer(&receiver, &[]);
    let series: Vec<_> = (0..100).map(|i| plain_series(&writer, &format!("m{i}"))).collect();
    series.iter().for_each(|s| s.append(1.0).unwrap());
    let together = Barrier::new(8);
    let lost: u64 = std::thread::scope(|scope| {
        let closing: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    together.wait();
                    // the first to give up ends the wait of the others
                    let begun = Instant::now();
                    let report = writer.close(Duration::from_millis(100));
                    assert!(begun.elapsed() < SLACK);
                    report.ledger.dropped_total()
                })
            })
            .collect();
        closing.into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!(lost, 100);
    let balance = balanced(stats(&writer).balance);
    assert_eq!((balance.pending, balance.ledger.dropped_total()), (0, 100));
}

#[test]
fn a_close_ends_the_request_in_flight() {
    let receiver = Dead::Hung.start();
    let writer = writer(&receiver, &[("remote_timeout", "1h")]);
    plain_series(&writer, "m").append(1.0).unwrap();
    let _ = writer.start_flush(Duration::ZERO);
    assert!(receiver.wait_until(|state| state.begun == 1, LONG));
    let _ = writer.close(Duration::ZERO);
    // a receiver that stalls notices nothing, so the socket is looked for on our side: the worker lets go of it
    let local = receiver.addr().port();
    until("the connection's end", || !established_to(local));
}

/// Whether this process has a connection to `port`.
fn established_to(port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let remote = format!(":{port:04X} 01 ");
    table.lines().any(|line| line.contains(&remote))
}
