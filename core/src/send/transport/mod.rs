//! One request over one connection: the trait, its implementation over HTTP/1.1, and one in memory for tests.

mod exchange;
mod failure;
pub mod http;
pub mod memory;
mod proxy;
mod resolver;
mod tls;

use crate::error::{Error, SendErrorKind};
use std::time::Duration;

/// The methods of remote write (POST) and of the Pushgateway API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Adds to a group, or writes samples.
    Post,
    /// Replaces a group.
    Put,
    /// Deletes a group.
    Delete,
}

impl Method {
    /// The method as HTTP writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        }
    }
}

/// One request. What is constant for an endpoint (credentials, own headers) the transport adds.
#[derive(Debug, Clone, Copy)]
pub struct HttpRequest<'a> {
    /// The method.
    pub method: Method,
    /// Path and query, percent-encoded, beginning with `/`.
    pub path_and_query: &'a str,
    /// Headers of the content and of this request. They override the endpoint's, names compare without case, the
    /// last of equal names wins. `Content-Length` and `Transfer-Encoding` are left out: the body decides them.
    pub headers: &'a [(String, String)],
    /// The body, sent as it is with its length.
    pub body: &'a [u8],
    /// 0 for the first time; more adds `Retry-Attempt: n`.
    pub attempt: u32,
}

/// An answer, whatever its status: redirects and errors are answers too, and nothing is followed.
///
/// The status counts once the head of the answer is complete; a body that breaks off, drips or is longer than the
/// limit is cut, and its connection is not used again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case, values as UTF-8 with what is not replaced.
    pub headers: Vec<(String, String)>,
    /// The beginning of the body: at most 4096 bytes, unless the transport was given another limit.
    pub body: Vec<u8>,
}

impl Response {
    /// An answer without headers and body.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Response { status, ..Response::default() }
    }

    /// The first header of this name, compared without case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What broke.
    pub kind: SendErrorKind,
    /// What broke, for a person: names the host, never a user, password or query.
    pub message: String,
    /// The receiver may have got the whole request: its last byte was handed to the socket.
    pub ambiguous: bool,
    /// A connection that was used before ended without one byte of an answer: it was dead already, and one instant
    /// resend on a fresh one is right.
    pub stale: bool,
    /// The connection had served an earlier request.
    pub reused: bool,
}

impl Failure {
    /// A failure before anything was sent.
    pub fn new(kind: SendErrorKind, message: impl Into<String>) -> Self {
        Failure { kind, message: message.into(), ambiguous: false, stale: false, reused: false }
    }

    /// The error of a synchronous call; `url` is [`super::endpoint::Endpoint::shown`].
    #[must_use]
    pub fn into_error(self, url: impl Into<String>) -> Error {
        Error::Send { url: url.into(), kind: self.kind, message: self.message }
    }
}

/// Sends one request at a time for each calling thread; threads may call at once.
pub trait Transport: Send + Sync {
    /// Sends `request` and waits for the answer, at most `timeout` in all: name, connection, handshake, body, answer.
    ///
    /// # Errors
    ///
    /// [`Failure`] where no status was received.
    fn send(&self, request: &HttpRequest<'_>, timeout: Duration) -> std::result::Result<Response, Failure>;

    /// Ends the requests in flight on other threads; they fail as [`SendErrorKind::Cancelled`]. Later sends use
    /// fresh connections. Whoever closes for good must see to it that no send begins afterwards.
    fn cancel(&self);

    /// Reads secrets anew at the next send, because the receiver answered 401.
    fn refresh_credentials(&self) {}
}
