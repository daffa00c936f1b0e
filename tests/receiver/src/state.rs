//! What a receiver has seen so far, and the one lock that guards it.

use std::collections::{HashMap, VecDeque};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::{Serialize, Serializer};

use crate::decode::Decoded;
use crate::script::{Behaviour, Phase, Rules, Script};
use crate::store::Store;

/// Everything a receiver has seen, in order.
#[derive(Debug, Default)]
pub struct State {
    /// Connections accepted.
    pub connections: u64,
    /// Connections that stand now.
    pub open_connections: usize,
    /// Requests of which at least one byte came.
    pub begun: u64,
    /// Bytes read, after TLS.
    pub bytes: u64,
    /// Requests that wait for a release now.
    pub held: usize,
    /// Requests whose head was read, in order of arrival.
    pub requests: Vec<Recorded>,
    /// Why a request head or body could not be parsed, in order; such a request was answered 400.
    pub malformed: Vec<String>,
    /// Why a connection ended before its first request: TLS handshakes that failed.
    pub handshake_errors: Vec<String>,
    /// What a real receiver would now hold.
    pub store: Store,
    pub(crate) control: Control,
}

/// One request as it came.
#[derive(Clone, Debug, Serialize)]
pub struct Recorded {
    /// Number of the request, from 0, never used twice.
    pub seq: u64,
    /// Number of its connection, from 0.
    pub connection: u64,
    /// Its place on that connection, from 0.
    pub index_on_connection: u64,
    /// When its first byte came.
    #[serde(skip)]
    pub arrived: Instant,
    /// The same in microseconds since the receiver started, on the monotonic clock.
    pub arrived_us: u64,
    /// The same in milliseconds since the epoch, on the wall clock.
    pub arrived_unix_ms: u64,
    /// Method.
    pub method: String,
    /// Target as sent: the absolute form when the client took the receiver for a proxy.
    pub target: String,
    /// Path as sent, escapes and all.
    pub path: String,
    /// Query as sent, without the `?`.
    pub query: String,
    /// Headers as spelt by the client, in order.
    pub headers: Vec<(String, String)>,
    /// Body as it came, still compressed; what had come until then if the connection broke.
    #[serde(serialize_with = "base64")]
    pub body: Vec<u8>,
    /// Whether the whole body came.
    pub complete: bool,
    /// What it means; [`Decoded::Other`] for an incomplete one.
    pub decoded: Decoded,
    /// Whether it went into the store or, in a proxy, to the upstream.
    pub stored: bool,
    /// The status that was answered, once the answer was written to its end. A client may have read the answer a
    /// moment before this is set: wait with [`crate::Receiver::wait_answered`].
    pub answered: Option<u16>,
}

impl Recorded {
    /// The first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        crate::http::find(&self.headers, name)
    }
}

fn base64<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    use base64::Engine as _;
    to.serialize_str(&base64::engine::general_purpose::STANDARD.encode(bytes))
}

/// How the receiver is steered.
#[derive(Debug, Default)]
pub(crate) struct Control {
    pub steps: VecDeque<Behaviour>,
    pub default: Behaviour,
    pub rules: Rules,
    pub next_seq: u64,
    pub releases: u64,
    pub down: bool,
    pub threads: usize,
    /// The only other owner of each open socket, so that going down can end a blocked read.
    pub live: HashMap<u64, Arc<TcpStream>>,
}

impl Control {
    pub fn set_script(&mut self, script: Script) {
        self.steps = script.steps.into();
        self.default = script.default;
    }

    pub fn next_behaviour(&mut self) -> Behaviour {
        self.steps.pop_front().unwrap_or_else(|| self.default.clone())
    }

    /// Takes the next behaviour only if it strikes before anything is read.
    pub fn next_at_accept(&mut self) -> Option<Behaviour> {
        let at_accept = |b: &Behaviour| b.fault.is_some_and(|f| f.at == Phase::AfterAccept);
        at_accept(self.steps.front().unwrap_or(&self.default)).then(|| self.next_behaviour())
    }
}

/// State shared by the threads of a receiver.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    started: Instant,
}

/// The receiver goes down: whoever waits gives up.
#[derive(Debug)]
pub(crate) struct Down;

impl Shared {
    pub fn new(state: State) -> Self {
        Shared { state: Mutex::new(state), changed: Condvar::new(), started: Instant::now() }
    }

    /// A thread that panicked while it held the lock has already failed its test; the others go on.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes everyone who waits for a change.
    pub fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Waits until `reached` holds; false when `timeout` passed before.
    pub fn wait_until(&self, mut reached: impl FnMut(&State) -> bool, timeout: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, |state| !reached(state));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Waits that long, or until the receiver goes down.
    pub fn pause(&self, time: Duration) -> Result<(), Down> {
        if self.wait_until(|state| state.control.down, time) { Err(Down) } else { Ok(()) }
    }

    /// Waits for the next release.
    pub fn hold(&self) -> Result<(), Down> {
        let before = self.update(|state| {
            state.held += 1;
            state.control.releases
        });
        let waiting = |state: &mut State| state.control.releases == before && !state.control.down;
        let guard = self.changed.wait_while(self.lock(), waiting);
        let down = guard.unwrap_or_else(PoisonError::into_inner).control.down;
        self.update(|state| state.held -= 1);
        if down { Err(Down) } else { Ok(()) }
    }

    /// Waits until the receiver goes down.
    pub fn wait_down(&self) {
        let guard = self.changed.wait_while(self.lock(), |state| !state.control.down);
        drop(guard);
    }

    /// Microseconds since the start, and milliseconds since the epoch.
    pub fn stamps(&self, now: Instant) -> (u64, u64) {
        let since_start = now.saturating_duration_since(self.started).as_micros();
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        (u64::try_from(since_start).unwrap_or(u64::MAX), u64::try_from(unix).unwrap_or(u64::MAX))
    }

    /// Changes a recorded request, unless it was cleared away meanwhile.
    pub fn amend(&self, seq: u64, change: impl FnOnce(&mut Recorded)) {
        self.update(|state| {
            if let Some(recorded) = state.requests.iter_mut().rev().find(|r| r.seq == seq) {
                change(recorded);
            }
        });
    }
}
