//! Taking an `http://` or `https://` URL apart without ever showing what it hides.

use super::credentials::Secret;
use crate::error::{Error, Result};
use std::borrow::Cow;
use ureq::http::Uri;

/// The parts of a checked URL.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub https: bool,
    /// As it stands in the URL, IPv6 addresses in brackets.
    pub host: String,
    pub port: u16,
    pub path_and_query: String,
    /// User and password, percent-decoded.
    pub userinfo: Option<(Secret, Secret)>,
}

impl Url {
    /// Takes `url` apart. Errors name `field` and show the URL without user, password and query.
    pub fn parse(url: &str, field: &'static str) -> Result<Self> {
        let refuse = |rule: Cow<'static, str>| Error::invalid(field, without_secrets(url), rule);
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(refuse("must begin with http:// or https://".into()));
        };
        let https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            other if other.starts_with("socks") => {
                return Err(refuse("SOCKS is not supported; allowed are http and https".into()));
            }
            _ => return Err(refuse("the scheme must be http or https".into())),
        };
        if !url.is_ascii() {
            return Err(refuse(
                "must be ASCII: percent-encode the path, write the host in its xn-- form".into(),
            ));
        }
        if rest.contains('#') {
            return Err(refuse("must have no fragment; write # as %23".into()));
        }
        if rest.is_empty() || rest.starts_with(['/', '?']) {
            return Err(refuse("must name a host".into()));
        }
        let uri: Uri = url.parse().map_err(|_| refuse("is not a valid URL".into()))?;
        let authority = uri.authority().ok_or_else(|| refuse("must name a host".into()))?;
        let host = authority.host().to_ascii_lowercase();
        if host.is_empty() {
            return Err(refuse("must name a host".into()));
        }
        let userinfo = match authority.as_str().rsplit_once('@') {
            Some((info, _)) if !info.is_empty() => {
                let (user, password) = info.split_once(':').unwrap_or((info, ""));
                let decode = |part| {
                    percent_encoding::percent_decode_str(part)
                        .decode_utf8()
                        .map(|text| Secret::new(text.into_owned()))
                        .map_err(|_| refuse("user and password must be UTF-8 when percent-decoded".into()))
                };
                Some((decode(user)?, decode(password)?))
            }
            _ => None,
        };
        // what follows the host is a port or nothing: the parser would take ":99999" for no port at all
        let after_host = &authority.as_str()[authority.as_str().rfind('@').map_or(0, |at| at + 1)..];
        let port = match after_host[host.len()..].strip_prefix(':') {
            None | Some("") => default_port(https),
            Some(digits) => match digits.parse::<u16>() {
                Ok(port) if port != 0 => port,
                _ => return Err(refuse("the port must be a number from 1 to 65535".into())),
            },
        };
        let path_and_query = match uri.path_and_query().map(|p| p.as_str()) {
            None | Some("") => "/".to_owned(),
            Some(p) if p.starts_with('/') => p.to_owned(),
            Some(p) => format!("/{p}"),
        };
        Ok(Url { https, host, port, path_and_query, userinfo })
    }

    /// `scheme://host`, with the port where it is not the scheme's own.
    pub fn origin(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        if self.port == default_port(self.https) {
            format!("{scheme}://{}", self.host)
        } else {
            format!("{scheme}://{}:{}", self.host, self.port)
        }
    }

    /// `host:port`, for messages.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The URL without user, password and query.
    pub fn shown(&self) -> String {
        let path = self.path_and_query.split('?').next().unwrap_or_default();
        format!("{}{path}", self.origin())
    }

    /// The host without the brackets of an IPv6 address.
    pub fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

fn default_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

/// `url` as it may stand in a message, even where it does not parse.
///
/// A password may hold `/`, `?` or `#` by mistake, so all up to the last `@` goes, and where a query may hide
/// that `@`, all of it.
pub(super) fn without_secrets(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    match (rest.rfind('@'), rest.find(['?', '#'])) {
        (Some(at), Some(mark)) if mark < at => format!("{scheme}***"),
        (Some(at), mark) => format!("{scheme}***{}", &rest[at..mark.unwrap_or(rest.len())]),
        (None, mark) => format!("{scheme}{}", &rest[..mark.unwrap_or(rest.len())]),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let url = Url::parse("HTTP://us%40er:p%3Aw@[::1]:9091/a/b?c=d", "url").unwrap();
        assert_eq!((url.https, url.host.as_str(), url.port), (false, "[::1]", 9091));
        assert_eq!(url.path_and_query, "/a/b?c=d");
        let (user, password) = url.userinfo.clone().unwrap();
        assert_eq!((user.reveal(), password.reveal()), ("us@er", "p:w"));
        assert_eq!((url.origin().as_str(), url.bare_host()), ("http://[::1]:9091", "::1"));
        assert_eq!(url.shown(), "http://[::1]:9091/a/b");

        let url = Url::parse("https://Gw.Example", "url").unwrap();
        assert_eq!((url.origin().as_str(), url.port), ("https://gw.example", 443));
        assert_eq!(url.path_and_query, "/");
        assert_eq!(Url::parse("http://h?x=1", "url").unwrap().path_and_query, "/?x=1");
    }

    #[test]
    fn refusals_name_the_rule_and_hide_the_password() {
        for (url, rule) in [
            ("gw:9091", "must begin with http:// or https://"),
            ("", "must begin with http:// or https://"),
            ("ftp://u:canary@h/", "scheme must be http or https"),
            ("socks5://u:canary@h/", "SOCKS is not supported"),
            ("http://", "must name a host"),
            ("http:///path", "must name a host"),
            ("http://u:canary@h/#f", "no fragment"),
            ("http://u:cana#canary@h/", "no fragment"),
            ("http://u:canary@h:99999/", "port"),
            ("http://u:canary@h:0/", "port"),
            ("http://u:canary@h:9x/", ""),
            ("http://u:%ff@h/", "UTF-8"),
            ("http://ü.example/", "ASCII"),
            ("http://u:can/canary@h/", ""),
            ("http://u:a?canary@h b/", ""),
            ("http://h h/?canary", ""),
        ] {
            let error = Url::parse(url, "url").err().map(|e| e.to_string()).unwrap_or_default();
            assert!(error.starts_with("url: ") && error.contains(rule), "{url}: {error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
