//! Every status, and the times a receiver asks for.

use crate::rig::*;
use promwrite_core::ledger::Rejected;
use promwrite_receiver::{Behaviour, Mark, Script};
use std::time::{Duration, SystemTime};

#[derive(Debug, PartialEq)]
enum Becomes {
    Delivered,
    DeliveredLater,
    Rejected(Rejected),
}

#[test]
fn every_status_from_200_to_599_means_what_the_table_says() {
    let receiver = start(Script::default());
    let backoff = [("queue_config.min_backoff", "1ms"), ("queue_config.max_backoff", "1ms")];
    let writer = writer(&receiver, &backoff);
    let series = plain_series(&writer, "m");
    for status in 200..600_u16 {
        receiver.clear();
        receiver.set_script(Script::first([Behaviour::status(status)]));
        let before = ledger(&writer);
        series.append(f64::from(status)).unwrap();
        deliver(&writer);
        let expected = match status {
            200..=299 => Becomes::Delivered,
            300..=399 | 401 | 403 | 404 | 408 | 425 | 429 | 500..=599 => Becomes::DeliveredLater,
            413 => Becomes::Rejected(Rejected::TooLarge),
            _ => Becomes::Rejected(Rejected::BadRequest),
        };
        let after = ledger(&writer).since(&before);
        let requests = receiver.requests();
        let attempts: Vec<_> = requests.iter().map(|r| r.header("Retry-Attempt")).collect();
        let became = match (after.delivered, after.rejected_total(), requests.len()) {
            (1, 0, 1) => Becomes::Delivered,
            (1, 0, 2) => {
                assert_eq!(requests[0].body, requests[1].body, "{status}: other bytes");
                assert_eq!(attempts, [None, Some("1")], "{status}");
                Becomes::DeliveredLater
            }
            (0, 1, 1) => {
                let why = Rejected::ALL.into_iter().find(|why| after.rejected[*why as usize] == 1);
                Becomes::Rejected(why.unwrap())
            }
            other => panic!("{status}: {other:?}"),
        };
        assert_eq!(became, expected, "{status}");
        // the store holds what is said to be delivered, and nothing else
        let stored = if became == Becomes::Rejected(Rejected::BadRequest) || status == 413 { 0 } else { 1 };
        assert_eq!(values(&receiver, "m"), vec![f64::from(status); stored], "{status}");
    }
}

#[test]
fn the_reason_a_receiver_gives_is_kept_and_its_control_characters_are_not() {
    let receiver = start(Script::first([Behaviour::status(422).body("label \u{1b}[31mtoo long\n")]));
    let writer = writer(&receiver, &[]);
    plain_series(&writer, "m").append(1.0).unwrap();
    let report = writer.flush(LONG);
    let failure = &report.failures.last().unwrap();
    assert_eq!(failure.items, 1);
    assert!(failure.message.contains("answered 422") && failure.message.contains("too long"), "{failure}");
    assert!(!failure.message.contains('\u{1b}'), "{failure:?}");
}

/// The time between the first two requests, when the first was answered so.
fn gap(first: Behaviour, options: &[(&str, &str)]) -> Duration {
    let receiver = start(Script::first([first]));
    let writer = writer(&receiver, options);
    plain_series(&writer, "m").append(1.0).unwrap();
    deliver(&writer);
    let arrived: Vec<_> = receiver.requests().iter().map(|r| r.arrived).collect();
    assert_eq!(arrived.len(), 2);
    arrived[1] - arrived[0]
}

#[test]
fn a_retry_after_is_waited_for_in_seconds_as_a_date_and_at_most_as_long_as_the_option_says() {
    let second = Duration::from_secs(1);
    assert!(gap(Behaviour::status(429).retry_after_seconds(1), &[]) >= second);
    assert!(gap(Behaviour::status(503).retry_after_seconds(-1), &[]) < SLACK);
    // a date has whole seconds: two ahead is at least one away
    let date = SystemTime::now() + 2 * second;
    let waited = gap(Behaviour::status(503).retry_after_date(date), &[]);
    assert!(waited >= second * 9 / 10, "{waited:?}");
    let capped = [("queue_config.max_retry_after", "200ms")];
    let waited = gap(Behaviour::status(429).retry_after_seconds(31_536_000), &capped);
    assert!(waited >= Duration::from_millis(200) && waited < SLACK, "{waited:?}");
}

#[test]
fn a_storm_of_429_meets_one_request_at_a_time_and_then_everything_arrives_in_order() {
    let receiver = start(Script::always(Behaviour::status(429)));
    let writer = writer(&receiver, &[("queue_config.max_samples_per_send", "10")]);
    let series = plain_series(&writer, "m");
    let base = now_ms() - 10_000;
    for i in 0..1000 {
        series.append_at(i as f64, base + i).unwrap();
    }
    assert!(receiver.wait_answered(6, LONG));
    let refused = receiver.requests();
    assert!(
        refused.windows(2).all(|r| r[0].body == r[1].body),
        "another request before the first was settled"
    );
    assert!(refused.iter().all(|r| r.connection == 0), "more than one connection");
    // the waits double: 5, 10, 20, 40, 50 ms, a tenth less by jitter
    let waits: Vec<_> = refused.windows(2).map(|r| (r[1].arrived - r[0].arrived).as_millis()).collect();
    assert!(waits.iter().zip([4, 9, 18, 36, 45]).all(|(waited, least)| *waited >= least), "{waits:?}");
    receiver.set_script(Script::default());
    deliver(&writer);
    assert_eq!(values(&receiver, "m"), (0..1000).map(f64::from).collect::<Vec<_>>());
    assert_eq!(receiver.store().count(Mark::InOrder), 1000);
    assert_eq!(ledger(&writer).delivered, 1000);
}
