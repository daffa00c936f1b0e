//! Grouping keys of a Pushgateway and their paths.
//!
//! A gateway decodes the percent-escapes of a path once, cuts it at every slash, and never takes `+` for a space.
//! So a value with a slash, and an empty one, must be base64, which the gateway knows from `@base64` behind the name;
//! a space is base64 too, as prometheus_client writes it since 0.25.

use super::labels::{NameScheme, check_label_name};
use crate::error::{Error, Result};
use base64::Engine as _;
use base64::alphabet::URL_SAFE as URL_ALPHABET;
use base64::engine::general_purpose::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const BASE64: &str = "@base64";

/// As Go's `RawURLEncoding` decodes: no padding (it is taken off before) and no check of the last bits.
const DECODER: GeneralPurpose = GeneralPurpose::new(
    &URL_ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// The grouping key of a push: the job and further labels, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group {
    job: String,
    pairs: Vec<(String, String)>,
}

impl Group {
    /// Checks a grouping key and sorts its pairs. Values may be any text, also empty; the job may not.
    ///
    /// # Errors
    /// [`Error::Invalid`] with field `job` for an empty job, with field `grouping_key` for a label name that is not
    /// `[a-zA-Z_][a-zA-Z0-9_]*`, that begins with `__`, that is `job`, or that stands twice.
    pub fn new<N, V>(job: &str, pairs: impl IntoIterator<Item = (N, V)>) -> Result<Group>
    where
        N: Into<String>,
        V: Into<String>,
    {
        if job.is_empty() {
            return Err(Error::invalid("job", job, "job name is required"));
        }
        let mut pairs: Vec<(String, String)> = pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
        for (name, _) in &pairs {
            if name == "job" {
                return Err(Error::invalid("grouping_key", name, "the job is given apart"));
            }
            if name.starts_with("__") || check_label_name(name, NameScheme::Legacy).is_err() {
                return Err(Error::invalid(
                    "grouping_key",
                    name,
                    "a label name must match [a-zA-Z_][a-zA-Z0-9_]* and not begin with __",
                ));
            }
        }
        pairs.sort_unstable();
        if let Some(twice) = pairs.windows(2).find(|w| w[0].0 == w[1].0) {
            return Err(Error::invalid(
                "grouping_key",
                &twice[0].0,
                "a label may stand once in a grouping key",
            ));
        }
        Ok(Group { job: job.to_owned(), pairs })
    }

    /// The job.
    #[must_use]
    pub fn job(&self) -> &str {
        &self.job
    }

    /// The labels beside the job, sorted by name.
    pub fn pairs(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(n, v)| (&**n, &**v))
    }

    /// The path below the gateway, `/metrics/job/x/instance/y`.
    ///
    /// The bytes are those of prometheus_client 0.26, except for the values `.` and `..`, which stand there as they
    /// are and are lost on the way, because servers clean them out of a path; here they are base64.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = String::from("/metrics");
        push_pair("job", &self.job, &mut path);
        for (name, value) in &self.pairs {
            push_pair(name, value, &mut path);
        }
        path
    }
}

fn push_pair(name: &str, value: &str, path: &mut String) {
    path.push('/');
    path.push_str(name);
    if value.is_empty() {
        // one sign of padding, because an empty part would be cleaned out of the path
        path.push_str("@base64/=");
    } else if matches!(value, "." | "..") || value.contains(['/', ' ']) {
        path.push_str(BASE64);
        path.push('/');
        URL_SAFE.encode_string(value, path);
    } else {
        path.push('/');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'~' | b'-') {
                path.push(char::from(byte));
            } else {
                path.extend(['%', hex(byte >> 4), hex(byte & 15)]);
            }
        }
    }
}

fn hex(digit: u8) -> char {
    char::from(b"0123456789ABCDEF"[usize::from(digit & 15)])
}

/// Reads the path of a push URL (without host and query) as a Pushgateway does: what stands before `/metrics/job`,
/// and the group. A slash at the end is passed over.
///
/// # Errors
/// [`Error::Invalid`] with field `path` for a path that a Pushgateway does not take: no `/metrics/job`, an odd
/// number of parts, a broken escape or base64, values that are not UTF-8; and those of [`Group::new`]. Where a
/// Pushgateway lets a second value of a label replace the first one, the path is refused.
pub fn parse_path(path: &str) -> Result<(String, Group)> {
    let refused = |rule: &'static str| Error::invalid("path", path, rule);
    let decoded =
        percent_decode(path).ok_or_else(|| refused("each % must stand before two hexadecimal digits"))?;
    let decoded =
        String::from_utf8(decoded).map_err(|_| refused("must be UTF-8 when its escapes are decoded"))?;
    let (prefix, key) = decoded
        .match_indices("/metrics/job")
        .map(|(at, found)| (&decoded[..at], &decoded[at + found.len()..]))
        .find(|(_, key)| key.starts_with('/') || key.starts_with("@base64/"))
        .ok_or_else(|| refused("must hold /metrics/job/<job>"))?;
    let key = key.strip_suffix('/').filter(|key| key.contains('/')).unwrap_or(key);
    let parts: Vec<&str> = key.split('/').collect();
    if !parts.len().is_multiple_of(2) {
        return Err(refused("must have a value behind each label name"));
    }
    let mut pairs = parts.chunks_exact(2).map(|pair| {
        let (name, value) = (pair[0], pair[1]);
        let Some(name) = name.strip_suffix(BASE64) else {
            return Ok((name, value.to_owned()));
        };
        let bytes = DECODER
            .decode(value.trim_end_matches('='))
            .map_err(|_| refused("a value behind @base64 must be base64 with the URL alphabet"))?;
        let value = String::from_utf8(bytes).map_err(|_| refused("a base64 value must be UTF-8"))?;
        Ok((name, value))
    });
    let job = pairs.next().transpose()?.map(|(_, job)| job).unwrap_or_default();
    let group = Group::new(&job, pairs.collect::<Result<Vec<_>>>()?)?;
    Ok((prefix.to_owned(), group))
}

fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            out.push(u8::try_from(digit(bytes.next())? * 16 + digit(bytes.next())?).ok()?);
        } else {
            out.push(byte);
        }
    }
    Some(out)
}

/// The base URL of a gateway, as prometheus_client makes it: `http://` before an address without scheme, no slashes
/// at the end. User and password stay where they are.
///
/// # Errors
/// [`Error::Invalid`] with field `gateway` for another scheme than http and https, no host, and for `?` and `#`,
/// behind which prometheus_client would lose the whole grouping key. The value is not shown, because a query and a
/// user part may hold secrets.
pub fn gateway_url(gateway: &str) -> Result<String> {
    let refused = |rule: &'static str| {
        Err(Error::Invalid { field: "gateway".into(), value: "***".into(), rule: rule.into() })
    };
    if gateway.contains(['?', '#']) {
        return refused(
            "a gateway address cannot have a ?query or #fragment, because the grouping key stands behind it",
        );
    }
    if gateway.bytes().any(|b| b.is_ascii_control() || b == b' ') {
        return refused("a gateway address cannot hold blanks or control characters");
    }
    let url = match gateway.split_once("://") {
        None => format!("http://{gateway}"),
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") => {
            gateway.to_owned()
        }
        Some(_) => return refused("the scheme must be http or https"),
    };
    let url = url.trim_end_matches('/');
    let authority = url.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.is_empty() || host.starts_with(':') {
        return refused("a host is required");
    }
    Ok(url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn group(job: &str, pairs: &[(&str, &str)]) -> Group {
        Group::new(job, pairs.iter().copied()).unwrap()
    }

    // right-hand sides made by prometheus_client 0.26.0, `_escape_grouping_key("k", value)`
    #[test]
    fn the_bytes_of_prometheus_client() {
        for (value, path) in [
            ("batchA", "/k/batchA"),
            ("10.0.0.1", "/k/10.0.0.1"),
            ("a/b", "/k@base64/YS9i"),
            ("s p", "/k@base64/cyBw"),
            ("", "/k@base64/="),
            ("a+b", "/k/a%2Bb"),
            ("a%20b", "/k/a%2520b"),
            ("100%", "/k/100%25"),
            ("a&b=c", "/k/a%26b%3Dc"),
            ("ü", "/k/%C3%BC"),
            ("中文", "/k/%E4%B8%AD%E6%96%87"),
            ("日志/采集", "/k@base64/5pel5b-XL-mHh-mbhg=="),
            ("a@base64", "/k/a%40base64"),
            ("~t-._", "/k/~t-._"),
            ("x?y#z", "/k/x%3Fy%23z"),
            ("\"q\"", "/k/%22q%22"),
            ("tab\tlf\n", "/k/tab%09lf%0A"),
            ("a:b;c,d", "/k/a%3Ab%3Bc%2Cd"),
            ("/", "/k@base64/Lw=="),
            ("//", "/k@base64/Ly8="),
            (" ", "/k@base64/IA=="),
            ("😀", "/k/%F0%9F%98%80"),
            ("{}[]|\\^`<>", "/k/%7B%7D%5B%5D%7C%5C%5E%60%3C%3E"),
            ("'!*()", "/k/%27%21%2A%28%29"),
        ] {
            let group = group("j", &[("k", value)]);
            assert_eq!(group.path(), format!("/metrics/job/j{path}"));
        }
    }

    #[test]
    fn dots_are_base64_because_servers_clean_them_out() {
        assert_eq!(group(".", &[("a", "..")]).path(), "/metrics/job@base64/Lg==/a@base64/Li4=");
    }

    #[test]
    fn keys_that_a_gateway_refuses_are_refused_by_name() {
        for (job, pairs, part) in [
            ("", &[][..], "job: \"\" is refused: job name is required"),
            ("j", &[("job", "x")][..], "given apart"),
            ("j", &[("__a", "x")][..], "grouping_key: \"__a\" is refused"),
            ("j", &[("a b", "x")][..], "grouping_key: \"a b\" is refused"),
            ("j", &[("", "x")][..], "grouping_key: \"\" is refused"),
            ("j", &[("a", "x"), ("a", "y")][..], "may stand once"),
        ] {
            let error = Group::new(job, pairs.iter().copied()).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn paths_as_a_gateway_reads_them() {
        for (path, prefix, job, pairs) in [
            ("/metrics/job/s%20p", "", "s p", &[][..]),
            ("/metrics/job/s+p/", "", "s+p", &[][..]),
            ("/a/b/metrics/job@base64/cy9w/i/1", "/a/b", "s/p", &[("i", "1")][..]),
            ("/metrics/job@base64/cy9wLw/i@base64/=", "", "s/p/", &[("i", "")][..]),
            ("/metrics/job@base64/cy9wLw==/z/2/a/1", "", "s/p/", &[("a", "1"), ("z", "2")][..]),
            ("/metrics/job/%E4%B8%AD", "", "中", &[][..]),
            // an escaped slash is a slash
            ("/metrics/job/j%2Fa%2Fb", "", "j", &[("a", "b")][..]),
            ("/metrics/jobs/metrics/job/j", "/metrics/jobs", "j", &[][..]),
        ] {
            assert_eq!(parse_path(path), Ok((prefix.to_owned(), group(job, pairs))), "{path}");
        }
        for path in [
            "",
            "/metrics",
            "/metrics/job",
            "/metrics/job/",
            "/metrics/job@base64/=",
            "/metrics/job/j/a",
            "/metrics/job/j/a-b/1",
            "/metrics/job/j/job/k",
            "/metrics/job@base64/a+b/",
            "/metrics/job@base64/_w",
            "/metrics/job/%ff",
            "/metrics/job/%2",
            "/metrics/job/%+1",
        ] {
            assert!(parse_path(path).is_err(), "{path}");
        }
    }

    #[test]
    fn gateway_addresses() {
        for (gateway, url) in [
            ("gw:9091", "http://gw:9091"),
            ("localhost", "http://localhost"),
            ("https://gw/prefix//", "https://gw/prefix"),
            ("HTTP://gw", "HTTP://gw"),
            ("http://u:p@gw:9091", "http://u:p@gw:9091"),
            ("[::1]:9091", "http://[::1]:9091"),
        ] {
            assert_eq!(gateway_url(gateway).as_deref(), Ok(url));
        }
        for (gateway, part) in [
            ("", "host"),
            ("http://", "host"),
            ("http:///x", "host"),
            (":9091", "host"),
            ("u:secret@", "host"),
            ("ftp://gw", "scheme"),
            ("gw?token=secret", "?query"),
            ("gw#secret", "#fragment"),
            ("g w", "blanks"),
            ("gw\r\nX: secret", "control"),
        ] {
            let error = gateway_url(gateway).unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("secret"), "{gateway:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn a_path_reads_back(
            job in "(?s).{1,12}",
            pairs in prop::collection::btree_map("[a-zA-Z][a-zA-Z0-9_]{0,6}", "(?s).{0,12}|[/ .=+%@-]{0,4}|metrics|job", 0..5),
        ) {
            let pairs: Vec<_> = pairs.into_iter().filter(|(name, _)| name != "job").collect();
            let group = Group::new(&job, pairs).unwrap();
            prop_assert_eq!(parse_path(&group.path()), Ok((String::new(), group.clone())));
            let below = format!("/some/prefix{}", group.path());
            prop_assert_eq!(parse_path(&below), Ok(("/some/prefix".to_owned(), group)));
        }

        #[test]
        fn any_path_gets_an_answer(path in "(?s).{0,40}|/metrics/job(@base64)?/[a-z%/=@+]{0,20}") {
            if let Ok((_, group)) = parse_path(&path) {
                prop_assert_eq!(parse_path(&group.path()).map(|(_, g)| g), Ok(group));
            }
        }
    }
}
