//! Where requests go: a checked URL, headers, TLS material and proxy, all redacted for messages.

use super::credentials::{Credentials, SecretSource};
use std::path::PathBuf;

/// How to reach an endpoint: everything of the option table that the transport needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HttpOptions {
    /// `basic_auth.*` or `authorization.*`, or user and password of the URL.
    pub credentials: Credentials,
    /// `headers.NAME`: headers of every request; each value may be a secret.
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
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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
