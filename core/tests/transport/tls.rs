//! Certificates, good and bad: never plain text, never a panic, always a reason.

use crate::certificates::{Authority, accept, tls_server};
use crate::server::Server;
use crate::{AMPLE, OK, POST, transport_with};
use promwrite_core::error::{Error, SendErrorKind as Kind};
use promwrite_core::send::endpoint::{Endpoint, HttpOptions, TlsOptions};
use promwrite_core::send::transport::http::HttpTransport;
use promwrite_core::send::transport::{Failure, HttpRequest, Transport};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

fn options(tls: TlsOptions) -> HttpOptions {
    HttpOptions { tls, ..HttpOptions::default() }
}

fn trusting(ca_file: PathBuf) -> HttpOptions {
    options(TlsOptions { ca_file: Some(ca_file), ..TlsOptions::default() })
}

fn https(server: &Server) -> String {
    format!("https://{}", server.address)
}

/// A failure of the handshake: nothing of the request may have been read by the receiver.
fn refused(server: &Server, options: HttpOptions, words: &str) -> Failure {
    let failure = transport_with(&https(server), options).send(&POST, AMPLE).unwrap_err();
    assert_eq!(failure.kind, Kind::Tls, "{failure}");
    assert!(failure.message.contains(words), "{failure}");
    assert!(failure.message.contains(&server.address.to_string()), "{failure}");
    assert!(!failure.ambiguous && !failure.stale, "{failure:?}");
    assert!(server.seen.lock().unwrap().try_recv().is_err(), "a request came through");
    failure
}

#[test]
fn a_private_authority_is_trusted_by_its_file_and_connections_are_kept() {
    let authority = Authority::new();
    for versions in [vec![&rustls::version::TLS12], vec![&rustls::version::TLS13]] {
        let server = tls_server(authority.sign(&["127.0.0.1"]).config(None, &versions));
        let transport = transport_with(&https(&server), trusting(authority.ca_file()));
        let body: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
        for _ in 0..3 {
            let response = transport.send(&HttpRequest { body: &body, ..POST }, AMPLE).unwrap();
            assert_eq!(response.status, 200);
            assert_eq!(server.next().body, body);
        }
        assert_eq!(server.connections(), 1);
    }
}

#[test]
fn bad_certificates_are_refused_with_the_reason() {
    let authority = Authority::new();
    let known = || trusting(authority.ca_file());
    refused(
        &authority.sign(&["127.0.0.1"]).server(),
        HttpOptions::default(),
        "not trusted: unknown issuer (option tls_config.ca_file)",
    );
    refused(&authority.sign(&["other.example"]).server(), known(), "is for another name");
    refused(&authority.sign_until(&["127.0.0.1"], 2001).server(), known(), "has expired");
    refused(&Authority::new().sign(&["127.0.0.1"]).server(), known(), "unknown issuer");
}

#[test]
fn verification_can_be_turned_off() {
    let server = Authority::new().sign_until(&["other.example"], 2001).server();
    let insecure = TlsOptions { insecure_skip_verify: true, ..TlsOptions::default() };
    let transport = transport_with(&https(&server), options(insecure));
    assert_eq!(transport.send(&POST, AMPLE).unwrap().status, 200);
    assert!(transport.endpoint().warnings()[0].contains("insecure_skip_verify"));
}

#[test]
fn client_certificates() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let tls = |ca: &Authority, pair: &crate::certificates::Pair| TlsOptions {
        ca_file: Some(authority.ca_file()),
        cert_file: Some(ca.file("cert.pem", &pair.certificate)),
        key_file: Some(ca.file("key.pem", &pair.key)),
        ..TlsOptions::default()
    };
    for versions in [vec![&rustls::version::TLS12], vec![&rustls::version::TLS13]] {
        let server = tls_server(authority.sign(&["127.0.0.1"]).config(Some(&clients), &versions));
        let good = tls(&clients, &clients.sign(&["client"]));
        let transport = transport_with(&https(&server), options(good));
        assert_eq!(transport.send(&POST, AMPLE).unwrap().status, 200);
        server.next();
        refused(&server, trusting(authority.ca_file()), "tls_config.cert_file");
        let other = Authority::new();
        refused(&server, options(tls(&other, &other.sign(&["client"]))), "refused the TLS handshake");
    }
}

#[test]
fn unusable_files_are_refused_at_construction() {
    let authority = Authority::new();
    let (pair, other) = (authority.sign(&["client"]), authority.sign(&["client"]));
    let cert = authority.file("cert.pem", &pair.certificate);
    let key = authority.file("key.pem", &pair.key);
    let ca = |path: PathBuf| TlsOptions { ca_file: Some(path), ..TlsOptions::default() };
    let client = |cert_file: PathBuf, key_file: PathBuf| TlsOptions {
        cert_file: Some(cert_file),
        key_file: Some(key_file),
        ..TlsOptions::default()
    };
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let broken = "-----BEGIN CERTIFICATE-----\n!!!\n";
    let missing = authority.file("x", "").with_file_name("missing");
    for (tls, field, rule) in [
        (ca(missing.clone()), "tls_config.ca_file", "cannot be read"),
        (ca(authority.file("empty", "")), "tls_config.ca_file", "must hold a certificate"),
        (ca(authority.file("text", "canary")), "tls_config.ca_file", "must hold a certificate"),
        (ca(authority.file("garbage", garbage)), "tls_config.ca_file", "cannot be a root"),
        (ca(authority.file("broken", broken)), "tls_config.ca_file", "not PEM"),
        (ca(key.clone()), "tls_config.ca_file", "must hold a certificate"),
        (client(missing.clone(), key.clone()), "tls_config.cert_file", "cannot be read"),
        (client(cert.clone(), missing), "tls_config.key_file", "cannot be read"),
        (client(cert.clone(), cert.clone()), "tls_config.key_file", "private key"),
        (client(cert.clone(), authority.file("k", "canary")), "tls_config.key_file", "private key"),
        (client(cert.clone(), authority.file("o", &other.key)), "tls_config.key_file", "not that of"),
        (client(key.clone(), key.clone()), "tls_config.cert_file", "must hold a certificate"),
    ] {
        // for http:// as well, because a file named by an option is meant to be used
        for url in ["https://127.0.0.1:1", "http://127.0.0.1:1"] {
            let endpoint = Arc::new(Endpoint::parse(url, "url", options(tls.clone())).unwrap());
            let error = HttpTransport::with_environment(endpoint, &|_| None).unwrap_err();
            assert!(matches!(&error, Error::Invalid { field: f, .. } if f == field), "{error}");
            assert!(error.to_string().contains(rule), "{error}");
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }
    for (cert_file, key_file) in [(Some(cert), None), (None, Some(key))] {
        let tls = TlsOptions { cert_file, key_file, ..TlsOptions::default() };
        let error = Endpoint::parse("https://h", "url", options(tls)).unwrap_err().to_string();
        assert!(error.contains("as well"), "{error}");
    }
}

#[test]
fn a_file_that_is_repaired_is_read_at_the_next_send() {
    let (authority, wrong) = (Authority::new(), Authority::new());
    let server = authority.sign(&["127.0.0.1"]).server();
    let file = authority.file("rotated.pem", &wrong.pem);
    let transport = transport_with(&https(&server), trusting(file));
    assert_eq!(transport.send(&POST, AMPLE).unwrap_err().kind, Kind::Tls);
    authority.file("rotated.pem", &authority.pem);
    assert_eq!(transport.send(&POST, AMPLE).unwrap().status, 200);
}

#[test]
fn what_does_not_speak_tls() {
    for (answer, words) in [
        (OK.as_bytes(), "does not speak TLS"),
        // fatal alert: protocol_version, the answer of a server that knows TLS 1.1 only to be refused
        (&[21, 3, 1, 0, 2, 2, 70], "refused the TLS handshake: ProtocolVersion"),
        (b"", "closed the connection in the TLS handshake"),
    ] {
        let server = Server::new(move |mut connection| {
            let _ = connection.stream.read(&mut [0; 4096]);
            connection.send(answer);
        });
        refused(&server, HttpOptions::default(), words);
    }
}

#[test]
fn a_stalled_handshake_has_a_third_of_the_time() {
    let server = Server::new(|mut connection| connection.until_closed());
    let begin = Instant::now();
    let transport = transport_with(&https(&server), HttpOptions::default());
    let failure = transport.send(&POST, Duration::from_millis(900)).unwrap_err();
    assert_eq!(failure.message, format!("no TLS handshake with {} within 0.3 s", server.address));
    assert_eq!((failure.kind, failure.ambiguous), (Kind::Tls, false));
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn what_was_sent_is_known_through_tls_as_well() {
    let authority = Authority::new();
    let config = authority.sign(&["127.0.0.1"]).config(None, rustls::ALL_VERSIONS);
    let server = Server::new(move |connection| {
        let mut stream = accept(connection.stream, &config);
        let _ = stream.read(&mut [0; 1]);
        let (never, wait) = channel::<()>();
        let _ = wait.recv_timeout(AMPLE);
        drop((never, stream));
    });
    let options = trusting(authority.ca_file());
    let short = Duration::from_millis(900);
    let transport = transport_with(&https(&server), options);
    let failure = transport.send(&POST, short).unwrap_err();
    assert_eq!((failure.kind, failure.ambiguous), (Kind::Timeout, true), "{failure}");
    // sizes around the buffers of TLS and of the socket, where the last write may look as if it had gone through
    for size in [8 << 20, (8 << 20) + 1] {
        let body = vec![0; size];
        let failure = transport.send(&HttpRequest { body: &body, ..POST }, short).unwrap_err();
        assert_eq!((failure.kind, failure.ambiguous), (Kind::Timeout, false), "{size}: {failure}");
    }
}

#[test]
fn a_connection_that_dies_as_the_second_request_comes_is_stale_through_tls_as_well() {
    let authority = Authority::new();
    let config = authority.sign(&["127.0.0.1"]).config(None, rustls::ALL_VERSIONS);
    let server = Server::new(move |connection| {
        let mut stream = accept(connection.stream, &config);
        let mut part = [0; 4096];
        let mut read = 0;
        while !part[..read].ends_with(b"body") {
            read += stream.read(&mut part[read..]).unwrap();
        }
        stream.write_all(OK.as_bytes()).unwrap();
        // the first bytes of the second request are the moment of the close
        let _ = stream.sock.read(&mut [0]);
    });
    let transport = transport_with(&https(&server), trusting(authority.ca_file()));
    transport.send(&POST, AMPLE).unwrap();
    let failure = transport.send(&POST, AMPLE).unwrap_err();
    assert!(failure.stale && failure.reused, "{failure:?}");
}

/// Runs itself once more, because the variables of the system roots belong to a whole process.
#[test]
fn the_system_roots_are_those_of_ssl_cert_file() {
    if let Ok(url) = std::env::var("PROMWRITE_TEST_URL") {
        let result = transport_with(&url, HttpOptions::default()).send(&POST, AMPLE);
        match std::env::var("PROMWRITE_TEST_FAILURE") {
            Ok(words) => {
                let failure = result.unwrap_err();
                assert!(failure.kind == Kind::Tls && failure.message.contains(&words), "{failure}");
            }
            Err(_) => assert_eq!(result.unwrap().status, 200),
        }
        return;
    }
    let authority = Authority::new();
    let server = authority.sign(&["127.0.0.1"]).server();
    let again = |file: PathBuf| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "tls::the_system_roots_are_those_of_ssl_cert_file"]);
        command.env("PROMWRITE_TEST_URL", https(&server)).env("SSL_CERT_FILE", file);
        command.env_remove("SSL_CERT_DIR").env_remove("PROMWRITE_TEST_FAILURE");
        command
    };
    let passed = |command: &mut Command| {
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    };
    passed(&mut again(authority.ca_file()));
    server.next();
    for words in ["no certificate authority is known", "missing.pem", "SSL_CERT_FILE"] {
        let missing = authority.ca_file().with_file_name("missing.pem");
        passed(again(missing).env("PROMWRITE_TEST_FAILURE", words));
    }
    let other = Authority::new();
    passed(again(other.ca_file()).env("PROMWRITE_TEST_FAILURE", "unknown issuer"));
}
