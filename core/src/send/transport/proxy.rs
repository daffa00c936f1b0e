//! Which proxy a request takes: the option `proxy_url`, or the environment as curl reads it.

use crate::error::{Error, Result};
use crate::send::credentials::{Secret, basic};
use crate::send::endpoint::Endpoint;
use crate::send::url::Url;
use std::fmt;
use std::net::IpAddr;
use ureq::http::Uri;

/// The way to the receiver.
#[derive(Debug, Clone)]
pub(super) enum Route {
    /// Straight.
    Direct,
    /// An `http://` target: the proxy is sent the whole URL and forwards the request.
    Forward(Proxy),
    /// An `https://` target: the proxy is asked for a tunnel (CONNECT).
    Tunnel(Proxy),
}

/// A proxy. `Debug` shows no user and no password.
#[derive(Clone)]
pub(super) struct Proxy {
    url: Url,
    pub uri: Uri,
}

impl Proxy {
    /// Where to connect to: the host without brackets, and the port.
    pub fn address(&self) -> (&str, u16) {
        (self.url.bare_host(), self.url.port)
    }

    /// `host:port`, for messages.
    pub fn authority(&self) -> String {
        self.url.authority()
    }

    pub fn is_https(&self) -> bool {
        self.url.https
    }

    /// The value of `Proxy-Authorization`, if the URL has a user.
    pub fn authorization(&self) -> Option<String> {
        self.url.userinfo.as_ref().map(|(user, password)| basic(user, password))
    }

    /// The proxy as ureq's CONNECT wants it.
    pub fn for_tunnel(&self) -> std::result::Result<ureq::Proxy, ureq::Error> {
        let protocol = if self.url.https { ureq::ProxyProtocol::Https } else { ureq::ProxyProtocol::Http };
        let mut builder = ureq::Proxy::builder(protocol).host(&self.url.host).port(self.url.port);
        if let Some((user, password)) = &self.url.userinfo {
            builder = builder.username(user.reveal()).password(password.reveal());
        }
        builder.build()
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url.origin())
    }
}

impl Route {
    /// The way to `endpoint`; `env` reads an environment variable.
    ///
    /// `proxy_url` comes before the environment. There, the variable of the target's scheme comes before
    /// `all_proxy`, lower case before upper case, and `HTTP_PROXY` is not read in a CGI program (`REQUEST_METHOD`
    /// is set), where a request's `Proxy` header would set it. An empty value means no proxy.
    pub fn new(endpoint: &Endpoint, env: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let options = &endpoint.options().proxy;
        let either = |lower: &str| env(lower).or_else(|| env(&lower.to_ascii_uppercase()));
        let (text, field) = match &options.url {
            Some(source) => (source.read("proxy_url")?, "proxy_url"),
            None if !options.from_environment => return Ok(Route::Direct),
            None => {
                let own = match endpoint.is_https() {
                    true => either("https_proxy"),
                    false if env("REQUEST_METHOD").is_some() => env("http_proxy"),
                    false => either("http_proxy"),
                };
                let field = if endpoint.is_https() { "https_proxy" } else { "http_proxy" };
                match own {
                    Some(text) => (Secret::new(text), field),
                    None => match either("all_proxy") {
                        Some(text) => (Secret::new(text), "all_proxy"),
                        None => return Ok(Route::Direct),
                    },
                }
            }
        };
        let text = text.reveal().trim();
        if text.is_empty() {
            return Ok(Route::Direct);
        }
        let exceptions = match (&options.no_proxy, &options.url) {
            (Some(list), _) => list.clone(),
            (None, None) => either("no_proxy").unwrap_or_default(),
            (None, Some(_)) => String::new(),
        };
        if excepted(&exceptions, endpoint.host(), endpoint.port()) {
            return Ok(Route::Direct);
        }
        let url = match text.contains("://") {
            true => Url::parse(text, field)?,
            false => Url::parse(&format!("http://{text}"), field)?,
        };
        let uri = format!("{}/", url.origin())
            .parse()
            .map_err(|_| Error::invalid(field, url.shown(), "is not a valid URL"))?;
        let proxy = Proxy { url, uri };
        Ok(if endpoint.is_https() { Route::Tunnel(proxy) } else { Route::Forward(proxy) })
    }
}

/// Whether `list` names the host: `*`, a name or a suffix of one (with or without a leading dot), an address, a
/// block of addresses (`10.0.0.0/8`), each but the last also with a port; separated by commas or spaces.
fn excepted(list: &str, host: &str, port: u16) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let address = host.parse::<IpAddr>().ok();
    list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty()).any(|entry| {
        if entry == "*" {
            return true;
        }
        if let Some((block, bits)) = entry.split_once('/') {
            return match (address, block.parse(), bits.parse()) {
                (Some(address), Ok(block), Ok(bits)) => within(address, block, bits),
                _ => false,
            };
        }
        let (name, wanted) = split_port(entry);
        if wanted.is_some_and(|wanted| wanted != port) {
            return false;
        }
        match (address, name.parse::<IpAddr>()) {
            (Some(address), Ok(entry)) => address == entry,
            (Some(_), Err(_)) => false,
            (None, _) => {
                let name = name.trim_start_matches("*.").trim_start_matches('.').trim_end_matches('.');
                let name = name.to_ascii_lowercase();
                !name.is_empty()
                    && host.strip_suffix(&name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
        }
    })
}

/// `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    if let Some(rest) = entry.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').unwrap_or((rest, ""));
        return (host, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match entry.split_once(':') {
        Some((host, port)) if !port.contains(':') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}

fn within(address: IpAddr, block: IpAddr, bits: u32) -> bool {
    let same = |a: u128, b: u128, width: u32| bits <= width && (bits == 0 || (a ^ b) >> (width - bits) == 0);
    match (address, block) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::send::credentials::SecretSource;
    use crate::send::endpoint::{HttpOptions, ProxyOptions};

    fn route(url: &str, options: ProxyOptions, env: &[(&str, &str)]) -> Result<String> {
        let options = HttpOptions { proxy: options, ..HttpOptions::default() };
        let endpoint = Endpoint::parse(url, "url", options)?;
        let env = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Ok(format!("{:?}", Route::new(&endpoint, &env)?))
    }

    fn explicit(url: &str) -> ProxyOptions {
        ProxyOptions { url: Some(SecretSource::Literal(Secret::new(url))), ..ProxyOptions::default() }
    }

    #[test]
    fn the_environment_is_read_by_the_scheme_of_the_target() {
        let (http, https) = ("http://gw.example/x", "https://gw.example/x");
        for (url, env, wanted) in [
            (http, vec![], "Direct"),
            (http, vec![("http_proxy", "http://p:3128")], "Forward(http://p:3128)"),
            (http, vec![("https_proxy", "http://p:3128")], "Direct"),
            (http, vec![("HTTP_PROXY", "http://p:3128")], "Forward(http://p:3128)"),
            (http, vec![("HTTP_PROXY", "http://p:3128"), ("REQUEST_METHOD", "GET")], "Direct"),
            (http, vec![("http_proxy", "http://a"), ("HTTP_PROXY", "http://b")], "Forward(http://a)"),
            (http, vec![("http_proxy", ""), ("all_proxy", "http://b")], "Direct"),
            (http, vec![("ALL_PROXY", "p:1")], "Forward(http://p:1)"),
            (https, vec![("http_proxy", "http://p:3128")], "Direct"),
            (https, vec![("https_proxy", "http://u:canary@p:3128")], "Tunnel(http://p:3128)"),
            (https, vec![("HTTPS_PROXY", "https://p:3128")], "Tunnel(https://p:3128)"),
            (https, vec![("all_proxy", "p:1"), ("no_proxy", "example")], "Direct"),
            (https, vec![("all_proxy", "p:1"), ("NO_PROXY", "other.example")], "Tunnel(http://p:1)"),
        ] {
            assert_eq!(route(url, ProxyOptions::default(), &env).unwrap(), wanted, "{url} {env:?}");
        }
    }

    #[test]
    fn options_come_before_the_environment() {
        let env = [("http_proxy", "http://env"), ("no_proxy", "*")];
        let url = "http://gw.example/";
        assert_eq!(route(url, explicit("http://own:1"), &env).unwrap(), "Forward(http://own:1)");
        let off = ProxyOptions { from_environment: false, ..ProxyOptions::default() };
        assert_eq!(route(url, off, &env).unwrap(), "Direct");
        let own_exceptions = ProxyOptions { no_proxy: Some("other".to_owned()), ..ProxyOptions::default() };
        assert_eq!(route(url, own_exceptions, &env).unwrap(), "Forward(http://env)");
        let excepted = ProxyOptions { no_proxy: Some("gw.example:80".to_owned()), ..explicit("http://own") };
        assert_eq!(route(url, excepted, &env).unwrap(), "Direct");
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_its_password() {
        for (url, rule) in
            [("socks5://u:canary@p:1080", "SOCKS"), ("ftp://u:canary@p", "http or https"), ("u:canary@", "")]
        {
            let error = route("http://gw.example/", explicit(url), &[]).unwrap_err().to_string();
            assert!(error.starts_with("proxy_url: ") && error.contains(rule), "{error}");
            assert!(!error.contains("canary"), "{error}");
        }
        let error = route("http://h/", ProxyOptions::default(), &[("all_proxy", "socks5://p")]).unwrap_err();
        assert!(error.to_string().starts_with("all_proxy: "), "{error}");
    }

    #[test]
    fn exceptions() {
        for (list, host, port, wanted) in [
            ("*", "gw.example", 80, true),
            ("", "gw.example", 80, false),
            ("gw.example", "gw.example", 80, true),
            ("GW.Example.", "gw.example", 80, true),
            ("example", "gw.example", 80, true),
            (".example", "gw.example", 80, true),
            ("*.example", "gw.example", 80, true),
            ("w.example", "gw.example", 80, false),
            ("other, gw.example", "gw.example", 80, true),
            ("other gw.example", "gw.example", 80, true),
            ("gw.example:9091", "gw.example", 9091, true),
            ("gw.example:9091", "gw.example", 80, false),
            ("localhost", "127.0.0.1", 80, false),
            ("10.1.2.3", "10.1.2.3", 80, true),
            ("2.3", "10.1.2.3", 80, false),
            ("10.0.0.0/8", "10.1.2.3", 80, true),
            ("10.1.2.0/23", "10.1.3.9", 80, true),
            ("10.1.2.0/23", "10.1.4.9", 80, false),
            ("0.0.0.0/0", "10.1.4.9", 80, true),
            ("10.0.0.0/33", "10.1.2.3", 80, false),
            ("10.0.0.0/8", "::1", 80, false),
            ("fd00::/8", "fd00::1", 80, true),
            ("::/0", "fd00::1", 80, true),
            ("[::1]:80", "::1", 80, true),
            ("[::1]:81", "::1", 80, false),
            ("::1", "::1", 80, true),
            (".", "gw.example", 80, false),
        ] {
            assert_eq!(excepted(list, host, port), wanted, "{list:?} {host} {port}");
        }
    }
}
