//! What is known of the request in flight, byte by byte, and the connector that learns it.
//!
//! ureq tells how a request failed but not how far it had come. It runs on the caller's thread, so the connector and
//! the transports made here note the way of the one request of this thread in a thread-local value.

use super::proxy::Route;
use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use ureq::Error;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, NextTimeout, RustlsConnector,
    TcpConnector, Transport,
};

/// The step that a failure belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    /// Looking up the name.
    #[default]
    Resolve,
    /// Opening the TCP connection, to the receiver or to the proxy.
    Connect,
    /// Asking the proxy for a tunnel.
    Tunnel,
    /// The TLS handshake.
    Handshake,
    /// Sending the request and reading the answer.
    Request,
}

/// How far the request has come.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Exchange {
    pub phase: Phase,
    /// The connection is being made to the proxy, not through it.
    pub to_proxy: bool,
    /// Bytes of the body that ureq has not taken yet.
    body_left: usize,
    /// The connection was opened for this request.
    fresh: bool,
    /// The head began to be sent.
    started: bool,
    /// The last byte of the request went out, unless a write below failed.
    finished: bool,
    /// A write to the socket failed, which [`Socket`] and TLS hide until the next read.
    write_failed: bool,
    /// A byte of the answer came.
    pub answered: bool,
}

impl Exchange {
    /// Whether the receiver may have got the whole request.
    pub fn sent(&self) -> bool {
        self.finished && !self.write_failed
    }

    /// Whether the request went over a connection that served an earlier one.
    pub fn reused(&self) -> bool {
        self.started && !self.fresh
    }
}

thread_local! {
    static EXCHANGE: Cell<Exchange> = const { Cell::new(Exchange {
        phase: Phase::Resolve,
        to_proxy: false,
        body_left: 0,
        fresh: false,
        started: false,
        finished: false,
        write_failed: false,
        answered: false,
    }) };
}

/// Begins a request on this thread.
pub(super) fn begin() {
    EXCHANGE.set(Exchange::default());
}

/// How far the request of this thread has come.
pub(super) fn current() -> Exchange {
    EXCHANGE.get()
}

fn note(change: impl FnOnce(&mut Exchange)) {
    let mut exchange = EXCHANGE.get();
    change(&mut exchange);
    EXCHANGE.set(exchange);
}

/// The body, which notes how much of it is left.
pub(super) struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    pub fn new(body: &'a [u8]) -> Self {
        note(|e| e.body_left = body.len());
        Body(body)
    }
}

impl std::io::Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.0.read(buffer)?;
        note(|e| e.body_left = self.0.len());
        Ok(read)
    }
}

/// Opens connections along a [`Route`].
pub(super) struct Dialer {
    route: Route,
    plain: Arc<Plain>,
    tunnel: ConnectProxyConnector,
}

/// TCP, and TLS where the scheme asks for it.
#[derive(Default)]
struct Plain {
    tcp: TcpConnector,
    tls: RustlsConnector,
}

impl Dialer {
    pub fn new(route: Route) -> Self {
        Dialer { route, plain: Arc::default(), tunnel: ConnectProxyConnector::default() }
    }
}

impl Connector for Dialer {
    type Out = Observed;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Observed>, Error> {
        note(|e| {
            e.fresh = true;
            e.to_proxy = !matches!(self.route, Route::Direct);
        });
        let mut absolute = None;
        let connection = match &self.route {
            Route::Direct => self.plain.dial(&with_uri(details, details.uri))?,
            Route::Forward(proxy) => {
                let origin = origin_of(details.uri);
                absolute = Some(origin);
                self.plain.dial(&with_uri(details, &proxy.uri))?
            }
            Route::Tunnel(_) => {
                let plain = self.plain.clone();
                let mut to_proxy = with_uri(details, details.uri);
                to_proxy.run_connector = Arc::new(move |details| {
                    let connection = plain.dial(&with_uri(details, details.uri))?;
                    note(|e| e.phase = Phase::Tunnel);
                    Ok(connection)
                });
                let tunnel = match self.tunnel.connect(&to_proxy, None::<()>)? {
                    Some(Either::B(tunnel)) => tunnel,
                    _ => return Err(Error::ConnectionFailed),
                };
                note(|e| e.to_proxy = false);
                self.plain.secure(&with_uri(details, details.uri), tunnel)?
            }
        };
        note(|e| e.phase = Phase::Request);
        Ok(Some(Observed { connection, absolute }))
    }
}

impl Plain {
    fn dial(&self, details: &ConnectionDetails) -> Result<Box<dyn Transport>, Error> {
        note(|e| e.phase = Phase::Connect);
        let socket = match self.tcp.connect(details, None::<()>)? {
            Some(Either::B(socket)) => socket,
            _ => return Err(Error::ConnectionFailed),
        };
        self.secure(details, Box::new(Socket { socket: Box::new(socket), broken: None }))
    }

    fn secure(
        &self,
        details: &ConnectionDetails,
        connection: Box<dyn Transport>,
    ) -> Result<Box<dyn Transport>, Error> {
        if !details.needs_tls() {
            return Ok(connection);
        }
        note(|e| e.phase = Phase::Handshake);
        match self.tls.connect(details, Some(connection))? {
            Some(secure) => Ok(Box::new(secure)),
            None => Err(Error::TlsRequired),
        }
    }
}

/// `details` for another URI, at agent level, because ureq builds its TLS configuration anew for each connection of
/// a request that brings its own timeouts.
fn with_uri<'a>(details: &'a ConnectionDetails<'_>, uri: &'a Uri) -> ConnectionDetails<'a> {
    ConnectionDetails {
        uri,
        addrs: copy(&details.addrs, details.resolver),
        config: details.config,
        request_level: false,
        resolver: details.resolver,
        now: details.now,
        timeout: details.timeout,
        current_time: details.current_time.clone(),
        run_connector: details.run_connector.clone(),
        register_shutdown: details.register_shutdown.clone(),
    }
}

fn copy(addresses: &ResolvedSocketAddrs, resolver: &dyn Resolver) -> ResolvedSocketAddrs {
    let mut copy = resolver.empty();
    addresses.iter().for_each(|address| copy.push(*address));
    copy
}

fn origin_of(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |a| a.as_str());
    format!("http://{authority}")
}

/// A socket that takes a peer's close while it writes for no error yet, because what the peer said before it closed
/// lies ready to be read: `413`, or the alert that refuses a client certificate.
struct Socket {
    socket: Box<dyn Transport>,
    /// Why writing ended.
    broken: Option<std::io::Error>,
}

impl Transport for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.socket.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.broken.is_some() {
            return Ok(());
        }
        match self.socket.transmit_output(amount, timeout) {
            Ok(()) => Ok(()),
            Err(error) => {
                note(|e| e.write_failed = true);
                match error {
                    Error::Io(error) if is_disconnect(&error) => self.broken = Some(error),
                    error => return Err(error),
                }
                Ok(())
            }
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let came = self.socket.await_input(timeout);
        match (came, self.broken.take()) {
            (Ok(true), broken) => {
                self.broken = broken;
                Ok(true)
            }
            (_, Some(broken)) => Err(Error::Io(broken)),
            (came, None) => came,
        }
    }

    fn is_open(&mut self) -> bool {
        self.broken.is_none() && self.socket.is_open()
    }
}

/// Whether the peer ended the connection.
pub(super) fn is_disconnect(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::UnexpectedEof
            | Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::BrokenPipe
            | Kind::NotConnected
    )
}

/// A connection as HTTP sees it: plain text above TLS. Notes what goes out and comes in.
pub(super) struct Observed {
    connection: Box<dyn Transport>,
    /// `http://host:port` for a proxy that forwards: it needs the target in the request line.
    absolute: Option<String>,
}

impl Transport for Observed {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.connection.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let first = !current().started && amount > 0;
        note(|e| {
            e.started |= first;
            e.phase = Phase::Request;
        });
        match self.absolute.take() {
            Some(origin) if first => {
                let sent = self.transmit_absolute(&origin, amount, timeout);
                self.absolute = Some(origin);
                sent?;
            }
            origin => {
                self.absolute = origin;
                self.connection.transmit_output(amount, timeout)?;
            }
        }
        note(|e| e.finished = e.body_left == 0);
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let came = self.connection.await_input(timeout)?;
        note(|e| e.answered |= came);
        Ok(came)
    }

    fn is_open(&mut self) -> bool {
        self.connection.is_open()
    }

    fn is_tls(&self) -> bool {
        self.connection.is_tls()
    }
}

impl Observed {
    /// Sends the head that lies in the buffer as `POST http://host:port/path …`, which is what a forwarding proxy
    /// reads; ureq can only tunnel, and proxies refuse tunnels to other ports than 443.
    fn transmit_absolute(&mut self, origin: &str, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let head = &self.connection.buffers().output()[..amount];
        let target = head.iter().position(|b| *b == b' ').map_or(0, |space| space + 1);
        let head = [&head[..target], origin.as_bytes(), &head[target..]].concat();
        let mut rest = head.as_slice();
        while !rest.is_empty() {
            let buffer = self.connection.buffers().output();
            let part = rest.len().min(buffer.len());
            buffer[..part].copy_from_slice(&rest[..part]);
            self.connection.transmit_output(part, timeout)?;
            rest = &rest[part..];
        }
        Ok(())
    }
}

// the connections and the dialer hold nothing that helps in a log, and a proxy's password lies near
macro_rules! opaque {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )*};
}
opaque!(Dialer, Plain, Socket, Observed);
