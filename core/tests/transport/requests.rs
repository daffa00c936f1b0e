//! What goes over the wire, and what comes back, when all is well.

use crate::server::Server;
use crate::{AMPLE, OK, POST, transport, transport_with};
use promwrite_core::error::Error;
use promwrite_core::send::credentials::{Credentials, Secret, SecretSource};
use promwrite_core::send::endpoint::{Endpoint, HttpOptions};
use promwrite_core::send::transport::http::HttpTransport;
use promwrite_core::send::transport::{HttpRequest, Method, Transport};
use std::sync::Arc;

fn literal(text: &str) -> SecretSource {
    SecretSource::Literal(Secret::new(text))
}

#[test]
fn a_request_carries_the_headers_of_all_three_levels_and_the_last_wins() {
    let server = Server::answering(OK);
    let options = HttpOptions {
        headers: vec![
            ("X-BK-TOKEN".into(), literal("first")),
            ("x-bk-token".into(), literal("second")),
            ("X-Scope-OrgID".into(), literal("tenant")),
        ],
        ..HttpOptions::default()
    };
    let transport = transport_with(&server.url(), options);
    let headers = [
        ("Content-Type", "text/plain"),
        ("X-SCOPE-ORGID", "mine"),
        ("content-type", "application/x-protobuf"),
        ("Content-Length", "999"),
        ("Transfer-Encoding", "chunked"),
    ];
    let headers = headers.map(|(n, v)| (n.to_owned(), v.to_owned()));
    let request = HttpRequest {
        method: Method::Put,
        path_and_query: "/metrics/job/a?x=%20",
        headers: &headers,
        body: b"0123456789",
        attempt: 3,
    };
    let response = transport.send(&request, AMPLE).unwrap();
    assert_eq!((response.status, response.body.as_slice()), (200, b"ok".as_slice()));
    assert_eq!(response.header("CONTENT-LENGTH"), Some("2"));

    let seen = server.next();
    assert_eq!(seen.line(), "PUT /metrics/job/a?x=%20 HTTP/1.1");
    assert_eq!(seen.one("host"), server.address.to_string());
    assert_eq!(seen.one("content-type"), "application/x-protobuf");
    assert_eq!(seen.one("x-scope-orgid"), "mine");
    assert_eq!(seen.one("x-bk-token"), "second");
    assert_eq!(seen.one("content-length"), "10");
    assert_eq!(seen.one("retry-attempt"), "3");
    assert_eq!(seen.one("accept-encoding"), "identity");
    assert!(seen.one("user-agent").starts_with("promwrite/"), "{}", seen.head);
    assert!(seen.all("transfer-encoding").is_empty() && seen.all("cookie").is_empty(), "{}", seen.head);
    assert!(seen.head.contains("X-SCOPE-ORGID: mine"), "the spelling is kept: {}", seen.head);
    assert_eq!(seen.body, b"0123456789");
}

#[test]
fn a_delete_says_that_it_has_no_body() {
    let server = Server::answering("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
    let request = HttpRequest { method: Method::Delete, body: b"", ..POST };
    assert_eq!(transport(&server.url()).send(&request, AMPLE).unwrap().status, 202);
    let seen = server.next();
    assert_eq!(seen.line(), "DELETE /x HTTP/1.1");
    assert_eq!(seen.one("content-length"), "0");
    assert!(seen.all("retry-attempt").is_empty());
}

#[test]
fn host_and_user_agent_can_be_overridden_by_a_request() {
    let server = Server::answering(OK);
    let headers = [("Host", "other.example"), ("User-Agent", "mine/1"), ("X-Latin", "ü")];
    let headers = headers.map(|(n, v)| (n.to_owned(), v.to_owned()));
    let request = HttpRequest { headers: &headers, ..POST };
    transport(&server.url()).send(&request, AMPLE).unwrap();
    let seen = server.next();
    assert_eq!((seen.one("host"), seen.one("user-agent")), ("other.example", "mine/1"));
}

#[test]
fn a_request_that_http_cannot_carry_is_not_sent() {
    let server = Server::answering(OK);
    let transport = transport(&server.url());
    for (name, value) in [("X-A", "canary\r\nX-B: c"), ("X\n", "canary"), ("X-A", "canary\0"), ("", "canary")]
    {
        let headers = [(name.to_owned(), value.to_owned())];
        let failure = transport.send(&HttpRequest { headers: &headers, ..POST }, AMPLE).unwrap_err();
        assert!(!failure.ambiguous && !failure.message.contains("canary"), "{failure}");
    }
    for path_and_query in ["x", "", "/a b", "/a\r\nX-B: c", "http://127.0.0.1:1/", "@evil.example/"] {
        let failure = transport.send(&HttpRequest { path_and_query, ..POST }, AMPLE).unwrap_err();
        assert!(!failure.ambiguous, "{path_and_query}: {failure}");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn one_connection_serves_many_requests_of_any_status() {
    let server = Server::new(|connection| {
        connection.serve(|seen| {
            let text = "x".repeat(4096);
            match seen.line().split(' ').nth(1).unwrap() {
                "/302" => "HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 2\r\n\r\nno".into(),
                "/400" => format!("HTTP/1.1 400 Bad\r\nContent-Length: {}\r\n\r\n{text}", text.len()).into(),
                "/500" => b"HTTP/1.1 500 E\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n".into(),
                _ => b"HTTP/1.1 204 No Content\r\n\r\n".into(),
            }
        })
    });
    let transport = transport(&server.url());
    for (path_and_query, status, length) in
        [("/204", 204, 0), ("/400", 400, 4096), ("/302", 302, 2), ("/500", 500, 2), ("/204", 204, 0)]
    {
        let response = transport.send(&HttpRequest { path_and_query, ..POST }, AMPLE).unwrap();
        assert_eq!((response.status, response.body.len()), (status, length), "{path_and_query}");
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn large_bodies_arrive_whole() {
    let server = Server::answering(OK);
    let body: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    transport(&server.url()).send(&HttpRequest { body: &body, ..POST }, AMPLE).unwrap();
    assert_eq!(server.next().body, body);
}

#[test]
fn the_kept_part_of_an_answer_has_a_limit_that_can_be_raised() {
    let server = Server::new(|connection| {
        connection
            .serve(|_| format!("HTTP/1.1 500 E\r\nContent-Length: 9000\r\n\r\n{}", "x".repeat(9000)).into())
    });
    let small = transport(&server.url());
    assert_eq!(small.send(&POST, AMPLE).unwrap().body.len(), 4096);
    assert_eq!(small.send(&POST, AMPLE).unwrap().body.len(), 4096);
    assert_eq!(server.connections(), 2, "a connection with an unread rest is not used again");
    let large = transport(&server.url()).response_limit(1 << 20);
    assert_eq!(large.send(&POST, AMPLE).unwrap().body.len(), 9000);
}

#[test]
fn threads_send_at_once() {
    let server = Server::answering(OK);
    let transport = transport(&server.url());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    assert_eq!(transport.send(&POST, AMPLE).unwrap().status, 200);
                }
            });
        }
    });
    for _ in 0..80 {
        assert_eq!(server.next().body, b"body");
    }
}

#[test]
fn authorization_comes_from_the_options_or_the_url() {
    let server = Server::answering(OK);
    let credentials = |credentials| HttpOptions { credentials, ..HttpOptions::default() };
    let basic = Credentials::Basic { username: literal("us@er"), password: literal("p:wü") };
    let bearer = Credentials::Authorization { scheme: "Bearer".into(), credentials: literal("tok") };
    let with_user = format!("http://us%40er:p%3Aw%C3%BC@{}/", server.address);
    for (url, options, wanted) in [
        (server.url(), credentials(basic.clone()), "Basic dXNAZXI6cDp3w7w="),
        (server.url(), credentials(bearer), "Bearer tok"),
        (with_user.clone(), HttpOptions::default(), "Basic dXNAZXI6cDp3w7w="),
    ] {
        transport_with(&url, options).send(&POST, AMPLE).unwrap();
        let seen = server.next();
        assert_eq!(seen.one("authorization"), wanted);
        assert_eq!(seen.one("host"), server.address.to_string());
    }
    let error = Endpoint::parse(&with_user, "url", credentials(basic)).unwrap_err().to_string();
    assert!(error.contains("basic_auth") && !error.contains("us%40er"), "{error}");
}

#[test]
fn a_rotated_secret_is_read_after_a_refresh() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "old\n").unwrap();
    let server = Server::answering(OK);
    let credentials =
        Credentials::Authorization { scheme: "Bearer".into(), credentials: SecretSource::File(file.clone()) };
    let transport = transport_with(&server.url(), HttpOptions { credentials, ..HttpOptions::default() });
    let sent = || {
        transport.send(&POST, AMPLE).unwrap();
        server.next().one("authorization").to_owned()
    };
    assert_eq!(sent(), "Bearer old");
    std::fs::write(&file, "new\r\n").unwrap();
    assert_eq!(sent(), "Bearer old");
    transport.refresh_credentials();
    assert_eq!(sent(), "Bearer new");

    std::fs::remove_file(&file).unwrap();
    transport.refresh_credentials();
    let failure = transport.send(&POST, AMPLE).unwrap_err();
    assert!(failure.message.contains("authorization.credentials_file"), "{failure}");
    assert!(!failure.ambiguous);
}

#[test]
fn a_secret_that_cannot_be_used_is_refused_at_construction() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        SecretSource::File(path)
    };
    for (source, rule) in [
        (SecretSource::File(folder.path().join("missing")), "cannot be read"),
        (SecretSource::File("/dev/zero".into()), "64 KiB"),
        (SecretSource::Env("PROMWRITE_TEST_UNSET".into()), "PROMWRITE_TEST_UNSET"),
        (file("empty", b""), "empty"),
        (file("newline", b"\n"), "empty"),
        (file("two", b"canary\ncanary\n"), "line break"),
        (file("nul", b"canary\0"), "NUL"),
        (file("binary", b"canary\xff"), "UTF-8"),
    ] {
        let credentials = Credentials::Basic { username: literal("user"), password: source.clone() };
        let options = HttpOptions { credentials, ..HttpOptions::default() };
        let endpoint = Arc::new(Endpoint::parse("http://127.0.0.1:1", "url", options).unwrap());
        let error = HttpTransport::with_environment(endpoint, &|_| None).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
        let error = error.to_string();
        assert!(error.starts_with("basic_auth.password_") && error.contains(rule), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }
}
