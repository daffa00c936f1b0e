//! Outages that come and go, and a clock that is set.

use crate::common;
use crate::rig::*;
use promwrite_core::pending::queue::now_stamp;
use promwrite_core::pending::source::Source;
use promwrite_receiver::{Mark, Script};
use std::time::Duration;

#[test]
fn a_receiver_that_goes_and_comes_twenty_times_gets_everything_in_order() {
    let mut receiver = strict(Script::default());
    let writer = writer(&receiver, &[("queue_config.batch_send_deadline", "10ms")]);
    let series: Vec<_> = (0..5).map(|i| plain_series(&writer, &format!("m{i}"))).collect();
    let base = now_ms() - 100_000;
    let mut at = 0;
    let mut append = |rounds: i64| {
        for _ in 0..rounds {
            series.iter().for_each(|s| s.append_at(at as f64, base + at).unwrap());
            at += 1;
        }
    };
    for round in 0..20 {
        append(10);
        if round % 2 == 0 {
            deliver(&writer);
        }
        receiver.down();
        let failed = stats(&writer).requests.failed;
        append(10);
        // the outage is met, not slept through
        until("a request into the outage", || {
            let _ = writer.start_flush(Duration::ZERO);
            stats(&writer).requests.failed > failed
        });
        receiver.up().unwrap();
    }
    deliver(&writer);
    let expected: Vec<f64> = (0..400).map(f64::from).collect();
    for i in 0..5 {
        assert_eq!(values(&receiver, &format!("m{i}")), expected);
    }
    assert_eq!(receiver.store().count(Mark::InOrder), 2000);
    let ledger = ledger(&writer);
    assert_eq!((ledger.accepted, ledger.delivered), (2000, 2000));
}

#[test]
fn a_clock_that_is_set_neither_stalls_a_retry_nor_hurries_it_nor_costs_a_sample() {
    for jump in [-5_000_000, 3_600_000] {
        let mut rig = common::queue(|_| {});
        let series = rig.series("m");
        rig.append(&series, 1.0, now_stamp(common::NOW));
        (0..2).for_each(|_| rig.transport.fail(common::refused()));
        rig.flush();
        let wait = rig.run().unwrap();
        rig.clock.set_wall(common::NOW + jump);
        assert_eq!(rig.run(), Some(wait), "{jump}: the wait changed");
        rig.append(&series, 2.0, now_stamp(common::NOW + jump));
        rig.pass(Duration::from_secs(3));
        let ledger = rig.source.balance().ledger;
        assert_eq!((ledger.delivered, rig.pending()), (2, 0), "{jump}: {ledger:?}");
        assert_eq!(rig.transport.requests().len(), 4, "{jump}");
        assert!(rig.written()["m"].iter().any(|(_, value)| *value == 2.0), "{jump}");
    }
}
