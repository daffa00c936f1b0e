//! The one error enum: stable codes, and for each whether a retry can help.
//!
//! Every message names the field, the value and the rule that refused it, because the caller sees it in a job's log,
//! long after the code that made the value. Values are shortened and their control characters escaped; secrets never
//! reach a value (see [`crate::send::credentials`]).

use std::borrow::Cow;
use std::fmt::Write as _;

/// Result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, in terms a caller can act on.
///
/// The number behind each variant ([`Error::code`]) is part of the C ABI: it is never reused or renumbered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument breaks a rule: an option, a URL, a label, a name, a grouping key, a header. Nothing was accepted.
    #[error("{field}: {value} is refused: {rule}")]
    Invalid {
        /// The argument, by the name its caller knows (`url`, `label name`, `queue_config.capacity`).
        field: Cow<'static, str>,
        /// The refused value, as [`shown`] prints it; `***` where it is a secret.
        value: String,
        /// The rule that it breaks.
        rule: Cow<'static, str>,
    },
    /// An option has no entry in the option table ([`crate::config`]).
    #[error("option {key} is unknown{}", .nearest.map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    UnknownOption {
        /// The key as given.
        key: String,
        /// The known key that looks most like it, if any does.
        nearest: Option<&'static str>,
    },
    /// A timestamp before 2001 or more than ten minutes ahead: nearly always seconds taken for milliseconds or the
    /// reverse, so both readings are named.
    #[error(
        "timestamp: {value} is refused: read as milliseconds it is {as_milliseconds}, read as seconds it is \
         {as_seconds}; allowed is 2001-01-01 to ten minutes from now"
    )]
    InvalidTimestamp {
        /// The number as given.
        value: String,
        /// The UTC time it means if it counts milliseconds.
        as_milliseconds: String,
        /// The UTC time it means if it counts seconds.
        as_seconds: String,
    },
    /// A text page breaks the exposition format. Nothing of the page was accepted.
    #[error("exposition: line {line}, column {column}: {rule}")]
    Exposition {
        /// Line, from 1.
        line: usize,
        /// Byte of the line, from 1.
        column: usize,
        /// The rule that it breaks, with the offending text.
        rule: String,
    },
    /// One item is larger than any request may be. It is refused at once, because it would block what comes after it.
    #[error("{field}: {size} bytes are refused: at most {limit} are allowed")]
    TooLarge {
        /// What is too large.
        field: Cow<'static, str>,
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes, an option of this name where it can be set.
        limit: usize,
    },
    /// The queue is full and its policy is `error`, or `block` waited in vain. A retry helps once the receiver is back.
    #[error(
        "queue: full with {samples} items and {bytes} bytes pending; limits are {max_samples} and {max_bytes}"
    )]
    QueueFull {
        /// Items pending.
        samples: u64,
        /// Bytes pending.
        bytes: u64,
        /// Option `queue_config.capacity`.
        max_samples: u64,
        /// Option `queue_config.capacity_bytes`.
        max_bytes: u64,
    },
    /// The object was closed before the call.
    #[error("{what} is closed")]
    Closed {
        /// The kind of object.
        what: &'static str,
    },
    /// The worker panicked three times within a minute; this sender sends nothing any more. This is a bug in promwrite.
    #[error("sender failed: its worker panicked three times within a minute")]
    SenderFailed,
    /// A synchronous call did not get an answer.
    #[error("sending to {url}: {message}")]
    Send {
        /// The URL, without user, password and query.
        url: String,
        /// What broke.
        kind: SendErrorKind,
        /// What broke, in words.
        message: String,
    },
    /// A synchronous call was answered with a status other than 2xx.
    #[error("sending to {url}: the receiver answered {status}: {message}")]
    Status {
        /// The URL, without user, password and query.
        url: String,
        /// HTTP status.
        status: u16,
        /// The beginning of the answer, control characters escaped.
        message: String,
    },
    /// A panic inside promwrite was caught at a language boundary. This is a bug in promwrite.
    #[error("internal error in {place}: {message}")]
    Internal {
        /// The call that panicked.
        place: Cow<'static, str>,
        /// The panic's message.
        message: String,
    },
}

/// The kinds of [`Error::Send`], because a caller treats a refused connection otherwise than a lost answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendErrorKind {
    /// The host name did not resolve.
    Dns,
    /// Nobody listens at that port. Nothing was sent.
    Refused,
    /// There is no way to the host. Nothing was sent.
    Unreachable,
    /// The connection was not made in time. Nothing was sent.
    Connect,
    /// The TLS handshake failed. Nothing was sent.
    Tls,
    /// The deadline passed after the connection stood.
    Timeout,
    /// The connection ended before the answer was complete.
    Disconnected,
    /// The answer is not HTTP.
    Protocol,
    /// The proxy refused.
    Proxy,
    /// The call was cancelled by a close.
    Cancelled,
    /// A secret could not be read from its file or environment variable. Nothing was sent.
    Credentials,
}

impl Error {
    /// An [`Error::Invalid`] that shows `value` shortened and escaped.
    pub fn invalid(
        field: impl Into<Cow<'static, str>>,
        value: impl AsRef<[u8]>,
        rule: impl Into<Cow<'static, str>>,
    ) -> Self {
        Error::Invalid { field: field.into(), value: shown(value), rule: rule.into() }
    }

    /// The stable number of this kind of error, negative because 0 means success in C.
    #[must_use]
    pub fn code(&self) -> i32 {
        match self {
            Error::Invalid { .. } => -1,
            Error::UnknownOption { .. } => -2,
            Error::InvalidTimestamp { .. } => -3,
            Error::Exposition { .. } => -4,
            Error::TooLarge { .. } => -5,
            Error::QueueFull { .. } => -6,
            Error::Closed { .. } => -7,
            Error::SenderFailed => -8,
            Error::Send { .. } => -9,
            Error::Status { .. } => -10,
            Error::Internal { .. } => -11,
        }
    }

    /// Whether the same call can succeed later without a change by the caller.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Error::QueueFull { .. } | Error::Send { .. } => true,
            Error::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500..=599),
            _ => false,
        }
    }
}

/// `value` in quotes as it may stand in a message: at most 120 bytes, control characters and broken UTF-8 escaped.
///
/// Short, because a 10 KB label value in a log line hides the line; escaped, because a receiver's or a caller's bytes
/// must not steer a terminal.
pub fn shown(value: impl AsRef<[u8]>) -> String {
    let value = value.as_ref();
    let head = &value[..value.len().min(120)];
    let mut out = String::with_capacity(head.len() + 2);
    out.push('"');
    for chunk in head.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c == '"' {
                out.extend(c.escape_default());
            } else {
                out.push(c);
            }
        }
        // a character cut in two by the length limit is left out, a broken byte is shown
        if !(value.len() > head.len() && chunk.invalid().len() < 4 && is_tail(head, chunk.invalid())) {
            for b in chunk.invalid() {
                let _ = write!(out, "\\x{b:02x}");
            }
        }
    }
    out.push('"');
    if value.len() > head.len() {
        let _ = write!(out, " ({} bytes)", value.len());
    }
    out
}

fn is_tail(head: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && head.as_ptr_range().end == part.as_ptr_range().end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_escapes_and_shortens() {
        assert_eq!(shown("a\x1b[31m\n\"é"), "\"a\\u{1b}[31m\\n\\\"é\"");
        assert_eq!(shown(b"\xff"), "\"\\xff\"");
        let long = shown("é".repeat(100));
        assert!(long.ends_with("(200 bytes)") && !long.contains("\\x"), "{long}");
    }

    #[test]
    fn messages_name_field_value_and_rule() {
        let e = Error::invalid("label name", "a b", "must match [a-zA-Z_][a-zA-Z0-9_]*");
        assert_eq!(e.to_string(), "label name: \"a b\" is refused: must match [a-zA-Z_][a-zA-Z0-9_]*");
        let e = Error::UnknownOption { key: "remote_timout".into(), nearest: Some("remote_timeout") };
        assert_eq!(e.to_string(), "option remote_timout is unknown; did you mean remote_timeout?");
    }

    #[test]
    fn a_retry_helps_where_the_receiver_may_come_back() {
        let status =
            |status| Error::Status { url: String::new(), status, message: String::new() }.retryable();
        assert!(status(503) && status(429) && !status(400) && !status(401));
    }
}
