//! Where requests go: a checked URL, headers, TLS material and proxy, all redacted for messages.

use super::credentials::{Credentials, SecretSource};
use super::headers;
use super::url::Url;
use crate::error::{Error, Result};
use std::fmt;
use std::hash::{BuildHasher as _, DefaultHasher, Hash, Hasher, RandomState};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// How to reach an endpoint: everything of the option table that the transport needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HttpOptions {
    /// `basic_auth.*` or `authorization.*`, or user and password of the URL.
    pub credentials: Credentials,
    /// `headers.NAME`: headers of every request; each value may be a secret. The last of equal names wins.
    pub headers: Vec<(String, SecretSource)>,
    /// `tls_config.*`.
    pub tls: TlsOptions,
    /// `proxy_url`, `no_proxy`, `proxy_from_environment`.
    pub proxy: ProxyOptions,
    /// `require_https`: refuse `http://` at construction.
    pub require_https: bool,
    /// `user_agent`; empty means `promwrite/x.y.z`.
    pub user_agent: String,
}

/// `tls_config.*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct TlsOptions {
    /// Extra roots in PEM, beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Client certificate chain in PEM.
    pub cert_file: Option<PathBuf>,
    /// Private key of `cert_file` in PEM.
    pub key_file: Option<PathBuf>,
    /// Accept any certificate.
    pub insecure_skip_verify: bool,
}

/// `proxy_url`, `no_proxy`, `proxy_from_environment`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyOptions {
    /// `proxy_url`: may hold user and password, therefore a secret.
    pub url: Option<SecretSource>,
    /// `no_proxy`: hosts reached without the proxy.
    pub no_proxy: Option<String>,
    /// `proxy_from_environment`: `http_proxy`, `https_proxy`, `no_proxy` by scheme.
    pub from_environment: bool,
}

impl Default for ProxyOptions {
    fn default() -> Self {
        ProxyOptions { url: None, no_proxy: None, from_environment: true }
    }
}

/// A checked place to send to. `Debug` and every message show neither secrets nor the query.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
    options: HttpOptions,
}

impl Endpoint {
    /// Checks `url` and `http`. User and password of the URL become basic authentication.
    ///
    /// No file and no variable is read here; [`super::credentials::CredentialStore`] and the transport do that.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] names `field` for the URL, or the option: a scheme other than `http` and `https`, no host,
    /// a port outside 1–65535, a fragment, credentials twice, `http://` with `require_https`, a header that is
    /// reserved or cannot be sent, half a client certificate.
    pub fn parse(url: &str, field: &'static str, http: HttpOptions) -> Result<Endpoint> {
        let mut url = Url::parse(url, field)?;
        let mut options = http;
        if options.require_https && !url.https {
            return Err(Error::invalid(field, url.shown(), "must be https:// (option require_https)"));
        }
        if let Some((username, password)) = url.userinfo.take() {
            if options.credentials != Credentials::None {
                let rule = "has a user; remove it or the options basic_auth.* and authorization.*";
                return Err(Error::invalid(field, url.shown(), rule));
            }
            options.credentials = Credentials::Basic {
                username: SecretSource::Literal(username),
                password: SecretSource::Literal(password),
            };
        }
        if let Credentials::Authorization { scheme, .. } = &options.credentials {
            let refuse = |rule: &'static str| Err(Error::invalid("authorization.type", scheme, rule));
            if headers::check_name(scheme).is_err() {
                return refuse("must be an authentication scheme such as Bearer");
            }
            if scheme.eq_ignore_ascii_case("basic") {
                return refuse("must not be Basic: use basic_auth.username and basic_auth.password");
            }
        }
        let mut seen: Vec<(String, SecretSource)> = Vec::with_capacity(options.headers.len());
        for (name, source) in std::mem::take(&mut options.headers) {
            headers::check_option(&name)?;
            if let SecretSource::Literal(value) = &source {
                headers::value_bytes(&format!("headers.{name}"), value.reveal())?;
            }
            seen.retain(|(earlier, _)| !earlier.eq_ignore_ascii_case(&name));
            seen.push((name, source));
        }
        options.headers = seen;
        headers::value_bytes("user_agent", &options.user_agent)?;
        match (&options.tls.cert_file, &options.tls.key_file) {
            (Some(cert), None) => {
                let rule = "needs tls_config.key_file as well";
                return Err(Error::invalid("tls_config.cert_file", cert.to_string_lossy().as_bytes(), rule));
            }
            (None, Some(key)) => {
                let rule = "needs tls_config.cert_file as well";
                return Err(Error::invalid("tls_config.key_file", key.to_string_lossy().as_bytes(), rule));
            }
            _ => {}
        }
        Ok(Endpoint { url, options })
    }

    /// `scheme://host`, with the port where it is not the scheme's own.
    #[must_use]
    pub fn origin(&self) -> String {
        self.url.origin()
    }

    /// The path with its query, at least `/`.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.url.path_and_query
    }

    /// The URL without user, password and query, for messages.
    #[must_use]
    pub fn shown(&self) -> String {
        self.url.shown()
    }

    /// `host:port`, for messages.
    #[must_use]
    pub fn authority(&self) -> String {
        self.url.authority()
    }

    /// Whether the scheme is `https`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.url.https
    }

    /// The host without the brackets of an IPv6 address.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.bare_host()
    }

    /// The port, the scheme's own where the URL names none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.url.port
    }

    /// The checked options, with the credentials of the URL.
    #[must_use]
    pub fn options(&self) -> &HttpOptions {
        &self.options
    }

    /// Whether requests stay on this machine: `localhost`, `127.0.0.0/8` or `::1`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        match host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => host == "localhost" || host.ends_with(".localhost"),
        }
    }

    /// What a careful operator would want to know, each text to be logged once.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.options.credentials != Credentials::None && !self.url.https && !self.is_loopback() {
            warnings.push(format!(
                "credentials go unencrypted to {}: use https:// (option require_https refuses http://)",
                self.shown()
            ));
        }
        if self.url.https && self.options.tls.insecure_skip_verify {
            warnings.push(format!(
                "the certificate of {} is not verified (option tls_config.insecure_skip_verify)",
                self.authority()
            ));
        }
        warnings
    }

    /// A number that is equal for equal endpoints and options within one process, to find the sender that serves
    /// them. Keyed at random for each process, because literal secrets go into it.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let h = &mut hasher;
        process_key().hash(h);
        self.url.origin().hash(h);
        self.url.path_and_query.hash(h);
        let options = &self.options;
        match &options.credentials {
            Credentials::None => 0u8.hash(h),
            Credentials::Basic { username, password } => {
                1u8.hash(h);
                hash_source(username, h);
                hash_source(password, h);
            }
            Credentials::Authorization { scheme, credentials } => {
                2u8.hash(h);
                scheme.hash(h);
                hash_source(credentials, h);
            }
        }
        options.headers.len().hash(h);
        for (name, source) in &options.headers {
            name.hash(h);
            hash_source(source, h);
        }
        options.tls.hash(h);
        options.proxy.url.is_some().hash(h);
        if let Some(url) = &options.proxy.url {
            hash_source(url, h);
        }
        (&options.proxy.no_proxy, options.proxy.from_environment).hash(h);
        (options.require_https, &options.user_agent).hash(h);
        hasher.finish()
    }

    /// What tells this endpoint from others in files that outlive the process: equal in every process that sends to the same
    /// URL as the same user and tenant.
    ///
    /// It is made of scheme, host, port and path, of the names of query parameters and headers, of the user of basic
    /// authentication, and of the values of `X-Scope-OrgID` and `THANOS-TENANT`, which are addresses. No password, no
    /// token, no other header's value and no query value goes into it, because whoever reads the file could guess them.
    /// Destinations that differ in those alone look the same.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the user or the tenant cannot be read from its file or variable.
    pub fn identity(&self) -> Result<[u8; 16]> {
        let (path, query) = self.url.path_and_query.split_once('?').unwrap_or((&self.url.path_and_query, ""));
        let mut parts = vec![self.url.origin(), path.to_owned()];
        parts.extend(query.split('&').map(|pair| pair.split('=').next().unwrap_or_default().to_owned()));
        parts.push(String::new());
        if let Credentials::Basic { username, .. } = &self.options.credentials {
            parts.push(username.read("basic_auth.username")?.reveal().to_owned());
        }
        let mut names = Vec::new();
        for (name, source) in &self.options.headers {
            let name = name.to_ascii_lowercase();
            let tenant = ["x-scope-orgid", "thanos-tenant"].contains(&&*name);
            let value = if tenant {
                source.read(&format!("headers.{name}"))?.reveal().to_owned()
            } else {
                String::new()
            };
            names.push(format!("{name}: {value}"));
        }
        names.sort();
        parts.push(String::new());
        parts.extend(names);
        let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
        for part in parts {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        let mut identity = [0; 16];
        identity.copy_from_slice(&hash.finish().as_ref()[..16]);
        Ok(identity)
    }
}

/// Random and not 0, the same for the whole process. An atomic, because a fork could copy a lock that is held.
fn process_key() -> u64 {
    static KEY: AtomicU64 = AtomicU64::new(0);
    match KEY.load(Ordering::Relaxed) {
        0 => {
            let key = RandomState::new().hash_one(0u8) | 1;
            KEY.compare_exchange(0, key, Ordering::Relaxed, Ordering::Relaxed)
                .map_or_else(|first| first, |_| key)
        }
        key => key,
    }
}

/// Beside [`Endpoint::fingerprint`], because no secret may be hashed anywhere else.
fn hash_source(source: &SecretSource, hasher: &mut impl Hasher) {
    match source {
        SecretSource::Literal(secret) => (0u8, secret.reveal()).hash(hasher),
        SecretSource::File(path) => (1u8, path).hash(hasher),
        SecretSource::Env(name) => (2u8, name).hash(hasher),
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.shown()).field("options", &self.options).finish()
    }
}
