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
            spawn: |name, run| crate::sys::spawn(name, run),
        }
    }

    /// As [`Resolver::new`], with another name service and another way to start threads.
    #[cfg(test)]
    pub fn scripted(
        host: &str,
        port: u16,
        lookup: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
        spawn: Option<Spawn>,
    ) -> Self {
        let new = Self::new(host, port);
        Resolver { lookup: Arc::new(lookup), spawn: spawn.unwrap_or(new.spawn), ..new }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    const LONG: Duration = Duration::from_secs(30);
    type Found = io::Result<Vec<SocketAddr>>;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 80))
    }

    /// A resolver whose lookups end when the test says how; each lookup that begins is announced.
    fn scripted() -> (Resolver, Sender<Found>, std::sync::mpsc::Receiver<()>) {
        let (answer, answers) = channel::<Found>();
        let (begin, begun) = channel();
        let channels = Mutex::new((answers, begin));
        let lookup = move |host: &str, port: u16| {
            assert_eq!((host, port), ("gw.example", 80));
            let channels = channels.lock().unwrap();
            channels.1.send(()).unwrap();
            channels.0.recv().unwrap_or_else(|_| Err(io::Error::other("the test ended")))
        };
        (Resolver::scripted("gw.example", 80, lookup, None), answer, begun)
    }

    fn no_threads(_: &str, _: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::WouldBlock))
    }

    #[test]
    fn addresses_need_no_thread() {
        for host in ["127.0.0.1", "::1"] {
            let resolver = Resolver { spawn: no_threads, ..Resolver::new(host, 9091) };
            let found = resolver.resolve(LONG).unwrap();
            assert_eq!(found, [SocketAddr::new(host.parse().unwrap(), 9091)]);
        }
    }

    #[test]
    fn an_address_is_kept_until_it_expires() {
        let (resolver, answer, begun) = scripted();
        answer.send(Ok(vec![address(1), address(2)])).unwrap();
        for _ in 0..3 {
            assert_eq!(resolver.resolve(LONG).unwrap(), [address(1), address(2)]);
        }
        assert_eq!(begun.try_iter().count(), 1);
        resolver.expire();
        answer.send(Ok(vec![address(3)])).unwrap();
        assert_eq!(resolver.resolve(LONG).unwrap(), [address(3)]);
    }

    #[test]
    fn a_failed_or_hanging_lookup_leaves_the_old_address() {
        let (resolver, answer, begun) = scripted();
        answer.send(Ok(vec![address(1)])).unwrap();
        resolver.resolve(LONG).unwrap();
        resolver.expire();
        answer.send(Err(io::Error::other("server failure"))).unwrap();
        assert_eq!(resolver.resolve(LONG).unwrap(), [address(1)]);
        assert_eq!(resolver.resolve(LONG).unwrap(), [address(1)], "and it is not asked for at once again");
        assert_eq!(begun.try_iter().count(), 2);
        resolver.expire();
        assert_eq!(resolver.resolve(LONG).unwrap(), [address(1)], "the third lookup hangs");
        let without_threads = Resolver { spawn: no_threads, ..resolver };
        without_threads.shared.lock().running = false;
        assert_eq!(without_threads.resolve(LONG).unwrap(), [address(1)]);
    }

    #[test]
    fn a_hanging_lookup_is_waited_for_by_all_and_started_once() {
        let (resolver, answer, begun) = scripted();
        let begin = Instant::now();
        for _ in 0..3 {
            let failure = resolver.resolve(Duration::from_millis(20)).unwrap_err();
            assert_eq!(failure.message, "gw.example did not resolve within 0.02 s");
            assert_eq!(failure.kind, SendErrorKind::Dns);
        }
        assert!(begin.elapsed() < Duration::from_secs(5));
        std::thread::scope(|scope| {
            let waiting: Vec<_> = (0..4).map(|_| scope.spawn(|| resolver.resolve(LONG))).collect();
            answer.send(Ok(vec![address(1)])).unwrap();
            for found in waiting {
                assert_eq!(found.join().unwrap().unwrap(), [address(1)]);
            }
        });
        assert_eq!(begun.try_iter().count(), 1, "one thread for seven requests");
    }

    #[test]
    fn failures_say_why() {
        let (resolver, answer, _begun) = scripted();
        let text = "failed to lookup address information: Name or service not known";
        answer.send(Err(io::Error::other(text))).unwrap();
        let failure = resolver.resolve(LONG).unwrap_err();
        assert_eq!(failure.message, "gw.example does not resolve: Name or service not known");
        answer.send(Ok(vec![])).unwrap();
        assert!(resolver.resolve(LONG).unwrap_err().message.ends_with("has no address"));
        let without_threads = Resolver { spawn: no_threads, ..resolver };
        let failure = without_threads.resolve(LONG).unwrap_err();
        assert!(failure.message.contains("no thread could be started"), "{failure}");
        assert!(!without_threads.shared.lock().running, "the next request tries again");
    }

    #[test]
    fn cancel_ends_the_wait() {
        let (resolver, _answer, begun) = scripted();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| resolver.resolve(LONG));
            begun.recv().unwrap();
            // the lookup has begun, so the lock was free for the waiter; take it to be behind its wait
            drop(resolver.shared.lock());
            resolver.cancel();
            assert_eq!(waiting.join().unwrap().unwrap_err().kind, SendErrorKind::Cancelled);
        });
    }
}
