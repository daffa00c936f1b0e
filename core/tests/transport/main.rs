//! The HTTP transport against a receiver that misbehaves in every way a network allows.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod certificates;
mod faults;
mod proxies;
mod requests;
mod secrets;
mod server;
mod tls;

use promwrite_core::send::endpoint::{Endpoint, HttpOptions};
use promwrite_core::send::transport::http::HttpTransport;
use promwrite_core::send::transport::{HttpRequest, Method};
use std::sync::Arc;
use std::time::Duration;

const POST: HttpRequest<'_> =
    HttpRequest { method: Method::Post, path_and_query: "/x", headers: &[], body: b"body", attempt: 0 };
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// Ample for an answer from this machine.
const AMPLE: Duration = Duration::from_secs(10);

fn transport(url: &str) -> HttpTransport {
    transport_with(url, HttpOptions::default())
}

/// No proxy of the machine that runs the test is used.
fn transport_with(url: &str, options: HttpOptions) -> HttpTransport {
    let endpoint = Arc::new(Endpoint::parse(url, "url", options).unwrap());
    HttpTransport::with_environment(endpoint, &|_| None).unwrap()
}
