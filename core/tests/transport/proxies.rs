//! Through a proxy: forwarded for http, tunnelled for https, with its own credentials for it alone.

use crate::certificates::{Authority, accept};
use crate::server::{Connection, Server, serve};
use crate::{AMPLE, OK, POST, transport_with};
use promwrite_core::error::SendErrorKind as Kind;
use promwrite_core::send::credentials::{Secret, SecretSource};
use promwrite_core::send::endpoint::{Endpoint, HttpOptions, ProxyOptions, TlsOptions};
use promwrite_core::send::transport::http::HttpTransport;
use promwrite_core::send::transport::{HttpRequest, Transport};
use std::io::Read as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

fn through(proxy: String) -> HttpOptions {
    let url = Some(SecretSource::Literal(Secret::new(proxy)));
    HttpOptions { proxy: ProxyOptions { url, ..ProxyOptions::default() }, ..HttpOptions::default() }
}

fn with_user(server: &Server) -> String {
    format!("http://us%40er:canary@{}", server.address)
}

#[test]
fn a_plain_target_is_forwarded_in_absolute_form() {
    let proxy = Server::answering(OK);
    let transport = transport_with("http://gw.example:9091/base", through(with_user(&proxy)));
    let body = vec![7; 200_000];
    for request in [POST, HttpRequest { path_and_query: "/y?a=b", body: &body, ..POST }] {
        assert_eq!(transport.send(&request, AMPLE).unwrap().status, 200);
        let seen = proxy.next();
        let path = request.path_and_query;
        assert_eq!(seen.line(), format!("POST http://gw.example:9091{path} HTTP/1.1"));
        assert_eq!(seen.one("host"), "gw.example:9091");
        assert_eq!(seen.one("proxy-authorization"), "Basic dXNAZXI6Y2FuYXJ5");
        assert_eq!(seen.body, request.body);
    }
    assert_eq!(proxy.connections(), 1, "connections to a proxy are kept");
}

#[test]
fn a_proxy_that_wants_other_credentials_is_a_failure_of_the_proxy() {
    let proxy = Server::answering("HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n");
    let transport = transport_with("http://gw.example/", through(with_user(&proxy)));
    let failure = transport.send(&POST, AMPLE).unwrap_err();
    assert_eq!(failure.kind, Kind::Proxy);
    assert!(failure.message.contains("407") && !failure.message.contains("canary"), "{failure}");
    assert!(!failure.ambiguous);
}

#[test]
fn a_proxy_can_be_reached_over_tls() {
    let authority = Authority::new();
    let proxy = authority.sign(&["127.0.0.1"]).server();
    let tls = TlsOptions { ca_file: Some(authority.ca_file()), ..TlsOptions::default() };
    let options = HttpOptions { tls, ..through(format!("https://{}", proxy.address)) };
    let transport = transport_with("http://gw.example/", options);
    assert_eq!(transport.send(&POST, AMPLE).unwrap().status, 200);
    assert_eq!(proxy.next().line(), "POST http://gw.example/x HTTP/1.1");

    let untrusted = transport_with("http://gw.example/", through(format!("https://{}", proxy.address)));
    let failure = untrusted.send(&POST, AMPLE).unwrap_err();
    assert_eq!(failure.kind, Kind::Tls);
    assert!(failure.message.contains(&format!("proxy {}", proxy.address)), "{failure}");
}

#[test]
fn a_tls_target_is_tunnelled() {
    let authority = Authority::new();
    let config = authority.sign(&["gw.example"]).config(None, rustls::ALL_VERSIONS);
    let proxy = Server::new(move |mut connection| {
        connection.request();
        connection.send("HTTP/1.1 200 Connection established\r\n\r\n");
        let Connection { stream, seen, .. } = connection;
        serve(&mut accept(stream, &config), &seen, |_| OK.into());
    });
    let tls = TlsOptions { ca_file: Some(authority.ca_file()), ..TlsOptions::default() };
    let options = HttpOptions { tls, ..through(with_user(&proxy)) };
    let transport = transport_with("https://gw.example/", options);
    assert_eq!(transport.send(&POST, AMPLE).unwrap().status, 200);
    assert_eq!(transport.send(&POST, AMPLE).unwrap().status, 200);
    let connect = proxy.next();
    assert_eq!(connect.line(), "CONNECT gw.example:443 HTTP/1.1");
    assert_eq!(connect.one("proxy-authorization"), "Basic dXNAZXI6Y2FuYXJ5");
    assert!(connect.one("user-agent").starts_with("promwrite/"));
    for _ in 0..2 {
        let inner = proxy.next();
        assert_eq!((inner.line(), inner.one("host")), ("POST /x HTTP/1.1", "gw.example"));
        assert!(inner.all("proxy-authorization").is_empty(), "the receiver must not see it");
    }
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn a_tunnel_that_does_not_come_about() {
    let https = |proxy: String| transport_with("https://gw.example/", through(proxy));
    for (answer, words) in [
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "refused a tunnel to gw.example:443: status 403"),
        ("HTTP/1.1 407 Who\r\n\r\n", "status 407"),
        ("SSH-2.0-OpenSSH\r\n", "does not speak HTTP"),
        ("", "gw.example:443"),
    ] {
        let proxy = Server::new(move |mut connection| {
            connection.request();
            connection.send(answer);
        });
        let failure = https(with_user(&proxy)).send(&POST, AMPLE).unwrap_err();
        assert_eq!(failure.kind, Kind::Proxy, "{failure}");
        assert!(failure.message.contains(words), "{failure}");
        assert!(failure.message.contains(&proxy.address.to_string()), "{failure}");
        assert!(!failure.ambiguous && !failure.message.contains("canary"), "{failure:?}");
    }
    let stalled = Server::new(|mut connection| connection.until_closed());
    let failure = https(stalled.url()).send(&POST, Duration::from_millis(900)).unwrap_err();
    assert_eq!(failure.kind, Kind::Proxy);
    assert!(failure.message.ends_with("opened no tunnel to gw.example:443 within 0.3 s"), "{failure}");

    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failure = https(format!("http://u:canary@{nobody}")).send(&POST, AMPLE).unwrap_err();
    assert_eq!(failure.kind, Kind::Refused);
    assert_eq!(failure.message, format!("connection refused by proxy {nobody}"));
}

#[test]
fn the_environment_names_proxy_and_exceptions() {
    let (proxy, direct) = (Server::answering(OK), Server::answering(OK));
    let send = |no_proxy: &str| {
        let endpoint = Endpoint::parse(&direct.url(), "url", HttpOptions::default()).unwrap();
        let env = |name: &str| match name {
            "http_proxy" => Some(proxy.url()),
            "no_proxy" => Some(no_proxy.to_owned()),
            _ => None,
        };
        let transport = HttpTransport::with_environment(Arc::new(endpoint), &env).unwrap();
        transport.send(&POST, AMPLE).unwrap();
    };
    send("other.example");
    assert_eq!(proxy.next().line(), format!("POST {}/x HTTP/1.1", direct.url()));
    send("other.example,127.0.0.0/8");
    assert_eq!(direct.next().line(), "POST /x HTTP/1.1");
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn a_stale_connection_to_a_proxy_is_known_as_one() {
    let proxy = Server::new(|mut connection| {
        connection.request();
        connection.send(OK);
        let _ = connection.stream.read(&mut [0]);
    });
    let transport = transport_with("http://gw.example/", through(proxy.url()));
    transport.send(&POST, AMPLE).unwrap();
    let failure = transport.send(&POST, AMPLE).unwrap_err();
    assert!(failure.stale && failure.reused, "{failure:?}");
    assert!(failure.message.starts_with("gw.example:80 (through proxy"), "{failure}");
}
