//! Lanes, with the races forced: whoever holds the queue's lock sends an append into its lane.

use super::*;
use crate::clock::FakeClock;
use crate::input::labels::{Labels, NameScheme};
use crate::wire::proto::decode_v1;
use crate::wire::v1::encode_labels;
use std::time::Duration;

const NOW: i64 = 1_700_000_000_000;
/// As many as fill a lane.
const LANE: usize = 64;

fn queue(change: impl FnOnce(&mut Config)) -> (Queue, Arc<FakeClock>) {
    let mut config = Config::default();
    change(&mut config);
    let clock = FakeClock::new(NOW);
    (Queue::new(Arc::new(config), Clock::Fake(clock.clone())), clock)
}

fn series(queue: &Queue, name: &str) -> Arc<SeriesData> {
    let labels = Labels::new(name, [("job", "test")], &[], NameScheme::Legacy).unwrap();
    queue.register(&encode_labels(&labels), None).unwrap()
}

/// Appends while the queue is locked by somebody else.
fn divert(queue: &Queue, series: &SeriesData, value: f64, at: i64) -> Result<Nudge> {
    let busy = lock(&queue.state);
    let nudge = queue.append(series, value, at);
    drop(busy);
    nudge
}

/// Samples that the queue has not seen yet.
fn hidden(queue: &Queue, accepted: u64) -> u64 {
    accepted - lock(&queue.state).ledger().accepted
}

/// Takes everything and delivers it; returns names, times and values in the order of the requests.
fn deliver(queue: &Queue) -> Vec<(String, i64, f64)> {
    let mut out = Vec::new();
    while let Take::Request(request) = queue.take(queue.clock.now(), u64::MAX) {
        for series in decode_v1(&request.body, 1 << 25).unwrap().timeseries {
            let name = series.labels.iter().find(|l| l.name == "__name__").unwrap().value.clone();
            out.extend(series.samples.iter().map(|s| (name.clone(), s.timestamp, s.value)));
        }
        queue.settle(&request, Outcome::Delivered).unwrap();
    }
    out
}

fn check(queue: &Queue, accepted: u64, pending: u64) {
    let balance = queue.balance();
    assert!(balance.ledger.balances(balance.pending), "{balance:?}");
    assert_eq!((balance.ledger.accepted, balance.pending), (accepted, pending));
}

#[test]
fn an_append_does_not_wait_for_the_queue_and_everybody_sees_its_sample() {
    type Look = fn(&Queue) -> bool;
    let looks: [(&str, Look); 6] = [
        ("position", |q| q.position() == 1),
        ("ledger", |q| q.ledger().accepted == 1),
        ("balance", |q| q.balance().pending == 1),
        ("oldest", |q| q.oldest() == Some(q.clock.now())),
        ("take", |q| matches!(q.take(q.clock.now(), u64::MAX), Take::Request(r) if r.items == 1)),
        ("clear", |q| q.clear(Dropped::Shutdown) == 1),
    ];
    for (what, look) in looks {
        let (queue, _) = queue(|_| {});
        let up = series(&queue, "up");
        assert_eq!(divert(&queue, &up, 1.0, NOW).unwrap(), Nudge::Later);
        assert_eq!(hidden(&queue, 1), 1, "it did not go into the lane");
        assert!(look(&queue), "{what}");
        assert_eq!(hidden(&queue, 1), 0, "{what}");
    }
}

#[test]
fn a_series_keeps_its_order_by_whichever_way_its_samples_go() {
    let (queue, _) = queue(|_| {});
    let up = series(&queue, "up");
    // of one millisecond the last value wins, so each of these must come after the one before
    queue.append(&up, 1.0, NOW).unwrap();
    divert(&queue, &up, 2.0, NOW).unwrap();
    queue.append(&up, 3.0, NOW).unwrap();
    assert_eq!(hidden(&queue, 3), 2, "an append passed the lane by");
    queue.append_many([(&*up, 4.0, NOW)]).unwrap();
    queue.append(&up, 5.0, NOW).unwrap();
    divert(&queue, &up, 6.0, NOW).unwrap();
    let queued: Vec<f64> = queue.whole().open_samples().iter().map(|s| s.value).collect();
    assert_eq!(queued, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(deliver(&queue), [("up".to_owned(), NOW, 6.0)]);
    check(&queue, 6, 0);
}

#[test]
fn a_full_lane_is_unloaded_and_a_whole_request_is_told() {
    let (queue, _) = queue(|c| c.max_samples_per_send = 512);
    let (a, b) = (series(&queue, "a"), series(&queue, "b"));
    for i in 0..448 {
        assert_eq!(queue.append(&a, 1.0, NOW + i).unwrap(), Nudge::Later);
    }
    divert(&queue, &b, 0.0, NOW).unwrap();
    for i in 1..LANE as i64 {
        assert_eq!(hidden(&queue, 448 + i as u64), i as u64);
        let nudge = queue.append(&b, 1.0, NOW + i).unwrap();
        assert_eq!(nudge, if i == 63 { Nudge::Now } else { Nudge::Later }, "{i}");
    }
    check(&queue, 512, 512);
    assert_eq!(deliver(&queue).len(), 512);
}

#[test]
fn a_sample_in_a_lane_waits_no_longer_than_another() {
    let (queue, clock) = queue(|c| c.sample_age_limit = Duration::from_secs(10));
    let (a, b) = (series(&queue, "a"), series(&queue, "b"));
    let begun = queue.clock.now();
    divert(&queue, &a, 1.0, NOW).unwrap();
    clock.advance(Duration::from_millis(400));
    queue.append(&b, 1.0, NOW).unwrap();
    let linger = Duration::from_secs(1);
    assert!(matches!(queue.take(queue.clock.now(), 0), Take::NotBefore(at) if at == begun + linger));
    assert_eq!(queue.oldest(), Some(begun));
    clock.advance(Duration::from_millis(9_601));
    assert!(matches!(queue.take(queue.clock.now(), 0), Take::Nothing));
    assert_eq!(queue.balance().ledger.dropped[Dropped::TooOld as usize], 2);
}

#[test]
fn a_lane_obeys_the_policy_of_a_full_queue() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
        let (queue, _) = queue(|c| (c.capacity, c.overflow) = (40_000, overflow));
        let (a, b) = (series(&queue, "a"), series(&queue, "b"));
        for i in 0..40_000 {
            queue.append(&a, 1.0, NOW + i).unwrap();
        }
        for i in 0..40 {
            divert(&queue, &b, 1.0, NOW + i).unwrap();
        }
        check(&queue, 40_040, 40_000);
        let delivered = deliver(&queue);
        let oldest = delivered.iter().find(|(name, ..)| name == "a").unwrap().1 - NOW;
        let newest = delivered.iter().filter(|(name, ..)| name == "b").count();
        let expected = if overflow == Overflow::DropOldest { (40, 40) } else { (0, 0) };
        assert_eq!((oldest, newest), expected);
        check(&queue, 40_040, 0);
    }
}

#[test]
fn there_are_no_lanes_where_they_would_show() {
    let changes: [fn(&mut Config); 5] = [
        |c| c.overflow = Overflow::Error,
        |c| c.overflow = Overflow::Block,
        |c| c.capacity = 32_767,
        |c| c.capacity_bytes = 32_767 * 24,
        |c| c.max_samples_per_send = 511,
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let (queue, _) = queue(change);
        assert!(queue.lanes.of(0).is_none(), "{i}");
    }
    assert!(queue(|c| (c.capacity, c.max_samples_per_send) = (32_768, 512)).0.lanes.of(7).is_some());
}

#[test]
fn a_closed_queue_refuses_a_sample_that_comes_by_a_lane_and_keeps_what_came_before() {
    let (queue, _) = queue(|_| {});
    let up = series(&queue, "up");
    divert(&queue, &up, 1.0, NOW).unwrap();
    queue.close();
    let lane = queue.lanes.of(up.id()).unwrap();
    assert_eq!(queue.append_to(lane, &up, 2.0, NOW + 1), None, "it would be left there");
    assert!(matches!(queue.append(&up, 3.0, NOW + 2), Err(Error::Closed { .. })));
    check(&queue, 1, 1);
    assert_eq!(deliver(&queue), [("up".to_owned(), NOW, 1.0)]);
    assert_eq!(queue.clear(Dropped::Shutdown), 0);
    assert_eq!(queue.append_to(lane, &up, 4.0, NOW + 3), None);
    check(&queue, 1, 0);
}

#[test]
fn an_append_that_met_the_closing_in_its_lane_is_either_counted_or_refused() {
    for _ in 0..300 {
        let (queue, _) = queue(|_| {});
        let all: Vec<_> = (0..4).map(|i| series(&queue, &format!("m{i}"))).collect();
        let together = std::sync::Barrier::new(all.len() + 1);
        let accepted = std::thread::scope(|scope| {
            let appenders: Vec<_> = all
                .iter()
                .map(|series| {
                    let (queue, together) = (&queue, &together);
                    scope.spawn(move || {
                        together.wait();
                        (0_i64..).take_while(|i| queue.append(series, 1.0, NOW + i).is_ok()).count() as u64
                    })
                })
                .collect();
            together.wait();
            let lost = queue.clear(Dropped::Shutdown);
            let accepted = appenders.into_iter().map(|t| t.join().unwrap()).sum::<u64>();
            assert_eq!(accepted, lost);
            accepted
        });
        check(&queue, accepted, 0);
    }
}

#[test]
fn a_series_with_a_sample_in_a_lane_is_never_swept() {
    let (queue, _) = queue(|_| {});
    let (other, up) = (series(&queue, "other"), series(&queue, "up"));
    // chunks come and go while the lane is idle, so that its mark is old
    for i in 0..5 {
        queue.append(&other, 1.0, NOW + i).unwrap();
        deliver(&queue);
    }
    divert(&queue, &up, 1.0, NOW).unwrap();
    let id = up.id();
    drop(up);
    queue.sweep(true);
    assert!(queue.registry.pages().get(id).is_some(), "in the lane");
    queue.sweep(true);
    assert!(queue.registry.pages().get(id).is_some(), "in a chunk");
    let Take::Request(request) = queue.take(queue.clock.now(), u64::MAX) else { panic!("no request") };
    queue.sweep(true);
    assert!(queue.registry.pages().get(id).is_some(), "in flight");
    queue.settle(&request, Outcome::Delivered).unwrap();
    queue.sweep(true);
    assert!(queue.registry.pages().get(id).is_none(), "delivered");
    assert_eq!(queue.series_count(), 1);
}

#[test]
fn a_series_is_not_swept_whose_sample_left_its_lane_for_a_later_chunk_than_expected() {
    let (queue, _) = queue(|c| c.max_samples_per_send = 512);
    let (other, up) = (series(&queue, "other"), series(&queue, "up"));
    queue.append(&other, 1.0, NOW).unwrap();
    queue.unload_all();
    divert(&queue, &up, 1.0, NOW).unwrap();
    for i in 1..512 {
        queue.append(&other, 1.0, NOW + i).unwrap();
    }
    assert_eq!(hidden(&queue, 513), 0, "a full chunk did not bring the lanes along");
    let id = up.id();
    drop(up);
    let Take::Request(request) = queue.take(queue.clock.now(), 0) else { panic!("no request") };
    assert_eq!(request.items, 512);
    queue.settle(&request, Outcome::Delivered).unwrap();
    queue.sweep(true);
    assert!(queue.registry.pages().get(id).is_some());
    assert_eq!(deliver(&queue), [("up".to_owned(), NOW, 1.0)]);
    queue.sweep(true);
    assert!(queue.registry.pages().get(id).is_none());
}

#[test]
fn a_series_is_not_swept_whose_sample_came_to_a_lane_during_the_sweep() {
    let (queue, _) = queue(|_| {});
    let (other, up) = (series(&queue, "other"), series(&queue, "up"));
    for i in 0..5 {
        queue.append(&other, 1.0, NOW + i).unwrap();
        deliver(&queue);
    }
    // the steps of a sweep, with an append and a chunk that comes and goes between them
    let least = queue.unload_all();
    queue.append(&other, 1.0, NOW + 5).unwrap();
    let Take::Request(request) = queue.take(queue.clock.now(), u64::MAX) else { panic!("no request") };
    divert(&queue, &up, 1.0, NOW).unwrap();
    queue.settle(&request, Outcome::Delivered).unwrap();
    let id = up.id();
    drop(up);
    queue.sweep_below(least, true);
    assert!(queue.registry.pages().get(id).is_some());
    assert_eq!(deliver(&queue).last(), Some(&("up".to_owned(), NOW, 1.0)));
}
