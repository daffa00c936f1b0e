//! The pipeline of pushes: the newest state of a group wins, nothing older ever follows it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]

mod common;

use common::{gateway, push, refused, reset};
use promwrite_core::config::Overflow;
use promwrite_core::error::Error;
use promwrite_core::ledger::{Dropped, Rejected};
use promwrite_core::pending::source::Source;
use promwrite_core::send::transport::Method::{Delete, Post, Put};
use promwrite_core::send::transport::{Method, Response};
use promwrite_core::send::worker::Step;
use proptest::prelude::*;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Rig = common::Rig<promwrite_core::pending::gateway::Gateway>;

fn sent(rig: &Rig) -> Vec<(Method, String, String)> {
    let text = |body: &[u8]| String::from_utf8(body.to_vec()).unwrap();
    let group = |path: &str| path.trim_start_matches("/metrics/job/").to_owned();
    rig.transport.requests().iter().map(|r| (r.method, group(&r.path_and_query), text(&r.body))).collect()
}

fn give(rig: &Rig, method: Method, group: &str, body: &str) {
    rig.source.push(push(method, group, body)).unwrap();
    rig.check();
}

#[test]
fn a_push_goes_at_once() {
    let mut rig = gateway(|_| {});
    give(&rig, Put, "a", "m 1\n");
    rig.run();
    assert_eq!(sent(&rig), [(Put, "a".into(), "m 1\n".into())]);
    assert_eq!(rig.source.balance().ledger.delivered, 1);
}

#[test]
fn a_newer_put_or_delete_makes_what_waits_needless() {
    let mut rig = gateway(|_| {});
    give(&rig, Put, "a", "m 1\n");
    give(&rig, Post, "a", "n 1\n");
    give(&rig, Put, "a", "m 2\n");
    give(&rig, Put, "b", "m 1\n");
    give(&rig, Delete, "b", "");
    rig.run();
    assert_eq!(sent(&rig), [(Put, "a".into(), "m 2\n".into()), (Delete, "b".into(), String::new())]);
    let ledger = rig.source.balance().ledger;
    assert_eq!((ledger.accepted, ledger.delivered, ledger.superseded), (5, 2, 3));
}

#[test]
fn a_failed_push_is_not_repeated_once_a_newer_state_waits() {
    let mut rig = gateway(|_| {});
    rig.transport.fail(reset(true));
    give(&rig, Put, "a", "m 1\n");
    assert_eq!(rig.step(), Step::Again);
    give(&rig, Put, "a", "m 2\n");
    rig.pass(Duration::from_secs(2));
    let bodies: Vec<String> = sent(&rig).into_iter().map(|(_, _, body)| body).collect();
    assert_eq!(bodies, ["m 1\n", "m 2\n"]);
    let ledger = rig.source.balance().ledger;
    assert_eq!((ledger.delivered, ledger.superseded), (1, 1));
}

#[test]
fn a_failed_push_is_repeated_before_the_posts_that_follow_it() {
    let mut rig = gateway(|_| {});
    rig.transport.fail(refused());
    give(&rig, Put, "a", "m 1\n");
    assert_eq!(rig.step(), Step::Again);
    give(&rig, Post, "a", "n 1\n");
    rig.pass(Duration::from_secs(2));
    let bodies: Vec<String> = sent(&rig).into_iter().map(|(_, _, body)| body).collect();
    assert_eq!(bodies, ["m 1\n", "m 1\n", "n 1\n"]);
}

#[test]
fn posts_are_merged_with_the_newest_of_each_family() {
    let mut rig = gateway(|_| {});
    give(&rig, Post, "a", "# TYPE m gauge\nm 1\n# TYPE n gauge\nn 1\n");
    give(&rig, Post, "a", "# TYPE m gauge\nm 2\n");
    give(&rig, Post, "a", "# TYPE o gauge\no 3\n");
    rig.run();
    let requests = sent(&rig);
    assert_eq!(requests.len(), 1);
    for line in ["m 2\n", "n 1\n", "o 3\n"] {
        assert!(requests[0].2.contains(line), "{requests:?}");
    }
    assert!(!requests[0].2.contains("m 1"));
    assert_eq!(rig.source.balance().ledger.delivered, 3);
    assert_eq!(rig.source.balance().pending_bytes, 0);
}

#[test]
fn a_merged_body_that_is_refused_is_sent_part_by_part() {
    let mut rig = gateway(|_| {});
    for _ in 0..10 {
        rig.transport.call(|r| {
            let bad = String::from_utf8_lossy(&r.body).contains("bad");
            Ok(Response::new(if bad { 400 } else { 200 }))
        });
    }
    give(&rig, Post, "a", "m 1\n");
    give(&rig, Post, "a", "bad 1\n");
    give(&rig, Post, "a", "n 1\n");
    rig.run();
    let bodies: Vec<String> = sent(&rig).into_iter().map(|(_, _, body)| body).collect();
    assert_eq!(bodies[1..], ["m 1\n", "bad 1\n", "n 1\n"]);
    let ledger = rig.source.balance().ledger;
    assert_eq!((ledger.delivered, ledger.rejected[Rejected::BadRequest as usize]), (2, 1));
    assert_eq!(rig.source.balance().pending_bytes, 0);
}

#[test]
fn compressed_bodies_are_sent_in_order_and_not_merged() {
    let mut rig = gateway(|_| {});
    for i in 0..3 {
        let mut compressed = push(Post, "a", &format!("gzip {i}"));
        let headers = Arc::make_mut(&mut compressed.headers);
        headers.0.push(("content-encoding".into(), "gzip".into()));
        rig.source.push(compressed).unwrap();
    }
    rig.run();
    assert_eq!(sent(&rig).len(), 3);
}

#[test]
fn one_group_that_fails_does_not_hold_up_the_others() {
    let mut rig = gateway(|_| {});
    for _ in 0..1000 {
        rig.transport.call(|r| Ok(Response::new(if r.path_and_query.ends_with("bad") { 500 } else { 200 })));
    }
    give(&rig, Put, "bad", "m 1\n");
    for group in ["a", "b", "c"] {
        give(&rig, Put, group, "m 1\n");
    }
    rig.pass(Duration::from_secs(10));
    let balance = rig.source.balance();
    assert_eq!((balance.ledger.delivered, balance.pending), (3, 1));
}

#[test]
fn a_full_gateway_follows_its_policy() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest, Overflow::Error] {
        let mut rig = gateway(|c| (c.capacity, c.overflow) = (2, overflow));
        for (i, group) in ["a", "b", "c"].iter().enumerate() {
            let pushed = rig.source.push(push(Put, group, "m 1\n"));
            let refused = i == 2 && overflow == Overflow::Error;
            assert_eq!(pushed.is_err(), refused, "{pushed:?}");
            rig.check();
        }
        // the newer state of a group that waits needs no room
        let newer = rig.source.push(push(Put, "b", "m 2\n"));
        assert!(newer.is_ok(), "{newer:?}");
        rig.run();
        let groups: Vec<String> = sent(&rig).into_iter().map(|(_, group, body)| group + &body).collect();
        let expected = match overflow {
            Overflow::DropOldest => ["bm 2\n", "cm 1\n"],
            _ => ["am 1\n", "bm 2\n"],
        };
        assert_eq!(groups, expected, "{overflow:?}");
        let dropped = rig.source.balance().ledger.dropped[Dropped::QueueFull as usize];
        assert_eq!(dropped, u64::from(overflow != Overflow::Error));
    }
}

#[test]
fn a_body_larger_than_the_queue_is_refused_at_once() {
    let rig = gateway(|c| c.capacity_bytes = 1000);
    let error = rig.source.push(push(Put, "a", &"x".repeat(2000))).unwrap_err();
    assert!(matches!(error, Error::TooLarge { size: 2000, limit: 1000, .. }), "{error}");
    assert!(error.to_string().contains("queue_config.capacity_bytes"), "{error}");
}

#[test]
fn a_push_too_old_is_given_up_and_counted() {
    let mut rig = gateway(|_| {});
    (0..1000).for_each(|_| rig.transport.answer(503));
    give(&rig, Put, "a", "m 1\n");
    rig.pass(Duration::from_secs(3700));
    let balance = rig.source.balance();
    assert_eq!((balance.ledger.dropped[Dropped::TooOld as usize], balance.pending), (1, 0));
}

#[test]
fn a_flush_covers_the_pushes_before_it_and_not_those_after() {
    let mut rig = gateway(|_| {});
    give(&rig, Put, "a", "m 1\n");
    let position = rig.source.position();
    assert!(!rig.source.settled_to(position));
    assert_eq!(rig.step(), Step::Again);
    give(&rig, Put, "a", "m 2\n");
    assert!(rig.source.settled_to(position) && !rig.source.settled_to(rig.source.position()));
}

#[derive(Debug, Clone)]
enum Act {
    Push(u8, u8),
    Pass(u16),
    Answer(u16),
    Reset,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (0..3_u8, 0..3_u8).prop_map(|(group, verb)| Act::Push(group, verb)),
        2 => (0..3000_u16).prop_map(Act::Pass),
        3 => prop_oneof![Just(200), Just(400), Just(429), Just(500), Just(401)].prop_map(Act::Answer),
        1 => Just(Act::Reset),
    ];
    proptest::collection::vec(act, 1..100)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the gateway answers: the equation holds, no older state follows a newer one, and if nothing was refused
    /// the gateway ends with the state that it would have if every push had arrived in order.
    #[test]
    fn never_an_older_state_after_a_newer_one(acts in acts()) {
        let mut rig = gateway(|_| {});
        let answers: Arc<Mutex<VecDeque<Option<u16>>>> = Arc::default();
        let arrived: Arc<Mutex<Vec<(Method, String, String)>>> = Arc::default();
        for _ in 0..5000 {
            let (answers, arrived) = (answers.clone(), arrived.clone());
            rig.transport.call(move |r| match answers.lock().unwrap().pop_front().unwrap_or(Some(200)) {
                None => Err(reset(false)),
                Some(status) => {
                    if status == 200 {
                        let text = String::from_utf8(r.body.clone()).unwrap();
                        arrived.lock().unwrap().push((r.method, r.path_and_query.clone(), text));
                    }
                    Ok(Response::new(status))
                }
            });
        }
        let mut wanted: HashMap<String, HashMap<String, u32>> = HashMap::new();
        let mut refusals = false;
        let mut number = 0;
        for act in acts {
            match act {
                Act::Push(group, verb) => {
                    number += 1;
                    let path = format!("/metrics/job/g{group}");
                    let state = wanted.entry(path).or_default();
                    let family = format!("m{}", number % 2);
                    match verb {
                        0 => { state.clear(); state.insert(family.clone(), number); }
                        1 => { state.insert(family.clone(), number); }
                        _ => state.clear(),
                    }
                    let method = [Put, Post, Delete][usize::from(verb)];
                    let body = if verb == 2 { String::new() } else { format!("{family} {number}\n") };
                    give(&rig, method, &format!("g{group}"), &body);
                }
                Act::Pass(ms) => rig.pass(Duration::from_millis(ms.into())),
                Act::Answer(status) => {
                    refusals |= status == 400;
                    answers.lock().unwrap().push_back(Some(status));
                }
                Act::Reset => answers.lock().unwrap().push_back(None),
            }
            rig.check();
        }
        // what is left of the faults could take longer than this, at 30 s each
        answers.lock().unwrap().clear();
        rig.pass(Duration::from_secs(600));
        prop_assert_eq!((rig.pending(), rig.source.balance().pending_bytes), (0, 0));
        let mut got: HashMap<String, HashMap<String, u32>> = HashMap::new();
        let mut newest: HashMap<String, u32> = HashMap::new();
        for (method, path, body) in arrived.lock().unwrap().iter() {
            let state = got.entry(path.clone()).or_default();
            if *method != Post {
                state.clear();
            }
            for line in body.lines() {
                let (family, number) = line.split_once(' ').unwrap();
                let number: u32 = number.parse().unwrap();
                let before = newest.insert(format!("{path}{family}"), number).unwrap_or(0);
                prop_assert!(before < number || refusals, "{} after {}", number, before);
                state.insert(family.to_owned(), number);
            }
        }
        if !refusals {
            wanted.retain(|_, state| !state.is_empty());
            got.retain(|_, state| !state.is_empty());
            prop_assert_eq!(got, wanted);
        }
    }
}
