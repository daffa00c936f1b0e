//! Connections that break: every phase, every way, and what the receiver still knows of them.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use common::{Client, End, LONG, plain};
use promwrite_receiver::{Behaviour, Cut, Fault, Options, Phase, Receiver, Rules, Script};

/// Short, because it is waited out in full wherever silence is what is expected.
const SILENCE: Duration = Duration::from_millis(60);

const PHASES: [Phase; 7] = [
    Phase::AfterAccept,
    Phase::FirstByte,
    Phase::MidHeaders,
    Phase::AfterHeaders,
    Phase::MidBody,
    Phase::AfterBody,
    Phase::MidResponse,
];

#[test]
fn every_phase_breaks_in_every_way_once_and_then_the_next_request_is_served() {
    for phase in PHASES {
        for how in [Cut::Reset, Cut::Close, Cut::HalfClose, Cut::Stall] {
            let case = format!("{how:?} at {phase:?}");
            let receiver = Receiver::start(Script::first([Behaviour::cut(phase, how)])).unwrap();
            let mut client = Client::connect(&receiver);
            client.send(plain());
            let (got, end) = if how == Cut::Stall { client.rest_within(SILENCE) } else { client.rest() };
            if phase == Phase::MidResponse {
                assert!(got.starts_with(b"HTTP/1.1 200 ") && !got.ends_with(b"\r\n\r\n"), "{case}: {got:?}");
            } else {
                assert!(got.is_empty(), "{case}: {got:?}");
            }
            let expected = match how {
                // After its FIN the receiver may add an RST for what it did not read; the FIN comes first.
                Cut::Close | Cut::HalfClose => End::Fin,
                Cut::Reset => End::Rst,
                Cut::Stall => End::Open,
            };
            assert_eq!(end, expected, "{case}");
            assert_eq!(receiver.inspect(|s| s.store.series.len()), 0);
            let recorded = receiver.requests();
            assert_eq!(recorded.len(), usize::from(phase >= Phase::AfterHeaders), "{case}");
            if let Some(r) = recorded.first() {
                let body = match phase {
                    Phase::AfterHeaders => "",
                    Phase::MidBody => "01234",
                    _ => "0123456789",
                };
                assert_eq!(r.body, body.as_bytes(), "{case}");
                assert_eq!((r.complete, r.answered), (phase >= Phase::AfterBody, None), "{case}");
            }
            drop(client);
            let mut next = Client::connect(&receiver);
            assert!(next.send(plain()).answer().starts_with("HTTP/1.1 200 OK"), "{case}");
        }
    }
}

#[test]
fn a_half_closed_receiver_still_reads() {
    let receiver =
        Receiver::start(Script::first([Behaviour::cut(Phase::AfterHeaders, Cut::HalfClose)])).unwrap();
    let mut client = Client::connect(&receiver);
    client.send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.rest().1, End::Fin);
    client.0.write_all(b"01234").unwrap();
    assert_eq!(receiver.inspect(|s| s.open_connections), 1);
    drop(client);
    assert!(receiver.wait_until(|s| s.open_connections == 0, LONG));
}

#[test]
fn the_number_of_bytes_before_a_cut_can_be_chosen() {
    let script = |at, after| {
        let fault = Fault { at, how: Cut::Reset, after_bytes: Some(after) };
        Script::always(Behaviour { fault: Some(fault), ..Behaviour::default() })
    };
    let receiver = Receiver::start(script(Phase::MidBody, 7)).unwrap();
    assert_eq!(Client::connect(&receiver).send(plain()).rest().1, End::Rst);
    assert_eq!(receiver.requests()[0].body, b"0123456");
    for k in 0..20 {
        receiver.set_script(Script::always(Behaviour::truncate_at(k)));
        let (got, end) = Client::connect(&receiver).send(plain()).rest();
        assert_eq!(
            (got.as_slice(), end),
            (&b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"[..k as usize], End::Fin)
        );
    }
    // Truncated in the body.
    let mut body = Behaviour::truncate_at(43);
    body.body = promwrite_receiver::Payload::Text("0123456789".into());
    receiver.set_script(Script::always(body));
    assert!(Client::connect(&receiver).send(plain()).text().ends_with("\r\n\r\n0123"));
}

#[test]
fn a_connection_can_be_stale_at_its_second_request() {
    let rules = Rules { stale_after: Some(1), ..Rules::default() };
    let receiver = Receiver::with(Options { rules, ..Options::default() }).unwrap();
    for connection in 0..2 {
        let mut client = Client::connect(&receiver);
        client.send(plain()).answer();
        let (got, _) = client.send(plain()).rest();
        assert!(got.is_empty());
        assert_eq!(receiver.requests().len(), connection + 1);
        assert_eq!(receiver.requests()[connection].index_on_connection, 0);
    }
    assert_eq!(receiver.inspect(|s| (s.connections, s.begun)), (2, 4));
}

#[test]
fn an_unannounced_close_after_the_answer() {
    let receiver = Receiver::start(Script::always(Behaviour { close: true, ..Behaviour::ok() })).unwrap();
    let (got, end) = Client::connect(&receiver).send(plain()).rest();
    assert_eq!(
        (String::from_utf8(got).unwrap().as_str(), end),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", End::Fin)
    );
}

#[test]
fn a_step_at_accept_hits_an_open_connection_at_its_next_byte() {
    let receiver = Receiver::start(Script::default()).unwrap();
    let mut client = Client::connect(&receiver);
    client.send(plain()).answer();
    receiver.push_behaviour(Behaviour::reset(Phase::AfterAccept));
    assert_eq!(client.send(plain()).rest(), (Vec::new(), End::Rst));
    assert_eq!(receiver.requests().len(), 1);
}

#[test]
fn down_refuses_and_up_serves_on_the_same_port() {
    let mut receiver = Receiver::start(Script::first([Behaviour::ok(), Behaviour::stall()])).unwrap();
    let addr = receiver.addr();
    for round in 0..5 {
        let mut idle = Client::connect(&receiver);
        let mut stalled = Client::connect(&receiver);
        idle.send(plain()).answer();
        receiver.push_behaviour(Behaviour::stall());
        stalled.send(plain());
        assert!(receiver.wait_for(2 * round + 2, LONG));
        receiver.down();
        assert!(TcpStream::connect(addr).is_err());
        assert_eq!((idle.rest().1, stalled.rest().1), (End::Fin, End::Fin));
        assert_eq!(receiver.inspect(|s| s.open_connections), 0);
        receiver.set_script(Script::default());
        receiver.up().unwrap();
        assert_eq!(receiver.addr(), addr);
    }
    assert!(Client::connect(&receiver).send(plain()).answer().starts_with("HTTP/1.1 200"));
}

#[test]
fn nobody_accepts() {
    let receiver = Receiver::with(Options { never_accept: true, ..Options::default() }).unwrap();
    let error = TcpStream::connect_timeout(&receiver.addr(), SILENCE).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert_eq!(receiver.inspect(|s| s.connections), 0);
}

#[test]
fn dropping_ends_what_is_stalled_held_delayed_or_endless() {
    for behaviour in [
        Behaviour::stall(),
        Behaviour::cut(Phase::MidBody, Cut::Stall),
        Behaviour::held(),
        Behaviour::ok().delay(Duration::from_secs(3600)),
        Behaviour { interim: promwrite_receiver::ENDLESS, ..Behaviour::ok() },
        Behaviour::status(200).big_body(None, promwrite_receiver::Framing::Chunked),
    ] {
        let receiver = Receiver::start(Script::always(behaviour)).unwrap();
        let mut client = Client::connect(&receiver);
        client.send(plain());
        assert!(receiver.wait_until(|s| s.requests.len() == 1, LONG));
        receiver.stop();
        assert_ne!(client.rest().1, End::Open);
    }
}
