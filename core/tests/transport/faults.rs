//! What a network does: every row ends in time, in a kind, in words, and with the truth about what was sent.

use crate::server::{Connection, Server};
use crate::{AMPLE, OK, POST, transport};
use promwrite_core::error::SendErrorKind as Kind;
use promwrite_core::send::transport::{Failure, HttpRequest, Method, Transport};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Short, so that the tests are; what may pass beyond it is generous, because the machine is shared.
const SHORT: Duration = Duration::from_millis(300);
const SLACK: Duration = Duration::from_secs(2);

type Handler = Box<dyn Fn(Connection) + Send + Sync>;

fn timed<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let begin = Instant::now();
    let result = run();
    (result, begin.elapsed())
}

/// A connection that sends a little every few milliseconds until the client goes away.
fn drip(mut connection: Connection, start: &str, drop_by_drop: &str) {
    connection.request();
    connection.send(start);
    let (never, pause) = channel::<()>();
    while connection.stream.write_all(drop_by_drop.as_bytes()).is_ok() {
        let _ = pause.recv_timeout(Duration::from_millis(20));
    }
    drop(never);
}

#[test]
fn the_deadline_holds_against_drip_and_stall() {
    let rows: [(&str, Handler, &str); 5] = [
        ("no answer", Box::new(|mut c| drop((c.request(), c.until_closed()))), "no answer from"),
        (
            "dripping head",
            Box::new(|c| drip(c, "HTTP/1.1 200 OK\r\nX-A: ", "x")),
            "did not finish its answer",
        ),
        ("dripping status", Box::new(|c| drip(c, "HTTP/1.1 200 ", "x")), "did not finish its answer"),
        (
            "dripping 100",
            Box::new(|c| drip(c, "", "HTTP/1.1 100 Continue\r\n\r\n")),
            "did not finish its answer",
        ),
        (
            "half a head",
            Box::new(|mut c| drop((c.request(), c.send("HTTP/1.1 2"), c.until_closed()))),
            "did not",
        ),
    ];
    for (name, handler, words) in rows {
        let server = Server::new(handler);
        let (result, took) = timed(|| transport(&server.url()).send(&POST, SHORT));
        let failure = result.unwrap_err();
        assert_eq!(failure.kind, Kind::Timeout, "{name}: {failure}");
        assert!(failure.message.contains(words) && failure.message.contains("0.3 s"), "{name}: {failure}");
        assert!(failure.ambiguous && !failure.stale && !failure.reused, "{name}: {failure:?}");
        assert!(took >= SHORT && took < SHORT + SLACK, "{name}: {took:?}");
    }
}

#[test]
fn the_deadline_holds_against_a_receiver_that_does_not_read() {
    let body = vec![0; 32 << 20];
    let server = Server::new(|connection| {
        let (never, wait) = channel::<()>();
        let _ = wait.recv_timeout(AMPLE);
        drop((never, connection));
    });
    let (result, took) = timed(|| transport(&server.url()).send(&HttpRequest { body: &body, ..POST }, SHORT));
    let failure = result.unwrap_err();
    assert_eq!(failure.kind, Kind::Timeout);
    assert!(failure.message.contains("did not take the request within 0.3 s"), "{failure}");
    assert!(!failure.ambiguous, "the end of the body never went out");
    assert!(took >= SHORT && took < SHORT + SLACK, "{took:?}");
}

#[test]
fn a_slow_reader_gets_no_more_time_either() {
    let body = vec![0; 32 << 20];
    let server = Server::new(|mut connection| {
        let (never, pause) = channel::<()>();
        let mut part = [0; 8192];
        while matches!(connection.stream.read(&mut part), Ok(n) if n > 0) {
            let _ = pause.recv_timeout(Duration::from_millis(20));
        }
        drop(never);
    });
    let (result, took) = timed(|| transport(&server.url()).send(&HttpRequest { body: &body, ..POST }, SHORT));
    assert_eq!(result.unwrap_err().kind, Kind::Timeout);
    assert!(took >= SHORT && took < SHORT + SLACK, "{took:?}");
}

#[test]
fn no_time_at_all_and_all_the_time_are_both_fine() {
    let server = Server::answering(OK);
    let transport = transport(&server.url());
    let failure = transport.send(&POST, Duration::ZERO).unwrap_err();
    assert!(!failure.ambiguous, "{failure:?}");
    assert_eq!(transport.send(&POST, Duration::MAX).unwrap().status, 200);
}

#[test]
fn nobody_listens() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failure = transport(&format!("http://{address}/")).send(&POST, AMPLE).unwrap_err();
    assert_eq!(
        failure,
        Failure::new(Kind::Refused, format!("connection refused by {address}")),
        "nothing was sent"
    );
}

#[test]
fn a_name_that_does_not_exist() {
    let failure = transport("http://name.invalid:1/").send(&POST, AMPLE).unwrap_err();
    assert_eq!(failure.kind, Kind::Dns);
    assert!(failure.message.starts_with("name.invalid "), "{failure}");
    assert!(!failure.ambiguous);
}

#[test]
fn ipv4_is_used_where_ipv6_is_tried_first_and_refused() {
    // localhost has ::1 first on many machines, and nobody listens there on this port
    let server = Server::answering(OK);
    let url = format!("http://localhost:{}", server.address.port());
    assert_eq!(transport(&url).send(&POST, AMPLE).unwrap().status, 200);
}

#[test]
fn answers_that_are_none() {
    let rows: [(&str, Vec<u8>, Kind, &str); 9] = [
        ("nothing", vec![], Kind::Disconnected, "before it answered"),
        ("half a status line", b"HTTP/1.1 20".to_vec(), Kind::Disconnected, "within its answer"),
        ("half a head", b"HTTP/1.1 200 OK\r\nX-A: b\r\n".to_vec(), Kind::Disconnected, "within its answer"),
        ("garbage", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), Kind::Protocol, "is not HTTP"),
        ("binary", vec![0xff; 64], Kind::Protocol, "is not HTTP"),
        ("HTTP/2", b"HTTP/2 200\r\n\r\n".to_vec(), Kind::Protocol, "is not HTTP"),
        (
            "2 MB of headers",
            [b"HTTP/1.1 200 OK\r\nX-A: ".to_vec(), vec![b'a'; 2 << 20], b"\r\n\r\n".to_vec()].concat(),
            Kind::Protocol,
            "of headers",
        ),
        (
            "a thousand headers",
            [b"HTTP/1.1 200 OK\r\n".to_vec(), b"X-A: b\r\n".repeat(1000), b"\r\n".to_vec()].concat(),
            Kind::Protocol,
            "is not HTTP",
        ),
        ("a flood of 100", b"HTTP/1.1 100 Continue\r\n\r\n".repeat(100_000), Kind::Protocol, "of headers"),
    ];
    for (name, answer, kind, words) in rows {
        let server = Server::new(move |mut connection| {
            connection.request();
            connection.send(&answer);
        });
        let transport = transport(&server.url());
        let failure = transport.send(&POST, AMPLE).unwrap_err();
        assert_eq!(failure.kind, kind, "{name}: {failure}");
        assert!(failure.message.contains(words), "{name}: {failure}");
        assert!(failure.message.contains(&server.address.to_string()), "{name}: {failure}");
        assert!(failure.ambiguous && !failure.stale && !failure.reused, "{name}: {failure:?}");
        let again = transport.send(&POST, AMPLE).unwrap_err();
        assert!(!again.reused, "{name}: the connection was used again");
    }
}

#[test]
fn a_status_counts_though_the_body_does_not_end_well() {
    let rows: [(&str, &[u8], usize); 5] = [
        ("cut short", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", 3),
        ("no length, as HTTP/1.0 has it", b"HTTP/1.0 200 OK\r\n\r\nabc", 3),
        ("bad chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n", 0),
        ("cut chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", 3),
        ("a bomb", b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n", 4096),
    ];
    for (name, answer, length) in rows {
        let server = Server::new(move |mut connection| {
            connection.request();
            connection.send(answer);
            if length == 4096 {
                while connection.stream.write_all(&[b'a'; 65536]).is_ok() {}
            }
        });
        let transport = transport(&server.url());
        for connections in 1..=2 {
            let response = transport.send(&POST, AMPLE).unwrap();
            assert_eq!((response.status, response.body.len()), (200, length), "{name}");
            assert_eq!(server.connections(), connections, "{name}: the connection was used again");
        }
    }
}

#[test]
fn a_dripping_body_is_not_waited_for_as_long_as_the_answer() {
    let server = Server::new(|c| drip(c, "HTTP/1.1 500 E\r\nContent-Length: 4000\r\n\r\n", "x"));
    let (result, took) = timed(|| transport(&server.url()).send(&POST, Duration::from_secs(60)));
    assert_eq!(result.unwrap().status, 500);
    assert!(took < AMPLE, "{took:?}");
}

#[test]
fn resets_say_whether_the_request_was_sent() {
    // unread bytes make the close a reset; with a small request it comes when all of it has arrived
    let server = Server::new(|connection| {
        let mut arrived = [0; 4096];
        while let Ok(n) = connection.stream.peek(&mut arrived) {
            let text = String::from_utf8_lossy(&arrived[..n]);
            if text.ends_with("body") || text.ends_with("Content-Length: 0\r\n\r\n") || n == arrived.len() {
                return;
            }
        }
    });
    let body = vec![0; 32 << 20];
    let failure = transport(&server.url()).send(&HttpRequest { body: &body, ..POST }, AMPLE).unwrap_err();
    assert_eq!(failure.kind, Kind::Disconnected);
    assert!(failure.message.contains("while the request was sent"), "{failure}");
    assert!(!failure.ambiguous && !failure.stale, "{failure:?}");

    let failure = transport(&server.url()).send(&POST, AMPLE).unwrap_err();
    assert_eq!(failure.kind, Kind::Disconnected);
    assert!(failure.ambiguous, "the socket took all of it: {failure:?}");

    let request = HttpRequest { method: Method::Delete, body: b"", ..POST };
    let failure = transport(&server.url()).send(&request, AMPLE).unwrap_err();
    assert!(failure.ambiguous, "a request without a body is sent with its head: {failure:?}");
}

#[test]
fn a_connection_that_died_while_idle_is_replaced() {
    let (closed, wait) = channel();
    let closed = Mutex::new(closed);
    let server = Server::new(move |mut connection| {
        connection.request();
        connection.send(OK);
        if connection.number == 0 {
            drop(connection);
            closed.lock().unwrap().send(()).unwrap();
        }
    });
    let transport = transport(&server.url());
    transport.send(&POST, AMPLE).unwrap();
    wait.recv().unwrap();
    assert_eq!(transport.send(&POST, AMPLE).unwrap().status, 200);
    assert_eq!(server.connections(), 2);
}

#[test]
fn a_connection_that_dies_as_the_second_request_comes_is_stale() {
    let server = Server::new(|mut connection| {
        connection.request();
        connection.send(OK);
        if connection.number == 0 {
            // the first bytes of the second request are the moment of the close
            let _ = connection.stream.read(&mut [0]);
        } else {
            connection.serve(|_| OK.into());
        }
    });
    let transport = transport(&server.url());
    transport.send(&POST, AMPLE).unwrap();
    let failure = transport.send(&POST, AMPLE).unwrap_err();
    assert_eq!(failure.kind, Kind::Disconnected);
    assert!(failure.stale && failure.reused, "{failure:?}");
    assert_eq!(transport.send(&POST, AMPLE).unwrap().status, 200, "the instant resend goes through");
}

#[test]
fn a_reused_connection_that_began_to_answer_is_not_stale() {
    let server = Server::new(|mut connection| {
        connection.request();
        connection.send(OK);
        connection.request();
        connection.send("HTTP/1.1 2");
    });
    let transport = transport(&server.url());
    transport.send(&POST, AMPLE).unwrap();
    let failure = transport.send(&POST, AMPLE).unwrap_err();
    assert!(failure.reused && failure.ambiguous && !failure.stale, "{failure:?}");

    let server = Server::new(|mut connection| {
        connection.request();
        connection.send(OK);
        connection.request();
        connection.until_closed();
    });
    let transport = crate::transport(&server.url());
    transport.send(&POST, AMPLE).unwrap();
    let failure = transport.send(&POST, SHORT).unwrap_err();
    assert_eq!(failure.kind, Kind::Timeout);
    assert!(failure.reused && !failure.stale, "a timeout is no proof of a dead connection: {failure:?}");
}

#[test]
fn redirects_are_answers_and_nothing_reaches_the_second_host() {
    let second = Server::answering(OK);
    for status in [301, 302, 303, 307, 308] {
        let location = second.url();
        let first = Server::answering(format!(
            "HTTP/1.1 {status} Moved\r\nLocation: {location}/y\r\nContent-Length: 0\r\n\r\n"
        ));
        for method in [Method::Post, Method::Put, Method::Delete] {
            let response = transport(&first.url()).send(&HttpRequest { method, ..POST }, AMPLE).unwrap();
            assert_eq!(response.status, status);
            assert_eq!(response.header("location"), Some(format!("{location}/y").as_str()));
        }
    }
    assert_eq!(second.connections(), 0);
}

#[test]
fn cancel_ends_a_request_and_leaves_the_transport_usable() {
    let server = Server::new(|mut connection| {
        if connection.number == 0 {
            connection.request();
            connection.until_closed();
        } else {
            connection.serve(|_| OK.into());
        }
    });
    let transport = Arc::new(transport(&server.url()));
    let sending = transport.clone();
    let thread = std::thread::spawn(move || sending.send(&POST, Duration::from_secs(60)));
    server.next();
    let (result, took) = timed(|| {
        transport.cancel();
        thread.join().unwrap()
    });
    let failure = result.unwrap_err();
    assert_eq!(failure.kind, Kind::Cancelled);
    assert!(failure.ambiguous && !failure.stale, "{failure:?}");
    assert!(took < SLACK, "{took:?}");
    transport.cancel();
    assert_eq!(transport.send(&POST, AMPLE).unwrap().status, 200);
}

#[test]
fn an_early_answer_to_a_body_that_fits_the_socket_is_seen() {
    let server = Server::new(|mut connection| {
        let _ = connection.stream.read(&mut [0; 100]);
        connection.send("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let _ = connection.stream.shutdown(std::net::Shutdown::Write);
        connection.until_closed();
    });
    let body = vec![0; 20_000];
    let response = transport(&server.url()).send(&HttpRequest { body: &body, ..POST }, AMPLE).unwrap();
    assert_eq!(response.status, 413);
}

#[test]
fn an_early_answer_to_a_body_that_does_not_fit_is_seen_where_it_arrived() {
    let server = Server::new(|mut connection| {
        let _ = connection.stream.read(&mut [0; 100]);
        connection.send("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
        // closes with unread bytes: a reset follows the answer
    });
    let body = vec![0; 32 << 20];
    let transport = transport(&server.url());
    for connections in 1..=2 {
        let response = transport.send(&HttpRequest { body: &body, ..POST }, AMPLE).unwrap();
        assert_eq!(response.status, 413);
        assert_eq!(server.connections(), connections, "the connection is not used again");
    }
}
