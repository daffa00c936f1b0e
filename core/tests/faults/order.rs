//! Outages that come and go, and a clock that is set.

use crate::rig::*;
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
