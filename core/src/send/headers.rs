//! What a header may be: names are tokens, values hold no line break, and some names are not the user's.

use crate::error::{Error, Result, shown};
use std::borrow::Cow;

/// Names that promwrite, HTTP or a signing proxy sets; Prometheus's `remote_write` reserves nearly the same.
const RESERVED: [&str; 14] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "transfer-encoding",
    "user-agent",
    "www-authenticate",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
    "x-prometheus-remote-write-version",
];

/// Checks a header of the options: its name, and that it is not reserved.
///
/// # Errors
///
/// [`Error::Invalid`] with the field `headers.NAME`.
pub fn check_option(name: &str) -> Result<()> {
    check_name(name)?;
    let lower = name.to_ascii_lowercase();
    let refuse = |rule: Cow<'static, str>| Err(Error::invalid(format!("headers.{name}"), name, rule));
    if lower == "authorization" {
        return refuse("is set by the options basic_auth.* or authorization.*".into());
    }
    if lower == "user-agent" {
        return refuse("is set by the option user_agent".into());
    }
    if RESERVED.contains(&lower.as_str())
        || lower.starts_with("proxy-")
        || lower == "x-prometheus-remote-read-version"
    {
        return refuse("the header is reserved: promwrite sets it".into());
    }
    Ok(())
}

/// Checks that `name` is a token of RFC 9110.
///
/// # Errors
///
/// [`Error::Invalid`] with the field `header name`.
pub fn check_name(name: &str) -> Result<()> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(Error::invalid("header name", name, "must be letters, digits and !#$%&'*+-.^_`|~"));
    }
    Ok(())
}

/// The bytes of `value` on the wire, ISO 8859-1 as HTTP has it.
///
/// # Errors
///
/// [`Error::Invalid`] with the field `option` and `***` for the value, which may be a secret, where it holds CR, LF,
/// NUL, another control character, or a character that ISO 8859-1 lacks.
pub fn value_bytes(option: &str, value: &str) -> Result<Vec<u8>> {
    let refuse = |rule: &'static str| {
        let field = match option.bytes().all(|b| b.is_ascii_graphic()) {
            true => option.to_owned(),
            false => shown(option),
        };
        Err(Error::Invalid { field: field.into(), value: "***".into(), rule: rule.into() })
    };
    if value.contains(['\r', '\n', '\0']) {
        return refuse("a header must hold no CR, LF or NUL");
    }
    if value.chars().any(|c| c.is_ascii_control() && c != '\t') {
        return refuse("a header must hold no control character");
    }
    match value.chars().map(|c| u8::try_from(u32::from(c))).collect() {
        Ok(bytes) => Ok(bytes),
        Err(_) => refuse("a header must hold ISO 8859-1 characters only"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn reserved_names_are_refused_in_any_case() {
        for name in RESERVED.iter().chain(&["proxy-authorization", "Proxy-Connection", "HOST"]) {
            let error = check_option(&name.to_uppercase()).unwrap_err().to_string();
            assert!(error.starts_with("headers."), "{error}");
        }
        let error = check_option("Authorization").unwrap_err().to_string();
        assert!(error.contains("basic_auth") && error.contains("authorization.*"), "{error}");
        check_option("X-BK-TOKEN").unwrap();
        check_option("X-Scope-OrgID").unwrap();
    }

    #[test]
    fn bytes_that_could_split_a_request_are_refused() {
        for name in ["", "a b", "a:b", "a\r\nb", "a\0", "ü", "a\n"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        for value in
            ["canary\r\nX: y", "canary\n", "canary\r", "canary\0", "canary\x1b", "canary\x7f", "canary€"]
        {
            let error = value_bytes("headers.X-A", value).unwrap_err().to_string();
            assert!(error.starts_with("headers.X-A: ***") && !error.contains("canary"), "{error}");
        }
        assert_eq!(value_bytes("headers.X-A", "a\tü").unwrap(), b"a\t\xfc");
    }
}
