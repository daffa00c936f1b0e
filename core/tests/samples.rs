//! The pipeline of samples: batches, retries, refusals, overflow, flush, the ledger.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]

mod common;

use common::{NOW, decode, queue, refused, reset, status};
use promwrite_core::config::Overflow;
use promwrite_core::error::Error;
use promwrite_core::ledger::{Dropped, Rejected};
use promwrite_core::pending::queue::{Nudge, now_stamp};
use promwrite_core::pending::source::Source;
use promwrite_core::send::transport::Response;
use promwrite_core::send::transport::memory::Reply;
use promwrite_core::send::worker::Step;
use proptest::prelude::*;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_sample_waits_for_company_at_most_a_second() {
    let mut rig = queue(|_| {});
    let series = rig.series("up");
    rig.append(&series, 1.0, NOW);
    assert_eq!(rig.run(), Some(SECOND));
    assert!(rig.transport.requests().is_empty());
    rig.clock.advance(SECOND);
    rig.run();
    assert_eq!(rig.written()["up"], [(NOW, 1.0)]);
    assert_eq!(rig.source.balance().ledger.delivered, 1);
}

#[test]
fn a_full_request_goes_at_once_and_says_so_to_the_caller() {
    let mut rig = queue(|c| c.max_samples_per_send = 3);
    let series = rig.series("up");
    let nudges: Vec<_> = (0..4).map(|i| rig.source.append(&series, i as f64, NOW + i).unwrap()).collect();
    assert_eq!(nudges, [Nudge::Later, Nudge::Later, Nudge::Now, Nudge::Later]);
    assert_eq!(rig.run(), Some(SECOND));
    assert_eq!(rig.written()["up"].len(), 3);
    assert_eq!(rig.pending(), 1);
}

#[test]
fn requests_carry_the_headers_of_the_specification() {
    let mut rig = queue(|_| {});
    rig.append(&rig.series("up"), 1.0, NOW);
    rig.flush();
    rig.run();
    let request = &rig.transport.requests()[0];
    assert_eq!(request.path_and_query, "/api/v1/write");
    for (name, value) in [
        ("Content-Encoding", "snappy"),
        ("Content-Type", "application/x-protobuf"),
        ("X-Prometheus-Remote-Write-Version", "0.1.0"),
    ] {
        assert!(request.headers.contains(&(name.into(), value.into())), "{name}");
    }
}

#[test]
fn a_flush_does_not_wait_for_company_and_covers_what_was_accepted_before() {
    let mut rig = queue(|_| {});
    let series = rig.series("up");
    rig.append(&series, 1.0, NOW);
    rig.flush();
    let position = rig.source.position();
    assert!(!rig.source.settled_to(position));
    rig.run();
    assert!(rig.source.settled_to(position));
    rig.append(&series, 2.0, NOW + 1);
    assert!(rig.source.settled_to(position) && !rig.source.settled_to(rig.source.position()));
    assert_eq!(rig.run(), Some(SECOND));
}

#[test]
fn outages_are_waited_out_with_the_same_bytes_and_in_order() {
    let mut rig = queue(|c| c.max_samples_per_send = 2);
    let series = rig.series("up");
    for failure in 0..5 {
        if failure % 2 == 0 { rig.transport.fail(refused()) } else { rig.transport.answer(503) }
    }
    (0..4).for_each(|i| rig.append(&series, i as f64, NOW + i));
    let first = rig.run().unwrap();
    assert!(first >= Duration::from_millis(450) && first < Duration::from_millis(1500), "{first:?}");
    rig.pass(Duration::from_secs(40));
    let requests = rig.transport.requests();
    assert_eq!(requests.len(), 7);
    assert!(requests[..6].windows(2).all(|r| r[0].body == r[1].body));
    assert_eq!(requests.iter().map(|r| r.attempt).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 0]);
    let ledger = rig.source.balance().ledger;
    assert_eq!((ledger.delivered, rig.pending()), (4, 0));
    assert_eq!(rig.sender.stats().requests.retried, 10);
}

#[test]
fn a_rate_limit_storm_meets_few_requests_and_then_everything_arrives_in_order() {
    let mut rig = queue(|c| c.max_samples_per_send = 10);
    let series = rig.series("up");
    (0..500).for_each(|_| rig.transport.answer(429));
    for i in 0..60 {
        rig.append(&series, i as f64, NOW + i);
        rig.pass(SECOND);
    }
    let during = rig.transport.requests().len();
    assert!(during < 10, "{during} requests within a minute of 429");
    rig.transport.clear_replies();
    rig.pass(Duration::from_secs(60));
    let ledger = rig.source.balance().ledger;
    assert_eq!((ledger.delivered, ledger.rejected_total(), ledger.dropped_total()), (60, 0, 0));
}

#[test]
fn a_retry_after_is_kept_even_by_a_flush_and_a_back_off_is_cut_short_once() {
    let mut rig = queue(|_| {});
    rig.transport.push(Reply::Response(status(429, "20")));
    rig.transport.answer(500);
    rig.transport.answer(500);
    rig.append(&rig.series("up"), 1.0, NOW);
    rig.flush();
    assert_eq!(rig.run(), Some(Duration::from_secs(20)));
    rig.flush();
    assert_eq!(rig.run(), Some(Duration::from_secs(20)), "a Retry-After is not cut short");
    rig.clock.advance(Duration::from_secs(20));
    assert!(rig.run().unwrap() > Duration::ZERO);
    assert_eq!(rig.transport.requests().len(), 2);
    rig.flush();
    rig.run();
    assert_eq!(rig.transport.requests().len(), 3, "a back-off is");
    assert!(rig.run().unwrap() > Duration::ZERO, "once");
    assert_eq!(rig.transport.requests().len(), 3);
}

#[test]
fn one_bad_sample_in_two_thousand_costs_one_sample() {
    let mut rig = queue(|_| {});
    let series: Vec<_> = (0..2000).map(|i| rig.series(&format!("m{i}"))).collect();
    for _ in 0..100 {
        rig.transport.call(|request| {
            let bad = decode(&request.body).iter().any(|(name, _)| name == "m1234");
            Ok(Response::new(if bad { 400 } else { 204 }))
        });
    }
    for (i, series) in series.iter().enumerate() {
        rig.append(series, i as f64, NOW);
    }
    rig.flush();
    rig.run();
    let ledger = rig.source.balance().ledger;
    assert_eq!((ledger.delivered, ledger.rejected[Rejected::BadRequest as usize]), (1999, 1));
    let extra = rig.transport.requests().len() - 1;
    assert!(extra <= 2 * 11 + 2, "{extra} extra requests");
}

#[test]
fn one_bad_sample_of_a_series_costs_that_sample_and_the_older_half_goes_first() {
    let mut rig = queue(|_| {});
    let series = rig.series("m");
    for _ in 0..100 {
        rig.transport.call(|request| {
            let bad = decode(&request.body).iter().any(|(_, s)| s.iter().any(|(_, v)| *v == 7.0));
            Ok(Response::new(if bad { 400 } else { 204 }))
        });
    }
    (0..10).for_each(|i| rig.append(&series, i as f64, NOW + i));
    rig.flush();
    rig.run();
    let ledger = rig.source.balance().ledger;
    assert_eq!((ledger.delivered, ledger.rejected_total()), (9, 1));
    let good: Vec<i64> = rig
        .transport
        .requests()
        .iter()
        .map(|r| decode(&r.body))
        .filter(|series| series.iter().all(|(_, s)| s.iter().all(|(_, v)| *v != 7.0)))
        .flat_map(|series| series.into_iter().flat_map(|(_, s)| s.into_iter().map(|(t, _)| t)))
        .collect();
    assert!(good.is_sorted() && good.len() == 9, "{good:?}");
}

#[test]
fn a_receiver_that_refuses_everything_is_asked_at_most_64_times_a_minute() {
    let mut rig = queue(|_| {});
    let series: Vec<_> = (0..2000).map(|i| rig.series(&format!("m{i}"))).collect();
    (0..10_000).for_each(|_| rig.transport.answer(400));
    for batch in 0..5 {
        for series in &series {
            rig.append(series, 1.0, NOW + batch);
        }
    }
    rig.flush();
    rig.run();
    let requests = rig.transport.requests().len();
    assert!(requests <= 64 + 5, "{requests}");
    assert_eq!(rig.source.balance().ledger.rejected_total(), 10_000);
}

#[test]
fn a_413_is_halved_until_it_fits_and_splitting_can_be_turned_off() {
    for split in [true, false] {
        let mut rig = queue(|c| c.split_on_reject = split);
        let series: Vec<_> = (0..100).map(|i| rig.series(&format!("m{i}"))).collect();
        for _ in 0..1000 {
            rig.transport.call(|r| Ok(Response::new(if decode(&r.body).len() > 10 { 413 } else { 200 })));
        }
        for series in &series {
            rig.append(series, 1.0, NOW);
        }
        rig.flush();
        rig.run();
        let ledger = rig.source.balance().ledger;
        let expected = if split { (100, 0) } else { (0, 100) };
        assert_eq!((ledger.delivered, ledger.rejected[Rejected::TooLarge as usize]), expected);
    }
}

#[test]
fn a_400_after_a_lost_answer_is_counted_apart_and_not_bisected() {
    let mut rig = queue(|_| {});
    let series = rig.series("up");
    (0..3).for_each(|i| rig.append(&series, i as f64, NOW + i));
    rig.transport.fail(reset(true));
    rig.transport.answer(400);
    rig.flush();
    rig.pass(Duration::from_secs(5));
    let ledger = rig.source.balance().ledger;
    assert_eq!(ledger.rejected[Rejected::AfterAmbiguous as usize], 3);
    assert_eq!(rig.transport.requests().len(), 2);
}

#[test]
fn a_dead_connection_is_replaced_at_once() {
    let mut rig = queue(|_| {});
    rig.append(&rig.series("up"), 1.0, NOW);
    rig.transport.fail(promwrite_core::send::transport::Failure {
        stale: true,
        reused: true,
        ambiguous: true,
        ..reset(true)
    });
    rig.flush();
    rig.run();
    let requests = rig.transport.requests();
    assert_eq!((requests.len(), requests[1].attempt), (2, 0));
    assert_eq!(rig.source.balance().ledger.delivered, 1);
    assert!(rig.sender.stats().failures.is_empty());
}

#[test]
fn wrong_credentials_hold_the_data_and_are_read_again() {
    for code in [401, 403, 404, 301, 302, 303, 307, 308] {
        let mut rig = queue(|_| {});
        rig.append(&rig.series("up"), 1.0, NOW);
        (0..3).for_each(|_| rig.transport.answer(code));
        rig.flush();
        assert_eq!(rig.run(), Some(Duration::from_secs(30)), "{code}");
        rig.pass(Duration::from_secs(91));
        assert_eq!(rig.transport.requests().len(), 4, "{code}");
        assert_eq!(rig.transport.refreshes(), if matches!(code, 401 | 403) { 3 } else { 0 }, "{code}");
        assert_eq!(rig.source.balance().ledger.delivered, 1, "{code}");
        let log = rig.sender.stats().failures;
        assert!(log[0].message.contains(&code.to_string()), "{log:?}");
    }
}

#[test]
fn a_poisoned_batch_ends_and_what_follows_arrives() {
    let mut rig = queue(|c| c.max_samples_per_send = 2);
    let (bad, good) = (rig.series("bad"), rig.series("good"));
    for _ in 0..100_000 {
        rig.transport.call(|r| {
            let poisoned = decode(&r.body).iter().any(|(name, _)| name == "bad");
            Ok(Response::new(if poisoned { 500 } else { 204 }))
        });
    }
    rig.append(&bad, 1.0, NOW);
    rig.append(&bad, 2.0, NOW + 1);
    rig.pass(Duration::from_secs(1800));
    rig.append(&good, 1.0, NOW);
    rig.append(&good, 2.0, NOW + 1);
    rig.pass(Duration::from_secs(1900));
    let ledger = rig.source.balance().ledger;
    assert_eq!((ledger.delivered, ledger.dropped[Dropped::TooOld as usize]), (2, 2));
}

#[test]
fn a_full_queue_keeps_the_newest_by_default() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest, Overflow::Error] {
        let mut rig = queue(|c| (c.capacity, c.overflow) = (10, overflow));
        let series = rig.series("up");
        let mut refused = 0;
        for i in 0..100 {
            match rig.source.append(&series, i as f64, NOW + i) {
                Ok(_) => {}
                Err(Error::QueueFull { samples: 10, max_samples: 10, .. }) => refused += 1,
                Err(other) => panic!("{other}"),
            }
            rig.check();
        }
        rig.flush();
        rig.run();
        let values: Vec<i64> = rig.written()["up"].iter().map(|(t, _)| t - NOW).collect();
        let balance = rig.source.balance();
        let dropped = balance.ledger.dropped[Dropped::QueueFull as usize];
        match overflow {
            Overflow::DropOldest => assert_eq!((values, dropped), ((90..100).collect(), 90)),
            Overflow::DropNewest => assert_eq!((values, dropped), ((0..10).collect(), 90)),
            _ => assert_eq!((values, dropped, refused), ((0..10).collect(), 0, 90)),
        }
    }
}

#[test]
fn what_is_in_flight_is_never_the_victim_of_a_full_queue() {
    let mut rig = queue(|c| (c.capacity, c.max_samples_per_send) = (10, 5));
    let series = rig.series("up");
    rig.transport.answer(500);
    (0..5).for_each(|i| rig.append(&series, i as f64, NOW + i));
    assert_eq!(rig.step(), Step::Again);
    (5..100).for_each(|i| rig.append(&series, i as f64, NOW + i));
    rig.flush();
    rig.pass(Duration::from_secs(2));
    let times: Vec<i64> = rig.written()["up"].iter().map(|(t, _)| t - NOW).collect();
    assert_eq!(times, (0..5).chain(0..5).chain(90..100).collect::<Vec<_>>());
}

#[test]
fn a_blocked_append_goes_on_when_there_is_room_and_else_says_full() {
    let rig = queue(|c| {
        (c.capacity, c.overflow, c.block_timeout) = (1, Overflow::Block, Duration::from_millis(20));
    });
    let series = rig.series("up");
    rig.append(&series, 1.0, NOW);
    assert!(matches!(rig.source.append(&series, 2.0, NOW + 1), Err(Error::QueueFull { .. })));

    let mut rig = queue(|c| {
        (c.capacity, c.overflow, c.block_timeout) = (1, Overflow::Block, Duration::from_secs(60));
    });
    let series = rig.series("up");
    rig.append(&series, 1.0, NOW);
    let source = rig.source.clone();
    std::thread::scope(|scope| {
        let blocked = scope.spawn(|| source.append(&series, 2.0, NOW + 1).map(drop));
        rig.flush();
        rig.run();
        assert!(blocked.join().unwrap().is_ok());
    });
    rig.check();
}

#[test]
fn the_same_millisecond_keeps_the_last_value_and_a_late_sample_is_superseded() {
    let mut rig = queue(|_| {});
    let series = rig.series("up");
    for (value, at) in [(1.0, NOW + 5), (2.0, NOW + 5), (3.0, NOW + 4)] {
        rig.append(&series, value, at);
    }
    rig.flush();
    rig.run();
    for (value, at) in [(4.0, NOW + 5), (5.0, NOW + 2), (6.0, NOW + 6)] {
        rig.append(&series, value, at);
    }
    rig.flush();
    rig.run();
    assert_eq!(rig.written()["up"], [(NOW + 4, 3.0), (NOW + 5, 2.0), (NOW + 6, 6.0)]);
    assert_eq!(rig.source.balance().ledger.superseded, 3);
}

#[test]
fn the_last_value_of_a_burst_is_never_lost_though_the_clock_stands_still() {
    let mut rig = queue(|c| c.max_samples_per_send = 4);
    let series = rig.series("rows");
    for value in 1..=10 {
        rig.append(&series, f64::from(value), now_stamp(NOW));
    }
    rig.flush();
    rig.run();
    rig.append(&series, 11.0, now_stamp(NOW));
    rig.flush();
    rig.run();
    let written = rig.written()["rows"].clone();
    assert_eq!(written, [(NOW, 4.0), (NOW + 1, 8.0), (NOW + 2, 10.0), (NOW + 3, 11.0)]);
}

#[test]
fn metadata_is_sent_when_it_changes_and_once_a_minute() {
    use promwrite_core::input::labels::{Labels, NameScheme};
    use promwrite_core::input::series::Meta;
    use promwrite_core::wire::v1::encode_labels;
    let mut rig = queue(|_| {});
    let labels = Labels::new("up", [("job", "t")], &[], NameScheme::Legacy).unwrap();
    let meta = Meta { help: "Whether it is up.".into(), ..Meta::default() };
    let family = rig.source.describe("up", meta.clone());
    let series = rig.source.register(&encode_labels(&labels), Some(&family)).unwrap();
    let mut seen = Vec::new();
    for second in 0..130 {
        if second == 100 {
            rig.source.describe("up", Meta { unit: "bool".into(), ..meta.clone() });
        }
        rig.append(&series, 1.0, NOW + second * 1000);
        rig.flush();
        rig.pass(SECOND);
    }
    for (second, request) in rig.transport.requests().iter().enumerate() {
        let decoded = promwrite_core::wire::proto::decode_v1(&request.body, 1 << 20).unwrap();
        if let Some(metadata) = decoded.metadata.first() {
            assert_eq!((metadata.metric_family_name.as_str(), &*metadata.help), ("up", "Whether it is up."));
            seen.push((second, metadata.unit.clone()));
        }
    }
    assert_eq!(seen, [(0, String::new()), (60, String::new()), (100, "bool".to_owned())]);
}

#[test]
fn the_worker_ends_after_five_idle_seconds() {
    let mut rig = queue(|_| {});
    rig.append(&rig.series("up"), 1.0, NOW);
    rig.pass(Duration::from_secs(4));
    assert!(rig.run().is_some());
    rig.clock.advance(Duration::from_secs(3));
    assert_eq!(rig.run(), None);
}

#[test]
fn closing_gives_up_what_is_left_and_counts_it() {
    let mut rig = queue(|_| {});
    let series = rig.series("up");
    rig.append(&series, 1.0, NOW);
    rig.transport.answer(503);
    rig.flush();
    rig.run();
    rig.append(&series, 2.0, NOW + 1);
    assert_eq!(rig.sender.clear(Dropped::Shutdown), 2);
    rig.check();
    assert_eq!((rig.pending(), rig.step()), (0, Step::End));
    assert!(matches!(rig.source.append(&series, 3.0, NOW + 2), Err(Error::Closed { .. })));
    let failures = rig.sender.stats().failures;
    assert!(failures.last().unwrap().message.contains("2 samples were still pending"), "{failures:?}");
}

#[derive(Debug, Clone)]
enum Act {
    Append(u8, i64),
    Flush,
    Pass(u16),
    Answer(u16),
    Reset(bool),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        8 => (0..6_u8, 0..50_i64).prop_map(|(s, t)| Act::Append(s, t)),
        1 => Just(Act::Flush),
        2 => (0..3000_u16).prop_map(Act::Pass),
        2 => prop_oneof![Just(200), Just(400), Just(413), Just(429), Just(500), Just(401), Just(422)]
            .prop_map(Act::Answer),
        1 => any::<bool>().prop_map(Act::Reset),
    ];
    proptest::collection::vec(act, 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the receiver does: the equation holds at every step, and what a series delivers is in order and there once.
    #[test]
    fn nothing_is_lost_without_being_counted(acts in acts(), per_send in 1..8_usize, capacity in 4..64_u64) {
        let mut rig = queue(|c| (c.max_samples_per_send, c.capacity) = (per_send, capacity));
        let series: Vec<_> = (0..6).map(|i| rig.series(&format!("m{i}"))).collect();
        let answers: Arc<Mutex<VecDeque<Result<u16, bool>>>> = Arc::default();
        let delivered: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        for _ in 0..5000 {
            let (answers, delivered) = (answers.clone(), delivered.clone());
            rig.transport.call(move |request| {
                match answers.lock().unwrap().pop_front().unwrap_or(Ok(204)) {
                    Err(ambiguous) => Err(reset(ambiguous)),
                    Ok(status) => {
                        if status < 300 {
                            delivered.lock().unwrap().push(request.body.clone());
                        }
                        Ok(Response::new(status))
                    }
                }
            });
        }
        for act in acts {
            match act {
                Act::Append(s, t) => rig.append(&series[usize::from(s)], t as f64, NOW + t),
                Act::Flush => rig.flush(),
                Act::Pass(ms) => rig.pass(Duration::from_millis(ms.into())),
                Act::Answer(status) => answers.lock().unwrap().push_back(Ok(status)),
                Act::Reset(ambiguous) => answers.lock().unwrap().push_back(Err(ambiguous)),
            }
            rig.check();
        }
        answers.lock().unwrap().clear();
        rig.flush();
        rig.pass(Duration::from_secs(600));
        prop_assert_eq!(rig.pending(), 0);
        let mut arrived = 0;
        let mut newest: HashMap<String, i64> = HashMap::new();
        for body in delivered.lock().unwrap().iter() {
            for (name, samples) in decode(body) {
                for (at, _) in samples {
                    arrived += 1;
                    let before = newest.insert(name.clone(), at);
                    prop_assert!(before.is_none_or(|before| before < at), "{} after {:?}", at, before);
                }
            }
        }
        prop_assert_eq!(arrived, rig.source.balance().ledger.delivered);
    }
}
