//! The connections to gateways, found again by address and options.

use crate::clock::Clock;
use crate::config::Config;
use crate::error::Result;
use crate::ledger::{Dropped, Ledger};
use crate::pending::gateway::Gateway;
use crate::pending::source::Source;
use crate::send::endpoint::Endpoint;
use crate::send::transport::http::HttpTransport;
use crate::sender::{Kind, Parts, Sender};
use crate::sys::ForkCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Locks; what these locks guard is whole after each statement.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The connection to one gateway, shared by all who push there with the same options.
pub struct Link {
    /// What waits.
    pub gateway: Arc<Gateway>,
    /// Its connection and worker.
    pub sender: Arc<Sender>,
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
    pub fn join(endpoint: &Arc<Endpoint>, config: &Arc<Config>) -> Result<Arc<Link>> {
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
pub struct Use {
    /// The link.
    pub link: Arc<Link>,
    left: AtomicBool,
    /// What was reported.
    pub cursor: Mutex<Ledger>,
}

impl Use {
    /// A use of `link`, which has counted it already.
    pub fn new(link: Arc<Link>) -> Self {
        // what others pushed before is not ours to report
        let cursor = Mutex::new(link.gateway.balance().ledger);
        Use { link, left: AtomicBool::new(false), cursor }
    }

    /// Uses the link no more; the last one to leave may give up what is pending.
    pub fn leave(&self, give_up: bool) {
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
