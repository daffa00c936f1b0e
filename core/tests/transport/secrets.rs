//! No secret in any text: every type that holds one and every message that could quote one is searched for a canary.

use crate::POST;
use crate::server::Server;
use promwrite_core::config::Config;
use promwrite_core::error::Error;
use promwrite_core::send::credentials::{CredentialStore, Credentials, Secret, SecretSource};
use promwrite_core::send::endpoint::{Endpoint, HttpOptions, ProxyOptions};
use promwrite_core::send::transport::http::HttpTransport;
use promwrite_core::send::transport::{HttpRequest, Transport};
use std::sync::Arc;
use std::time::Duration;

const CANARY: &str = "s3cr3t-canary";

fn secret() -> SecretSource {
    SecretSource::Literal(Secret::new(CANARY))
}

fn clean(text: &str) {
    // base64 of "…:s3cr3t-canary" and of the canary itself, at each offset
    for form in [CANARY, "s3cr3t", "czNjcjN0LWNhbmFye", "MzY3IzdC1jYW5hcn", "zM2NyM3QtY2FuYXJ5"] {
        assert!(!text.contains(form), "{form} in {text}");
    }
}

fn every_credential() -> Vec<Credentials> {
    vec![
        Credentials::Basic { username: secret(), password: secret() },
        Credentials::Authorization { scheme: "Bearer".into(), credentials: secret() },
    ]
}

fn options(credentials: Credentials, proxy: Option<String>) -> HttpOptions {
    HttpOptions {
        credentials,
        headers: vec![("X-BK-TOKEN".into(), secret())],
        proxy: ProxyOptions {
            url: proxy.map(|url| SecretSource::Literal(Secret::new(url))),
            ..ProxyOptions::default()
        },
        ..HttpOptions::default()
    }
}

#[test]
fn no_secret_is_printed_by_any_type_or_failure() {
    let garbage = Server::answering("garbage\r\n\r\n");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxies = [
        None,
        Some(format!("http://u:{CANARY}@{}", garbage.address)),
        Some(format!("http://u:{CANARY}@{nobody}")),
    ];
    let urls = [
        format!("http://{}/p?token={CANARY}", garbage.address),
        format!("http://{nobody}/p?token={CANARY}"),
        format!("https://{}/p?token={CANARY}", garbage.address),
        format!("http://name.invalid/p?token={CANARY}"),
    ];
    let mut failures = 0;
    for credentials in every_credential() {
        for proxy in &proxies {
            for url in &urls {
                let options = options(credentials.clone(), proxy.clone());
                clean(&format!("{options:?} {:#?}", options));
                let endpoint = Arc::new(Endpoint::parse(url, "url", options).unwrap());
                clean(&format!("{endpoint:?} {:#?} {}", endpoint, endpoint.shown()));
                clean(&endpoint.warnings().join("\n"));
                clean(&format!("{:?}", CredentialStore::new(endpoint.clone()).unwrap()));
                let transport = HttpTransport::with_environment(endpoint.clone(), &|_| None).unwrap();
                clean(&format!("{transport:?} {transport:#?}"));
                let request = HttpRequest { path_and_query: endpoint.path_and_query(), ..POST };
                // short, because one of the receivers never answers a TLS handshake
                let failure = transport.send(&request, Duration::from_millis(900)).unwrap_err();
                clean(&format!("{failure} {failure:?}"));
                let error = failure.into_error(endpoint.shown());
                assert!(matches!(error, Error::Send { .. }));
                clean(&format!("{error} {error:?}"));
                failures += 1;
            }
        }
    }
    assert_eq!(failures, 24);
}

#[test]
fn no_secret_is_printed_by_a_refusal() {
    let bad_value = |name: &str| HttpOptions {
        headers: vec![(name.to_owned(), SecretSource::Literal(Secret::new(format!("{CANARY}\r\n"))))],
        ..HttpOptions::default()
    };
    let https = HttpOptions { require_https: true, ..HttpOptions::default() };
    let credentials = options(every_credential().remove(0), None);
    let url = format!("http://u:{CANARY}@h.example/p?t={CANARY}");
    let mut errors = vec![
        Endpoint::parse(&url, "url", https).unwrap_err(),
        Endpoint::parse(&url, "url", credentials).unwrap_err(),
        Endpoint::parse("http://h", "url", bad_value("X-A")).unwrap_err(),
        Endpoint::parse("http://h", "url", bad_value("Host")).unwrap_err(),
        Endpoint::parse("http://h", "url", bad_value("a b")).unwrap_err(),
    ];
    for secret in [format!("{CANARY}\n{CANARY}"), format!("{CANARY}\0"), format!("{CANARY}€")] {
        let source = SecretSource::Literal(Secret::new(secret));
        for credentials in [
            Credentials::Basic { username: source.clone(), password: source.clone() },
            Credentials::Authorization { scheme: "Bearer".into(), credentials: source.clone() },
        ] {
            let options = HttpOptions { credentials, ..HttpOptions::default() };
            let endpoint = Arc::new(Endpoint::parse("http://h", "url", options).unwrap());
            errors.extend(HttpTransport::with_environment(endpoint, &|_| None).err());
        }
    }
    let colon = Credentials::Basic {
        username: SecretSource::Literal(Secret::new(format!("{CANARY}:"))),
        password: secret(),
    };
    let endpoint = Endpoint::parse("http://h", "url", options(colon, None)).unwrap();
    errors.push(HttpTransport::new(Arc::new(endpoint)).unwrap_err());
    assert_eq!(errors.len(), 11);
    for error in errors {
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
        clean(&format!("{error} {error:?}"));
    }
}

#[test]
fn a_fingerprint_tells_endpoints_apart_and_is_equal_for_equal_ones() {
    let parse = |url: &str, options: HttpOptions| Endpoint::parse(url, "url", options).unwrap().fingerprint();
    let [basic, bearer] = [0, 1].map(|n| options(every_credential().remove(n), None));
    let other_password =
        Credentials::Basic { username: secret(), password: SecretSource::Literal(Secret::new("other")) };
    let mut all = vec![
        parse("http://h/", HttpOptions::default()),
        parse("http://h/a", HttpOptions::default()),
        parse("http://h:81/", HttpOptions::default()),
        parse("https://h/", HttpOptions::default()),
        parse("http://h/", basic.clone()),
        parse("http://h/", bearer.clone()),
        parse("http://h/", options(other_password, None)),
        parse("http://h/", HttpOptions { user_agent: "x".into(), ..HttpOptions::default() }),
        parse("http://h/", options(basic.credentials.clone(), Some("http://p".into()))),
    ];
    assert_eq!(parse("HTTP://H:80/", basic.clone()), parse("http://h/", basic));
    assert_eq!(parse("http://h", bearer.clone()), parse("http://h/", bearer));
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 9);
}

#[test]
fn an_identity_has_url_user_and_tenant_in_it_and_no_secret() {
    let identity = |url: &str, pairs: &[(&str, &str)]| {
        let http = Config::from_pairs(pairs.iter().copied()).unwrap().http();
        Endpoint::parse(url, "url", http).unwrap().identity().unwrap()
    };
    // written down in files, so it must not change from version to version
    let hex: String = identity("http://h/write", &[]).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "f69c6d8994fbdcb135b5bb01e93d6bcc");
    let user = |name, password| [("basic_auth.username", name), ("basic_auth.password", password)];
    let mut all = vec![
        identity("http://h/write", &[]),
        identity("https://h/write", &[]),
        identity("http://h:81/write", &[]),
        identity("http://h/api", &[]),
        identity("http://h/write?token=1", &[]),
        identity("http://h/write", &user("u", "p")),
        identity("http://h/write", &user("v", "p")),
        identity("http://h/write", &[("headers.X-BK-TOKEN", "a")]),
        identity("http://h/write", &[("headers.X-Scope-OrgID", "a")]),
        identity("http://h/write", &[("headers.X-Scope-OrgID", "b")]),
    ];
    for (other, same) in [
        (identity("http://h/write", &[("authorization.credentials", "t")]), 0),
        (identity("HTTP://H:80/write", &[("user_agent", "x")]), 0),
        (identity("http://h/write?token=2", &[]), 4),
        (identity("http://h/write", &user("u", "other")), 5),
        (identity("http://u:p@h/write", &[]), 5),
        (identity("http://h/write", &[("headers.x-bk-token", "b")]), 7),
    ] {
        assert_eq!(other, all[same]);
    }
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 10);
}

#[test]
fn credentials_over_plain_http_are_warned_of_and_can_be_forbidden() {
    let [basic, bearer] = [0, 1].map(|n| options(every_credential().remove(n), None));
    let warnings =
        |url: &str, options: &HttpOptions| Endpoint::parse(url, "url", options.clone()).unwrap().warnings();
    for options in [&basic, &bearer] {
        assert!(warnings("http://gw.example/x?q", options)[0].contains("unencrypted to http://gw.example/x"));
        for url in ["https://gw.example", "http://localhost:1", "http://127.0.0.9", "http://[::1]/"] {
            assert_eq!(warnings(url, options), [""; 0], "{url}");
        }
    }
    assert_eq!(warnings("http://gw.example", &HttpOptions::default()), [""; 0]);
    assert_eq!(warnings("http://u:p@gw.example", &HttpOptions::default()).len(), 1);
    let strict = HttpOptions { require_https: true, ..HttpOptions::default() };
    let error = Endpoint::parse("http://localhost", "url", strict).unwrap_err().to_string();
    assert!(error.contains("require_https"), "{error}");
}
