//! The address of one host: cached, looked up by at most one thread at a time, never waited for past a deadline.
//!
//! `getaddrinfo` can neither be cancelled nor given a timeout, so it runs on a thread of its own, and a request that
//! does not want to wait longer leaves it behind. An old address is kept where the name service fails.

use super::Failure;
use crate::error::SendErrorKind;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::ResolvedSocketAddrs;
use ureq::unversioned::transport::NextTimeout;

/// How long an address is used without asking again.
const FRESH: Duration = Duration::from_secs(30);
/// How long an old address is used without asking again after the name service failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// How long a request waits for a new address where it has an old one.
const PATIENCE: Duration = Duration::from_millis(500);

type Lookup = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;
type Spawn = fn(&str, Box<dyn FnOnce() + Send>) -> io::Result<()>;

/// The addresses of one host and port.
#[derive(Clone)]
pub(super) struct Resolver {
    host: Arc<str>,
    port: u16,
    shared: Arc<Shared>,
    lookup: Arc<Lookup>,
    spawn: Spawn,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    addresses: Vec<SocketAddr>,
    fresh_until: Option<Instant>,
    /// A lookup thread runs.
    running: bool,
    /// Lookups that ended, so that a waiter sees its own end.
    ended: u64,
    /// Why the last lookup failed.
    error: String,
    cancels: u64,
}

impl Resolver {
    /// `host` without brackets.
    pub fn new(host: &str, port: u16) -> Self {
        let lookup = |host: &str, port| (host, port).to_socket_addrs().map(Iterator::collect);
        Resolver {
            host: host.into(),
            port,
            shared: Arc::default(),
            lookup: Arc::new(lookup),
            spawn: spawn_thread,
        }
    }

    /// The addresses, waiting at most `timeout`.
    pub fn resolve(&self, timeout: Duration) -> Result<Vec<SocketAddr>, Failure> {
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, self.port)]);
        }
        let mut state = self.shared.lock();
        if state.fresh_until.is_some_and(|until| Instant::now() < until) && !state.addresses.is_empty() {
            return Ok(state.addresses.clone());
        }
        if !state.running {
            // set first: the thread may end before spawn returns, but not before this lock is free
            state.running = true;
            if let Err(error) = self.start_lookup() {
                state.running = false;
                if !state.addresses.is_empty() {
                    return Ok(state.addresses.clone());
                }
                return Err(self.failure(format!("no thread could be started for it: {error}")));
            }
        }
        let patience = if state.addresses.is_empty() { timeout } else { timeout.min(PATIENCE) };
        let (ended, cancels) = (state.ended, state.cancels);
        let waiting = |state: &mut State| state.ended == ended && state.cancels == cancels;
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, patience, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        if state.cancels != cancels {
            return Err(Failure::new(SendErrorKind::Cancelled, "cancelled while a name was looked up"));
        }
        if !state.addresses.is_empty() {
            return Ok(state.addresses.clone());
        }
        if state.ended == ended {
            let waited = super::failure::seconds(timeout);
            return Err(Failure::new(
                SendErrorKind::Dns,
                format!("{} did not resolve within {waited}", self.host),
            ));
        }
        Err(self.failure(state.error.clone()))
    }

    fn failure(&self, why: String) -> Failure {
        Failure::new(SendErrorKind::Dns, format!("{} does not resolve: {why}", self.host))
    }

    fn start_lookup(&self) -> io::Result<()> {
        let this = self.clone();
        (self.spawn)(
            "promwrite-dns",
            Box::new(move || {
                let found = (this.lookup)(&this.host, this.port);
                let mut state = this.shared.lock();
                state.running = false;
                state.ended += 1;
                let now = Instant::now();
                match found {
                    Ok(addresses) if !addresses.is_empty() => {
                        state.addresses = addresses;
                        state.fresh_until = now.checked_add(FRESH);
                    }
                    found => {
                        state.error = match found {
                            Ok(_) => "the name has no address".to_owned(),
                            Err(error) => plain_text(&error),
                        };
                        state.fresh_until = now.checked_add(AFTER_FAILURE);
                    }
                }
                this.shared.changed.notify_all();
            }),
        )
    }

    /// Asks again at the next request, because no connection could be made to what is known.
    pub fn expire(&self) {
        self.shared.lock().fresh_until = None;
    }

    /// Ends the waiting of other threads; a lookup that hangs is left behind.
    pub fn cancel(&self) {
        self.shared.lock().cancels += 1;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the system says, without the standard library's preface.
fn plain_text(error: &io::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("failed to lookup address information: ").unwrap_or(&text).to_owned()
}

/// The one place that starts a thread here.
fn spawn_thread(name: &str, run: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}

impl ureq::unversioned::resolver::Resolver for Resolver {
    /// The URI is not looked at: through a proxy only the proxy's name is ever looked up here.
    fn resolve(&self, _: &Uri, _: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = Resolver::resolve(self, *timeout.after).map_err(|e| ureq::Error::Other(Box::new(e)))?;
        let mut addresses = self.empty();
        // ureq tries them in order, each with half the time of the one before
        found.iter().take(16).for_each(|address| addresses.push(*address));
        Ok(addresses)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resolver({}:{})", self.host, self.port)
    }
}
