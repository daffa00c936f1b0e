//! The same faults in front of another server.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Client, End, LONG, plain, post, write_v1};
use promwrite_receiver::{Behaviour, Cut, Framing, Phase, Receiver, Rules, Script, Strictness};

fn pair(script: Script) -> (Receiver, Receiver) {
    let upstream = Receiver::start(Script::default()).unwrap();
    let proxy = Receiver::start_proxy(script, upstream.addr()).unwrap();
    (upstream, proxy)
}

#[test]
fn requests_and_answers_pass_unchanged() {
    let (upstream, proxy) = pair(Script::default());
    let refusal = Behaviour::status(503).header("X-Why", "busy").body("text");
    upstream.set_script(Script::first([Behaviour::ok(), refusal]));
    let request = write_v1(&[(&[("__name__", "a")], &[(1, 1.0)])]);
    let mut client = Client::connect(&proxy);
    assert_eq!(client.send(&request).answer(), "HTTP/1.1 204 No Content\r\n\r\n");
    let answer = client.send(post("/p?q=1", "X-A: b\r\n", b"body")).answer();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nX-Why: busy\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\ntext"), "{answer}");
    let (here, there) = (proxy.requests(), upstream.requests());
    assert_eq!((here[0].stored, here[1].stored), (true, false));
    for (h, t) in here.iter().zip(&there) {
        assert_eq!(
            (&h.method, &h.path, &h.query, &h.body, &h.decoded),
            (&t.method, &t.path, &t.query, &t.body, &t.decoded)
        );
    }
    assert_eq!(there[1].header("x-a"), Some("b"));
    assert_eq!(upstream.store(), proxy.store());
}

#[test]
fn chunked_and_unmeasured_answers_pass_too() {
    let (upstream, proxy) = pair(Script::default());
    for framing in [Framing::Chunked, Framing::UntilClose] {
        upstream.set_script(Script::always(Behaviour { framing, ..Behaviour::status(500).body("text") }));
        let answer = Client::connect(&proxy).send(plain()).answer();
        assert!(answer.starts_with("HTTP/1.1 500 ") && answer.ends_with("\r\n\r\ntext"), "{answer}");
    }
}

#[test]
fn an_answer_can_be_lost_after_the_upstream_stored() {
    let request = write_v1(&[(&[("__name__", "a")], &[(1, 1.0), (2, 2.0)])]);
    let (upstream, proxy) = pair(Script::first([
        Behaviour::swallow_ack(Cut::Reset),
        Behaviour::cut(Phase::MidResponse, Cut::Reset),
        Behaviour::reset(Phase::AfterBody),
    ]));
    upstream.set_rules(Rules { strictness: Strictness::Prometheus, ..Rules::default() });
    for (arrived, status) in [(1, 204), (2, 400), (2, 400)] {
        let (_, end) = Client::connect(&proxy).send(&request).rest();
        assert_eq!(end, End::Rst);
        assert!(upstream.wait_answered(arrived, LONG));
        assert_eq!(upstream.requests().len(), arrived);
        assert_eq!(upstream.requests().pop().unwrap().answered, Some(status));
    }
    assert_eq!(upstream.store().samples(&[("__name__", "a")]).len(), 2);
}

#[test]
fn a_status_of_the_script_keeps_the_upstream_out() {
    let (upstream, proxy) = pair(Script::first([Behaviour::status(503)]));
    let mut client = Client::connect(&proxy);
    assert!(client.send(plain()).answer().starts_with("HTTP/1.1 503 "));
    assert!(client.send(plain()).answer().starts_with("HTTP/1.1 200 "));
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn an_upstream_that_is_gone_is_a_502() {
    let (mut upstream, proxy) = pair(Script::default());
    upstream.down();
    assert!(Client::connect(&proxy).send(plain()).answer().starts_with("HTTP/1.1 502 "));
}
