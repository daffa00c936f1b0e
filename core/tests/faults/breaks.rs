//! Connections and answers that break: tried again, and delivered once the receiver behaves.

use crate::rig::*;
use promwrite_core::ledger::Rejected;
use promwrite_core::writer::Writer;
use promwrite_receiver::{
    Behaviour, Cut, Drip, ENDLESS, Framing, Mark, Options, Phase, Receiver, Rules, Script, Strictness,
    TlsCase,
};
use std::time::{Duration, Instant};

const PHASES: [Phase; 7] = [
    Phase::AfterAccept,
    Phase::FirstByte,
    Phase::MidHeaders,
    Phase::AfterHeaders,
    Phase::MidBody,
    Phase::AfterBody,
    Phase::MidResponse,
];

/// One sample of each of three series, so that sending it twice changes nothing at a receiver.
fn append_three(writer: &Writer) -> Vec<(String, i64, f64)> {
    let at = now_ms();
    let names = ["a", "b", "c"];
    names.iter().for_each(|name| plain_series(writer, name).append_at(at as f64, at).unwrap());
    names.map(|name| (name.to_owned(), at, at as f64)).to_vec()
}

/// The receiver misbehaves once; what was appended is there exactly once in the end. Says how many requests began.
fn breaks_once(case: &str, behaviour: Behaviour) -> u64 {
    let receiver = strict(Script::first([behaviour]));
    let writer = writer(&receiver, &[("remote_timeout", "1s")]);
    let expected = append_three(&writer);
    let begun = Instant::now();
    deliver(&writer);
    assert!(begun.elapsed() < Duration::from_secs(10), "{case}: {:?}", begun.elapsed());
    assert_eq!(held(&receiver), expected, "{case}");
    let ledger = ledger(&writer);
    assert_eq!((ledger.delivered, ledger.rejected_total(), ledger.dropped_total()), (3, 0, 0), "{case}");
    receiver.inspect(|state| state.connections)
}

#[test]
fn a_connection_that_breaks_at_any_phase_costs_nothing() {
    for phase in PHASES {
        for how in [Cut::Reset, Cut::Close, Cut::HalfClose] {
            let case = format!("{how:?} at {phase:?}");
            assert_eq!(breaks_once(&case, Behaviour::cut(phase, how)), 2, "{case}: connections");
        }
    }
}

#[test]
fn an_answer_cut_after_any_byte_costs_nothing() {
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".len() as u64;
    for bytes in 0..whole {
        let behaviour = Behaviour { status: Some(200), ..Behaviour::truncate_at(bytes) };
        assert_eq!(breaks_once(&format!("cut after {bytes} bytes"), behaviour), 2);
    }
}

#[test]
fn what_is_no_answer_is_tried_again_on_another_connection() {
    let padded = Behaviour { padding_header: 2 << 20, ..Behaviour::ok() };
    let cases = [
        ("garbage", Behaviour::garbage("\0\u{1}\u{2} not http at all\r\n\r\n".as_bytes())),
        ("SSH", Behaviour::garbage("SSH-2.0-OpenSSH_9.2\r\n")),
        ("status 0", Behaviour::garbage("HTTP/1.1 000 nothing\r\n\r\n")),
        ("a status that is no number", Behaviour::garbage("HTTP/1.1 abc OK\r\n\r\n")),
        ("2 MB of headers", padded),
        ("endless interim answers", Behaviour { interim: ENDLESS, ..Behaviour::ok() }),
    ];
    for (case, behaviour) in cases {
        assert_eq!(breaks_once(case, behaviour), 2, "{case}: connections");
    }
}

#[test]
fn a_status_that_came_counts_however_its_body_ends() {
    let endless = Behaviour::status(200).big_body(None, Framing::Chunked);
    let cases = [
        ("HTTP/1.0", Behaviour { version: Some("HTTP/1.0".into()), ..Behaviour::status(200) }),
        ("no length", Behaviour { framing: Framing::Missing, ..Behaviour::status(200).body("ok") }),
        ("until close", Behaviour { framing: Framing::UntilClose, ..Behaviour::status(200).body("ok") }),
        ("1 GB of body", Behaviour::status(200).big_body(Some(1 << 30), Framing::Length)),
        ("a body without end", endless),
    ];
    for (case, behaviour) in cases {
        assert_eq!(breaks_once(case, behaviour), 1, "{case}: connections");
    }
}

#[test]
fn a_response_bomb_with_an_error_is_retried_and_its_text_is_cut_short() {
    let receiver = strict(Script::first([Behaviour::status(500).big_body(None, Framing::Chunked)]));
    let writer = writer(&receiver, &[("remote_timeout", "1s")]);
    let expected = append_three(&writer);
    deliver(&writer);
    assert_eq!(held(&receiver), expected);
    let events = stats(&writer).failures;
    let longest = events.iter().map(|e| e.message.len()).max().unwrap();
    assert!(longest < 1024, "{longest} bytes of message");
}

/// After a request that would take for ever the worker is free again: the next one is served.
fn deadline_holds(case: &str, receiver: &Receiver, options: &[(&str, &str)]) {
    let options: Vec<_> = [("remote_timeout", "1s")].iter().chain(options).copied().collect();
    let writer = writer(receiver, &options);
    let filler = "0123456789abcdef".repeat(500);
    let series = writer.series("big", &[("filler", &filler)], None).unwrap();
    series.append(1.0).unwrap();
    let begun = Instant::now();
    deliver(&writer);
    let taken = begun.elapsed();
    assert!(taken >= Duration::from_millis(300) && taken < Duration::from_secs(10), "{case}: {taken:?}");
    assert_eq!(receiver.store().count(Mark::InOrder), 1, "{case}");
    assert!(receiver.inspect(|state| state.connections) >= 2, "{case}");
}

#[test]
fn the_deadline_of_a_request_holds_against_every_slow_receiver() {
    let slow = Some(Drip::byte_every(Duration::from_millis(300)));
    let cases = [
        ("drips its answer", Behaviour { drip_head: slow, ..Behaviour::ok() }),
        ("never answers", Behaviour::cut(Phase::AfterBody, Cut::Stall)),
        ("stops within the head", Behaviour::cut(Phase::MidHeaders, Cut::Stall)),
        ("stops within the body", Behaviour::cut(Phase::MidBody, Cut::Stall)),
        ("stops within its answer", Behaviour::cut(Phase::MidResponse, Cut::Stall)),
        ("reads slowly", Behaviour { drip_read: slow, ..Behaviour::ok() }),
    ];
    std::thread::scope(|scope| {
        for (case, behaviour) in cases {
            scope.spawn(move || {
                let rules = Rules { strictness: Strictness::Prometheus, ..Rules::default() };
                let script = Script::first([behaviour]);
                let options = Options { script, rules, receive_buffer: Some(4096), ..Options::default() };
                deadline_holds(case, &Receiver::with(options).unwrap(), &[]);
            });
        }
    });
}

#[test]
fn a_handshake_that_stalls_once_is_given_up_in_time() {
    let stall = Behaviour::cut(Phase::AfterAccept, Cut::Stall);
    let receiver = Receiver::start_tls(Script::first([stall]), TlsCase::Good).unwrap();
    let ca = receiver.tls_files().unwrap().ca();
    deadline_holds("handshake", &receiver, &[("tls_config.ca_file", ca.to_str().unwrap())]);
}

#[test]
fn a_connection_that_died_between_two_requests_is_replaced_at_once_and_nobody_hears_of_it() {
    let rules = Rules { stale_after: Some(1), strictness: Strictness::Prometheus, ..Rules::default() };
    let receiver = Receiver::with(Options { rules, ..Options::default() }).unwrap();
    let slow = [("queue_config.min_backoff", "1h"), ("queue_config.max_backoff", "1h")];
    let writer = writer(&receiver, &slow);
    let series = plain_series(&writer, "m");
    let begun = Instant::now();
    for i in 0..10 {
        series.append(f64::from(i)).unwrap();
        deliver(&writer);
    }
    assert!(begun.elapsed() < LONG, "a back-off was waited for");
    assert_eq!(values(&receiver, "m"), (0..10).map(f64::from).collect::<Vec<_>>());
    let stats = stats(&writer);
    assert_eq!((stats.requests.succeeded, stats.requests.failed, stats.requests.retried), (10, 0, 0));
    assert!(stats.failures.is_empty(), "{:?}", stats.failures);
    assert_eq!(receiver.inspect(|state| state.connections), 10);
}

#[test]
fn after_a_lost_answer_the_same_bytes_are_sent_and_one_sample_a_series_is_not_doubled() {
    for how in [Cut::Reset, Cut::Close] {
        let receiver = strict(Script::first([Behaviour::swallow_ack(how)]));
        let writer = writer(&receiver, &[]);
        let expected = append_three(&writer);
        deliver(&writer);
        let requests = receiver.requests();
        assert_eq!((requests.len(), &requests[0].body), (2, &requests[1].body));
        assert_eq!(held(&receiver), expected);
        assert_eq!(ledger(&writer).delivered, 3);
        let stats = stats(&writer);
        assert_eq!((stats.requests.retried, stats.requests.failed), (3, 1));
    }
}

#[test]
fn several_samples_of_a_series_that_are_stored_and_then_refused_are_counted_apart() {
    let receiver = strict(Script::first([Behaviour::swallow_ack(Cut::Reset)]));
    let writer = writer(&receiver, &[]);
    let series = plain_series(&writer, "m");
    let base = now_ms() - 1000;
    (0..5).for_each(|i| series.append_at(i as f64, base + i).unwrap());
    let report = writer.flush(LONG);
    assert_eq!(report.ledger.rejected[Rejected::AfterAmbiguous as usize], 5, "{report:?}");
    assert_eq!(receiver.requests().len(), 2, "it was bisected");
    assert_eq!(values(&receiver, "m"), (0..5).map(f64::from).collect::<Vec<_>>());
    assert_eq!(ledger(&writer).rejected_total(), 5);
}
