//! A receiver of metrics that misbehaves on purpose.
//!
//! It speaks Prometheus remote write 1.0 and 2.0 and the Pushgateway API on a free port of 127.0.0.1, decodes what
//! it gets with its own decoder, keeps every request, and holds a model of what a real server would hold. What it
//! does to a request is a [`Behaviour`]: any status, a delay, one byte at a time, a reset at a chosen moment, an
//! answer that never ends, an answer that is lost after the data was stored. With an upstream it is a proxy that
//! does the same things in front of a real server.
//!
//! ```
//! use std::io::{Read, Write};
//! use promwrite_receiver::{Behaviour, Receiver, Script};
//!
//! let receiver = Receiver::start(Script::first([Behaviour::status(503).retry_after_seconds(1)]))?;
//! let mut client = std::net::TcpStream::connect(receiver.addr())?;
//! client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer)?;
//! assert!(answer.starts_with("HTTP/1.1 503 "));
//! assert!(answer.contains("Retry-After: 1\r\n"));
//! assert_eq!(receiver.requests()[0].answered, Some(503));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Nothing here sleeps to wait for an event: a test waits with [`Receiver::wait_until`], and a request that is
//! [`Behaviour::hold`] waits for [`Receiver::release`]. Dropping a receiver ends its threads and connections.
//!
//! Limits: one script for all paths; request bodies up to 1 GiB; no HTTP/2, no `CONNECT`; compressed or protobuf
//! pushes are recorded but not decoded; the model of Prometheus knows no native histograms.
#![deny(missing_docs, unsafe_code)]

mod decode;
mod http;
mod listen;
mod proto;
mod proxy;
mod read;
mod reply;
mod script;
mod serve;
mod state;
mod store;
mod tls;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use decode::{Decoded, Metadata, Sample, Series};
pub use script::{
    Auth, Behaviour, Cut, Drip, ENDLESS, Early, Fault, Framing, Payload, Phase, Poison, Rules, Script,
    Strictness,
};
pub use state::{Recorded, State};
pub use store::{Labels, Mark, Store, Stored};
pub use tls::{TlsCase, TlsFiles};

use listen::Listening;
use state::Shared;

/// Everything a receiver can be started with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// What it does to requests.
    pub script: Script,
    /// What it demands of requests.
    pub rules: Rules,
    /// Speak TLS, rightly or wrongly.
    pub tls: Option<TlsCase>,
    /// Be a proxy in front of this plain HTTP server.
    pub upstream: Option<SocketAddr>,
    /// Listen with a full backlog and accept nothing: a client's connect gets no answer.
    pub never_accept: bool,
    /// Size of the socket's receive buffer in bytes, so that a slow reader is felt after little data. The system
    /// doubles it and has a lower bound.
    pub receive_buffer: Option<usize>,
}

/// A running receiver.
#[derive(Debug)]
pub struct Receiver {
    shared: Arc<Shared>,
    setup: Arc<serve::Setup>,
    options: Options,
    addr: SocketAddr,
    listening: Option<Listening>,
    files: Option<TlsFiles>,
}

impl Receiver {
    /// Plain HTTP on a free port of 127.0.0.1.
    pub fn start(script: Script) -> io::Result<Self> {
        Receiver::with(Options { script, ..Options::default() })
    }

    /// The same with TLS.
    pub fn start_tls(script: Script, case: TlsCase) -> io::Result<Self> {
        Receiver::with(Options { script, tls: Some(case), ..Options::default() })
    }

    /// A proxy in front of `upstream`: each request is forwarded once it is complete, unless its behaviour has a
    /// status of its own or breaks before; each answer is subject to the behaviour. With
    /// [`Behaviour::swallow_ack`] the upstream gets the request and the client never learns.
    pub fn start_proxy(script: Script, upstream: SocketAddr) -> io::Result<Self> {
        Receiver::with(Options { script, upstream: Some(upstream), ..Options::default() })
    }

    /// With any combination of options.
    pub fn with(options: Options) -> io::Result<Self> {
        let (tls, files) = match options.tls.map(tls::prepare).transpose().map_err(io::Error::other)? {
            None => (None, None),
            Some((config, files)) => (Some(config), Some(files)),
        };
        let stall_handshake = options.tls == Some(TlsCase::HandshakeStall);
        let mut state = State::default();
        state.control.set_script(options.script.clone());
        state.control.rules = options.rules.clone();
        let shared = Arc::new(Shared::new(state));
        let setup = Arc::new(serve::Setup { tls, stall_handshake, upstream: options.upstream });
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let listening = Listening::start(any_port, &options, &shared, &setup)?;
        let addr = listening.addr();
        Ok(Receiver { shared, setup, options, addr, listening: Some(listening), files })
    }

    /// Where it listens, or listened before [`Receiver::down`].
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:PORT` (or `https`) and `path`.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.setup.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.addr)
    }

    /// PEM files for its clients; `None` without TLS.
    pub fn tls_files(&self) -> Option<&TlsFiles> {
        self.files.as_ref()
    }

    /// Replaces what is left of the script. A request whose first byte has come keeps the behaviour it got.
    pub fn set_script(&self, script: Script) {
        self.shared.update(|state| state.control.set_script(script));
    }

    /// Adds a step behind those that are left.
    pub fn push_behaviour(&self, behaviour: Behaviour) {
        self.shared.update(|state| state.control.steps.push_back(behaviour));
    }

    /// Replaces the rules, for requests whose first byte is still to come.
    pub fn set_rules(&self, rules: Rules) {
        self.shared.update(|state| state.control.rules = rules);
    }

    /// Every request whose head has come, in order.
    pub fn requests(&self) -> Vec<Recorded> {
        self.inspect(|state| state.requests.clone())
    }

    /// What a real receiver would now hold.
    pub fn store(&self) -> Store {
        self.inspect(|state| state.store.clone())
    }

    /// Looks at the state; requests wait meanwhile.
    pub fn inspect<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.shared.lock())
    }

    /// Waits until `reached` holds, which is tried after every change; false when `timeout` passed before.
    pub fn wait_until(&self, reached: impl FnMut(&State) -> bool, timeout: Duration) -> bool {
        self.shared.wait_until(reached, timeout)
    }

    /// Waits until `n` requests have come completely (since the last [`Receiver::clear`]).
    pub fn wait_for(&self, n: usize, timeout: Duration) -> bool {
        self.wait_until(|state| state.requests.iter().filter(|r| r.complete).count() >= n, timeout)
    }

    /// Waits until `n` requests were answered to the end (since the last [`Receiver::clear`]).
    pub fn wait_answered(&self, n: usize, timeout: Duration) -> bool {
        self.wait_until(|state| state.requests.iter().filter(|r| r.answered.is_some()).count() >= n, timeout)
    }

    /// Waits until `n` requests wait for a release.
    pub fn wait_held(&self, n: usize, timeout: Duration) -> bool {
        self.wait_until(|state| state.held >= n, timeout)
    }

    /// Lets every request go on that is held now.
    pub fn release(&self) {
        self.shared.update(|state| state.control.releases += 1);
    }

    /// Forgets requests and store; counts, script and rules stay.
    pub fn clear(&self) {
        self.shared.update(|state| {
            state.requests.clear();
            state.malformed.clear();
            state.handshake_errors.clear();
            state.store = Store::default();
        });
    }

    /// Stops listening and closes every connection; a connect is refused from now on. What it has seen stays.
    pub fn down(&mut self) {
        self.listening = None;
    }

    /// Listens on the same port again. Nothing changes if it already does. The error is the system's, when another
    /// program has taken the port meanwhile.
    pub fn up(&mut self) -> io::Result<()> {
        if self.listening.is_none() {
            self.listening = Some(Listening::start(self.addr, &self.options, &self.shared, &self.setup)?);
        }
        Ok(())
    }

    /// Ends it, as dropping it does.
    pub fn stop(self) {}
}
