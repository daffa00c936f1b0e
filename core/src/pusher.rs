//! Pushing to a Pushgateway without waiting: [`Pusher`] for one group, [`Handler`] for whoever makes the requests
//! itself, as prometheus_client does.
//!
//! A push is the state of its group: a newer PUT makes an older one needless, so what arrives is the newest state, however
//! late. Pushers and handlers of one gateway with equal options share one connection, because only so can the newest of
//! two pushes be known.

use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::input::group::{Group, gateway_url};
use crate::ledger::{Dropped, Ledger};
use crate::pending::gateway::{Gateway, Push};
use crate::pending::source::{Headers, Source};
use crate::send::endpoint::Endpoint;
use crate::send::headers;
use crate::send::transport::http::HttpTransport;
use crate::send::transport::{HttpRequest, Method, Response, Transport};
use crate::sender::{Flush, Kind, Parts, Report, Sender, Stats, closed};
use crate::sys::ForkCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The connection to one gateway, shared by all who push there with the same options.
struct Link {
    gateway: Arc<Gateway>,
    sender: Arc<Sender>,
    /// Handlers and pushers that use it and are not closed. Changed under the lock of [`LINKS`] alone.
    users: AtomicUsize,
    unused_since: Mutex<Instant>,
}

type Key = (u64, String);
static LINKS: ForkCell<Mutex<HashMap<Key, Arc<Link>>>> = ForkCell::new();
/// How long a link without users and data is kept, because a handler is often made anew for each push.
const KEEP: Duration = Duration::from_secs(300);

fn links() -> MutexGuard<'static, HashMap<Key, Arc<Link>>> {
    lock(LINKS.get_or_init(Mutex::default))
}

impl Link {
    /// The link to `endpoint`, with its new user counted. A link whose users are gone but not its pushes is found again:
    /// beside a second one, an old state of a group could arrive after a new one.
    fn join(endpoint: &Arc<Endpoint>, config: &Arc<Config>) -> Result<Arc<Link>> {
        let key = (config.fingerprint() ^ endpoint.fingerprint(), endpoint.origin());
        let mut links = links();
        if let Some(link) = links.get(&key).filter(|link| !link.sender.is_cleared()) {
            link.users.fetch_add(1, Ordering::SeqCst);
            return Ok(link.clone());
        }
        let gateway = Arc::new(Gateway::new(config.clone(), Clock::Real));
        let sender = Sender::registered(Parts {
            config: config.clone(),
            source: gateway.clone(),
            transport: Arc::new(HttpTransport::new(endpoint.clone())?),
            clock: Clock::Real,
            url: endpoint.shown(),
            path: endpoint.path_and_query().to_owned(),
            kind: Kind::Pushes,
        });
        for warning in endpoint.warnings() {
            sender.note(&warning, 0, true);
        }
        let unused_since = Mutex::new(Instant::now());
        let link = Arc::new(Link { gateway, sender, users: AtomicUsize::new(1), unused_since });
        links.retain(|_, link| link.is_wanted());
        links.insert(key, link.clone());
        Ok(link)
    }

    fn is_wanted(&self) -> bool {
        self.users.load(Ordering::SeqCst) > 0
            || self.sender.source.oldest().is_some()
            || lock(&self.unused_since).elapsed() < KEEP
    }
}

/// A link as one handler or pusher uses it, with the place up to which that one has reported.
struct Use {
    link: Arc<Link>,
    left: AtomicBool,
    cursor: Mutex<Ledger>,
}

impl Use {
    fn new(link: Arc<Link>) -> Self {
        // what others pushed before is not ours to report
        let cursor = Mutex::new(link.gateway.balance().ledger);
        Use { link, left: AtomicBool::new(false), cursor }
    }

    /// Uses the link no more; the last one to leave may give up what is pending.
    fn leave(&self, give_up: bool) {
        // held until the end, so that nobody joins what is being given up
        let _links = links();
        let before = match self.left.swap(true, Ordering::SeqCst) {
            true => self.link.users.load(Ordering::SeqCst) + 1,
            false => self.link.users.fetch_sub(1, Ordering::SeqCst),
        };
        *lock(&self.link.unused_since) = Instant::now();
        if give_up && before == 1 && self.link.sender.source.oldest().is_some() {
            self.link.sender.clear(Dropped::Shutdown);
        }
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        self.leave(false);
    }
}

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
    /// [`Error::Invalid`] for options that contradict each other or cannot be sent.
    pub fn new(config: Config) -> Result<Self> {
        config.check()?;
        // for its checks of the options alone: a gateway comes with each request
        Endpoint::parse("https://gateway", "gateway", config.http())?;
        Ok(Handler { config: Arc::new(config), closed: AtomicBool::new(false), uses: ForkCell::new() })
    }

    /// Queues a request and returns.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a URL or header that breaks a rule; [`Error::TooLarge`]; [`Error::QueueFull`] with the
    /// policies `error` and `block`; [`Error::Closed`]; [`Error::SenderFailed`].
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
    /// [`Error::Invalid`] for a URL or header that breaks a rule.
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
    /// [`Error::Send`] when there is no answer.
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

/// Pushes the state of one group.
pub struct Pusher {
    handler: Handler,
    /// May hold user and password.
    target: String,
    url: String,
}

impl std::fmt::Debug for Pusher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pusher").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Pusher {
    /// A pusher of the group `job` and `grouping_key` at `gateway` (`host:port` or a URL; a path before `/metrics` is kept).
    ///
    /// `instance` is added to the grouping key unless it has one or the option `instance` is empty, because two hosts that
    /// push one group overwrite each other.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a gateway with a query, an empty job, a grouping label that breaks a rule.
    pub fn new(
        gateway: &str,
        job: &str,
        grouping_key: impl IntoIterator<Item = (String, String)>,
        config: Config,
    ) -> Result<Self> {
        let mut pairs: Vec<(String, String)> = grouping_key.into_iter().collect();
        if pairs.iter().all(|(name, _)| name != "instance") {
            let instance = config.instance.clone().unwrap_or_else(crate::sys::host_name);
            if !instance.is_empty() {
                pairs.push(("instance".to_owned(), instance));
            }
        }
        let group = Group::new(job, pairs)?;
        let gateway = gateway_url(gateway)?;
        let endpoint = Endpoint::parse(&gateway, "gateway", config.http())?;
        HttpTransport::new(Arc::new(endpoint.clone()))?;
        let path = group.path();
        let url = format!("{}{path}", endpoint.shown().trim_end_matches('/'));
        Ok(Pusher { handler: Handler::new(config)?, target: format!("{gateway}{path}"), url })
    }

    /// The group's URL, without user and password.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Replaces the group by `body` (PUT).
    ///
    /// # Errors
    /// As [`Handler::push`].
    pub fn push(&self, body: Vec<u8>, content_type: &str) -> Result<()> {
        self.request(Method::Put, body, content_type)
    }

    /// Replaces the families that `body` names (POST).
    ///
    /// # Errors
    /// As [`Handler::push`].
    pub fn add(&self, body: Vec<u8>, content_type: &str) -> Result<()> {
        self.request(Method::Post, body, content_type)
    }

    /// Removes the group (DELETE).
    ///
    /// # Errors
    /// As [`Handler::push`].
    pub fn delete(&self) -> Result<()> {
        self.request(Method::Delete, Vec::new(), "")
    }

    fn request(&self, method: Method, body: Vec<u8>, content_type: &str) -> Result<()> {
        let mut headers = Headers::default();
        if !content_type.is_empty() {
            headers.0.push(("Content-Type".to_owned(), content_type.to_owned()));
        }
        self.handler.push(Handed { url: &self.target, method, headers, body })
    }

    /// Flushes for at most `timeout`.
    #[must_use]
    pub fn flush(&self, timeout: Duration) -> Option<Report> {
        self.handler.start_flush(timeout).finish();
        self.handler.report().into_iter().next()
    }

    /// Accepts no more, flushes for at most `timeout`, gives up the rest.
    #[must_use]
    pub fn close(&self, timeout: Duration) -> Option<Report> {
        self.handler.start_close(timeout).finish();
        self.handler.finish_close().into_iter().next()
    }

    /// The handler behind it: flush, close and stats in steps.
    #[must_use]
    pub fn handler(&self) -> &Handler {
        &self.handler
    }
}

/// The error for a body that is no page at all is the gateway's to give; this names what a caller can get wrong here.
pub fn method(name: &str) -> Result<Method> {
    match name {
        "PUT" => Ok(Method::Put),
        "POST" => Ok(Method::Post),
        "DELETE" => Ok(Method::Delete),
        other => Err(Error::invalid("method", other, "must be PUT, POST or DELETE")),
    }
}
