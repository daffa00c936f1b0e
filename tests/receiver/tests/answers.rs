//! Answers: statuses, times, shapes, and the rules that come before them.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::io::Read as _;
use std::time::{Duration, Instant, SystemTime};

use common::{Client, End, LONG, plain, post, write_v1};
use promwrite_receiver::{
    Auth, Behaviour, Cut, Drip, ENDLESS, Early, Framing, Options, Payload, Phase, Receiver, Rules, Script,
};

fn always(behaviour: Behaviour) -> Receiver {
    Receiver::start(Script::always(behaviour)).unwrap()
}

fn ruled(rules: Rules) -> Receiver {
    Receiver::with(Options { rules, ..Options::default() }).unwrap()
}

#[test]
fn every_status_comes_as_asked_in_order_then_the_default() {
    let statuses: Vec<u16> = (200..600).collect();
    let receiver = Receiver::start(Script::first(statuses.iter().map(|s| Behaviour::status(*s)))).unwrap();
    let mut client = Client::connect(&receiver);
    for status in &statuses {
        let answer = client.send(plain()).answer();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    assert!(client.send(plain()).answer().starts_with("HTTP/1.1 200 "));
    let requests = receiver.requests();
    assert!(receiver.wait_answered(401, LONG));
    assert_eq!(requests.len(), 401);
    assert!(requests.iter().enumerate().all(|(i, r)| r.index_on_connection == i as u64 && r.connection == 0));
    assert!(requests.windows(2).all(|pair| pair[0].arrived <= pair[1].arrived));
}

#[test]
fn headers_and_bodies() {
    let when = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let receiver = always(Behaviour::status(503).retry_after_date(when).body("busy \u{1b}[31mred"));
    let answer = Client::connect(&receiver).send(plain()).answer();
    assert!(answer.contains("\r\nRetry-After: Tue, 14 Nov 2023 22:13:20 GMT\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nbusy \u{1b}[31mred"), "{answer}");
}

#[test]
fn redirects_name_the_other_listener() {
    let other = Receiver::start(Script::default()).unwrap();
    for status in [301, 302, 303, 307, 308] {
        let receiver = always(Behaviour::redirect(status, other.url("/elsewhere")));
        let answer = Client::connect(&receiver).send(plain()).answer();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains(&format!("\r\nLocation: http://{}/elsewhere\r\n", other.addr())), "{answer}");
    }
    assert_eq!(other.inspect(|s| s.connections), 0);
}

#[test]
fn a_held_request_goes_on_when_released() {
    let receiver = Receiver::start(Script::first([Behaviour::held(), Behaviour::held()])).unwrap();
    let mut clients = [Client::connect(&receiver), Client::connect(&receiver)];
    for client in &mut clients {
        client.send(plain());
    }
    assert!(receiver.wait_held(2, LONG));
    assert!(receiver.requests().iter().all(|r| r.answered.is_none()));
    receiver.release();
    for client in &mut clients {
        assert!(client.answer().starts_with("HTTP/1.1 200"));
    }
    assert!(receiver.wait_until(|s| s.held == 0, LONG));
}

#[test]
fn a_delay_and_drips_take_their_time() {
    const STEP: Duration = Duration::from_millis(2);
    let drip = Some(Drip::byte_every(STEP));
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n".len() as u32;
    let text = || Behaviour::ok().body("0123456789");
    for (behaviour, at_least) in [
        (text().delay(Duration::from_millis(50)), Duration::from_millis(50)),
        (Behaviour { drip_head: drip, ..text() }, STEP * (head - 1)),
        (Behaviour { drip_body: drip, ..text() }, STEP * 9),
        (Behaviour { drip_read: drip, ..text() }, STEP * (plain().len() as u32 - 1)),
    ] {
        let receiver = always(behaviour.clone());
        let begun = Instant::now();
        let answer = Client::connect(&receiver).send(plain()).answer();
        assert!(begun.elapsed() >= at_least, "{behaviour:?}: {:?}", begun.elapsed());
        assert!(answer.ends_with("0123456789"));
        assert_eq!(receiver.requests()[0].body, b"0123456789");
    }
}

#[test]
fn a_slow_reader_holds_up_the_writer() {
    let behaviour = Behaviour { drip_read: Some(Drip { bytes: 1, every_ms: 3_600_000 }), ..Behaviour::ok() };
    let options =
        Options { script: Script::always(behaviour), receive_buffer: Some(4096), ..Options::default() };
    let receiver = Receiver::with(options).unwrap();
    let client = Client::connect(&receiver);
    client.0.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    // The client's own buffer may hold some megabytes; nothing takes 64.
    let error = std::io::Write::write_all(&mut &client.0, &post("/x", "", &vec![0; 64 << 20])).unwrap_err();
    assert!(matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut), "{error}");
}

#[test]
fn an_early_answer_comes_before_the_body() {
    for early in [Early::Close, Early::HalfClose] {
        let receiver = always(Behaviour::status(429).retry_after_seconds(7).early(early));
        let mut client = Client::connect(&receiver);
        // Only the head: the answer cannot have waited for the body.
        client.send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
        let (got, end) = client.rest();
        let got = String::from_utf8(got).unwrap();
        assert!(got.starts_with("HTTP/1.1 429 ") && got.contains("Connection: close"), "{got}");
        assert_eq!(end, End::Fin);
        assert_eq!((receiver.requests()[0].complete, receiver.requests()[0].answered), (false, Some(429)));
    }
}

#[test]
fn a_half_closed_early_answer_survives_a_large_body_and_a_closed_one_stops_it() {
    let body = vec![b'x'; 8 << 20];
    let receiver = always(Behaviour::status(413).early(Early::HalfClose));
    let mut client = Client::connect(&receiver);
    std::io::Write::write_all(&mut client.0, &post("/x", "", &body)).unwrap();
    assert!(client.no_more_writing().text().starts_with("HTTP/1.1 413 "));

    receiver.set_script(Script::always(Behaviour::status(413).early(Early::Close)));
    let mut client = Client::connect(&receiver);
    assert!(std::io::Write::write_all(&mut client.0, &post("/x", "", &body)).is_err());
}

#[test]
fn framings() {
    let text = |framing| Behaviour { framing, ..Behaviour::status(503).body("why") };
    let receiver = always(text(Framing::Chunked));
    let mut client = Client::connect(&receiver);
    client.send(post("/x", "Connection: close\r\n", b""));
    let got = client.text();
    assert!(
        got.contains("Transfer-Encoding: chunked") && got.ends_with("\r\n\r\n3\r\nwhy\r\n0\r\n\r\n"),
        "{got}"
    );

    for (framing, expected) in [(Framing::UntilClose, End::Fin), (Framing::Missing, End::Open)] {
        receiver.set_script(Script::always(text(framing)));
        let (got, end) = Client::connect(&receiver).send(plain()).rest_within(Duration::from_millis(60));
        let got = String::from_utf8(got).unwrap();
        assert!(!got.contains("Content-Length") && got.ends_with("\r\n\r\nwhy"), "{got}");
        assert_eq!(end, expected);
    }
    let version = Behaviour { version: Some("HTTP/1.0".into()), ..text(Framing::Length) };
    receiver.set_script(Script::always(version));
    let (got, end) = Client::connect(&receiver).send(plain()).rest();
    assert_eq!(
        (String::from_utf8(got).unwrap().as_str(), end),
        ("HTTP/1.0 503 Service Unavailable\r\nContent-Length: 3\r\n\r\nwhy", End::Fin)
    );
}

#[test]
fn answers_without_end_or_measure() {
    let mut chunk = vec![0; 1 << 20];
    for behaviour in [
        Behaviour { interim: ENDLESS, ..Behaviour::ok() },
        Behaviour::status(500).big_body(Some(1 << 30), Framing::Length),
        Behaviour::status(500).big_body(None, Framing::Length),
        Behaviour::status(500).big_body(None, Framing::Chunked),
        Behaviour::status(500).big_body(None, Framing::UntilClose),
    ] {
        let receiver = always(behaviour);
        let mut client = Client::connect(&receiver);
        client.send(plain());
        client.0.read_exact(&mut chunk).unwrap();
        // The client has had enough, and the receiver notices.
        drop(client);
        assert!(receiver.wait_until(|s| s.open_connections == 0, LONG));
        assert_eq!(receiver.requests()[0].answered, None);
    }
    let receiver = always(Behaviour { padding_header: 2 << 20, ..Behaviour::ok() });
    let mut client = Client::connect(&receiver);
    client.send(post("/x", "Connection: close\r\n", b""));
    assert!(client.text().len() > 2 << 20);

    let receiver = always(Behaviour { interim: 3, ..Behaviour::ok() });
    let mut client = Client::connect(&receiver);
    client.send(post("/x", "Connection: close\r\n", b""));
    assert_eq!(client.text().matches("HTTP/1.1 102 Processing\r\n\r\n").count(), 3);

    let body = Payload::Repeat { repeat: "abc".into(), bytes: Some(7) };
    let receiver = always(Behaviour { body, ..Behaviour::ok() });
    assert!(Client::connect(&receiver).send(plain()).answer().ends_with("\r\n\r\nabcabca"));
}

#[test]
fn garbage_is_sent_as_it_is() {
    let receiver = always(Behaviour::garbage(*b"\0\xff not http\r\n\r\n"));
    let (got, end) = Client::connect(&receiver).send(plain()).rest();
    assert_eq!((got.as_slice(), end), (&b"\0\xff not http\r\n\r\n"[..], End::Fin));
}

#[test]
fn credentials_are_demanded() {
    for (auth, good, bad) in [
        (
            Auth::Basic { user: "app".into(), password: "p:w".into() },
            "Authorization: Basic YXBwOnA6dw==\r\n",
            "Authorization: Basic YXBwOnA6eA==\r\n",
        ),
        (Auth::Bearer { token: "t".into() }, "authorization: Bearer t\r\n", "Authorization: Bearer T\r\n"),
        (
            Auth::Header { name: "X-BK-TOKEN".into(), value: "t".into() },
            "x-bk-token: t\r\n",
            "X-BK-TOKEN: u\r\n",
        ),
    ] {
        let receiver = ruled(Rules { auth: Some(auth), ..Rules::default() });
        let mut client = Client::connect(&receiver);
        for (headers, status) in [(good, 200), (bad, 401), ("", 401)] {
            let answer = client.send(post("/x", headers, b"")).answer();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{headers}: {answer}");
        }
    }
}

#[test]
fn what_is_refused_for_credentials_is_not_stored() {
    let auth = Some(Auth::Bearer { token: "t".into() });
    let receiver = ruled(Rules { auth, ..Rules::default() });
    Client::connect(&receiver).send(write_v1(&[(&[("__name__", "a")], &[(1, 1.0)])])).answer();
    assert!(receiver.store().series.is_empty());
    assert!(!receiver.requests()[0].stored);
}

#[test]
fn bodies_above_the_limit_get_413_before_they_are_read() {
    let receiver = ruled(Rules { body_limit: Some(10), ..Rules::default() });
    let mut client = Client::connect(&receiver);
    assert!(client.send(plain()).answer().starts_with("HTTP/1.1 200 "));
    client.send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n");
    assert!(client.text().starts_with("HTTP/1.1 413 "));
}

#[test]
fn requests_are_recorded_as_they_came() {
    let receiver = Receiver::start(Script::default()).unwrap();
    let mut client = Client::connect(&receiver);
    client.send(
        "PUT /metrics/job/a%20b?x=1&y HTTP/1.1\r\nhOsT: h\r\nX-Two:  2 \r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\nm 1\r\n1;ext=1\r\n\n\r\n0\r\nTrailer: x\r\n\r\n",
    );
    client.answer();
    client.send("GET http://else.test:1/p?q HTTP/1.1\r\nHost: else.test:1\r\n\r\n").answer();
    client.send("POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(client.answer(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("ok").answer();
    let [put, get, _] = receiver.requests().try_into().unwrap();
    assert_eq!(
        (put.method.as_str(), put.path.as_str(), put.query.as_str()),
        ("PUT", "/metrics/job/a%20b", "x=1&y")
    );
    assert_eq!((put.headers[0].0.as_str(), put.header("x-two")), ("hOsT", Some("2")));
    assert_eq!(put.body, b"m 1\n");
    assert_eq!(
        (get.target.as_str(), get.path.as_str(), get.query.as_str()),
        ("http://else.test:1/p?q", "/p", "q")
    );
    receiver.clear();
    assert!(receiver.requests().is_empty());
    client.send(plain()).answer();
    assert_eq!(receiver.requests()[0].seq, 3);
}

#[test]
fn what_is_not_http_is_refused_and_remembered() {
    let receiver = Receiver::start(Script::default()).unwrap();
    for request in [
        "hello\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let mut client = Client::connect(&receiver);
        client.send(request).no_more_writing();
        assert!(client.text().starts_with("HTTP/1.1 400 "), "{request:?}");
    }
    assert_eq!(receiver.inspect(|s| s.malformed.len()), 3);
}

#[test]
fn a_lost_answer_is_stored_and_a_plain_break_is_not() {
    let request = write_v1(&[(&[("__name__", "a")], &[(1, 1.0)])]);
    for how in [Cut::Reset, Cut::Close] {
        for (behaviour, stored) in [
            (Behaviour::swallow_ack(how), 1),
            (Behaviour::cut(Phase::AfterBody, how), 0),
            (Behaviour::cut(Phase::MidResponse, how), 1),
        ] {
            let receiver = Receiver::start(Script::first([behaviour.clone()])).unwrap();
            let (got, end) = Client::connect(&receiver).send(&request).rest();
            assert_eq!(end, if how == Cut::Reset { End::Rst } else { End::Fin });
            assert!(!got.ends_with(b"\r\n\r\n"));
            let recorded = &receiver.requests()[0];
            assert_eq!((recorded.stored, recorded.answered), (stored == 1, None));
            assert_eq!(receiver.store().samples(&[("__name__", "a")]).len(), stored, "{behaviour:?}");
        }
    }
}
