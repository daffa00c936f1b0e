//! Certificates: who may talk to whom.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::{Client, End, LONG};
use promwrite_receiver::{Behaviour, Phase, Receiver, Script, TlsCase};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// What a client that trusts the receiver's authority gets.
fn get(receiver: &Receiver, identity: Option<(&Path, &Path)>) -> Result<String, String> {
    let mut roots = RootCertStore::empty();
    let files = receiver.tls_files().unwrap();
    roots.add(CertificateDer::from_pem_file(files.ca()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap()
        }
    };
    let session =
        ClientConnection::new(Arc::new(config), ServerName::try_from("127.0.0.1").unwrap()).unwrap();
    let tcp = TcpStream::connect(receiver.addr()).unwrap();
    tcp.set_read_timeout(Some(LONG)).unwrap();
    let mut stream = StreamOwned::new(session, tcp);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").map_err(|e| e.to_string())?;
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).map_err(|e| e.to_string())?;
    Ok(String::from_utf8(answer).unwrap())
}

#[test]
fn every_case_shows_as_what_it_is() {
    for (case, expected) in [
        (TlsCase::Good, Ok("HTTP/1.1 200")),
        (TlsCase::WrongHost, Err("not valid for name")),
        (TlsCase::Expired, Err("expired")),
        (TlsCase::SelfSigned, Err("UnknownIssuer")),
        (TlsCase::UnknownCa, Err("BadSignature")),
    ] {
        let receiver = Receiver::start_tls(Script::default(), case).unwrap();
        assert!(receiver.url("/x").starts_with("https://127.0.0.1:"));
        match (get(&receiver, None), expected) {
            (Ok(answer), Ok(expected)) => assert_eq!(answer, expected),
            (Err(error), Err(expected)) => {
                assert!(error.contains(expected), "{case:?}: {error}");
                assert!(receiver.wait_until(|s| s.handshake_errors.len() == 1, LONG), "{case:?}");
                assert!(receiver.requests().is_empty());
            }
            other => unreachable!("{case:?}: {other:?}"),
        }
    }
}

#[test]
fn a_client_certificate_is_demanded() {
    let receiver = Receiver::start_tls(Script::default(), TlsCase::ClientCert).unwrap();
    let files = receiver.tls_files().unwrap();
    assert_eq!(get(&receiver, Some((&files.client_cert(), &files.client_key()))).unwrap(), "HTTP/1.1 200");
    assert!(get(&receiver, None).is_err());
    assert!(get(&receiver, Some((&files.stranger_cert(), &files.stranger_key()))).is_err());
    assert_eq!(receiver.requests().len(), 1);
}

#[test]
fn a_handshake_can_stall_or_break() {
    let receiver = Receiver::start_tls(Script::default(), TlsCase::HandshakeStall).unwrap();
    let mut client = Client::connect(&receiver);
    assert_eq!(client.send("hello").rest_within(Duration::from_millis(50)), (Vec::new(), End::Open));

    let script = Script::first([Behaviour::reset(Phase::AfterAccept), Behaviour::reset(Phase::AfterBody)]);
    let receiver = Receiver::start_tls(script, TlsCase::Good).unwrap();
    for requests in 0..2 {
        assert!(get(&receiver, None).unwrap_err().contains("reset"));
        assert_eq!(receiver.requests().len(), requests);
    }
    assert_eq!(get(&receiver, None).unwrap(), "HTTP/1.1 200");
}

#[test]
fn plain_text_is_no_handshake() {
    let receiver = Receiver::start_tls(Script::default(), TlsCase::Good).unwrap();
    let mut client = Client::connect(&receiver);
    client.send(common::plain()).rest();
    assert!(receiver.wait_until(|s| s.handshake_errors.len() == 1, LONG));
}

#[test]
fn the_files_go_with_the_receiver() {
    let receiver = Receiver::start_tls(Script::default(), TlsCase::Good).unwrap();
    let ca = receiver.tls_files().unwrap().ca();
    assert!(ca.exists());
    drop(receiver);
    assert!(!ca.exists());
}
