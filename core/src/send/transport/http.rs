//! HTTP/1.1 over ureq, with each of its defaults that would hurt here overridden.

use super::exchange::{self, Body, Dialer};
use super::failure::{self, Context};
use super::proxy::{Proxy, Route};
use super::resolver::Resolver;
use super::tls::Material;
use super::{Failure, HttpRequest, Method, Response, Transport};
use crate::error::{Result, SendErrorKind};
use crate::send::credentials::CredentialStore;
use crate::send::endpoint::Endpoint;
use crate::send::headers;
use std::fmt;
use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use ureq::Agent;
use ureq::config::Config;

/// Bytes of an answer's body that are kept, unless [`HttpTransport::response_limit`] sets another number.
pub const RESPONSE_LIMIT: usize = 4096;
/// An answer whose status is known is not waited for longer than this.
const BODY_TIMEOUT: Duration = Duration::from_secs(2);
/// Below the input buffer, because ureq reads a head that fills the buffer as a lost connection.
const MAX_HEAD: usize = 31 * 1024;
const INPUT_BUFFER: usize = 32 * 1024;
const OUTPUT_BUFFER: usize = 64 * 1024;
/// Below the 60 s after which many load balancers close a connection.
const MAX_IDLE: Duration = Duration::from_secs(20);
/// "No limit" for ureq, which adds the timeout to the clock and would overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
/// Sent unless `user_agent` says otherwise.
const USER_AGENT: &str = concat!("promwrite/", env!("CARGO_PKG_VERSION"));

/// Sends to one endpoint over pooled connections.
///
/// Redirects are not followed, nothing is decompressed, no cookie is kept. The deadline covers the whole request;
/// name lookup, and connection with proxy and TLS handshake, have a third of it each. A panic below is caught and
/// becomes a [`Failure`].
///
/// Nothing here logs. But a Rust program whose own logger takes the records of `ureq_proto` at trace level gets the
/// bytes of every request, credentials included; leave that target out.
pub struct HttpTransport {
    endpoint: Arc<Endpoint>,
    credentials: CredentialStore,
    route: Route,
    resolver: Resolver,
    response_limit: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Made at the first send, because it loads the system's roots.
    agent: Option<Agent>,
    cancels: u64,
}

impl HttpTransport {
    /// A transport to `endpoint`. Opens no connection and starts no thread.
    ///
    /// Reads the secrets, the TLS files and the proxy variables of the environment once, to refuse at once what
    /// cannot work.
    ///
    /// # Errors
    ///
    /// [`crate::error::Error::Invalid`] names the option: a secret that cannot be read, a `ca_file` without a
    /// certificate, a client key that is not its certificate's, a proxy URL that is not `http://` or `https://`.
    pub fn new(endpoint: Arc<Endpoint>) -> Result<Self> {
        Self::with_environment(endpoint, &|name| std::env::var(name).ok())
    }

    /// As [`HttpTransport::new`], with `env` in place of the environment for the proxy variables.
    ///
    /// # Errors
    ///
    /// Those of [`HttpTransport::new`].
    pub fn with_environment(endpoint: Arc<Endpoint>, env: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let route = Route::new(&endpoint, env)?;
        Material::read(&endpoint.options().tls)?;
        let credentials = CredentialStore::new(endpoint.clone())?;
        let (host, port) = match &route {
            Route::Direct => (endpoint.host(), endpoint.port()),
            Route::Forward(proxy) | Route::Tunnel(proxy) => proxy.address(),
        };
        let resolver = Resolver::new(host, port);
        let state = Mutex::default();
        Ok(HttpTransport { endpoint, credentials, route, resolver, response_limit: RESPONSE_LIMIT, state })
    }

    /// Keeps up to `bytes` of an answer's body instead of 4096.
    #[must_use]
    pub fn response_limit(self, bytes: usize) -> Self {
        HttpTransport { response_limit: bytes, ..self }
    }

    /// Where this transport sends to.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn proxy(&self) -> Option<&Proxy> {
        match &self.route {
            Route::Direct => None,
            Route::Forward(proxy) | Route::Tunnel(proxy) => Some(proxy),
        }
    }

    /// The agent and the number of cancels so far, taken together so that no cancel falls between them.
    fn agent(&self) -> std::result::Result<(Agent, u64), Failure> {
        let mut state = self.state();
        if state.agent.is_none() {
            let dialer = Dialer::new(self.route.clone());
            state.agent = Some(Agent::with_parts(self.config()?, dialer, self.resolver.clone()));
        }
        match &state.agent {
            Some(agent) => Ok((agent.clone(), state.cancels)),
            None => Err(Failure::new(SendErrorKind::Protocol, "internal error: no agent")),
        }
    }

    fn config(&self) -> std::result::Result<Config, Failure> {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(self.user_agent())
            .max_response_header_size(MAX_HEAD)
            .input_buffer_size(INPUT_BUFFER)
            .output_buffer_size(OUTPUT_BUFFER)
            .max_idle_age(MAX_IDLE)
            .proxy(None);
        if let Route::Tunnel(proxy) = &self.route {
            let proxy = proxy.for_tunnel().map_err(|_| {
                Failure::new(SendErrorKind::Proxy, format!("proxy {} cannot be used", proxy.authority()))
            })?;
            config = config.proxy(Some(proxy));
        }
        if self.endpoint.is_https() || self.proxy().is_some_and(Proxy::is_https) {
            let tls = Material::read(&self.endpoint.options().tls).map_err(|e| e.to_string());
            let tls = tls.and_then(Material::config).map_err(|e| Failure::new(SendErrorKind::Tls, e))?;
            config = config.tls_config(tls);
        }
        Ok(config.build())
    }

    fn user_agent(&self) -> &str {
        match self.endpoint.options().user_agent.as_str() {
            "" => USER_AGENT,
            own => own,
        }
    }

    /// The headers of `request` over those of the endpoint over promwrite's own.
    fn headers(&self, request: &HttpRequest<'_>) -> Result<Vec<(String, Vec<u8>)>> {
        let mut all: Vec<(String, Vec<u8>)> = Vec::new();
        let mut set = |name: &str, value: Vec<u8>| {
            all.retain(|(earlier, _)| !earlier.eq_ignore_ascii_case(name));
            all.push((name.to_owned(), value));
        };
        set("User-Agent", headers::value_bytes("user_agent", self.user_agent())?);
        set("Accept", b"*/*".to_vec());
        set("Accept-Encoding", b"identity".to_vec());
        for (name, value) in self.credentials.headers()?.iter() {
            set(name, value.clone());
        }
        if request.attempt > 0 {
            set("Retry-Attempt", request.attempt.to_string().into_bytes());
        }
        for (name, value) in request.headers {
            headers::check_name(name)?;
            set(name, headers::value_bytes(&format!("header {name}"), value)?);
        }
        if let Route::Forward(proxy) = &self.route
            && let Some(value) = proxy.authorization()
        {
            set("Proxy-Authorization", value.into_bytes());
        }
        all.retain(|(name, _)| !name.eq_ignore_ascii_case("transfer-encoding"));
        all.retain(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
        all.push(("Content-Length".to_owned(), request.body.len().to_string().into_bytes()));
        Ok(all)
    }

    fn exchange(
        &self,
        agent: &Agent,
        request: &HttpRequest<'_>,
        headers: &[(String, Vec<u8>)],
        timeout: Duration,
    ) -> std::result::Result<Response, ureq::Error> {
        let url = format!("{}{}", self.endpoint.origin(), request.path_and_query);
        let mut builder = match request.method {
            Method::Post => agent.post(url),
            Method::Put => agent.put(url),
            Method::Delete => agent.delete(url).force_send_body(),
        };
        for (name, value) in headers {
            builder = builder.header_raw(name, value);
        }
        if let Some(headers) = builder.headers_mut() {
            headers.values_mut().for_each(|value| value.set_sensitive(true));
        }
        let mut body = Body::new(request.body);
        let mut response = builder
            .config()
            .timeout_global(Some(timeout))
            .timeout_resolve(Some(connect_timeout(timeout)))
            .timeout_connect(Some(connect_timeout(timeout)))
            .timeout_recv_body(Some(BODY_TIMEOUT))
            .build()
            .send(ureq::SendBody::from_reader(&mut body))?;
        let headers = response.headers().iter();
        let headers = headers
            .map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let mut kept = Vec::new();
        let mut reader = response.body_mut().as_reader();
        // an error here is not one of the request: the status is known, only the connection is lost
        if reader.by_ref().take(self.response_limit as u64).read_to_end(&mut kept).is_ok() {
            // ureq keeps the connection only when it has seen the end of the body
            let _ = reader.read(&mut [0]);
        }
        Ok(Response { status: response.status().as_u16(), headers, body: kept })
    }
}

fn connect_timeout(timeout: Duration) -> Duration {
    timeout / 3
}

impl Transport for HttpTransport {
    fn send(&self, request: &HttpRequest<'_>, timeout: Duration) -> std::result::Result<Response, Failure> {
        let timeout = timeout.min(LONGEST);
        if !request.path_and_query.starts_with('/') {
            return Err(Failure::new(SendErrorKind::Protocol, "the path of a request must begin with /"));
        }
        let headers =
            self.headers(request).map_err(|e| Failure::new(SendErrorKind::Credentials, e.to_string()))?;
        let (agent, cancels) = self.agent()?;
        exchange::begin();
        let result = catch_unwind(AssertUnwindSafe(|| self.exchange(&agent, request, &headers, timeout)));
        let way = exchange::current();
        let target = self.endpoint.authority();
        let proxy = self.proxy().map(Proxy::authority);
        let failure = match result {
            Ok(Ok(response)) if response.status == 407 && matches!(self.route, Route::Forward(_)) => {
                let proxy = proxy.unwrap_or_default();
                Failure::new(
                    SendErrorKind::Proxy,
                    format!("proxy {proxy} refused to forward to {target}: status 407"),
                )
            }
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(error)) => {
                let context = Context {
                    target: &target,
                    proxy: proxy.as_deref(),
                    timeout,
                    connect_timeout: connect_timeout(timeout),
                };
                failure::describe(error, &way, &context)
            }
            Err(_) => {
                // whatever lock the panic poisoned goes with the agent
                self.state().agent = None;
                Failure {
                    ambiguous: way.sent(),
                    reused: way.reused(),
                    ..Failure::new(SendErrorKind::Protocol, "internal error in the HTTP client")
                }
            }
        };
        if self.state().cancels != cancels {
            let message = format!("the request to {target} was cancelled");
            return Err(Failure { kind: SendErrorKind::Cancelled, message, stale: false, ..failure });
        }
        match failure.kind {
            // the next send asks the name service, or reads the certificates, anew: either may have changed
            SendErrorKind::Refused | SendErrorKind::Unreachable | SendErrorKind::Connect => {
                self.resolver.expire()
            }
            SendErrorKind::Tls => self.state().agent = None,
            _ => {}
        }
        Err(failure)
    }

    fn cancel(&self) {
        let agent = {
            let mut state = self.state();
            state.cancels += 1;
            state.agent.take()
        };
        self.resolver.cancel();
        if let Some(agent) = agent {
            agent.shutdown();
        }
    }

    fn refresh_credentials(&self) {
        self.credentials.refresh();
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport").field("endpoint", &self.endpoint).field("route", &self.route).finish()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::send::endpoint::HttpOptions;
    use std::io::{self, Write as _};
    use std::net::{SocketAddr, TcpListener};
    use std::sync::atomic::{AtomicUsize, Ordering};

    const REQUEST: HttpRequest<'_> =
        HttpRequest { method: Method::Post, path_and_query: "/", headers: &[], body: b"", attempt: 0 };
    const AMPLE: Duration = Duration::from_secs(10);

    fn transport(resolver: Resolver) -> HttpTransport {
        let endpoint = Endpoint::parse("http://gw.example", "url", HttpOptions::default()).unwrap();
        let transport = HttpTransport::with_environment(Arc::new(endpoint), &|_| None).unwrap();
        HttpTransport { resolver, ..transport }
    }

    /// Answers one request on one connection.
    fn answer_once(listener: TcpListener) {
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        });
    }

    #[test]
    fn every_address_of_a_name_is_tried() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        // on the same port nobody listens on the others: IPv6 refused or not there at all, IPv4 refused
        let others = [format!("[::1]:{}", good.port()), format!("127.0.0.2:{}", good.port())];
        let mut addresses: Vec<SocketAddr> = others.iter().map(|a| a.parse().unwrap()).collect();
        addresses.push(good);
        answer_once(listener);
        let resolver = Resolver::scripted("gw.example", 80, move |_, _| Ok(addresses.clone()), None);
        assert_eq!(transport(resolver).send(&REQUEST, AMPLE).unwrap().status, 204);
    }

    #[test]
    fn a_name_is_looked_up_again_when_its_address_refuses() {
        let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        answer_once(listener);
        let asked = AtomicUsize::new(0);
        let lookup = move |_: &str, _| match asked.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(vec![dead]),
            _ => Ok(vec![good]),
        };
        let transport = transport(Resolver::scripted("gw.example", 80, lookup, None));
        let failure = transport.send(&REQUEST, AMPLE).unwrap_err();
        assert_eq!(failure, Failure::new(SendErrorKind::Refused, "connection refused by gw.example:80"));
        assert_eq!(transport.send(&REQUEST, AMPLE).unwrap().status, 204);
    }

    #[test]
    fn a_thread_that_cannot_start_is_a_failure() {
        let lookup = |_: &str, _| -> io::Result<Vec<SocketAddr>> { panic!("no thread, no lookup") };
        let resolver =
            Resolver::scripted("gw.example", 80, lookup, Some(|_, _| Err(io::ErrorKind::WouldBlock.into())));
        let failure = transport(resolver).send(&REQUEST, AMPLE).unwrap_err();
        assert_eq!(failure.kind, SendErrorKind::Dns);
        assert!(failure.message.contains("no thread could be started"), "{failure}");
    }

    #[test]
    fn a_panic_below_is_a_failure() {
        let resolver =
            Resolver::scripted("gw.example", 80, |_, _| Ok(vec![]), Some(|_, _| panic!("from below")));
        let failure = transport(resolver).send(&REQUEST, AMPLE).unwrap_err();
        assert_eq!(failure, Failure::new(SendErrorKind::Protocol, "internal error in the HTTP client"));
    }
}
