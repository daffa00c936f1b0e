//! Pushing for whoever makes the requests itself.

use super::link::{Link, Use, lock};
use crate::config::Config;
use crate::error::Result;
use crate::pending::gateway::Push;
use crate::pending::source::Headers;
use crate::send::endpoint::Endpoint;
use crate::send::headers;
use crate::send::transport::http::HttpTransport;
use crate::send::transport::{HttpRequest, Method, Response, Transport};
use crate::sender::{Flush, Report, Stats, closed};
use crate::sys::ForkCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Takes over the requests that a push client makes: any gateway, any group, queued and sent by the worker.
///
/// Adds no label. Headers given with a push come before those of the options.
pub struct Handler {
    config: Arc<Config>,
    closed: AtomicBool,
    uses: ForkCell<Mutex<HashMap<String, Arc<Use>>>>,
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handler").finish_non_exhaustive()
    }
}

/// A request as a push client hands it over.
pub struct Handed<'a> {
    /// The whole URL with the group's path; user and password may stand in it.
    pub url: &'a str,
    /// PUT, POST or DELETE.
    pub method: Method,
    /// Headers; of names that differ in case alone the last one counts.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Handed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handed").field("method", &self.method).finish_non_exhaustive()
    }
}

impl Handler {
    /// A handler with these options. Nothing is read, started or connected yet.
    ///
    /// # Errors
    /// `Error::Invalid` for options that contradict each other or cannot be sent.
    pub fn new(config: Config) -> Result<Self> {
        config.check()?;
        // for its checks of the options alone: a gateway comes with each request
        Endpoint::parse("https://gateway", "gateway", config.http())?;
        Ok(Handler { config: Arc::new(config), closed: AtomicBool::new(false), uses: ForkCell::new() })
    }

    /// Queues a request and returns.
    ///
    /// # Errors
    /// `Error::Invalid` for a URL or header that breaks a rule; `Error::TooLarge`; `Error::QueueFull` with the
    /// policies `error` and `block`; `Error::Closed`; `Error::SenderFailed`.
    pub fn push(&self, handed: Handed<'_>) -> Result<()> {
        if self.closed.load(Ordering::SeqCst) {
            return closed("handler");
        }
        check_headers(&handed.headers)?;
        let (base, path) = split_url(handed.url);
        let used = self.using(base)?;
        let link = &used.link;
        let push = Push {
            method: handed.method,
            path: path.into(),
            headers: Arc::new(handed.headers),
            body: handed.body.into(),
        };
        link.gateway.push(push).map_err(|e| link.sender.closed(e))?;
        link.sender.nudge();
        Ok(())
    }

    fn using(&self, base: &str) -> Result<Arc<Use>> {
        let mut uses = lock(self.uses.get_or_init(Mutex::default));
        if let Some(used) = uses.get(base)
            && !used.link.sender.is_cleared()
        {
            return Ok(used.clone());
        }
        let endpoint = Arc::new(Endpoint::parse(base, "gateway", self.config.http())?);
        let used = Arc::new(Use::new(Link::join(&endpoint, &self.config)?));
        uses.insert(base.to_owned(), used.clone());
        Ok(used)
    }

    fn all(&self) -> Vec<Arc<Use>> {
        self.uses.get().map(|uses| lock(uses).values().cloned().collect()).unwrap_or_default()
    }

    /// One request that the caller waits for: no queue, no retry, a connection of its own. `limit` is how much of the
    /// answer's body is read.
    ///
    /// # Errors
    /// `Error::Invalid` for a URL or header that breaks a rule.
    pub fn call(&self, handed: Handed<'_>, limit: usize) -> Result<Call> {
        check_headers(&handed.headers)?;
        let (base, path) = split_url(handed.url);
        let endpoint = Arc::new(Endpoint::parse(base, "gateway", self.config.http())?);
        let transport = HttpTransport::new(endpoint.clone())?.response_limit(limit);
        let Handed { method, headers, body, .. } = handed;
        Ok(Call { endpoint, transport, path: path.to_owned(), method, headers, body })
    }

    /// Starts to flush every gateway this handler has pushed to, and does not wait.
    #[must_use]
    pub fn start_flush(&self, timeout: Duration) -> Flush {
        Flush::start(self.all().iter().map(|u| u.link.sender.clone()), timeout)
    }

    /// Accepts no more and starts to flush.
    #[must_use]
    pub fn start_close(&self, timeout: Duration) -> Flush {
        self.closed.store(true, Ordering::SeqCst);
        self.start_flush(timeout)
    }

    /// Gives up what a close did not deliver, unless others push to the same gateway: then it stays theirs.
    #[must_use]
    pub fn finish_close(&self) -> Vec<Report> {
        self.all().iter().for_each(|used| used.leave(true));
        self.report()
    }

    /// What happened since the last report, gateway by gateway.
    #[must_use]
    pub fn report(&self) -> Vec<Report> {
        self.all().iter().map(|u| u.link.sender.report(&u.cursor)).collect()
    }

    /// Everything counted, gateway by gateway.
    #[must_use]
    pub fn stats(&self) -> Vec<Stats> {
        self.all().iter().map(|u| u.link.sender.stats()).collect()
    }
}

/// A request that is sent while its caller waits, made by [`Handler::call`].
pub struct Call {
    endpoint: Arc<Endpoint>,
    transport: HttpTransport,
    path: String,
    method: Method,
    headers: Headers,
    body: Vec<u8>,
}

impl Call {
    /// Sends it and returns any answer. `timeout` is for the whole request; none means no limit.
    ///
    /// # Errors
    /// `Error::Send` when there is no answer.
    pub fn send(&self, timeout: Option<Duration>) -> Result<Response> {
        let request = HttpRequest {
            method: self.method,
            path_and_query: &self.path,
            headers: &self.headers.0,
            body: &self.body,
            attempt: 0,
        };
        let timeout = timeout.unwrap_or(Duration::MAX);
        self.transport.send(&request, timeout).map_err(|failure| failure.into_error(self.endpoint.shown()))
    }

    /// Ends [`Call::send`] from another thread: it fails as [`crate::error::SendErrorKind::Cancelled`].
    pub fn cancel(&self) {
        self.transport.cancel();
    }

    /// The gateway, without user and password.
    #[must_use]
    pub fn url(&self) -> String {
        self.endpoint.shown()
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("url", &self.url()).finish_non_exhaustive()
    }
}

fn check_headers(headers: &Headers) -> Result<()> {
    headers.0.iter().try_for_each(|(name, value)| {
        headers::check_name(name)?;
        headers::value_bytes(&format!("header {name}"), value).map(drop)
    })
}

/// The part of a push URL that names the gateway, and the path with its query.
fn split_url(url: &str) -> (&str, &str) {
    let start = url.find("://").map_or(0, |i| i + 3);
    match url[start..].find('/') {
        Some(i) => url.split_at(start + i),
        None => (url, "/"),
    }
}
