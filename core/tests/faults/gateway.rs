//! Pushes: never an older state after a newer one, whoever pushes it.

use crate::rig::*;
use promwrite_core::config::Config;
use promwrite_core::pending::source::Headers;
use promwrite_core::pusher::{Handed, Handler, Pusher};
use promwrite_core::send::transport::Method;
use promwrite_receiver::{Behaviour, Receiver, Script};
use std::time::Duration;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

fn put(handler: &Handler, receiver: &Receiver, group: &str, body: &str) {
    let url = receiver.url(&format!("/metrics/job/{group}"));
    let headers = Headers(vec![("Content-Type".into(), TEXT.into())]);
    handler.push(Handed { url: &url, method: Method::Put, headers, body: body.into() }).unwrap();
}

fn handler(config: Config) -> Handler {
    Handler::new(config).unwrap()
}

fn state(receiver: &Receiver, group: &str) -> Option<String> {
    receiver
        .inspect(|s| s.store.group(&[("job", group)]).map(|families| families.values().cloned().collect()))
}

#[test]
fn a_handler_of_a_single_push_does_not_overtake_the_one_before_it() {
    let receiver = start(Script::first([Behaviour::held()]));
    put(&handler(config(&[])), &receiver, "a", "m 1\n");
    assert!(receiver.wait_held(1, LONG));
    let second = handler(config(&[]));
    put(&second, &receiver, "a", "m 2\n");
    let third = handler(config(&[]));
    put(&third, &receiver, "a", "m 3\n");
    // whatever was going to overtake has had its chance to connect
    assert!(!second.start_flush(Duration::from_millis(300)).wait(Duration::from_millis(100)));
    assert_eq!(receiver.inspect(|s| s.begun), 1, "a newer state was sent beside the older one");
    receiver.release();
    third.start_flush(LONG).finish();
    assert_eq!(state(&receiver, "a").unwrap(), "m 3\n");
    let bodies: Vec<_> = receiver.requests().into_iter().map(|r| r.body).collect();
    assert_eq!(bodies, [b"m 1\n", b"m 3\n"]);
}

#[test]
fn an_outage_leaves_the_newest_state_of_each_group() {
    let mut receiver = start(Script::default());
    receiver.down();
    let handler = handler(config(&[]));
    for round in 0..50 {
        for group in ["a", "b", "c"] {
            put(&handler, &receiver, group, &format!("m {round}\n"));
        }
    }
    receiver.up().unwrap();
    handler.start_flush(LONG).finish();
    for group in ["a", "b", "c"] {
        assert_eq!(state(&receiver, group).unwrap(), "m 49\n");
    }
    let stats = &handler.stats()[0];
    let balance = balanced(stats.balance);
    assert_eq!((balance.pending, balance.ledger.accepted), (0, 150));
    assert_eq!(balance.ledger.delivered + balance.ledger.superseded, 150);
}

#[test]
fn a_redirected_push_is_kept_and_nothing_reaches_the_other_host() {
    let other = start(Script::default());
    let receiver = start(Script::always(Behaviour::redirect(307, other.url("/metrics/job/a"))));
    let pusher =
        Pusher::new(&receiver.url(""), "a", [], config(&[("headers.X-BK-TOKEN", "canary")])).unwrap();
    pusher.push(b"m 1\n".to_vec(), TEXT).unwrap();
    assert!(receiver.wait_answered(2, LONG));
    receiver.set_script(Script::default());
    assert!(pusher.flush(LONG).unwrap().complete());
    assert_eq!(state(&receiver, "a").unwrap(), "m 1\n");
    assert_eq!(other.inspect(|s| s.connections), 0);
}

#[test]
fn very_many_groups_neither_slow_a_push_nor_their_delivery_down() {
    const GROUPS: usize = 20_000;
    let mut receiver = start(Script::default());
    receiver.down();
    let capacity = GROUPS.to_string();
    let handler = handler(config(&[("queue_config.capacity", &capacity)]));
    let begun = std::time::Instant::now();
    // twice as many as there is room for
    for group in 0..2 * GROUPS {
        put(&handler, &receiver, &group.to_string(), "m 1\n");
    }
    let pushed = begun.elapsed();
    let balance = balanced(handler.stats()[0].balance);
    assert_eq!((balance.pending, balance.ledger.dropped_total()), (GROUPS as u64, GROUPS as u64));
    receiver.up().unwrap();
    handler.start_flush(LONG).finish();
    assert_eq!(balanced(handler.stats()[0].balance).ledger.delivered, GROUPS as u64);
    // a scan of all groups at each push that drops one would take minutes, at each delivery as well
    assert!(pushed < LONG, "{pushed:?}");
    assert_eq!(state(&receiver, &(2 * GROUPS - 1).to_string()).unwrap(), "m 1\n");
}

#[test]
fn a_backlog_of_posts_is_merged_without_holding_a_push_up() {
    let receiver = start(Script::first([Behaviour::held()]));
    let options = config(&[("queue_config.capacity", "100000"), ("remote_timeout", "1m")]);
    let pusher = Pusher::new(&receiver.url(""), "a", [], options).unwrap();
    let page: String =
        (0..100).map(|i| format!("# TYPE m{i} counter\nm{i}{{label=\"value\"}} 1\n")).collect();
    let add = |value: usize| {
        let begun = std::time::Instant::now();
        pusher.add(page.replace(" 1\n", &format!(" {value}\n")).into_bytes(), TEXT).unwrap();
        begun.elapsed()
    };
    add(0);
    assert!(receiver.wait_held(1, LONG));
    for value in 1..2500 {
        add(value);
    }
    receiver.release();
    // from here on the worker merges, and this is what callers notice of it
    let slowest = (2500..3000).map(add).max().unwrap();
    assert!(slowest < SLACK, "a push took {slowest:?}");
    assert!(pusher.flush(LONG).unwrap().complete());
    let state = receiver.inspect(|s| s.store.group(&[("job", "a")]).unwrap().clone());
    assert!(state.len() == 100 && state.values().all(|lines| lines.ends_with("} 2999\n")), "{state:?}");
    let balance = balanced(pusher.handler().stats()[0].balance);
    assert_eq!((balance.ledger.delivered, balance.pending_bytes), (3000, 0));
}
